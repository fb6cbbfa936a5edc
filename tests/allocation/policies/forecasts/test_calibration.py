"""Scores of forecasters on an instance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.law.fitted import FittedLaw
from torta_opt.allocation.policies.forecasts.calibration import calibration, prepared
from torta_opt.io import InvalidInput


def test_the_law_is_calibrated_and_better_than_the_past() -> None:
    """One step ahead, class by class: 6 classes × 26 slots on each of three systems. With 468
    outcomes, half of them independent, 50 % coverage is off by 5·√(0.25/234) = 0.16 at most."""
    rows = []
    for seed in (21, 22, 23):
        instance = generate("paper/abilene", seed=seed, slots=130, gpu_counts={"A100": 9, "T4": 9})
        rows += calibration(instance, ("law", "last"), horizons=(1,))
    near = {
        name: [row for row in rows if (row.forecaster, row.horizon, row.of) == (name, 1, "class")]
        for name in ("law", "last")
    }
    assert np.mean([row.coverage_50 for row in near["law"]]) == pytest.approx(0.5, abs=0.16)
    assert np.mean([row.coverage_90 for row in near["law"]]) == pytest.approx(0.9, abs=0.1)
    assert all(a.crps < b.crps for a, b in zip(near["law"], near["last"], strict=True))


def test_a_fitted_law_is_scored_on_slots_it_has_not_seen() -> None:
    instance = generate("paper/abilene", seed=3, slots=84, gpu_counts={"A100": 9, "T4": 9})
    instance = dataclasses.replace(instance, description="")  # nobody knows how it came about
    given, first = prepared(instance)
    assert first == 40
    assert isinstance(given.law, FittedLaw)
    assert given.law.fit.learned == 40
    rows = calibration(instance, ("law", "mean_reverting"))
    assert len(rows) == 2 * 3 * 3
    assert all(0 <= row.coverage_50 <= row.coverage_90 <= 1 for row in rows)


def test_too_few_slots_are_refused() -> None:
    with pytest.raises(InvalidInput, match="has 36 slots with requests; scores take more than 40"):
        calibration(generate("paper/abilene", slots=40))

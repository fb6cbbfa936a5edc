from __future__ import annotations

import numpy as np
import pytest
from support.tiny import brute_force_optimum

from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.instance.paper_weights import ALPHA, BETA, paper_weights
from torta_opt.allocation.instance.warnings import warnings_of
from torta_opt.allocation.schedule import evaluate


def test_counts_what_objective_1_counts() -> None:
    weights = paper_weights(generate("small/hot").system, alpha=3.0, beta=5.0)
    assert weights.time_usd_per_s == 1.0
    assert weights.frobenius_usd == 3.0
    assert weights.energy_factor == 5.0
    nothing = (
        weights.rent_factor,
        weights.transfer_factor,
        weights.loading_factor,
        weights.reroute_usd,
    )
    assert nothing == (0.0, 0.0, 0.0, 0.0)


def test_cost_of_a_schedule_is_objective_1() -> None:
    instance = generate("small/hot")
    schedule = brute_force_optimum(instance).schedule
    priced = instance.with_weights(paper_weights(instance.system, alpha=3.0, beta=5.0))
    evaluation = evaluate(priced, schedule)
    metrics = evaluation.metrics
    served = schedule.processing.sum()
    assert metrics["response_mean_s"] is not None
    by_hand = (
        served * metrics["response_mean_s"]
        + 3.0 * metrics["frobenius"]
        + 5.0 * metrics["energy_usd"]
    )
    assert evaluation.cost == pytest.approx(by_hand)


@pytest.mark.parametrize("preset", ["paper/abilene", "paper/cost2", "small/expiry", "small/switch"])
def test_dropping_requests_never_pays(preset: str) -> None:
    instance = generate(preset)
    priced = instance.with_weights(paper_weights(instance.system))
    assert warnings_of(priced) == []


def test_defaults_are_close_to_the_default_weights() -> None:
    """A dollar of electricity, and moving an origin's traffic, weigh about what they do there."""
    instance = generate("paper/abilene")
    weights = instance.system.weights
    assert pytest.approx(1 / weights.time_usd_per_s) == BETA
    asked = instance.arrivals[:476].sum(axis=2).mean()
    moved = asked * weights.reroute_usd / weights.time_usd_per_s  # request-seconds
    assert 0.2 < 2 * ALPHA / moved < 5
    assert np.isfinite(paper_weights(instance.system).expiry_usd).all()

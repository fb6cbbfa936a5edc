"""Forecasters: what each one says, and Eq. (12) hit exactly."""

from __future__ import annotations

import numpy as np
import pytest

from torta_opt.allocation.policies.forecasters import Learned, forecaster
from torta_opt.allocation.policies.forecasts.from_past import MeanReverting
from torta_opt.io import InvalidInput

ARRIVALS = np.random.default_rng(0).integers(1, 50, (6, 3, 2))


def said(name: str, **given) -> np.ndarray:
    source = forecaster(name, 0.5, **given)
    return np.stack([source.update(arrivals) for arrivals in ARRIVALS])


def test_last():
    assert np.array_equal(said("last"), ARRIVALS)


def test_none():
    assert not said("none").any()


def test_smoothed():
    assert np.allclose(said("smoothed")[1], ARRIVALS[:2].mean(axis=0))


def test_seasonal():
    found = said("seasonal", season=3)
    assert np.array_equal(found[:2], ARRIVALS[:2])
    assert np.array_equal(found[2:], ARRIVALS[:4])


def test_mean_reverting_is_the_next_slot_of_the_one_with_a_spread():
    source = MeanReverting()
    for arrivals in ARRIVALS:
        source.see(arrivals)
    assert np.allclose(said("mean_reverting")[-1], source.means(1)[0])


def test_perfect():
    assert np.array_equal(said("perfect", future=ARRIVALS)[:-1], ARRIVALS[1:])


@pytest.mark.parametrize("accuracy", [0.1, 0.3, 0.5, 0.9, 1.0])
def test_corrupted_has_the_accuracy_of_equation_12(accuracy):
    found = said("corrupted", future=ARRIVALS, accuracy=accuracy)[:-1].sum(axis=2)
    truth = ARRIVALS[1:].sum(axis=2)
    assert np.exp(-np.mean(np.abs(found - truth) / truth)) == pytest.approx(accuracy)
    assert (found >= 0).all()


def test_learned_is_split_by_smoothed_shares():
    source = Learned(lambda history: np.array([10.0, 0.0, 6.0]), 1.0)
    source.see(np.zeros((5, 3, 3)))
    found = source.update(np.array([[1, 1], [2, 0], [0, 3]]))
    assert np.allclose(found, [[5, 5], [0, 0], [0, 6]])


def test_wrong_parameters():
    with pytest.raises(InvalidInput, match="accuracy: must lie in"):
        forecaster("corrupted", 0.5, accuracy=0, future=ARRIVALS)
    with pytest.raises(InvalidInput, match="season"):
        forecaster("seasonal", 0.5, season=0)
    with pytest.raises(InvalidInput, match="forecaster: must be one of"):
        forecaster("oracle", 0.5)

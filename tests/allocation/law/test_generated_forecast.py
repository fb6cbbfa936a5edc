"""Means of the parts of a forecast: against draws and enumeration."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from torta_opt.allocation.instance.generate import demand, generate
from torta_opt.allocation.law import law_of
from torta_opt.allocation.law.gaussian import Gaussian, softmax
from torta_opt.allocation.law.generated_forecast import Forecasting


@pytest.fixture(scope="module")
def forecasting() -> Forecasting:
    instance = generate("paper/polska+surge", seed=1, slots=40, surge_slots=10)
    return law_of(instance)._forecasting  # type: ignore[attr-defined]


def belief(size: int, seed: int) -> Gaussian:
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((size, size)) / np.sqrt(size)
    return Gaussian(rng.standard_normal(size), root @ root.T)


def test_mean_of_bursts(forecasting: Forecasting) -> None:
    """Log-normal of σ ≤ 0.3: 40,000 draws are off by 0.15 %; leaving out the variance, by 2 %."""
    levels = belief(13, 0)
    drawn = levels.draw(40_000, np.random.default_rng(1)) @ forecasting.loading.T
    factor = np.exp(drawn - forecasting.parameters.burst_sigma**2 / 2)
    assert np.allclose(forecasting.burst_mean(levels), factor.mean(axis=0), rtol=0.0075)


def test_mean_of_the_mix(forecasting: Forecasting) -> None:
    """Shares have a standard deviation of some 0.05: 40,000 draws are off by 0.00025, times 5. The
    mix at the mean of the drift differs by more."""
    drift = Gaussian(np.array([1.0, -0.5, 0.3]), np.diag([6.0, 5.0, 4.0]))
    found = forecasting.mix_mean(drift)
    drawn = drift.draw(40_000, np.random.default_rng(1)) @ forecasting.drift_loading.T
    shares, _ = softmax(forecasting.log_tendency + drawn[:, None, :])
    assert np.allclose(found, shares.mean(axis=0), atol=0.00125)
    middle, _ = softmax(forecasting.log_tendency + forecasting.drift_loading @ drift.mean)
    assert abs(found - middle).max() > 0.004
    assert np.allclose(found.sum(axis=1), 1)


def test_mean_of_surges_to_come(forecasting: Forecasting) -> None:
    """Two surges, neither of which has begun before slot 5: the mean over all first slots and
    regions of one, squared, because they are independent."""
    p = forecasting.parameters
    start, latest, regions = 5, demand.latest_surge(p), len(forecasting.topology.nodes)
    factors = [
        demand.factors_of_surges(forecasting.topology, p, np.array([[centre, begin]]))
        for begin in range(start, latest)
        for centre in range(regions)
    ]
    expected = np.mean(factors, axis=0)[start : start + 12] ** 2
    found = forecasting.surge_mean(dataclasses.replace(forecasting.begin(), slot=start), 12)
    assert np.allclose(found, expected)
    assert found.max() > 1.05


def test_mean_of_a_surge_that_has_begun(forecasting: Forecasting) -> None:
    begun = np.array([[2, 3]])
    known = dataclasses.replace(forecasting.begin(), slot=6, surges=begun)
    p = dataclasses.replace(forecasting.parameters, surges=1)  # no other is to come
    alone = dataclasses.replace(forecasting, parameters=p)
    course = demand.factors_of_surges(forecasting.topology, p, begun)[6:10]
    assert np.allclose(alone.surge_mean(known, 4), course)
    assert (forecasting.surge_mean(known, 4) >= course).all()

"""What the past says of the process that open_loop draws demand from."""

from __future__ import annotations

import numpy as np
import pytest

import torta_opt
from torta_opt.allocation.policies.demand_samples import DemandProcess, DemandSamples


def after(totals: np.ndarray) -> DemandSamples:
    """The samples after slots with these totals, all in one region and class."""
    system = torta_opt.generate("paper/abilene", slots=8).system
    samples = DemandSamples(system, DemandProcess(), 7, 12, 7)
    for total in totals.tolist():
        arrivals = np.zeros((len(system.regions), len(system.classes)), np.int64)
        arrivals[0, 0] = int(total)
        samples.learn(arrivals)
    return samples


@pytest.mark.parametrize("seed", range(4))
def test_demand_around_a_level_does_not_refute_the_process(seed: int) -> None:
    rng = np.random.default_rng(seed)
    level = 400 * np.exp(0.15 * rng.normal(size=60))
    assert not after(rng.poisson(level)).is_refuted()
    assert not after(rng.poisson(np.full(60, 3.0))).is_refuted()  # few requests: Poisson noise


@pytest.mark.parametrize("seed", range(4))
def test_demand_that_comes_and_goes_refutes_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    on = rng.random(30) < 0.4
    assert after(on * rng.poisson(800, 30)).is_refuted()


def test_bursts_have_the_servers_of_greedy_forecast_from_the_slot_that_shows_them() -> None:
    """Twelve slots of silence between bursts: the plan would stop servers in each."""
    quiet = torta_opt.generate("paper/abilene", slots=40, seed=2)
    arrivals = quiet.arrivals.copy()
    arrivals[np.arange(40) % 8 >= 3] = 0
    from dataclasses import replace

    bursts = replace(quiet, arrivals=arrivals)
    cost = {
        spec: torta_opt.solve(bursts, spec).cost
        for spec in ("greedy_forecast", "open_loop:settle_slots=12")
    }
    assert cost["open_loop:settle_slots=12"] == pytest.approx(cost["greedy_forecast"], rel=0.05)

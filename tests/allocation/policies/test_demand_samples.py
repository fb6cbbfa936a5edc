"""What the past says of the process that open_loop draws demand from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import torta_opt
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.policies.demand_samples import DemandProcess, DemandSamples
from torta_opt.allocation.policies.open_loop import MOST_STOPS
from torta_opt.allocation.schedule.data import Command


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
    bursts = replace(quiet, arrivals=arrivals)
    cost = {
        spec: torta_opt.solve(bursts, spec).cost
        for spec in ("greedy_forecast", "open_loop:settle_slots=12")
    }
    assert cost["open_loop:settle_slots=12"] == pytest.approx(cost["greedy_forecast"], rel=0.05)


def test_slots_without_any_request_give_no_level() -> None:
    assert not after(np.zeros(3)).has_level
    assert after(np.array([0, 0, 5])).has_level
    assert after(np.array([0, 0, 0, 0, 100, 4000])).is_refuted()


@pytest.fixture(scope="module")
def steady() -> Instance:
    return torta_opt.generate("paper/abilene", slots=6, seed=2)


def first_stops(instance: Instance) -> int:
    """Servers that the first plan stops, of 150 that are on."""
    schedule = torta_opt.solve(instance, "open_loop").schedule
    return int((schedule.command[0] == Command.STOP).sum())


def test_servers_wait_for_the_first_request(steady: Instance) -> None:
    arrivals = steady.arrivals.copy()
    arrivals[:2] = 0
    assert first_stops(replace(steady, arrivals=arrivals)) == 0
    assert 0 < first_stops(steady) < MOST_STOPS * 150


def test_one_quiet_slot_stops_most_servers_only_where_keeping_them_is_dear(
    steady: Instance,
) -> None:
    """A start is worth some 90 slots of rent here; in the second case, five."""
    arrivals = steady.arrivals.copy()
    arrivals[0] //= 12
    quiet = replace(steady, arrivals=arrivals)
    assert first_stops(quiet) == 0
    rent = 20 * quiet.system.rent_usd_per_hour
    dear = replace(quiet, system=replace(quiet.system, rent_usd_per_hour=rent))
    assert first_stops(dear) > MOST_STOPS * 150

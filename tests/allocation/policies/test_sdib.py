"""SDIB: use and idle time of servers balanced, wherever they are."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from support.plain import make_instance

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import Schedule, verify
from torta_opt.io import InvalidInput


def schedule(instance: Instance, settings: str = "", name: str = "sdib") -> Schedule:
    made = run(create(f"{name}:rule=none{settings}"), instance).schedule
    assert verify(instance, made).ok
    return made


def use(instance: Instance, made: Schedule) -> np.ndarray:
    """(T, S) share of each slot that servers work."""
    work = instance.system.server_ms[instance.system.server_type]
    return (made.processing * work).sum(axis=2) / instance.system.slot_ms


def test_balances_over_regions_however_far():
    instance = make_instance(
        [[[12], [0]]],
        server_region=[0, 0, 1],
        latency_s=[[0, 9], [9, 0]],
        weights={"time_usd_per_s": 1.0},
        initial={"model": [0, 0, 0]},
    )
    made = schedule(instance)
    assert made.processing[0, :, 0].tolist() == [4, 4, 4]
    assert made.routing[0, 0, :, 0].tolist() == [8, 4]


def test_levels_time_not_requests():
    """One server takes twice as long for a request."""
    instance = make_instance(
        [[[12]]],
        types=2,
        server_region=[0, 0],
        server_type=[0, 1],
        server_ms=[[1000], [2000]],
        initial={"model": [0, 0]},
    )
    assert schedule(instance).processing[0, :, 0].tolist() == [8, 4]


def test_deviation_is_the_least_possible_for_servers_alike():
    """Against all ways to give the requests of two classes to three servers."""
    instance = make_instance(
        [[[4, 3]]],
        server_region=[0, 0, 0],
        server_ms=[[3000, 3000]],
        initial={"model": [0, 0, 0]},
    )
    found = use(instance, schedule(instance, ":idle_weight=0"))[0].std()
    splits = [s for s in product(range(8), repeat=3) if sum(s) == 7]
    assert found == pytest.approx(min(np.std(s) * 3000 / 45_000 for s in splits))


def test_deviation_is_lower_than_of_others():
    rng = np.random.default_rng(2)
    instance = make_instance(
        rng.integers(0, 12, (30, 3, 2)),
        types=2,
        server_region=[0, 0, 1, 1, 2, 2],
        server_type=[0, 1] * 3,
        server_ms=[[1000, 2500], [1800, 3000]],
        deadline_slots=2,
        initial={"model": [0] * 6},
    )
    deviation = {
        name: use(instance, schedule(instance, name=name)).std(axis=1).mean()
        for name in ("sdib", "skylb", "round_robin", "greedy_forecast")
    }
    assert min(deviation, key=deviation.get) == "sdib"


def test_long_idle_servers_get_more():
    """Two servers: one has worked in the last slot, the other not."""
    instance = make_instance(
        [[[10]]],
        server_region=[0, 0],
        server_ms=4500,
        initial={"model": [0, 0], "processing": [[5], [0]]},
    )
    even = schedule(instance, ":idle_weight=0").processing[0, :, 0].tolist()
    shifted = schedule(instance, ":idle_weight=0.4").processing[0, :, 0].tolist()
    assert (even, shifted) == ([5, 5], [3, 7])


def test_idleness_counts_up_to_the_cap():
    arrivals = np.zeros((6, 1, 1), int)
    arrivals[5] = 10

    def last(settings: str) -> list[int]:
        instance = make_instance(
            arrivals,
            server_region=[0, 0],
            server_ms=4500,
            down=[(t, 1) for t in range(4)],
            initial={"model": [0, 0]},
        )
        # server 1 comes back in slot 4 and is started by the rule "all"
        made = run(create(f"sdib:rule=all:gradual=1{settings}"), instance).schedule
        return made.processing[5, :, 0].tolist()

    assert last(":idle_weight=0") == [5, 5]
    assert last(":idle_weight=0.1:idle_cap=1") == [5, 5]
    assert last(":idle_weight=0.1:idle_cap=9")[0] > 5


def test_stays_at_home_where_that_makes_no_difference():
    instance = make_instance([[[6], [6]]], initial={"model": [0, 0]})
    assert schedule(instance).routing[0, :, :, 0].tolist() == [[6, 0], [0, 6]]


def test_keeps_to_data_residency():
    latency = [[0.0, np.nan, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    instance = make_instance([[[8], [8], [0]]], latency_s=latency, initial={"model": [0] * 3})
    made = schedule(instance)
    assert made.routing[0, 0, 1, 0] == 0
    assert made.processing[0, :, 0].sum() == 16


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sdib:idle_weight=-1", r"idle_weight: must be a number in \[0, 1e\+06\], found -1"),
        ("sdib:idle_cap=many", "idle_cap: must be a number in .* found 'many'"),
        ("sdib:weight=1", "weight: is not a parameter; did you mean idle_weight"),
    ],
)
def test_bad_parameters_are_one_plain_line(spec: str, message: str):
    with pytest.raises(InvalidInput, match=message):
        create(spec)

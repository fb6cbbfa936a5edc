"""Round robin deals in turn, whatever it costs."""

from __future__ import annotations

import numpy as np
from support.plain import make_instance

from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify


def test_regions_get_equal_shares_however_far():
    instance = make_instance(
        [[[9], [0], [0]]] * 3,
        latency_s=[[0, 5, 9], [5, 0, 5], [9, 5, 0]],
        initial={"model": [0, 0, 0]},
        weights={"time_usd_per_s": 1.0, "expiry_usd": 99.0},
    )
    schedule = run(create("round_robin"), instance).schedule
    assert schedule.routing[:, 0, :, 0].tolist() == [[3, 3, 3]] * 3


def test_odd_requests_move_on_by_one_every_slot():
    instance = make_instance([[[1], [0], [0]]] * 4, initial={"model": [0, 0, 0]})
    schedule = run(create("round_robin:rule=none"), instance).schedule
    assert schedule.routing[:, 0, :, 0].argmax(axis=1).tolist() == [0, 1, 2, 0]


def test_servers_of_a_region_get_equal_shares_however_slow():
    instance = make_instance(
        [[[8]]],
        types=2,
        server_region=[0, 0],
        server_type=[0, 1],
        server_ms=[[1000], [4000]],
        initial={"model": [0, 0]},
    )
    schedule = run(create("round_robin:rule=none"), instance).schedule
    assert schedule.processing[0, :, 0].tolist() == [4, 4]


def test_what_is_full_is_skipped():
    """The slow server takes its five, the other the rest."""
    instance = make_instance(
        [[[14]]],
        types=2,
        server_region=[0, 0],
        server_type=[0, 1],
        server_ms=[[1000], [9000]],
        initial={"model": [0, 0]},
    )
    schedule = run(create("round_robin:rule=none"), instance).schedule
    assert schedule.processing[0, :, 0].tolist() == [9, 5]


def test_forbidden_regions_are_left_out():
    latency = np.array([[0, np.nan, 0], [0, 0, 0], [0, 0, 0]])
    instance = make_instance([[[10], [0], [0]]], latency_s=latency, initial={"model": [0, 0, 0]})
    schedule = run(create("round_robin:rule=none"), instance).schedule
    assert schedule.routing[0, 0, :, 0].tolist() == [5, 0, 5]


def test_what_finds_no_time_is_dealt_all_the_same():
    instance = make_instance(
        [[[90], [0]]], server_ms=4500, initial={"model": [0, 0]}, deadline_slots=0
    )
    schedule = run(create("round_robin:rule=none"), instance).schedule
    assert verify(instance, schedule).ok
    assert schedule.routing[0, 0, :, 0].tolist() == [45, 45]
    assert evaluate(instance, schedule).metrics["served"] == 20

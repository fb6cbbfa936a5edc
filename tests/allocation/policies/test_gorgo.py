"""Round trip, own service and queue: which of them decides, and what happens at the limits."""

from __future__ import annotations

from typing import Any

import numpy as np
from support.plain import make_instance

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import Schedule, verify


def regions(requests: list[list[int]], **changes: Any) -> Instance:
    """Two regions with a ready server each, ten requests of 4.5 s a slot; 1 s between them."""
    values = {
        "server_ms": 4500,
        "latency_s": [[0.0, 1.0], [1.0, 0.0]],
        "initial": {"model": [0, 0]},
        "weights": {"time_usd_per_s": 0.01, "expiry_usd": 5.0},
    }
    return make_instance(np.array(requests)[:, :, None], **{**values, **changes})


def sent(instance: Instance, settings: str = "") -> list[list[int]]:
    return made(instance, settings).routing[0, :, :, 0].tolist()


def made(instance: Instance, settings: str = "") -> Schedule:
    schedule = run(create("gorgo:rule=none" + settings), instance).schedule
    assert verify(instance, schedule).ok
    return schedule


def test_at_home_while_the_queue_costs_less_than_the_trip():
    """Work ahead counts a sixth: after 1.33 requests of 4.5 s at home, the trip is worth it."""
    assert sent(regions([[1, 0]])) == [[1, 0], [0, 0]]
    assert sent(regions([[3, 0]])) == [[2, 1], [0, 0]]


def test_a_heavier_trip_keeps_requests_at_home():
    assert sent(regions([[9, 0]]), ":rtt_weight=100") == [[9, 0], [0, 0]]


def test_without_queue_cost_only_trip_and_service_count():
    assert sent(regions([[9, 0]]), ":queue_rate=0") == [[9, 0], [0, 0]]
    faster = regions([[9, 0]], types=2, server_type=[0, 1], service_s=[[3.0], [1.0]])
    assert sent(faster, ":queue_rate=0") == [[0, 9], [0, 0]]


def test_what_is_too_much_for_the_slot_goes_elsewhere_before_it_waits():
    assert sent(regions([[15, 0]]), ":rtt_weight=10:queue_rate=0") == [[10, 5], [0, 0]]
    crowd = sent(regions([[30, 0]]), ":rtt_weight=10:queue_rate=0")
    assert sum(crowd[0]) == 30
    assert min(crowd[0]) >= 10


def test_forbidden_pairs_are_kept_to():
    kept = regions([[30, 0]], latency_s=[[0.0, np.nan], [np.nan, 0.0]])
    assert sent(kept) == [[30, 0], [0, 0]]


def test_a_region_without_the_model_is_passed_over():
    cold = regions([[3, 0]], initial={"model": [-1, 0]})
    assert sent(cold) == [[0, 3], [0, 0]]


def test_cached_requests_are_cheaper_on_their_server():
    """Two servers alike; one holds the cache of five requests."""
    instance = make_instance(
        [[[5]]],
        server_ms=4500,
        server_region=[0, 0],
        service_s=3.0,
        hot_service_s=1.0,
        hot_permille=500,
        initial={"model": [0, 0], "processing": [[0], [10]]},
        weights={"time_usd_per_s": 0.01, "expiry_usd": 5.0},
    )
    assert made(instance, ":queue_rate=0.01").processing[0, :, 0].tolist() == [0, 5]

"""The formula of the Kubernetes documentation, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from support.plain import make_instance

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.policies.fleets.hpa import Stabiliser
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import verify
from torta_opt.allocation.schedule.timeline import trace_servers

SERVERS = 10
FEW = {"stabilise_s": 0, "metric": "utilisation"}


def one_region(requests: list[int], on: int, **changes: Any) -> Instance:
    """Ten servers that take ten requests a slot of 45 s, ``on`` of them on at first."""
    values = {
        "server_ms": 4500,
        "server_region": [0] * SERVERS,
        "initial": {"model": [0] * on + [-1] * (SERVERS - on)},
        "weights": {"time_usd_per_s": 0.01, "expiry_usd": 5.0},
        "deadline_slots": 3,
    }
    return make_instance(np.array(requests)[:, None, None], **{**values, **changes})


def replicas(instance: Instance, **settings: Any) -> list[int]:
    spec = ":".join(["hpa", *(f"{name}={value}" for name, value in {**FEW, **settings}.items())])
    made = run(create(spec), instance).schedule
    assert verify(instance, made).ok
    return trace_servers(instance, made).on.sum(axis=1).tolist()


def test_ceiling_of_the_ratio():
    """36 requests on 4 servers are 90 %; with a target of 60 % 4·0.9/0.6 = 6 replicas."""
    assert replicas(one_region([36, 36], 4, initial=busy(4, 9)), target=0.6) == [6, 6]


def busy(on: int, each: int) -> dict[str, Any]:
    """``on`` servers that processed ``each`` requests in the last slot."""
    return {
        "model": [0] * on + [-1] * (SERVERS - on),
        "processing": [[each]] * on + [[0]] * (SERVERS - on),
    }


def test_no_change_within_the_tolerance():
    """80 % against 75 % is a ratio of 1.07."""
    near = one_region([32, 32], 4, initial=busy(4, 8))
    assert replicas(near, target=0.75) == [4, 4]
    assert replicas(near, target=0.75, tolerance=0.05)[0] == 5


def test_down_at_once_without_a_window_and_later_with_one():
    calm = one_region([8, 8, 8, 8], 4, initial=busy(4, 2))
    assert replicas(calm, target=0.8)[0] == 1
    held = one_region([32, 8, 8, 8], 4, initial=busy(4, 8))
    assert replicas(held, target=0.8, stabilise_s=90) == [4, 4, 4, 1]


def test_a_backlog_counts_only_in_flight():
    """Forty requests wait: six slots' worth of a server beside the two that work."""
    crowd = busy(2, 10) | {"backlog": [[[40]]]}
    instance = one_region([0, 0], 2, initial=crowd)
    assert replicas(instance, target=1)[0] == 2
    assert replicas(instance, target=1, metric="inflight")[0] == 6


def test_growth_is_limited():
    crowd = busy(1, 10) | {"backlog": [[[80]]]}
    instance = one_region([0, 0], 1, initial=crowd)
    limits = {"metric": "inflight", "target": 1, "grow_share": 0.5, "grow_replicas": 1}
    assert replicas(instance, **limits)[0] == 4  # three periods of 15 s: 1.5³ = 3.4, or 1 + 3
    assert replicas(instance, **{**limits, "grow_replicas": 0})[0] == 3


def test_from_zero_once_requests_wait():
    assert replicas(one_region([0, 5, 5], 0), minimum=0) == [0, 0, 1]


def test_what_loads_is_not_asked_for_again():
    """Loading takes three slots; two more replicas are on their way and enough."""
    crowd = busy(2, 10) | {
        "model": [0, 0, 0, 0] + [-1] * 6,
        "loading_ms": [0, 0, 90000, 90000] + [0] * 6,
    }
    instance = one_region([20, 20], 4, initial=crowd, start_ms=135000)
    assert replicas(instance, target=0.5)[0] == 4
    assert replicas(instance, target=0.25)[0] == 8


class TestStabiliser:
    def test_highest_of_the_window(self):
        stabiliser = Stabiliser(3)
        now = np.array([5])
        given = []
        for wanted in (5, 2, 1, 1, 4):
            now = stabiliser.settle(now, np.array([wanted]))
            given.append(int(now[0]))
        assert given == [5, 5, 5, 2, 4]

"""Shares of the steady program: whole where rates are steady, gated where servers are few."""

from __future__ import annotations

from typing import Any

import numpy as np
from support.plain import make_instance

from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import Schedule, verify


def schedule(requests: list[list[int]], settings: str = "", **changes: Any) -> Schedule:
    """Two regions with a ready server each, ten requests a slot; the second is dear."""
    values = {
        "server_ms": 4500,
        "latency_s": [[0.0, 1.0], [1.0, 0.0]],
        "initial": {"model": [0, 0]},
        "peak_kw": 1.0,
        "price": [[0.1, 9.0]] * len(requests),
        "weights": {"time_usd_per_s": 0.001, "expiry_usd": 5.0},
    }
    instance = make_instance(np.array(requests)[:, :, None], **{**values, **changes})
    made = run(create("fluid:rule=none:smoothing=1" + settings), instance).schedule
    assert verify(instance, made).ok
    return made


def test_all_to_the_cheap_region_while_it_has_room():
    made = schedule([[4, 4]] * 3, ":target=1")
    assert made.routing[:, :, 0, 0].tolist() == [[4, 4]] * 3


def test_the_gate_keeps_a_share_out():
    """Twelve expected, ten admitted at the cheap place: those that save most on the trip."""
    made = schedule([[6, 6]] * 3, ":target=1")
    assert made.routing[:, :, 0, 0].sum(axis=1).tolist() == [10, 10, 10]
    assert (made.routing[:, 0, 0, 0] == 6).all()


def test_a_lower_target_admits_less_to_the_cheap_region():
    """Gated requests follow the greedy rule, which takes the room that is left."""
    made = schedule([[8, 8]] * 2, ":target=0.5")
    assert made.routing[:, :, 0, 0].sum(axis=1).tolist() == [10, 10]


def test_requests_beyond_all_gates_are_routed_all_the_same():
    made = schedule([[30, 30]] * 2)
    assert made.routing.sum() == 120


def test_shares_are_solved_again_when_servers_go():
    made = schedule([[4, 4]] * 4, down=[(2, 0)])
    assert made.routing[1, :, 0, 0].sum() > 0
    assert made.processing[2, 0].sum() == 0

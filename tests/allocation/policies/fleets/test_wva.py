"""Spare capacity, the pending guard, and variants by cost."""

from __future__ import annotations

from typing import Any

import numpy as np
from support.plain import make_instance

from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import verify
from torta_opt.allocation.schedule.timeline import trace_servers

SPEC = "wva:period_s=0:stabilise_s=0"


def on(
    busy: list[int],
    settings: str = "",
    requests: int = 0,
    loading: list[int] | None = None,
    waiting: int = 0,
    **changes: Any,
) -> np.ndarray:
    """(S,) servers on after the first decision; ``busy`` is what each served before, −1 off.

    The first three servers are of the dear type, the others of the cheap one."""
    model = [0 if each >= 0 else -1 for each in busy]
    instance = make_instance(
        [[[requests]]] * 2,
        types=2,
        server_ms=4500,
        server_region=[0] * len(busy),
        server_type=[0 if s < 3 else 1 for s in range(len(busy))],
        rent_usd_per_hour=[[9.0, 1.0]],
        start_ms=90000,
        initial={
            "model": model,
            "processing": [[max(each, 0)] for each in busy],
            "loading_ms": loading or [0] * len(busy),
            "backlog": [[[waiting]]],
        },
        weights={"time_usd_per_s": 0.01, "expiry_usd": 5.0},
        **changes,
    )
    made = run(create(SPEC + settings), instance).schedule
    assert verify(instance, made).ok
    return trace_servers(instance, made).on[0]


def test_up_by_one_of_the_cheapest_variant():
    assert on([7, 7, -1, -1, -1], ":spare=0.15").tolist() == [True, True, False, True, False]
    assert on([8, 9, -1, -1, -1]).sum() == 3  # all are saturated
    assert on([9, 1, -1, -1, -1]).sum() == 2  # the one that is not has enough to spare


def test_enough_to_spare_changes_nothing():
    assert on([6, 6, -1, -1]).sum() == 2


def test_a_queue_counts_as_a_shortage():
    assert on([1, 1, -1, -1], waiting=6).sum() == 3
    assert on([4, 4, -1, -1], waiting=4).sum() == 2


def test_down_by_one_of_the_dearest_if_the_others_can_take_its_load():
    assert on([3, -1, -1, 2, 3]).tolist() == [False, False, False, True, True]
    assert on([5, -1, -1, 5, 5]).sum() == 3  # 15 of 20 would leave 0.05 to spare


def test_one_replica_stays():
    assert on([0, -1, -1, -1]).sum() == 1


def test_a_variant_with_replicas_that_load_is_passed_over():
    """The cheap variant has one on its way: the dear one is taken, and nothing goes down."""
    found = on([9, -1, -1, 0, -1], loading=[0, 0, 0, 45000, 0])
    assert found.tolist() == [True, True, False, True, False]
    assert on([1, 1, -1, 0, -1], loading=[0, 0, 0, 45000, 0]).sum() == 3


def test_the_first_replica_comes_once_requests_wait():
    assert on([-1, -1, -1, -1], ":minimum=0").sum() == 0
    assert on([-1, -1, -1, -1], ":minimum=0", waiting=2).tolist() == [False, False, False, True]

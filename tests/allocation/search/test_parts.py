"""The cheaper parts of two schedules: legal, and each part from where it costs less."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from support.tiny import TINIEST, random_tiny_instance

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.search.parts import cheaper_parts


def worked(count: int, seed: int, deadline_slots: int) -> Iterator[tuple[Instance, Schedule]]:
    """Tiny instances of several slots, and what a policy does on them."""
    rng = np.random.default_rng(seed)
    limits = dataclasses.replace(TINIEST, slots=4, deadline_slots=deadline_slots)
    while count:
        instance = random_tiny_instance(rng, limits)
        schedule = run(create("greedy_forecast"), instance).schedule
        if instance.slots > 1 and schedule.processing.any():
            count -= 1
            yield instance, schedule


def without_work(schedule: Schedule, slot: int) -> Schedule:
    """The same, but nothing is processed in a slot."""
    processing = schedule.processing.copy()
    processing[slot] = 0
    return dataclasses.replace(schedule, processing=processing)


def test_the_better_part_of_each() -> None:
    """Each spoils a slot of its own: the result costs less than both, often enough."""
    better = 0
    for instance, good in worked(30, seed=10, deadline_slots=1):
        first, last = without_work(good, 0), without_work(good, instance.slots - 1)
        best = cheaper_parts(instance, first, last)
        verify(instance, best).raise_if_broken("parts")
        cost = evaluate(instance, best).cost
        better += cost < min(evaluate(instance, each).cost for each in (first, last)) - 1e-9
    assert better > 4


def test_of_the_same_schedule_it_is_that() -> None:
    for instance, good in worked(3, seed=8, deadline_slots=3):
        same = cheaper_parts(instance, good, good)
        assert (same.routing == good.routing).all()
        assert (same.processing == good.processing).all()


def test_legal_whatever_waits() -> None:
    rng = np.random.default_rng(9)
    for instance, good in worked(20, seed=9, deadline_slots=3):
        worse = without_work(good, int(rng.integers(instance.slots)))
        for one, other in ((good, worse), (worse, good)):
            verify(instance, cheaper_parts(instance, one, other)).raise_if_broken("parts")

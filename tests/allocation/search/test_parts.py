"""The cheaper parts of two schedules: legal, and each part from where it costs less."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.tiny import random_tiny_instance

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.search.merged_plan import plan_merged
from torta_opt.allocation.search.parts import cheaper_parts


@pytest.fixture(scope="module")
def planned() -> tuple[Instance, Schedule]:
    instance = generate("paper/polska", seed=3, slots=12)
    schedule = plan_merged(instance)
    assert schedule is not None
    return instance, schedule


def without_work(schedule: Schedule, first: int, end: int) -> Schedule:
    """The same, but nothing is processed in slots ``first`` to ``end`` − 1."""
    processing = schedule.processing.copy()
    processing[first:end] = 0
    return dataclasses.replace(schedule, processing=processing)


def test_the_better_half_of_each(planned: tuple[Instance, Schedule]) -> None:
    """Both spoil a part: where all has been served or has expired again, the other goes on."""
    instance, good = planned
    early, late = without_work(good, 0, 1), without_work(good, 5, 6)
    for one, other in ((early, late), (late, early)):
        best = cheaper_parts(instance, one, other)
        verify(instance, best).raise_if_broken("parts")
        cost = evaluate(instance, best).cost
        assert cost < min(evaluate(instance, each).cost for each in (one, other))


def test_of_the_same_schedule_it_is_that(planned: tuple[Instance, Schedule]) -> None:
    instance, good = planned
    same = cheaper_parts(instance, good, good)
    assert (same.routing == good.routing).all()
    assert (same.processing == good.processing).all()


def test_legal_whatever_the_instance() -> None:
    rng = np.random.default_rng(7)
    for _ in range(40):
        instance = random_tiny_instance(rng)
        good = plan_merged(instance)
        assert good is not None
        slot = int(rng.integers(instance.slots))
        worse = without_work(good, slot, slot + 1)
        for one, other in ((good, worse), (worse, good)):
            verify(instance, cheaper_parts(instance, one, other)).raise_if_broken("parts")

"""Chunks of a horizon planned apart: they join to a legal schedule, whoever plans them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from support.optima import tiniest

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import verify
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.step import initial_state
from torta_opt.allocation.search import request_chunks
from torta_opt.allocation.search.merged_plan import plan_merged
from torta_opt.allocation.search.parts import played
from torta_opt.allocation.search.request_chunks import (
    Chunk,
    Planned,
    chunks_of,
    joined,
    planned_chunk,
)
from torta_opt.allocation.search.request_plan import RequestPlan
from torta_opt.parallel import Deadline
from torta_opt.solvers import Limits

ALWAYS = Deadline.after(1e9)


def prices_of(instance: Instance) -> np.ndarray:
    return np.tile(instance.system.weights.expiry_usd / 2, (instance.slots, 1))


def schedule_of(plan: RequestPlan) -> Schedule:
    return dataclasses.replace(plan.base, routing=plan.routing, processing=plan.processing)


@pytest.fixture(scope="module")
def planned() -> tuple[Instance, Schedule]:
    instance = generate("paper/polska", seed=3, slots=24).cut(0, 5)
    schedule = plan_merged(instance)
    assert schedule is not None
    return instance, schedule


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_chunks, "CHUNK", 1)
    monkeypatch.setattr(request_chunks, "WARM", 1)


def cut(planned: tuple[Instance, Schedule]) -> list[Chunk]:
    instance, schedule = planned
    return chunks_of(instance, schedule, prices_of(instance))


@pytest.mark.usefixtures("short")
def test_chunks_begin_where_nothing_waits(planned: tuple[Instance, Schedule]) -> None:
    instance, schedule = planned
    states = [initial_state(instance), *(each.state for each in played(instance, schedule))]
    chunks = cut(planned)
    assert len(chunks) > 1
    assert sum(chunk.slots for chunk in chunks) == instance.slots
    assert [chunk.warm for chunk in chunks] == [0, *[1] * (len(chunks) - 1)]
    first = 0
    for chunk in chunks[1:]:
        first += chunks[chunks.index(chunk) - 1].slots
        assert not states[first].waiting.any()
        begin = first - chunk.warm
        assert (chunk.instance.arrivals[chunk.warm] == instance.arrivals[first]).all()
        assert (
            chunk.schedule.command == schedule.command[begin : begin + chunk.instance.slots]
        ).all()
        assert (chunk.instance.initial.model == states[begin].model).all()
    for chunk in chunks[:-1]:  # a program of its last slot sees the next, which is not the end
        last = chunk.warm + chunk.slots - 1
        assert chunk.instance.slots == last + 3 or chunk.instance.arrivals[-1].sum() == (
            instance.arrivals[-1].sum()
        )


def test_a_short_horizon_is_one_chunk(planned: tuple[Instance, Schedule]) -> None:
    instance, schedule = planned
    (chunk,) = cut(planned)
    assert chunk.slots == instance.slots
    assert chunk.warm == 0
    assert (chunk.schedule.processing == schedule.processing).all()


@pytest.mark.usefixtures("short")
def test_the_same_for_any_number_of_workers() -> None:
    """Tiny instances: legal, and cut where nothing waits."""
    most = 0
    for instance, _ in tiniest(count=12):
        schedule = plan_merged(instance)
        assert schedule is not None
        prices = prices_of(instance)
        chunks = chunks_of(instance, schedule, prices)
        found = []
        for workers in (1, 2) if most <= 1 < len(chunks) else (1,):
            plan = RequestPlan(instance, schedule, prices)
            told: list[int] = []
            joined(plan, chunks, ALWAYS, workers, told.append)
            assert told[-1] == plan.state.slot == instance.slots
            found.append(schedule_of(plan))
            verify(instance, found[-1]).raise_if_broken("joined")
        most = max(most, len(chunks))
        assert (found[0].routing == found[-1].routing).all()
        assert (found[0].processing == found[-1].processing).all()
    assert most > 1


@pytest.mark.usefixtures("short")
def test_where_other_requests_wait_slots_are_planned_one_by_one(
    planned: tuple[Instance, Schedule], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits as a chunk says before its first slot; after it, what it says."""
    instance, schedule = planned
    chunk, *_ = cut(planned)
    asked: list[int] = []

    def elsewhere(*arguments: Any) -> Planned:
        found = planned_chunk(*arguments)
        return dataclasses.replace(found, waiting=[found.waiting[0] + 1, *found.waiting[1:]])

    def noted(plan: RequestPlan) -> None:
        if plan is whole:
            asked.append(plan.state.slot)
        plain(plan)

    plain = RequestPlan.add_slot
    whole = RequestPlan(instance, schedule, prices_of(instance))
    monkeypatch.setattr(request_chunks, "planned_chunk", elsewhere)
    monkeypatch.setattr(RequestPlan, "add_slot", noted)
    joined(whole, [chunk], ALWAYS, 1, lambda done: None)
    assert asked == [0]
    assert whole.state.slot == chunk.slots


@pytest.mark.usefixtures("short")
def test_without_time_the_rest_stays(planned: tuple[Instance, Schedule]) -> None:
    instance, schedule = planned
    plan = RequestPlan(instance, schedule, prices_of(instance))
    joined(plan, cut(planned), Deadline.after(Limits(seconds=0).seconds), 1, lambda done: None)
    assert plan.state.slot == 0
    assert (plan.routing == schedule.routing).all()


@pytest.mark.usefixtures("short")
def test_ctrl_c_keeps_what_is_joined(planned: tuple[Instance, Schedule]) -> None:
    instance, schedule = planned
    plan = RequestPlan(instance, schedule, prices_of(instance))

    def stop(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        joined(plan, cut(planned), ALWAYS, 1, stop)
    assert plan.state.slot == 2
    assert (plan.routing[2:] == schedule.routing[2:]).all()

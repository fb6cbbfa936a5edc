"""Requests planned anew in chunks of the horizon, side by side.

After a slot at whose end nothing waits, what comes next depends on little of what was before. So
the horizon is cut after such slots of a schedule, and each chunk is planned from the state that
this schedule leaves. Then chunks are joined in order. Where the plan so far leaves other requests
waiting than a chunk begins with, slots are planned one by one until both wait for the same; the
rest of the chunk may follow then (``parts.py`` says why). So the result is legal, and the same for
any number of workers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import Initial, Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.step import State, initial_state
from torta_opt.allocation.search.parts import played
from torta_opt.allocation.search.request_plan import AHEAD, RequestPlan
from torta_opt.parallel import Deadline, in_order, is_elsewhere, worker_count

CHUNK = 20  # slots of a chunk, at least


@dataclass(frozen=True, eq=False)
class Chunk:
    """The first slots of an instance that begins where the chunk does; ``slots`` of them are its.

    The instance goes on for as long as programs of these slots look ahead, and one slot more: in
    its last slot all that waits would expire.
    """

    slots: int
    instance: Instance
    schedule: Schedule
    waiting_usd: np.ndarray


@dataclass(frozen=True, eq=False)
class Planned:
    """The first n slots of a chunk: (n, R, R, C), (n, S, C), (n, R, C, A) waits at their ends."""

    routing: np.ndarray
    processing: np.ndarray
    waiting: np.ndarray
    interrupted: bool

    @property
    def slots(self) -> int:
        return len(self.waiting)


def chunks_of(instance: Instance, schedule: Schedule, waiting_usd: np.ndarray) -> list[Chunk]:
    """The horizon cut after slots at whose end nothing waits."""
    states = [initial_state(instance)]
    for result in played(instance, schedule):
        state = result.state
        long = min(state.slot - states[-1].slot, instance.slots - state.slot) >= CHUNK
        if long and not state.waiting.any():
            states.append(state)
    ends = [*(state.slot for state in states[1:]), instance.slots]
    return [
        _chunk(instance, schedule, waiting_usd, state, end)
        for state, end in zip(states, ends, strict=True)
    ]


def _chunk(
    instance: Instance, schedule: Schedule, waiting_usd: np.ndarray, state: State, end: int
) -> Chunk:
    first, until = state.slot, min(end + AHEAD + 1, instance.slots)
    initial = Initial(state.model, state.loading_ms, state.waiting, state.processing, state.routing)
    part = slice(first, until)
    return Chunk(
        end - first,
        dataclasses.replace(instance.cut(first, until), initial=initial),
        dataclasses.replace(
            schedule,
            routing=schedule.routing[part],
            command=schedule.command[part],
            command_model=schedule.command_model[part],
            processing=schedule.processing[part],
            forecast=None,
        ),
        waiting_usd[part],
    )


def joined(
    plan: RequestPlan,
    chunks: list[Chunk],
    ends: Deadline,
    workers: int,
    on_slot: Callable[[int], Any],
) -> None:
    """Plan all slots, but for the last ones if there is no time left for them.

    workers   processes of this machine, 0 for one per core
    on_slot   called with the number of slots planned so far

    Raises KeyboardInterrupt; ``plan`` then has what was joined by then.
    """
    told = 0

    def tell(slots: int) -> None:
        nonlocal told
        told += slots
        on_slot(told)

    if worker_count(workers, len(chunks)) == 1 and not is_elsewhere():
        results = (planned_chunk(chunk, ends, tell) for chunk in chunks)
    else:
        tasks = [(chunk, ends) for chunk in chunks]
        results = in_order(planned_chunk, tasks, workers, seen=lambda each: tell(each.slots))
    for chunk, found in zip(chunks, results, strict=True):
        end = plan.state.slot + chunk.slots
        _follow(plan, chunk, found, ends)
        if found.interrupted:
            raise KeyboardInterrupt
        if plan.state.slot < end:
            return


def planned_chunk(
    chunk: Chunk, ends: Deadline, tell: Callable[[int], Any] = lambda slots: None
) -> Planned:
    """What a worker does. Ctrl-C and the end of time leave the slots planned by then."""
    plan, waiting, interrupted = None, [], False
    try:
        plan = RequestPlan(chunk.instance, chunk.schedule, chunk.waiting_usd)
        while len(waiting) < chunk.slots and ends.left() > 0:
            plan.add_slot()
            waiting.append(plan.state.waiting)
            tell(1)
    except KeyboardInterrupt:
        interrupted = True
    n, shape = len(waiting), chunk.instance.initial.backlog.shape
    source = chunk.schedule if plan is None else plan
    return Planned(
        source.routing[:n],
        source.processing[:n],
        np.array(waiting, np.int64).reshape(n, *shape),
        interrupted,
    )


def _follow(plan: RequestPlan, chunk: Chunk, found: Planned, ends: Deadline) -> None:
    """Go on as a chunk does, as soon as the same requests wait."""
    same = (plan.state.waiting == chunk.instance.initial.backlog).all()
    for routing, processing, waiting in zip(
        found.routing, found.processing, found.waiting, strict=True
    ):
        if same:
            plan.follow(routing, processing)
            continue
        if ends.left() <= 0:
            return
        plan.add_slot()
        same = (plan.state.waiting == waiting).all()

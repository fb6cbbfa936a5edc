"""Requests planned anew in chunks of the horizon, side by side.

After a slot at whose end nothing waits, what comes next depends on little of what was before. So
the horizon is cut after such slots of a schedule. Each chunk begins ``WARM`` slots before, from the
state that this schedule leaves there, so that at the cut it processes and routes more as it would
had all slots before been planned. Then chunks are joined in order. Where the plan so far leaves
other requests waiting than a chunk begins with, slots are planned one by one until both wait for
the same; the rest of the chunk may follow then (``parts.py`` says why). So the result is legal, and
the same for any number of workers.

A cut costs what is re-routed there, some 2 cents on ``paper/abilene``, where a slot costs 3 $. So
chunks are long.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import Initial, Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.step import State, initial_state
from torta_opt.allocation.search.parts import played
from torta_opt.allocation.search.request_plan import AHEAD, RequestPlan
from torta_opt.parallel import Deadline, in_order, is_elsewhere, worker_count

CHUNK = 60  # slots of a chunk, at least
WARM = 2  # slots that are planned before it, and left out


@dataclass(frozen=True, eq=False)
class Chunk:
    """Slots of an instance that begins ``warm`` slots before them, and ends after them.

    It goes on for as long as programs of these slots look ahead, and one slot more: in its last
    slot all that waits would expire.
    """

    warm: int
    slots: int
    instance: Instance
    schedule: Schedule
    waiting_usd: np.ndarray


@dataclass(frozen=True, eq=False)
class Planned:
    """The first n slots of a chunk: (n, R, R, C), (n, S, C); (R, C, A) what waits before the first
    of them and at their ends.
    """

    routing: np.ndarray
    processing: np.ndarray
    waiting: list[np.ndarray]
    interrupted: bool

    @property
    def slots(self) -> int:
        return len(self.routing)


def chunks_of(instance: Instance, schedule: Schedule, waiting_usd: np.ndarray) -> list[Chunk]:
    """The horizon cut after slots at whose end nothing waits."""
    state = initial_state(instance)
    recent = deque([state], WARM + 1)
    begins, ends = [state], [0]
    for result in played(instance, schedule):
        state = result.state
        recent.append(state)
        is_long = min(state.slot - ends[-1], instance.slots - state.slot) >= max(CHUNK, WARM)
        if is_long and not state.waiting.any():
            begins.append(recent[0])
            ends.append(state.slot)
    ends.append(instance.slots)
    return [
        _chunk(instance, schedule, waiting_usd, state, cut)
        for state, cut in zip(begins, pairwise(ends), strict=True)
    ]


def _chunk(
    instance: Instance,
    schedule: Schedule,
    waiting_usd: np.ndarray,
    state: State,
    cut: tuple[int, int],
) -> Chunk:
    """The slots of a ``cut``, first and end, from the state some slots before."""
    first, end = cut
    until = min(end + AHEAD + 1, instance.slots)
    initial = Initial(state.model, state.loading_ms, state.waiting, state.processing, state.routing)
    part = slice(state.slot, until)
    return Chunk(
        first - state.slot,
        end - first,
        dataclasses.replace(instance.cut(state.slot, until), initial=initial),
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

    results: Iterator[Planned]
    if worker_count(workers, len(chunks)) == 1 and not is_elsewhere():
        results = (planned_chunk(chunk, ends, tell) for chunk in chunks)
    else:
        tasks = [(chunk, ends) for chunk in chunks]
        results = in_order(planned_chunk, tasks, workers, seen=lambda each: tell(each.slots))
    for chunk, found in zip(chunks, results, strict=True):
        end = plan.state.slot + chunk.slots
        _follow(plan, found, ends)
        if found.interrupted:
            raise KeyboardInterrupt
        if plan.state.slot < end:
            return


def planned_chunk(
    chunk: Chunk, ends: Deadline, tell: Callable[[int], Any] = lambda slots: None
) -> Planned:
    """What a worker does. Ctrl-C and the end of time leave the slots planned by then."""
    plan, waiting, interrupted = None, [], False
    until = chunk.warm + chunk.slots
    try:
        plan = RequestPlan(chunk.instance, chunk.schedule, chunk.waiting_usd)
        waiting.append(plan.state.waiting)
        while plan.state.slot < until and ends.left() > 0:
            plan.add_slot()
            waiting.append(plan.state.waiting)
            if plan.state.slot > chunk.warm:
                tell(1)
    except KeyboardInterrupt:
        interrupted = True
    source = chunk.schedule if plan is None else plan
    done = slice(chunk.warm, max(len(waiting) - 1, chunk.warm))
    return Planned(
        source.routing[done], source.processing[done], waiting[chunk.warm :], interrupted
    )


def _follow(plan: RequestPlan, found: Planned, ends: Deadline) -> None:
    """Go on as a chunk does, as soon as the same requests wait."""
    for routing, processing, waiting in zip(
        found.routing, found.processing, found.waiting, strict=False
    ):
        if (plan.state.waiting == waiting).all():
            plan.follow(routing, processing)
        elif ends.left() > 0:
            plan.add_slot()
        else:
            return

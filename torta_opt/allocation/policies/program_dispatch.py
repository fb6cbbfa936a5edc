"""``micro=program``: requests handed to the servers of a region by the assignment program.

A policy decides commands and routing as ever. Then the program ``formulations.assignment_model`` is
solved over this slot and ``look_ahead`` more: what the servers that are on can do, what waits by
age, what was routed to each region, and in later slots the forecast, routed as this slot's requests
of the same origin and class were. Its first slot is the decision. A request that is left at the end
of the window costs one more slot of waiting and the least service in its region.

The greedy rule's answer is the start: by the program's objective the decision is never worse. Where
time runs out, the best found stands.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.slot_task import Slot, SlotPrograms, Task
from torta_opt.solvers import Limits

GAP = 2e-3  # relative, of a slot: far below what the forecast is worth
NODES = 20  # of each integer program
PROGRAMS = 3  # integer programs of a slot, where the rounded relaxation is further from its bound


def program_processing(
    tables: Tables,
    slot: Slot,
    look_ahead: int,
    seconds: float = np.inf,
    programs: SlotPrograms | None = None,
) -> np.ndarray:
    """(S, C) requests that each server serves in this slot; after ``seconds`` the best so far.

    programs   those of the slots before
    """
    programs = programs or SlotPrograms()
    task = programs.task(tables, slot, look_ahead)
    if task is None:
        return slot.greedy.copy()
    task = task.with_arrivals(arrivals_of(slot, look_ahead + 1))
    return assigned(tables, slot, task, programs, seconds)


def assigned(
    tables: Tables, slot: Slot, task: Task, programs: SlotPrograms, seconds: float
) -> np.ndarray:
    """(S, C) ``program_processing`` of a task."""
    from torta_opt.allocation.assignment.solve import Ready, solve_assignment

    processing = slot.greedy.copy()
    if not task.active.any():
        return processing
    program = programs.program(tables, task)
    program.change(task.merged, program.sides.closed())
    cells = task.servers[:, None], task.kind
    here = tables.system.server_region[task.servers][:, None] == task.region
    start = np.where(here, slot.greedy[cells], 0)
    limits = Limits(seconds=seconds, gap=GAP, work=NODES)
    found = solve_assignment(task.data, limits, start, PROGRAMS, Ready(program, task.row))
    if found.found:
        processing[task.servers] = 0
        np.add.at(processing, cells, found.z)
    return processing


def arrivals_of(slot: Slot, slots: int) -> np.ndarray:
    """(H, R, C) requests that come to each region: routed ones, then the forecast likewise."""
    inflow = slot.routing.sum(axis=0)
    sent = slot.routing.sum(axis=1)
    share = slot.routing / np.maximum(sent, 1)[:, None, :]
    expected = np.einsum("ijc,ic->jc", share, slot.expected)
    return np.concatenate([inflow[None], np.repeat(expected[None], slots - 1, axis=0)])

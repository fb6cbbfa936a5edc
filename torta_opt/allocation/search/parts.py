"""The cheaper parts of two schedules with the same commands of servers.

After a slot at whose end the same requests wait in both, by region, class and age, either may go
on as the other does: the rules of the slots after depend on what waits, on commands and on nothing
else. Between two such slots, the part that costs less is taken. Where parts of both meet, requests
are re-routed and fewer are hot, so the result need not be cheaper than both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.step import (
    Decision,
    StepResult,
    initial_state,
    slot_data,
    step,
)


def cheaper_parts(instance: Instance, one: Schedule, other: Schedule) -> Schedule:
    """``one`` with the parts of ``other`` that cost less; both legal, with the same commands."""
    cost, waits = _priced(instance, one)
    other_cost, other_waits = _priced(instance, other)
    same = [(a == b).all() for a, b in zip(waits, other_waits, strict=True)]
    ends = [0, *(t + 1 for t in range(instance.slots - 1) if same[t]), instance.slots]
    routing, processing = one.routing.copy(), one.processing.copy()
    for first, end in pairwise(ends):
        if other_cost[first:end].sum() < cost[first:end].sum():
            routing[first:end] = other.routing[first:end]
            processing[first:end] = other.processing[first:end]
    return dataclasses.replace(one, routing=routing, processing=processing)


def _priced(instance: Instance, schedule: Schedule) -> tuple[np.ndarray, list[np.ndarray]]:
    """(T,) cost of each slot, and (R, C, A) what waits at its end."""
    costs, waits = [], []
    for result in played(instance, schedule):
        costs.append(result.cost)
        waits.append(result.state.waiting)
    return np.array(costs), waits


def played(instance: Instance, schedule: Schedule) -> Iterator[StepResult]:
    """What each slot of a schedule costs and leaves, one after the other."""
    state = initial_state(instance)
    for t in range(instance.slots):
        decision = Decision(
            schedule.routing[t],
            schedule.command[t],
            schedule.command_model[t],
            schedule.processing[t],
        )
        result = step(instance.system, state, slot_data(instance, t), decision)
        state = result.state
        yield result

"""A schedule for a long horizon: plan with all regions as one, then split the plan over regions.

1. *Servers.* The linear relaxation of the merged program, with knapsack rows, rounded to whole
   servers (``rounding.py``). Where a type has to start or stop one, it is in the region where being
   on is cheapest or dearest.
2. *Requests.* With servers fixed the rest is solved again, each server's time shortened by what a
   mix of whole requests leaves unused. What it lets expire is set aside at arrival: it is routed to
   a region whose servers have no time for its class, so that the others need not wait behind it.
   The rest becomes whole requests on named servers (``recover``).
3. *Routing.* First in, first out tells which arrivals each region serves. Slot by slot, a linear
   program sends requests there at the least cost of network, transfer and re-routing; a second one
   makes them whole.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from torta_opt.allocation.bounds.merged import MergedBound, merged_bound
from torta_opt.allocation.formulations.merged import MergedProgram, lift_merged
from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.formulations.recover import name_servers, recover
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.timeline import served_by_region, trace_servers
from torta_opt.allocation.search.forward import solve_forward
from torta_opt.allocation.search.rounding import DISCOUNTS, ServerRounding, shortened, with_servers
from torta_opt.allocation.search.routing import clip_to_available, inflow_of, route, send_rest
from torta_opt.io.errors import LimitReached
from torta_opt.solvers import Limits, Problem, Result, Status, solve_lp

METHOD = "merged"


class PlanInterrupted(KeyboardInterrupt):
    """Ctrl-C came while a plan was made; ``schedule`` is the best so far, None without one."""

    def __init__(self, schedule: Schedule | None) -> None:
        super().__init__("interrupted")
        self.schedule = schedule


def plan_merged(
    instance: Instance,
    found: MergedBound | None = None,
    limits: Limits | None = None,
    on_limit: Callable[[], Any] = lambda: None,
) -> Schedule | None:
    """A schedule from a merged plan; None if a limit came first.

    found     what the merged bound of the instance has solved, where that is known
    on_limit  called where a limit cut a step short

    Raises PlanInterrupted if Ctrl-C ended it, with the schedule that there was by then, if any.
    """
    ends = time.perf_counter() + (limits or Limits()).seconds
    try:
        found = found or merged_bound(instance, limits)
    except LimitReached:
        return None
    merged, program = found.program, found.program.program
    if found.interrupted:
        raise PlanInterrupted(None)
    if found.x is None:
        return None
    assert found.dual is not None  # only branch and bound proves without duals
    rounding = ServerRounding(_charge_spread(program, found.dual), found.x, found.dual)
    best: Result | None = None
    for discount in DISCOUNTS:
        if best is not None and time.perf_counter() >= ends:
            on_limit()
            break
        servers = rounding.rounded(discount)
        if servers is None:
            continue
        answer = _requests(program, servers, limits or Limits(), ends)
        if answer.x is not None and (best is None or answer.objective < best.objective):
            best = answer
        if answer.status in (Status.FEASIBLE, Status.BOUND_ONLY):
            on_limit()
        if answer.status is Status.INTERRUPTED:
            raise PlanInterrupted(_planned(instance, merged, best, ends))
    return _planned(instance, merged, best, ends)


def requests_on(
    instance: Instance,
    merged: MergedProgram,
    command: np.ndarray,
    command_model: np.ndarray,
    limits: Limits | None = None,
) -> Schedule | None:
    """A schedule of given servers, with requests planned as ``plan_merged`` does.

    command, command_model   (T, S) legal commands of every server; they are kept as they are

    None if a limit came first. Raises PlanInterrupted.
    """
    shape = *instance.arrivals.shape[:2], *instance.arrivals.shape[1:]
    nothing = np.zeros((*command.shape, len(instance.system.classes)), np.int64)
    idle = Schedule(np.zeros(shape, np.int64), command, command_model, nothing)
    program = merged.program
    counts = program.vector(lift_merged(merged, idle))
    limits = limits or Limits()
    answer = _requests(program, counts, limits, time.perf_counter() + limits.seconds)
    if answer.status is Status.INTERRUPTED:
        raise PlanInterrupted(None)
    if answer.x is None:
        return None
    return split_plan(instance, merged, program.values(answer.x), (command, command_model))


def _requests(
    program: AllocationProgram, servers: np.ndarray, limits: Limits, ends: float
) -> Result:
    """What to do with requests on given servers, window after window, until ``ends``.

    With servers fixed, the simplex method takes a quarter of the time of the interior point method.
    """

    def solve(window: Problem) -> Result:
        left = dataclasses.replace(  # its work is not that of the bound's method
            limits, seconds=max(0.0, ends - time.perf_counter()), work=None
        )
        return solve_lp(window, "simplex", left)

    problem = with_servers(program, servers, shortened(program))
    return solve_forward(problem, program.row_slot, program.column_slot, solve)


def _planned(
    instance: Instance, merged: MergedProgram, best: Result | None, ends: float
) -> Schedule | None:
    if best is None or best.x is None:
        return None
    until = time.monotonic() + ends - time.perf_counter()
    return split_plan(instance, merged, merged.program.values(best.x), until=until)


def _charge_spread(program: AllocationProgram, dual: np.ndarray) -> AllocationProgram:
    """The program with every server that is on charged what the last one of its group costs."""
    rows = program.rows["spread"].numbers
    return dataclasses.replace(program, cost=program.cost - program.matrix[rows].T @ dual[rows])


def split_plan(
    instance: Instance,
    merged: MergedProgram,
    values: dict[str, np.ndarray],
    named: tuple[np.ndarray, np.ndarray] | None = None,
    until: float = math.inf,
) -> Schedule:
    """A schedule of the instance from an answer of its merged program with whole servers.

    named   commands and their models, where it is known which servers they are
    until   from then on (``time.monotonic()``) requests are routed without programs
    """
    dropped = _set_aside(merged.program.instance, values["expired"][:, 0])
    served = dataclasses.replace(
        merged.program.instance,
        arrivals=merged.program.instance.arrivals - dropped[:, None],
    )
    kept = dict(values)
    kept["expired"] = np.zeros_like(values["expired"])
    kept["q"] = np.maximum(values["q"] - _waiting(dropped, served)[:, None], 0.0)
    kept["x"] = served.arrivals[:, None].astype(float)
    usd = merged.pools.on_usd.mean(axis=0)[merged.pools.of_server]
    pools = Pools.of(served)
    named = name_servers(pools, kept, usd) if named is None else named
    barred = _barred(instance, _room(instance, *named), dropped)
    plan = recover(served, kept, pools=pools, barred=barred, named=named)
    work = served_by_region(instance, plan.processing)
    waiting, deadlines = served.initial.backlog[0], served.system.deadline_slots
    inflow = inflow_of(served.arrivals[:, 0], waiting, work, deadlines)
    inflow = send_rest(instance, work, inflow)
    routing = route(instance, inflow, until=until)
    processing = clip_to_available(instance, routing, plan.processing)
    return dataclasses.replace(plan, routing=routing, processing=processing, method=METHOD)


# --- requests that expire -----------------------------------------------------------------------


def _set_aside(merged: Instance, expired: np.ndarray) -> np.ndarray:
    """(T, C) whole arrivals that the plan lets expire, by the slot in which they arrive.

    ``expired`` (T, C) of the plan; what expires in the last slot may have arrived in any of the
    last ℓ + 1, and is left to the queue.
    """
    slots, deadlines = len(expired), merged.system.deadline_slots
    dropped = np.zeros(expired.shape, np.int64)
    arrivals = merged.arrivals[:, 0]
    for c, deadline in enumerate(deadlines.tolist()):
        due = np.arange(slots) + deadline
        inside = due < slots - 1
        wanted = np.zeros(slots)
        wanted[inside] = expired[due[inside], c]
        whole = np.diff(np.floor(wanted.cumsum() + 0.5), prepend=0.0)
        dropped[:, c] = np.minimum(whole, arrivals[:, c])
    return dropped


def _waiting(dropped: np.ndarray, merged: Instance) -> np.ndarray:
    """(T, C) requests set aside that wait at the end of each slot."""
    reached = np.concatenate([np.zeros_like(dropped[:1]), dropped.cumsum(axis=0)])
    slots = np.arange(len(dropped))
    waiting = np.zeros(dropped.shape)
    for c, deadline in enumerate(merged.system.deadline_slots.tolist()):
        oldest = np.maximum(slots - deadline + 1, 0)
        waiting[:, c] = reached[slots + 1, c] - reached[oldest, c]
    return waiting


def _room(instance: Instance, command: np.ndarray, command_model: np.ndarray) -> np.ndarray:
    """(T, S, C) requests of each class that a server could process, were it to do nothing else."""
    system = instance.system
    routing = np.zeros((*instance.arrivals.shape[:2], *instance.arrivals.shape[1:]), np.int64)
    nothing = np.zeros((*command.shape, len(system.classes)), np.int64)
    servers = trace_servers(instance, Schedule(routing, command, command_model, nothing))
    work_ms = system.server_ms[system.server_type]
    able = (servers.model[:, :, None] == system.class_model) & (work_ms > 0)
    return np.where(able, servers.usable_ms[:, :, None] // np.maximum(work_ms, 1), 0)


def _barred(instance: Instance, room: np.ndarray, dropped: np.ndarray) -> np.ndarray:
    """(T, S, C) true where a region is to process none of a class, so that some of it can expire.

    First in, first out serves those first that are to expire, if they wait where their class is
    processed: all others there would wait longer. So each class expires in one region, where there
    is the least ``room`` (T, S, C) for it while that lasts.
    """
    system = instance.system
    barred = np.zeros(room.shape, bool)
    for c in np.flatnonzero(dropped.any(axis=0)):
        reached = np.append(0, dropped[:, c].cumsum())
        slots = np.arange(len(dropped))
        oldest = np.maximum(slots - int(system.deadline_slots[c]), 0)
        expiring = reached[slots + 1] > reached[oldest]
        lost = room[expiring, :, c].sum(axis=0)
        by_region = np.bincount(system.server_region, lost, len(system.regions))
        servers = system.server_region == int(np.argmin(by_region))
        barred[np.ix_(expiring, servers, [c])] = True
    return barred

"""A schedule for a long horizon: plan with all regions as one, then split the plan over regions.

1. *Servers.* The linear relaxation of the merged program, with knapsack rows, rounded to whole
   servers (``rounding.py``). Where a type has to start or stop one, it is in the region where being
   on is cheapest or dearest.
2. *Requests.* With servers fixed the rest is solved again, each server's time shortened by what a
   mix of whole requests leaves unused. What it lets expire is set aside at arrival: it is routed to
   a region whose servers have no time for its class, so that the others need not wait behind it.
   The rest becomes whole requests on named servers (``lower``).
3. *Routing.* First in, first out tells which arrivals each region serves. Slot by slot, a linear
   program sends requests there at the least cost of network, transfer and re-routing; a second one
   makes them whole.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse as sparse

from torta_opt.bounds.merged import MergedBound, merged_bound
from torta_opt.formulations.allocation_matrix import AllocationProgram
from torta_opt.formulations.lower import lower, name_servers
from torta_opt.formulations.merged import MergedProgram
from torta_opt.formulations.pools import Pools
from torta_opt.instance.data import Instance
from torta_opt.io.errors import LimitReached
from torta_opt.schedule.data import Schedule
from torta_opt.schedule.timeline import trace_servers
from torta_opt.search.rounding import DISCOUNTS, round_servers, shortened, with_servers
from torta_opt.solvers import Limits, Problem, Result, Status, solve_lp

METHOD = "merged"


class PlanInterrupted(KeyboardInterrupt):
    """Ctrl-C came while a plan was made; ``schedule`` is the best so far, None without one."""

    def __init__(self, schedule: Schedule | None) -> None:
        super().__init__("interrupted")
        self.schedule = schedule


def plan_merged(
    instance: Instance, found: MergedBound | None = None, limits: Limits | None = None
) -> Schedule | None:
    """A schedule from a merged plan; None if a limit came first.

    found   what the merged bound of the instance has solved, where that is known

    Raises PlanInterrupted if Ctrl-C ended it, with the schedule that there was by then, if any.
    """
    try:
        found = found or merged_bound(instance, limits)
    except LimitReached:
        return None
    merged, program = found.merged, found.merged.program
    if found.interrupted:
        raise PlanInterrupted(None)
    if found.x is None:
        return None
    priced = _charge_spread(program, found.dual)
    best = None
    for discount in DISCOUNTS:
        servers = round_servers(priced, found.x, found.dual, discount)
        if servers is None:
            continue
        requests = with_servers(program, servers, shortened(program))
        answer = solve_lp(requests, limits=limits, crossover=False)
        if answer.x is not None and (best is None or answer.objective < best.objective):
            best = answer
        if answer.status is Status.INTERRUPTED:
            raise PlanInterrupted(_planned(instance, merged, best))
    return _planned(instance, merged, best)


def _planned(instance: Instance, merged: MergedProgram, best: Result | None) -> Schedule | None:
    return None if best is None else _split(instance, merged, merged.program.values(best.x))


def _charge_spread(program: AllocationProgram, dual: np.ndarray) -> AllocationProgram:
    """The program with every server that is on charged what the last one of its group costs."""
    rows = program.rows["spread"].numbers
    return dataclasses.replace(program, cost=program.cost - program.matrix[rows].T @ dual[rows])


def _split(instance: Instance, merged: MergedProgram, values: dict[str, np.ndarray]) -> Schedule:
    """A schedule of the instance from an answer of its merged program with whole servers."""
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
    room = _room(instance, *name_servers(pools, kept, usd))
    plan = lower(served, kept, pools=pools, rank=usd, barred=_barred(instance, room, dropped))
    inflow = _inflow(instance, served, plan)
    inflow = _send_rest(instance, plan, inflow)
    routing = route(instance, inflow)
    processing = _what_is_there(instance, routing, plan.processing)
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


def _send_rest(instance: Instance, plan: Schedule, inflow: np.ndarray) -> np.ndarray:
    """Arrivals that no region is to serve go where the class is not processed until they expire."""
    system = instance.system
    region = np.arange(len(system.regions))[:, None] == system.server_region
    work = np.einsum("js,tsc->tjc", region.astype(np.int64), plan.processing)
    rest = instance.arrivals.sum(axis=1) - inflow.sum(axis=1)
    total = inflow.copy()
    for t, c in zip(*np.nonzero(rest), strict=True):
        until = t + int(system.deadline_slots[c]) + 1
        busy = work[t:until, :, c].sum(axis=0)
        total[t, int(np.argmin(busy)), c] += rest[t, c]
    return total


def _what_is_there(instance: Instance, routing: np.ndarray, processing: np.ndarray) -> np.ndarray:
    """(T, S, C) the processing, less what has not come to the region that was to process it.

    That happens where data residency kept it away, or where it waits elsewhere before slot 0.
    """
    system = instance.system
    waiting = instance.initial.backlog
    most = max(int(system.deadline_slots.max(initial=0)), waiting.shape[2])
    ages = np.zeros((*waiting.shape[:2], most + 1), np.int64)
    ages[:, :, 1 : waiting.shape[2] + 1] = waiting
    stays = np.arange(most + 1) < system.deadline_slots[:, None]
    done = processing.copy()
    for t in range(instance.slots):
        ages[:, :, 0] = routing[t].sum(axis=0)
        there = ages.sum(axis=2)
        for j in range(len(system.regions)):
            servers = np.flatnonzero(system.server_region == j)
            before = done[t, servers].cumsum(axis=0) - done[t, servers]
            done[t, servers] = np.clip(there[j] - before, 0, done[t, servers])
            served = done[t, servers].sum(axis=0)
            older = ages[j][:, ::-1].cumsum(axis=1)[:, ::-1] - ages[j]
            ages[j] -= np.clip(served[:, None] - older, 0, ages[j])
        ages[:, :, 1:] = np.where(stays, ages, 0)[:, :, :-1].copy()
    return done


# --- routing ------------------------------------------------------------------------------------


def _inflow(instance: Instance, merged: Instance, plan: Schedule) -> np.ndarray:
    """(T, R, C) arrivals of each slot that each region serves, first in, first out.

    The k-th request of a class that is served is the k-th that arrived of those served; within a
    slot regions take theirs in turn.
    """
    system = instance.system
    regions = len(system.regions)
    region = (np.arange(regions)[:, None] == system.server_region).astype(np.int64)
    work = np.einsum("js,tsc->tjc", region, plan.processing)
    inflow = np.zeros((instance.slots, regions, len(system.classes)), np.int64)
    for c, deadline in enumerate(system.deadline_slots.tolist()):
        waiting = np.zeros(deadline + 1, np.int64)  # by age
        backlog = merged.initial.backlog[0, c]
        waiting[1 : len(backlog) + 1] = backlog[:deadline]
        for t in range(instance.slots):
            waiting[0] = merged.arrivals[t, 0, c]
            for j in np.flatnonzero(work[t, :, c]):
                older = waiting[::-1].cumsum()[::-1] - waiting
                taken = np.clip(work[t, j, c] - older, 0, waiting)
                waiting -= taken
                ages = np.flatnonzero(taken[: t + 1])
                inflow[t - ages, j, c] += taken[ages]
            waiting[1:] = waiting[:-1].copy()
    return inflow


def route(instance: Instance, inflow: np.ndarray) -> np.ndarray:
    """(T, R, R, C) whole requests from origins to regions that receive ``inflow`` (T, R, C).

    Slot by slot at the least cost of network, transfer and re-routing since the slot before. Where
    data residency forbids what a region is to receive, requests go elsewhere at a penalty.
    """
    routing = np.zeros((*instance.arrivals.shape[:2], *inflow.shape[1:]), np.int64)
    router = _Router(instance)
    before = instance.initial.routing
    for t in range(instance.slots):
        routing[t] = router.slot(instance.arrivals[t], inflow[t], before)
        before = routing[t].sum(axis=2)
    return routing


class _Router:
    """The transport program of one slot.

    Its columns are x[i,j,c], missed[j,c] and extra[j,c], by which a region gets less or more than
    it was to get, and moved[i,j].
    """

    def __init__(self, instance: Instance) -> None:
        system, weights = instance.system, instance.system.weights
        self.regions, self.classes = len(system.regions), len(system.classes)
        self.cells = np.argwhere(system.allowed)
        i, j = self.cells.T
        route = weights.time_usd_per_s * system.latency_s[i, j, None]
        route = route + weights.transfer_factor * system.transfer_usd[i, j]
        missed = 10 * (route.max() + weights.reroute_usd + weights.expiry_usd.max())
        self.reroute_usd = weights.reroute_usd
        self.cost = np.concatenate(
            [
                route.ravel(),
                np.full(2 * self.regions * self.classes, missed),
                np.full(len(i) * (self.reroute_usd > 0), self.reroute_usd),
            ]
        )
        self.rows = self._flow_rows()

    def _flow_rows(self) -> sparse.csr_array:
        """Σ_j x[i,j,c] by (i, c), then Σ_i x[i,j,c] + missed[j,c] − extra[j,c] by (j, c)."""
        i, j = self.cells.T
        count, width = len(i) * self.classes, self.regions * self.classes
        c = np.tile(np.arange(self.classes), len(i))
        ones, column = np.ones(count), np.arange(count)
        out = np.repeat(i, self.classes) * self.classes + c
        into = np.repeat(j, self.classes) * self.classes + c
        leave = sparse.csr_array((ones, (out, column)), shape=(width, count))
        reach = sparse.csr_array((ones, (into, column)), shape=(width, count))
        each = sparse.eye_array(width)
        return sparse.csr_array(sparse.block_array([[leave, None, None], [reach, each, -each]]))

    def slot(self, arrivals: np.ndarray, inflow: np.ndarray, before: np.ndarray) -> np.ndarray:
        """(R, R, C) whole requests."""
        need = np.concatenate([arrivals.ravel(), inflow.ravel()]).astype(float)
        flows = self.rows.shape[1]
        found = solve_lp(self._with_rerouting(need, arrivals, before), "simplex")
        x = found.raise_if_interrupted().x
        if x is None:
            raise ArithmeticError("a transport program that is always feasible was not solved")
        near = x[:flows]
        low, high = np.floor(near + 1e-6), np.ceil(near - 1e-6)
        whole = Problem(
            matrix=self.rows,
            row_lower=need,
            row_upper=need,
            col_lower=low,
            col_upper=np.maximum(high, low),
            cost=self.cost[:flows],
        )
        exact = solve_lp(whole, "simplex").raise_if_interrupted().x
        if exact is None:
            raise ArithmeticError("a transport program cannot be made whole")
        count = len(self.cells) * self.classes
        routed = np.zeros((self.regions, self.regions, self.classes), np.int64)
        routed[tuple(self.cells.T)] = np.rint(exact[:count]).reshape(-1, self.classes)
        return routed

    def _with_rerouting(
        self, need: np.ndarray, arrivals: np.ndarray, before: np.ndarray
    ) -> Problem:
        """moved[i,j] ≥ f·(Σ_c x[i,j,c]/D[i] − before[i,j]/D'[i]), f = min(D[i], D'[i])."""
        flows = self.rows.shape[1]
        if self.reroute_usd == 0:
            return self._problem(self.rows, need, need, self.cost)
        i, j = self.cells.T
        now, past = arrivals.sum(axis=1), before.sum(axis=1)
        fewer = np.minimum(now, past)
        scale = (fewer / np.maximum(now, 1))[i]
        known = (fewer / np.maximum(past, 1))[i] * before[i, j]
        row = np.repeat(np.arange(len(i)), self.classes)
        share = sparse.csr_array(
            (np.repeat(scale, self.classes), (row, np.arange(len(row)))), shape=(len(i), flows)
        )
        matrix = sparse.block_array([[self.rows, None], [share, -sparse.eye_array(len(i))]])
        lower = np.concatenate([need, np.full(len(i), -np.inf)])
        upper = np.concatenate([need, known])
        return self._problem(sparse.csr_array(matrix), lower, upper, self.cost)

    def _problem(
        self, matrix: sparse.csr_array, lower: np.ndarray, upper: np.ndarray, cost: np.ndarray
    ) -> Problem:
        columns = matrix.shape[1]
        return Problem(
            matrix=matrix,
            row_lower=lower,
            row_upper=upper,
            col_lower=np.zeros(columns),
            col_upper=np.full(columns, np.inf),
            cost=cost,
        )

"""Divide the work of a schedule among regions anew: fewer requests re-routed, shorter routes.

A *group* is the servers of one type that hold the same model with the same usable time in a slot,
wherever they are. What a group processes of each class is kept, so waiting and expiry are too;
what of it each region does is chosen slot by slot. With W[g,c] the work of group g, n[g,j] its
servers in pool j, D arrivals but those that expire,

    minimise    network + transfer + re-routing + energy − what hot requests save
    subject to  Σ_j x[i,j,c] + o[i,c] = D[i,c]            Σ_i o[i,c] = (D − W)⁺ wait
                Σ_i x[i,j,c] + s[j,c] = Σ_g z[g,j,c]      Σ_j s[j,c] = (W − D)⁺ have waited
                Σ_j z[g,j,c] = W[g,c]
                α·z[g,j] ≤ n[g,j]·γ                       facets of one server (server_hull.py)
                hot ≤ z,  hot ≤ h·z of the slot before

is solved as a linear program, one slot after the other. A second program, by branch and bound,
finds whole z nearby: within the facets they can be shared out to servers, and each region gets
nearly as many requests in all, which is what re-routing depends on. These programs do not depend on
each other and run side by side. Requests are then sent to where they are processed, first in, first
out (``routing.py``). A slot that is not done in time keeps its work.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.server_hull import fill_first
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.timeline import served_by_region, trace_queues, trace_servers
from torta_opt.allocation.search.routing import (
    clip_to_available,
    inflow_of,
    route,
    send_rest,
)
from torta_opt.allocation.search.server_cells import (
    CellRows,
    Cells,
    adding_up,
    cells_of,
    processing_by_server,
    rows_of,
)
from torta_opt.allocation.search.slot_programs import nearest_program, relaxed_program
from torta_opt.allocation.search.slot_routing import Router
from torta_opt.parallel import Deadline, in_order
from torta_opt.solvers import Limits, Problem, Status, solve_lp, solve_milp

RELAXING, ROUNDING = 0.3, 0.7  # shares of the time after which they end; the rest is for routing
NODES = 50  # nodes of branch and bound for one slot
NEAR = 0.2  # relative gap at which it stops


def rebalanced(instance: Instance, schedule: Schedule, limits: Limits | None = None) -> Schedule:
    """A schedule with the same servers and the same work, divided among regions anew.

    It is legal if ``schedule`` is, but not always cheaper: where time is short and only some slots
    change, or where requests waited before slot 0 or may not leave their region, and then wait
    longer. ``limits.threads`` processes, 0 for one per core. Raises KeyboardInterrupt.
    """
    limits = limits or Limits()
    began = time.monotonic()
    lost = _expiring(instance, schedule)
    pools = Pools.of(instance)
    slots = _Slots(instance, pools, schedule, lost)
    rounding = []
    for t in range(instance.slots):
        if time.monotonic() >= began + RELAXING * limits.seconds:
            break
        rounding.append(slots.relax(t))
    left = began + ROUNDING * limits.seconds - time.monotonic()
    found = _rounded(rounding, Deadline.after(left), limits.threads)
    processing = slots.processing(found)
    work = served_by_region(instance, processing)
    served, waiting = (instance.arrivals - lost).sum(axis=1), instance.initial.backlog.sum(axis=0)
    inflow = lost + inflow_of(served, waiting, work, instance.system.deadline_slots)
    until = began + limits.seconds
    routing = route(instance, send_rest(instance, work, inflow), branch_until=until)
    processing = clip_to_available(instance, routing, processing)
    return dataclasses.replace(schedule, routing=routing, processing=processing)


def _expiring(instance: Instance, schedule: Schedule) -> np.ndarray:
    """(T, R, C) arrivals of each slot that expire in the region they are routed to.

    First in, first out: those that expire have waited just as long as they may, and what is left
    after the last slot came last.
    """
    queues, last = trace_queues(instance, schedule), instance.slots - 1
    lost, left = np.zeros_like(queues.expired), queues.expired[last].copy()
    for c, deadline in enumerate(instance.system.deadline_slots.tolist()):
        lost[: max(last - deadline, 0), :, c] = queues.expired[deadline:last, :, c]
        for t in range(last, max(last - deadline, 0) - 1, -1):
            lost[t, :, c] = np.minimum(left[:, c], queues.inflow[t, :, c])
            left[:, c] -= lost[t, :, c]
    return lost


@dataclass(frozen=True, eq=False)
class _Rounding:
    """One slot to be rounded: columns of z as in ``Cells``, the program whose first n they are."""

    slot: int
    cells: Cells
    problem: Problem


class _Slots:
    """The programs of all slots, one after the other.

    before   (R, R) requests of the slot before, by origin and region, as its program has them
    past     (P, C) what pools processed in it
    """

    def __init__(
        self, instance: Instance, pools: Pools, schedule: Schedule, lost: np.ndarray
    ) -> None:
        self.instance, self.pools, self.schedule = instance, pools, schedule
        self.servers = trace_servers(instance, schedule)
        self.router = Router(instance)
        self.arrivals = _less(instance.arrivals, schedule.routing, lost)
        self.barred = self._barred(lost)
        self.before = instance.initial.routing.astype(float)
        self.past = self._by_pool(instance.initial.processing)

    def _barred(self, lost: np.ndarray) -> np.ndarray:
        """(T, R, C) requests wait there to expire, and none of their class is processed."""
        system = self.instance.system
        waits = lost.copy()
        for c, deadline in enumerate(system.deadline_slots.tolist()):
            for age in range(1, deadline + 1):
                waits[age:, :, c] += lost[:-age, :, c]
        return (waits > 0) & (served_by_region(self.instance, self.schedule.processing) == 0)

    def _by_pool(self, processing: np.ndarray) -> np.ndarray:
        total = np.zeros((len(self.pools), processing.shape[1]))
        np.add.at(total, self.pools.of_server, processing)
        return total

    def relax(self, t: int) -> _Rounding | None:
        """Solve slot t's linear program, and say how to round it; None where it has no answer."""
        instance, pools = self.instance, self.pools
        cells = cells_of(instance, pools, self.servers, self.schedule, t)
        region = pools.region[cells.pool]
        rows = rows_of(instance, pools, cells, self.barred[t, region, cells.kind])
        x = solve_lp(self._relaxed(t, cells, rows), "simplex").raise_if_interrupted().x
        if x is None:
            self.before = self.schedule.routing[t].sum(axis=2).astype(float)
            self.past = self._by_pool(self.schedule.processing[t])
            return None
        flows = self.router.cells.shape[0] * self.router.classes
        i, j = self.router.cells.T
        self.before = np.zeros_like(self.before)
        np.add.at(self.before, (i, j), x[:flows].reshape(len(i), -1).sum(axis=1))
        first = flows + 2 * self.router.regions * self.router.classes
        near = x[first : first + len(cells.column)]
        self.past = np.zeros_like(self.past)
        np.add.at(self.past, (cells.pool, cells.kind), near)
        by_region = adding_up(region, self.router.regions)
        return _Rounding(t, cells, nearest_program(near, cells, rows, by_region))

    def _relaxed(self, t: int, cells: Cells, rows: CellRows) -> Problem:
        pool, c = cells.pool, cells.kind
        return relaxed_program(
            self.router,
            cells,
            rows,
            arrivals=self.arrivals[t],
            done=self.schedule.processing[t].sum(axis=0),
            before=self.before,
            region=self.pools.region[pool],
            hot=self.instance.system.hot_permille / 1000 * self.past[pool, c],
            busy_usd=self.pools.busy_usd[t, pool, c],
            saved_usd=self.pools.saved_usd[pool, c],
        )

    def processing(self, found: list[tuple[_Rounding, np.ndarray]]) -> np.ndarray:
        """(T, S, C) by server; that of the schedule in slots where nothing was found, or does not
        fit: with three classes of a model.
        """
        whole = self.schedule.processing.copy()
        for rounding, z in found:
            t = rounding.slot
            before = whole[t - 1] if t else self.instance.initial.processing
            hot = self.instance.system.hot_permille * before // 1000
            now = processing_by_server(self.instance, self.pools, rounding.cells, z, hot)
            if (now.sum(axis=0) == whole[t].sum(axis=0)).all():
                whole[t] = now
        return whole


def _less(arrivals: np.ndarray, routing: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """(T, R, C) arrivals but the lost ones, taken from those of their own region first."""
    left = arrivals.copy()
    for t, j, c in np.argwhere(lost):
        there = routing[t, :, j, c]
        order = np.argsort(np.arange(len(there)) != j, kind="stable")
        taken = fill_first(lost[t, j, c], there[order])
        left[t, order, c] -= taken
    return left


def _rounded(
    rounding: list[_Rounding | None], ends: Deadline, workers: int
) -> list[tuple[_Rounding, np.ndarray]]:
    """Whole z of every slot that has an answer in time."""
    todo = [each for each in rounding if each is not None]
    found = list(in_order(_whole, [(each.problem, ends) for each in todo], workers, batch=8))
    return [
        (each, x[: len(each.cells.column)])
        for each, x in zip(todo, found, strict=True)
        if x is not None
    ]


def _whole(problem: Problem, ends: Deadline) -> np.ndarray | None:
    left = ends.left()
    if left <= 0:
        return None
    result = solve_milp(problem, Limits(seconds=left, gap=NEAR, work=NODES))
    if result.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    return None if result.x is None else np.rint(result.x)

"""The work of a schedule shared among regions anew: fewer requests re-routed, shorter ways.

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
import os
import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sparse
from scipy.optimize import linear_sum_assignment

from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.server_hull import facets_of, shared_out
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.timeline import served_by_region, trace_queues, trace_servers
from torta_opt.allocation.search.routing import (
    Router,
    clip_to_available,
    inflow_of,
    route,
    send_rest,
)
from torta_opt.solvers import Limits, Problem, Status, solve_lp, solve_milp

RELAXING, ROUNDING = 0.3, 0.7  # of the time, when they end; the rest is for routing
NODES = 50  # of branch and bound, for a slot
NEAR = 0.2  # relative gap at which it stops
EXACT = 0.5  # requests by which a region's total may differ for nothing
LOOSE = 3.0  # the same for one class in one pool
CELL = 0.1  # what a difference there costs, in differences of a region's total


def rebalanced(instance: Instance, schedule: Schedule, limits: Limits | None = None) -> Schedule:
    """A schedule with the same servers and the same work, shared among regions anew.

    It is legal if ``schedule`` is, but not always cheaper: where time is short and only some slots
    change, or where requests waited before slot 0 or may not leave their region, and then wait
    longer. ``limits.threads`` processes, 0 for one per core. Raises KeyboardInterrupt.
    """
    limits = limits or Limits()
    began = time.time()
    ends = began + limits.seconds
    lost = _expiring(instance, schedule)
    pools = Pools.of(instance)
    slots = _Slots(instance, pools, schedule, lost)
    rounding = []
    for t in range(instance.slots):
        if time.time() >= began + RELAXING * limits.seconds:
            break
        rounding.append(slots.relax(t))
    found = _rounded(rounding, began + ROUNDING * limits.seconds, limits.threads)
    processing = slots.processing(found)
    work = served_by_region(instance, processing)
    served, waiting = (instance.arrivals - lost).sum(axis=1), instance.initial.backlog.sum(axis=0)
    inflow = lost + inflow_of(served, waiting, work, instance.system.deadline_slots)
    routing = route(instance, send_rest(instance, work, inflow), branch_until=ends)
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
class _Cells:
    """The servers of a slot: by pool, model and usable time (a cell), and these by group.

    cell       (cells, 3) pool, model, usable ms
    members    of each cell, its servers
    column     (n, 2) cell and class of every column z
    group      (n,) number of its row (group, class)
    total      (rows,) W
    """

    cell: np.ndarray
    members: tuple[np.ndarray, ...]
    column: np.ndarray
    group: np.ndarray
    total: np.ndarray


@dataclass(frozen=True, eq=False)
class _Rounding:
    """One slot to be rounded: columns of z as in ``_Cells``, the program whose first n they are."""

    slot: int
    cells: _Cells
    problem: Problem


class _Slots:
    """The programs of all slots, in order."""

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
        self.saved_usd, self.busy_usd = self._prices()

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

    def _prices(self) -> tuple[np.ndarray, np.ndarray]:
        """(P, C) dollars that a hot request saves, (T, P, C) that one request burns."""
        system, kind = self.instance.system, self.pools.type
        weights = system.weights
        saved = np.nan_to_num(system.service_s - system.hot_service_s)[kind]
        price = weights.energy_factor * self.instance.price_usd_per_kwh[:, self.pools.region]
        kwh = (system.peak_kw - system.idle_kw)[kind][:, None] * system.server_ms[kind] / 3.6e6
        return weights.time_usd_per_s * saved, price[:, :, None] * kwh

    # --- one slot -------------------------------------------------------------------------------

    def relax(self, t: int) -> _Rounding | None:
        """Solve slot t's linear program, and say how to round it; None where it has no answer."""
        cells = self._cells(t)
        flows, z = self.router.cells.shape[0] * self.router.classes, len(cells.column)
        hull, most = self._hull(cells)
        by_group = _picks(cells.group, len(cells.total))
        upper = np.where(self._is_barred(t, cells), 0.0, by_group.T @ cells.total)
        problem = self._relaxed(t, cells, hull, most, by_group, upper)
        x = solve_lp(problem, "simplex").raise_if_interrupted().x
        if x is None:
            self.before = self.schedule.routing[t].sum(axis=2).astype(float)
            self.past = self._by_pool(self.schedule.processing[t])
            return None
        i, j = self.router.cells.T
        self.before = np.zeros_like(self.before)
        np.add.at(self.before, (i, j), x[:flows].reshape(len(i), -1).sum(axis=1))
        first = flows + 2 * self.router.regions * self.router.classes
        near = x[first : first + z]
        pool, c = cells.cell[cells.column[:, 0], 0], cells.column[:, 1]
        self.past = np.zeros_like(self.past)
        np.add.at(self.past, (pool, c), near)
        regions = _picks(self.pools.region[pool], self.router.regions)
        problem = _nearest(near, upper, hull, most, by_group, cells.total, regions)
        return _Rounding(t, cells, problem)

    def _cells(self, t: int) -> _Cells:
        system, servers = self.instance.system, self.servers
        active = np.flatnonzero(servers.usable_ms[t] > 0)
        usable = servers.usable_ms[t, active]
        key = np.stack([self.pools.of_server[active], servers.model[t, active], usable], axis=1)
        cell, of_cell = np.unique(key, axis=0, return_inverse=True)
        work_ms = system.server_ms[self.pools.type[cell[:, 0]]]
        able = (cell[:, 1:2] == system.class_model) & (work_ms > 0) & (work_ms <= cell[:, 2:])
        column = np.argwhere(able)
        kinds = np.column_stack([self.pools.type[cell[:, 0]], cell[:, 1:]])
        group = np.unique(kinds, axis=0, return_inverse=True)[1].ravel()
        done = np.zeros((group.max(initial=-1) + 1, len(system.classes)))
        np.add.at(done, group[of_cell.ravel()], self.schedule.processing[t, active])
        number = group[column[:, 0]] * len(system.classes) + column[:, 1]
        rows, row = np.unique(number, return_inverse=True)
        order = np.argsort(of_cell.ravel(), kind="stable")
        cuts = np.searchsorted(of_cell.ravel()[order], np.arange(1, len(cell)))
        members = tuple(np.split(active[order], cuts))
        return _Cells(cell, members, column, row.ravel(), done.ravel()[rows])

    def _hull(self, cells: _Cells) -> tuple[sparse.csr_array, np.ndarray]:
        """α·z ≤ n·γ of every cell."""
        work_ms = self.instance.system.server_ms[self.pools.type[cells.cell[:, 0]]]
        row: list[np.ndarray] = []
        column: list[np.ndarray] = []
        value: list[np.ndarray] = []
        most: list[float] = []
        ends = np.searchsorted(cells.column[:, 0], np.arange(len(cells.cell) + 1))
        for n, (first, after) in enumerate(pairwise(ends.tolist())):
            takes = work_ms[n, cells.column[first:after, 1]]
            if len(takes) > 2:  # capacity alone: what does not fit waits
                facets = np.append(takes, cells.cell[n, 2])[None]
            else:
                facets = facets_of(tuple(takes.tolist()), int(cells.cell[n, 2]))
                facets = np.column_stack([facets[:, : len(takes)], facets[:, -1]])
            rows = len(most) + np.repeat(np.arange(len(facets)), after - first)
            row.append(rows)
            column.append(np.tile(np.arange(first, after), len(facets)))
            value.append(facets[:, :-1].ravel())
            most.extend(facets[:, -1] * len(cells.members[n]))
        entries = [np.concatenate([np.zeros(0, int), *part]) for part in (value, row, column)]
        shape = len(most), len(cells.column)
        matrix = sparse.csr_array((entries[0].astype(float), tuple(entries[1:])), shape=shape)
        return matrix, np.array(most, float)

    def _is_barred(self, t: int, cells: _Cells) -> np.ndarray:
        region = self.pools.region[cells.cell[cells.column[:, 0], 0]]
        return self.barred[t, region, cells.column[:, 1]]

    def _relaxed(
        self,
        t: int,
        cells: _Cells,
        hull: sparse.csr_array,
        most: np.ndarray,
        by_group: sparse.csr_array,
        upper: np.ndarray,
    ) -> Problem:
        """Columns x, o, s, z, hot, moved; rows in the order of the text above."""
        router, arrivals = self.router, self.arrivals[t]
        regions, classes, width = router.regions, router.classes, arrivals.size
        flows, z = len(router.cells) * classes, len(cells.column)
        pool, c = cells.cell[cells.column[:, 0], 0], cells.column[:, 1]
        come, done = arrivals.sum(axis=0), self.schedule.processing[t].sum(axis=0)
        at = _picks(self.pools.region[pool] * classes + c, width)
        each, mine = sparse.eye_array(width), sparse.eye_array(z)
        of_class = sparse.csr_array(np.tile(np.eye(classes), (1, regions)))
        share, known = router.rerouting(arrivals.sum(axis=1), self.before)
        moved = sparse.eye_array(len(known))
        blocks = [
            [router.rows[:width, :flows], each, None, None, None, None],
            [router.rows[width:, :flows], None, each, -at, None, None],
            [None, of_class, None, None, None, None],
            [None, None, of_class, None, None, None],
            [None, None, None, by_group, None, None],
            [None, None, None, hull, None, None],
            [None, None, None, -mine, mine, None],
            [share, None, None, None, None, -moved],
        ]
        wait, waited = np.maximum(come - done, 0), np.maximum(done - come, 0)
        fixed = [arrivals.ravel(), np.zeros(width), wait, waited, cells.total]
        free = [most, np.zeros(z), known]
        hot = self.instance.system.hot_permille / 1000 * self.past[pool, c]
        unbounded = np.full(flows + 2 * width, np.inf)
        return Problem(
            matrix=sparse.csr_array(sparse.block_array(blocks)),
            row_lower=np.concatenate([*fixed, np.full(sum(map(len, free)), -np.inf)]),
            row_upper=np.concatenate([*fixed, *free]),
            col_lower=np.zeros(flows + 2 * width + 2 * z + len(known)),
            col_upper=np.concatenate([unbounded, upper, hot, np.full(len(known), np.inf)]),
            cost=np.concatenate(
                [
                    router.cost[:flows],
                    np.zeros(2 * width),
                    self.busy_usd[t, pool, c],
                    -self.saved_usd[pool, c],
                    np.full(len(known), router.reroute_usd),
                ]
            ),
        )

    # --- what came of it ------------------------------------------------------------------------

    def processing(self, found: list[tuple[_Rounding, np.ndarray]]) -> np.ndarray:
        """(T, S, C) by server; that of the schedule in slots where nothing was found, or does not
        fit: with three classes of a model.
        """
        whole = self.schedule.processing.copy()
        for rounding, z in found:
            t, cells, now = rounding.slot, rounding.cells, np.zeros_like(whole[0])
            before = whole[t - 1] if t else self.instance.initial.processing
            hot = self.instance.system.hot_permille * before // 1000
            ends = np.searchsorted(cells.column[:, 0], np.arange(len(cells.cell) + 1))
            for n, (first, after) in enumerate(pairwise(ends.tolist())):
                pool, _, usable_ms = cells.cell[n].tolist()
                classes = cells.column[first:after, 1]
                at = np.ix_(cells.members[n], classes)
                work_ms = self.instance.system.server_ms[self.pools.type[pool], classes]
                gain = self.saved_usd[pool, classes] / work_ms
                now[at] = _shared(z[first:after], work_ms, usable_ms, hot[at], gain)
            if (now.sum(axis=0) == whole[t].sum(axis=0)).all():
                whole[t] = now
        return whole


def _shared(
    total: np.ndarray, work_ms: np.ndarray, usable_ms: int, hot: np.ndarray, gain: np.ndarray
) -> np.ndarray:
    """(servers, classes) whole requests of servers alike, ``total`` (classes,) in all.

    What can be ``hot`` (servers, classes) comes first, where that gains most for the time it takes,
    then large requests before small ones. If so not all of it fits, servers share evenly; with
    three classes or more, what does not fit is left.
    """
    done, spare = np.zeros(hot.shape, np.int64), np.full(len(hot), usable_ms)
    left = total.astype(np.int64)
    order = [(c, hot[:, c]) for c in np.argsort(-gain, kind="stable") if gain[c] > 0]
    order += [(c, left[c]) for c in np.argsort(-work_ms, kind="stable")]
    for c, most in order:
        room = np.minimum(spare // work_ms[c], most)
        taken = np.clip(left[c] - (room.cumsum() - room), 0, room)
        done[:, c] += taken
        spare -= taken * work_ms[c]
        left[c] -= taken.sum()
    if not left.any() or len(work_ms) > 2:
        return done
    even = shared_out(
        total.astype(np.int64), facets_of(tuple(work_ms.tolist()), usable_ms), len(hot)
    )
    saves = np.minimum(even[:, None], hot[None]) @ (gain * work_ms)
    pattern, server = linear_sum_assignment(-saves)
    done[server] = even[pattern]
    return done


def _less(arrivals: np.ndarray, routing: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """(T, R, C) arrivals but the lost ones, taken from those of their own region first."""
    left = arrivals.copy()
    for t, j, c in np.argwhere(lost):
        there = routing[t, :, j, c]
        order = np.argsort(np.arange(len(there)) != j, kind="stable")
        taken = np.clip(lost[t, j, c] - (there[order].cumsum() - there[order]), 0, there[order])
        left[t, order, c] -= taken
    return left


def _picks(row: np.ndarray, rows: int) -> sparse.csr_array:
    """A matrix of rows × len(row) that adds up the columns of each row."""
    columns = np.arange(len(row))
    return sparse.csr_array((np.ones(len(row)), (row, columns)), shape=(rows, len(row)))


def _nearest(
    near: np.ndarray,
    upper: np.ndarray,
    hull: sparse.csr_array,
    most: np.ndarray,
    by_group: sparse.csr_array,
    total: np.ndarray,
    regions: sparse.csr_array,
) -> Problem:
    """The whole z closest to ``near``, with what is above and below it in columns of their own."""
    z, places = len(near), regions.shape[0]
    each, place = sparse.eye_array(z), sparse.eye_array(places)
    blocks = [
        [hull, None, None, None, None],
        [by_group, None, None, None, None],
        [regions, place, -place, None, None],
        [each, None, None, each, -each],
    ]
    wanted, none = regions @ near, np.full(len(most), -np.inf)
    return Problem(
        matrix=sparse.csr_array(sparse.block_array(blocks)),
        row_lower=np.concatenate([none, total, wanted - EXACT, near - LOOSE]),
        row_upper=np.concatenate([most, total, wanted + EXACT, near + LOOSE]),
        col_lower=np.zeros(3 * z + 2 * places),
        col_upper=np.append(upper, np.full(2 * (z + places), total.sum())),
        cost=np.concatenate([np.zeros(z), np.ones(2 * places), np.full(2 * z, CELL)]),
        integrality=np.append(np.ones(z, bool), np.zeros(2 * (z + places), bool)),
    )


def _rounded(
    rounding: list[_Rounding | None], ends: float, workers: int
) -> list[tuple[_Rounding, np.ndarray]]:
    """Whole z of every slot that has an answer in time."""
    todo = [each for each in rounding if each is not None]
    workers = min(workers or os.cpu_count() or 1, max(len(todo), 1))
    if workers == 1:
        found = [_whole(each.problem, ends) for each in todo]
    else:
        import joblib

        run = joblib.Parallel(n_jobs=workers, batch_size=8, pre_dispatch="4*n_jobs")
        found = run(joblib.delayed(_whole)(each.problem, ends) for each in todo)
    return [
        (each, x[: len(each.cells.column)])
        for each, x in zip(todo, found, strict=True)
        if x is not None
    ]


def _whole(problem: Problem, ends: float) -> np.ndarray | None:
    left = ends - time.time()
    if left <= 0:
        return None
    result = solve_milp(problem, Limits(seconds=left, gap=NEAR, work=NODES))
    if result.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    return None if result.x is None else np.rint(result.x)

"""Plan whole requests on given servers, slot by slot, with all regions at once.

A merged plan decides first what servers process and only then where requests go, so requests are
re-routed to follow the work. Here both are decided together. In each slot, from the state that the
decisions so far have left,

1. the linear program over the requests of this slot and ``AHEAD`` more (``request_window.py``) is
   solved;
2. what the cells of this slot process is made whole by diving: amounts that are nearly whole are
   fixed, the others stay free, and the program is solved again, until all are whole;
3. requests are routed to where they are processed or wait (``slot_routing.py``), and the slot is
   played by the referee's own step.

The result is legal by construction. It is not always cheaper than the schedule that it began with.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.formulations.merged import MergedProgram, lift_merged
from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.step import Decision, initial_state, slot_data, step
from torta_opt.allocation.schedule.timeline import trace_servers
from torta_opt.allocation.search.request_window import (
    SlotServers,
    Window,
    WindowData,
    request_window,
)
from torta_opt.allocation.search.rounding import with_servers
from torta_opt.allocation.search.routing import clip_to_available
from torta_opt.allocation.search.server_cells import adding_up, cells_of, processing_by_server, rows_of
from torta_opt.allocation.search.slot_routing import Router
from torta_opt.solvers import Limits, Problem, SolverFailed, solve_lp, solve_milp

AHEAD = 1  # further slots of a window
NEAREST = 8  # regions with servers to which an origin may send, beside those that it used
WHOLE = 1e-6  # an amount this close to an integer is one
NODES = 30  # nodes of branch and bound for one slot
NEAR = 2e-4  # relative gap at which it stops
MOVE = 1e-7  # dollars; regions that get more or less than planned cost something in any case


def replanned(
    instance: Instance,
    schedule: Schedule,
    merged: MergedProgram,
    limits: Limits | None = None,
    on_slot: Callable[[int], Any] = lambda slot: None,
) -> Schedule:
    """A schedule with the same commands of servers, and requests planned anew.

    on_slot   called with the number of slots planned so far

    Where time is up the rest of ``schedule`` follows, less what is then not there to be processed.
    Raises KeyboardInterrupt.
    """
    ends = time.perf_counter() + (limits or Limits()).seconds
    plan = _Plan(instance, schedule, waiting_usd(merged, schedule))
    for t in range(instance.slots):
        if time.perf_counter() >= ends:
            break
        plan.add_slot()
        on_slot(t + 1)
    return plan.schedule()


def waiting_usd(merged: MergedProgram, schedule: Schedule) -> np.ndarray:
    """(T, C) dollars that a request that waits at the end of each slot costs after it.

    These are prices of the merged program with the servers of the schedule: of all slots after.
    """
    program = merged.program
    problem = with_servers(program, program.vector(lift_merged(merged, schedule)), program.matrix)
    dual = solve_lp(problem, crossover=False).raise_if_interrupted().row_dual
    if dual is None:
        raise SolverFailed("requests on given servers were not planned: all may expire")
    q = program.columns["q"]
    columns = program.matrix[:, q.first : q.first + len(q)].tocoo()
    slot = q.index[:, 0]
    later = program.row_slot[columns.row] > slot[columns.col]
    usd = np.zeros(q.mask.shape)
    paid = np.where(later, -columns.data * dual[columns.row], 0.0)
    usd[q.mask] = np.bincount(columns.col, paid, len(q))
    return usd[:, 0]


class _Plan:
    """The slots planned so far, and the state that they leave."""

    def __init__(self, instance: Instance, schedule: Schedule, waiting_usd: np.ndarray) -> None:
        self.waiting_usd = waiting_usd
        self.instance, self.base = instance, schedule
        self.pools = Pools.of(instance)
        self.router = Router(instance)
        self.timeline = trace_servers(instance, schedule)
        self.state = initial_state(instance)
        self.routing, self.processing = schedule.routing.copy(), schedule.processing.copy()
        system, kind, weights = instance.system, self.pools.type, instance.system.weights
        price = weights.energy_factor * instance.price_usd_per_kwh[:, self.pools.region]
        kwh = (system.peak_kw - system.idle_kw)[kind][:, None] * system.server_ms[kind] / 3.6e6
        service = np.nan_to_num(system.service_s)[kind]
        self.usd = weights.time_usd_per_s * service + price[:, :, None] * kwh
        saved = np.nan_to_num(system.service_s - system.hot_service_s)[kind]
        self.saved_usd = weights.time_usd_per_s * saved
        self.servers: dict[int, SlotServers] = {}

    def schedule(self) -> Schedule:
        processing = clip_to_available(self.instance, self.routing, self.processing)
        return dataclasses.replace(self.base, routing=self.routing, processing=processing)

    def add_slot(self) -> None:
        """Plan the next slot."""
        instance, state, t = self.instance, self.state, self.state.slot
        hot = instance.system.hot_permille * state.processing // 1000
        servers = self._servers_of(t)
        data = self._data(hot)
        window = request_window(data)
        found = solve_lp(window.problem, "simplex").raise_if_interrupted()
        if found.x is None or found.row_dual is None:
            raise SolverFailed("the requests of a window were not planned: all may wait or expire")
        z, waits = whole_cells(window, data, found.x, found.row_dual)
        now = processing_by_server(
            instance, self.pools, servers.cells, z, hot, self.saved_usd
        )
        routing = self.router.slot(
            instance.arrivals[t], self._inflow(waits, now), state.routing, branch=True
        )
        now = self._clipped(now, routing)
        command, target = self.base.command[t], self.base.command_model[t]
        decision = Decision(routing, command, target, now)
        self.state = step(instance.system, state, slot_data(instance, t), decision).state
        self.routing[t], self.processing[t] = routing, now
        del self.servers[t]

    def _servers_of(self, t: int) -> SlotServers:
        if t not in self.servers:
            cells = cells_of(self.instance, self.pools, self.timeline, self.base, t)
            rows = rows_of(self.instance, self.pools, cells, np.zeros(len(cells.column), bool))
            pool, c = cells.pool, cells.kind
            self.servers[t] = SlotServers(
                cells, rows, self.pools.region[pool], self.usd[t, pool, c], self.saved_usd[pool, c]
            )
        return self.servers[t]

    def _data(self, hot: np.ndarray) -> WindowData:
        t, instance = self.state.slot, self.instance
        until = min(t + 1 + AHEAD, instance.slots)
        servers = [self._servers_of(k) for k in range(t, until)]
        cells = servers[0].cells
        most = np.zeros((len(cells.cell), hot.shape[1]))
        for n, members in enumerate(cells.members):
            most[n] = hot[members].sum(axis=0)
        return WindowData(
            instance,
            self.router,
            self.pools,
            self.state,
            servers,
            hot=most[cells.column[:, 0], cells.kind],
            pairs=self._pairs(servers),
            end_usd=self._end_usd(until - 1, servers[-1]) * (until < instance.slots),
        )

    def _pairs(self, servers: list[SlotServers]) -> np.ndarray:
        """Pairs of a region and the nearest ones that have servers, itself, and those used last."""
        i, j = self.router.cells.T
        regions = self.router.regions
        there = np.zeros(regions, bool)
        for slot in servers:
            there[slot.region] = True
        usd = np.full((regions, regions), np.inf)
        usd[i, j] = self.router.route_usd.mean(axis=1)
        usd[:, ~there] = np.inf
        rank = np.argsort(np.argsort(usd, axis=1, kind="stable"), axis=1, kind="stable")
        chosen = (rank < NEAREST) & np.isfinite(usd)
        chosen |= np.eye(regions, dtype=bool) | (self.state.routing > 0)
        lonely = ~chosen[i, j].any() | ~np.isin(np.arange(regions), i[chosen[i, j]])[i]
        return np.flatnonzero(chosen[i, j] | lonely)

    def _end_usd(self, t: int, servers: SlotServers) -> np.ndarray:
        """(R, C) what it costs to serve a request after the window, or to let it expire.

        t   its last slot
        """
        system = self.instance.system
        served = np.zeros((self.router.regions, self.router.classes), bool)
        served[servers.region, servers.cells.kind] = True
        expiry = system.weights.expiry_usd
        return np.where(served, np.minimum(self.waiting_usd[t], expiry), expiry)

    def _inflow(self, q: np.ndarray, now: np.ndarray) -> np.ndarray:
        """(R, C) whole arrivals for each region: what it serves of them, and what is to wait."""
        system, waiting = self.instance.system, self.state.waiting.sum(axis=2)
        served = np.zeros(waiting.shape, np.int64)
        np.add.at(served, system.server_region, now)
        need = np.maximum(served - waiting, 0)
        arrived = self.instance.arrivals[self.state.slot].sum(axis=0)
        rest = arrived - need.sum(axis=0)
        for c in np.flatnonzero(rest):
            wanted = np.maximum(q[:, c] - np.maximum(waiting - served, 0)[:, c], 0.0)
            need[:, c] += _apportioned(int(rest[c]), wanted, need[:, c])
        return need

    def _clipped(self, now: np.ndarray, routing: np.ndarray) -> np.ndarray:
        """What servers can process of ``now`` (S, C): no more than waits in their region."""
        there = self.state.waiting.sum(axis=2) + routing.sum(axis=0)
        done = now.copy()
        for j in range(len(there)):
            servers = np.flatnonzero(self.instance.system.server_region == j)
            before = done[servers].cumsum(axis=0) - done[servers]
            done[servers] = np.clip(there[j] - before, 0, done[servers])
        return done


def _apportioned(rest: int, wanted: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Whole numbers near ``wanted`` (R,) that add up to ``rest``; at least −most."""
    if rest < 0:  # more is to be served than has come
        taken = np.clip(-rest - (most.cumsum() - most), 0, most)
        return -taken
    if wanted.sum() <= 0:
        wanted = np.ones(len(wanted))
    share = rest * wanted / wanted.sum()
    whole = np.floor(share + WHOLE).astype(np.int64)
    order = np.argsort(-(share - whole), kind="stable")
    whole[order[: rest - int(whole.sum())]] += 1
    return whole


def whole_cells(
    window: Window, data: WindowData, x: np.ndarray, dual: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whole z (n,) of the first slot near an answer of the window's program, and what then waits.

    All columns of the window but x are kept, whose sums over origins are columns of their own:
    f[j,c] arrivals for region j. Where a region gets more or less than in the answer, that costs
    what re-routing does. Solved by branch and bound with a limit on nodes, which does not depend on
    the machine.
    """
    problem = nearest_whole(window, data, x, dual)
    found = solve_milp(problem, Limits(gap=NEAR, work=NODES)).raise_if_interrupted()
    count, width = len(window.z), window.q.size
    if found.x is None:
        raise SolverFailed("a slot's whole requests: all may wait or expire, but none was found")
    return np.rint(found.x[:count]), found.x[2 * count : 2 * count + width].reshape(window.q.shape)


def nearest_whole(window: Window, data: WindowData, x: np.ndarray, dual: np.ndarray) -> Problem:
    """Columns z, hot, q, expired, f, over, under; see ``whole_cells``."""
    state, servers = data.state, data.servers[0]
    regions, classes = shape = state.waiting.shape[:2]
    width, count, t = regions * classes, len(servers.usd), state.slot
    instance, weights = data.instance, data.instance.system.weights
    arrivals = instance.arrivals[t].sum(axis=0).astype(float)
    waiting = state.waiting.sum(axis=2).astype(float)
    inflow = np.zeros(shape)
    np.add.at(inflow, data.router.cells[data.pairs][:, 1], x[window.x])
    each, place = sparse.eye_array(width), adding_up(np.repeat(np.arange(regions), classes), regions)
    of_class = adding_up(np.tile(np.arange(classes), regions), classes)
    at = adding_up(servers.region * classes + servers.cells.kind, width)
    mine, apart = sparse.eye_array(count), sparse.eye_array(regions)
    is_last = t == instance.slots - 1
    ages = np.arange(1, state.waiting.shape[2] + 1)
    due = np.where(instance.system.deadline_slots[:, None] <= ages, state.waiting, 0).sum(axis=2)
    later = later_usd(window, dual)
    price = window.problem.cost[window.q] + later[window.q]
    blocks = [
        [servers.rows.hull, None, None, None, None, None, None],
        [-mine, mine, None, None, None, None, None],
        [at, None, each, each, -each, None, None],
        [None, None, None, None, of_class, None, None],
        [None, None, None, None, place, -apart, apart],
    ]
    total = inflow.sum(axis=1)
    fixed = [waiting.ravel(), arrivals, total]
    above = [servers.rows.most, np.zeros(count)]
    most = np.full(width, 0.0 if is_last else np.inf)
    left = np.full(width, np.inf) if is_last else due.ravel().astype(float)
    unbounded = np.full(width + 2 * regions, np.inf)
    move = np.full(2 * regions, max(data.router.reroute_usd, MOVE))
    return Problem(
        matrix=sparse.csr_array(sparse.block_array(blocks)),
        row_lower=np.concatenate([*(np.full(len(a), -np.inf) for a in above), *fixed]),
        row_upper=np.concatenate([*above, *fixed]),
        col_lower=np.zeros(2 * count + 3 * width + 2 * regions),
        col_upper=np.concatenate([np.full(count, np.inf), data.hot, most, left, unbounded]),
        cost=np.concatenate(
            [
                servers.usd + later[window.z],
                -servers.saved_usd,
                price.ravel(),
                np.tile(weights.expiry_usd, regions),
                np.zeros(width),
                move,
            ]
        ),
        integrality=np.arange(2 * count + 3 * width + 2 * regions) < count,
    )


def later_usd(window: Window, dual: np.ndarray) -> np.ndarray:
    """(columns,) dollars that each column costs in the slots after the first, at their prices."""
    later = np.where(np.arange(len(dual)) < window.rows, 0.0, dual)
    usd: np.ndarray = -(window.problem.matrix.T @ later)
    return usd

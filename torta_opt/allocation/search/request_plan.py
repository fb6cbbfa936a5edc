"""Whole requests of the next slot on given servers, and the state that the slots before leave.

See ``whole_requests.py``.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.server_hull import fill_first
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.step import Decision, initial_state, slot_data, step
from torta_opt.allocation.schedule.timeline import trace_servers
from torta_opt.allocation.search.request_window import SlotServers, WindowData, request_window
from torta_opt.allocation.search.routing import clip_slot
from torta_opt.allocation.search.server_cells import cells_of, processing_by_server, rows_of
from torta_opt.allocation.search.slot_routing import Router
from torta_opt.allocation.search.whole_cells import whole_cells
from torta_opt.solvers import SolverFailed, solve_lp

AHEAD = 1  # further slots of a window
NEAREST = 6  # regions with servers to which an origin may send, beside those that it used


class RequestPlan:
    """The slots planned so far, and the state that they leave."""

    def __init__(self, instance: Instance, schedule: Schedule, waiting_usd: np.ndarray) -> None:
        self.instance, self.base, self.waiting_usd = instance, schedule, waiting_usd
        self.pools, self.router = Pools.of(instance), Router(instance)
        self.timeline = trace_servers(instance, schedule)
        self.state = initial_state(instance)
        self.routing, self.processing = schedule.routing.copy(), schedule.processing.copy()
        service_s = np.nan_to_num(instance.system.service_s)[self.pools.type]
        self.usd = instance.system.weights.time_usd_per_s * service_s + self.pools.busy_usd
        self.servers: dict[int, SlotServers] = {}

    def add_slot(self) -> None:
        """Plan the next slot."""
        instance, state, t = self.instance, self.state, self.state.slot
        hot = instance.system.hot_permille * state.processing // 1000
        data = self._data(hot)
        window = request_window(data)
        found = solve_lp(window.problem, "ipm").raise_if_interrupted()
        if found.x is None or found.row_dual is None:
            raise SolverFailed("the requests of a slot were not planned, though all may expire")
        whole = whole_cells(window, data, found.x, found.row_dual)
        cells = data.servers[0].cells
        processing = processing_by_server(instance, self.pools, cells, whole.z, hot)
        inflow = self._inflow(whole.waits, processing)
        routing = self.router.slot(instance.arrivals[t], inflow, state.routing, branch=True)
        there = state.waiting.sum(axis=2) + routing.sum(axis=0)
        processing = clip_slot(instance.system, there, processing)
        self.follow(routing, processing)

    def follow(self, routing: np.ndarray, processing: np.ndarray) -> None:
        """Take over what is planned for the next slot: (R, R, C), (S, C); it has to be legal."""
        t, base = self.state.slot, self.base
        decision = Decision(routing, base.command[t], base.command_model[t], processing)
        self.state = step(
            self.instance.system, self.state, slot_data(self.instance, t), decision
        ).state
        self.routing[t], self.processing[t] = routing, processing
        self.servers.pop(t, None)

    def _servers_of(self, t: int) -> SlotServers:
        if t not in self.servers:
            cells = cells_of(self.instance, self.pools, self.timeline, self.base, t)
            rows = rows_of(self.instance, self.pools, cells, np.zeros(len(cells.column), bool))
            rows.hull.eliminate_zeros()
            pool, c = cells.pool, cells.kind
            saved_usd = self.pools.saved_usd[pool, c]
            self.servers[t] = SlotServers(
                cells, rows, self.pools.region[pool], self.usd[t, pool, c], saved_usd
            )
        return self.servers[t]

    def _data(self, hot: np.ndarray) -> WindowData:
        t, slots = self.state.slot, self.instance.slots
        until = min(t + 1 + AHEAD, slots)
        servers = [self._servers_of(k) for k in range(t, until)]
        cells = servers[0].cells
        by_cell = [hot[members].sum(axis=0) for members in cells.members]
        most = np.array(by_cell).reshape(-1, hot.shape[1])
        return WindowData(
            self.instance,
            self.router,
            self.pools,
            self.state,
            servers,
            hot=most[cells.column[:, 0], cells.kind],
            pairs=self._pairs(servers),
            end_usd=self._end_usd(until),
        )

    def _pairs(self, servers: list[SlotServers]) -> np.ndarray:
        """Pairs of a region with itself, the nearest with servers, and those that it used last."""
        i, j = self.router.cells.T
        there = np.zeros(self.router.regions, bool)
        there[np.concatenate([slot.region for slot in servers])] = True
        usd = np.full(self.state.routing.shape, np.inf)
        usd[i, j] = np.where(there[j], self.router.route_usd.mean(axis=1), np.inf)
        rank = np.argsort(np.argsort(usd, axis=1, kind="stable"), axis=1, kind="stable")
        chosen = (rank < NEAREST) & np.isfinite(usd)
        chosen |= np.eye(len(there), dtype=bool) | (self.state.routing > 0)
        some = np.isin(i, i[chosen[i, j]])
        return np.flatnonzero(chosen[i, j] | ~some)

    def _end_usd(self, t: int) -> np.ndarray:
        """(R, C) what a request that waits before slot t costs from then on."""
        served = np.zeros(self.state.waiting.shape[:2], bool)
        if t == self.instance.slots:
            return np.zeros(served.shape)
        servers = self._servers_of(t)
        served[servers.region, servers.cells.kind] = True
        expiry = self.instance.system.weights.expiry_usd
        return np.where(served, np.minimum(self.waiting_usd[t - 1], expiry), expiry)

    def _inflow(self, waits: np.ndarray, processing: np.ndarray) -> np.ndarray:
        """(R, C) whole arrivals for each region: what it serves of them, and what is to wait."""
        waiting = self.state.waiting.sum(axis=2)
        served = np.zeros(waiting.shape, np.int64)
        np.add.at(served, self.instance.system.server_region, processing)
        inflow = np.maximum(served - waiting, 0)
        rest = self.instance.arrivals[self.state.slot].sum(axis=0) - inflow.sum(axis=0)
        new = np.maximum(waits - np.maximum(waiting - served, 0), 0.0)
        for c in np.flatnonzero(rest):
            inflow[:, c] += _divided(int(rest[c]), new[:, c], inflow[:, c])
        return inflow


def _divided(rest: int, wanted: np.ndarray, served: np.ndarray) -> np.ndarray:
    """(R,) whole numbers with sum ``rest``, in proportion to ``wanted``.

    A negative ``rest``, where more is to be served than comes, is taken from ``served``.
    """
    if rest < 0:
        return -fill_first(-rest, served)
    share = rest * (
        wanted / wanted.sum() if wanted.sum() > 0 else np.full(len(wanted), 1 / len(wanted))
    )
    whole = np.floor(share + 1e-6).astype(np.int64)
    order = np.argsort(whole - share, kind="stable")
    whole[order[: rest - int(whole.sum())]] += 1
    return whole

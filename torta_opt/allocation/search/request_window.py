"""The linear program over the requests of a few slots, from a known state, on given servers.

Slots are k = 0 … n−1 of the window. Columns of slot k, in this order:

    x[i,j,c]       requests routed, over some of the pairs (i, j)
    q[j,c]         requests that wait at the end of the slot
    expired[j,c]
    z[n]           processed by a cell and class (``server_cells``)
    hot[n]         of these, hot
    moved[i,j]     re-routed

With W what waited before slot 0, h the hot share and f = min(D[k,i], D[k−1,i]):

    Σ_j x[k,i,j,c] = D[k,i,c]                                                        (route)
    q[k] + expired[k] + Σ z[k] − Σ_i x[k] − q[k−1] = 0, W in slot 0 for q[−1]        (queue)
    q[k] − Σ_{the last ℓ slots} Σ_i x ≤ W not yet due by the end of slot k           (deadline)
    expired[k] − Σ_i x[k−ℓ] ≤ W due at the end of slot k                             (due)
    α·z ≤ n·γ                                            facets of a cell            (hull)
    hot ≤ z                                                                          (hot_served)
    Σ hot[k] ≤ h·Σ z[k−1]                                over a pool and class       (reuse)
    f·(Σ_c x[k,i,j,c]/D[k,i] − Σ_c x[k−1,i,j,c]/D[k−1,i]) ≤ moved[k,i,j]             (reroute)

In the last slot of the horizon nothing waits on, and all that is left expires. At the end of a
shorter window, a waiting request costs ``end_usd``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from torta_opt.allocation.formulations.matrix import Entries
from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.step import State
from torta_opt.allocation.search.server_cells import CellRows, Cells
from torta_opt.allocation.search.slot_routing import Router
from torta_opt.solvers import Problem


@dataclass(frozen=True, eq=False)
class SlotServers:
    """The servers of a slot: cells and their facets, and by column z

    region      where it is
    usd         what a request costs that is not hot
    saved_usd   what a hot one saves
    """

    cells: Cells
    rows: CellRows
    region: np.ndarray
    usd: np.ndarray
    saved_usd: np.ndarray


@dataclass(frozen=True, eq=False)
class WindowData:
    """What the program of a window is built from.

    state      before its first slot
    servers    those of each of its slots
    hot        by column z of the first slot, how many can be hot
    pairs      numbers of the pairs in ``Router.cells`` that requests may take
    end_usd    (R, C)
    """

    instance: Instance
    router: Router
    pools: Pools
    state: State
    servers: list[SlotServers]
    hot: np.ndarray
    pairs: np.ndarray
    end_usd: np.ndarray


@dataclass(frozen=True, eq=False)
class Window:
    """The program of a window.

    rows    number of rows of its first slot
    reuse   numbers of its rows (reuse) of the second slot
    x, q, z columns of its first slot: (pairs, C), (R, C), (n,)
    later   columns z of its second slot, none where that is beyond the horizon
    """

    problem: Problem
    rows: int
    reuse: np.ndarray
    x: np.ndarray
    q: np.ndarray
    z: np.ndarray
    later: np.ndarray


@dataclass(frozen=True, eq=False)
class _Columns:
    x: np.ndarray
    q: np.ndarray
    expired: np.ndarray
    z: np.ndarray
    hot: np.ndarray
    moved: np.ndarray


def request_window(data: WindowData) -> Window:
    """The program of a window."""
    builder = _Builder(data)
    builder.add_slot(0)
    rows = builder.height
    for k in range(1, len(data.servers)):
        builder.add_slot(k)
    first = builder.columns[0]
    none = np.zeros(0, np.int64)
    later = builder.columns[1].z if len(data.servers) > 1 else none
    return Window(builder.problem(), rows, builder.reuse, first.x, first.q, first.z, later)


@dataclass(eq=False)
class _Builder:
    data: WindowData
    columns: list[_Columns] = field(default_factory=list)
    entries: Entries = field(default_factory=Entries)
    cost: list[np.ndarray] = field(default_factory=list)
    most: list[np.ndarray] = field(default_factory=list)
    lower: list[np.ndarray] = field(default_factory=list)
    upper: list[np.ndarray] = field(default_factory=list)
    reuse: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        data = self.data
        self.first = data.state.slot
        self.i, self.j = data.router.cells[data.pairs].T
        self.shape = data.state.waiting.shape[:2]
        self.deadlines = data.instance.system.deadline_slots
        ages = np.arange(1, data.state.waiting.shape[2] + 1)
        left = self.deadlines[:, None] - ages  # slots until it is due, of what waits before slot 0
        slots = range(len(data.servers))
        waiting = data.state.waiting
        self.due = [np.where(left == k, waiting, 0).sum(axis=2) for k in slots]
        self.fresh = [np.where(left > k, waiting, 0).sum(axis=2) for k in slots]
        now = data.instance.arrivals[self.first : self.first + len(data.servers)].sum(axis=2)
        self.totals = np.concatenate([data.state.routing.sum(axis=1)[None], now])

    def add_slot(self, k: int) -> None:
        self._add_columns(k)
        self._add_queues(k)
        self._add_servers(k)
        if self.data.router.reroute_usd > 0:
            self._add_rerouting(k)

    def problem(self) -> Problem:
        return Problem(
            matrix=self.entries.matrix(self.height, self.width),
            row_lower=np.concatenate(self.lower),
            row_upper=np.concatenate(self.upper),
            col_lower=np.zeros(self.width),
            col_upper=np.concatenate(self.most),
            cost=np.concatenate(self.cost),
        )

    def _add_columns(self, k: int) -> None:
        data, servers = self.data, self.data.servers[k]
        weights, router = data.instance.system.weights, data.router
        is_end = self.first + k == data.instance.slots - 1
        wait_usd = np.full(self.shape, weights.time_usd_per_s * data.instance.system.slot_s)
        if k == len(data.servers) - 1:
            wait_usd = wait_usd + data.end_usd
        none, hot = np.inf, data.hot if k == 0 else np.full(len(servers.usd), np.inf)
        moved = len(data.pairs) if router.reroute_usd > 0 else 0
        self.columns.append(
            _Columns(
                x=self._columns(router.route_usd[data.pairs], none),
                q=self._columns(wait_usd, 0.0 if is_end else none),
                expired=self._columns(np.broadcast_to(weights.expiry_usd, self.shape), none),
                z=self._columns(servers.usd, none),
                hot=self._columns(-servers.saved_usd, hot),
                moved=self._columns(np.full(moved, router.reroute_usd), none),
            )
        )

    def _columns(self, cost: np.ndarray, most: np.ndarray | float) -> np.ndarray:
        """Numbers of new columns, in the shape of their costs."""
        numbers = self.width + np.arange(cost.size).reshape(cost.shape)
        self.width += cost.size
        self.cost.append(cost.ravel())
        self.most.append(np.broadcast_to(most, cost.shape).ravel())
        return numbers

    def _rows(self, lower: np.ndarray | float, upper: np.ndarray) -> np.ndarray:
        """Numbers of new rows, in the shape of their upper sides."""
        numbers = self.height + np.arange(upper.size).reshape(upper.shape)
        self.height += upper.size
        self.lower.append(np.broadcast_to(lower, upper.shape).ravel())
        self.upper.append(upper.ravel())
        return numbers

    def _add_queues(self, k: int) -> None:
        """(route), (queue), (deadline), (due)"""
        data, now, add = self.data, self.columns[k], self.entries.add
        arrivals = data.instance.arrivals[self.first + k].astype(float)
        add(self._rows(arrivals, arrivals)[self.i], now.x, 1)
        backlog = data.state.waiting.sum(axis=2) if k == 0 else np.zeros(self.shape)
        queue = self._rows(backlog, backlog)
        add(queue, now.q, 1)
        add(queue, now.expired, 1)
        add(queue[self.j], now.x, -1)
        servers = data.servers[k]
        add(queue[servers.region, servers.cells.kind], now.z, 1)
        if k:
            add(queue, self.columns[k - 1].q, -1)
        if self.first + k == data.instance.slots - 1:
            return
        deadline = self._rows(-np.inf, self.fresh[k].astype(float))
        due = self._rows(-np.inf, self.due[k].astype(float))
        add(deadline, now.q, 1)
        add(due, now.expired, 1)
        for c, slots in enumerate(self.deadlines.tolist()):
            for past in range(max(0, k - slots + 1), k + 1):
                add(deadline[self.j, c], self.columns[past].x[:, c], -1)
            if k >= slots:
                add(due[self.j, c], self.columns[k - slots].x[:, c], -1)

    def _add_servers(self, k: int) -> None:
        """(hull), (hot_served), (reuse)"""
        servers, now, add = self.data.servers[k], self.columns[k], self.entries.add
        hull = servers.rows.hull.tocoo()
        add(self._rows(-np.inf, servers.rows.most)[hull.row], now.z[hull.col], hull.data)
        served = self._rows(-np.inf, np.zeros(len(now.z)))
        add(served, now.hot, 1)
        add(served, now.z, -1)
        if k == 0:
            return
        share = self.data.instance.system.hot_permille / 1000
        shape = len(self.data.pools), self.shape[1]
        cells, before = servers.cells, self.data.servers[k - 1].cells
        used = np.zeros(shape, bool)
        used[cells.pool, cells.kind] = True
        row = np.full(shape, -1)
        row[used] = self._rows(-np.inf, np.zeros(int(used.sum())))
        if k == 1:
            self.reuse = row[used]
        add(row[cells.pool, cells.kind], now.hot, 1)
        add(row[before.pool, before.kind], self.columns[k - 1].z, -share)

    def _add_rerouting(self, k: int) -> None:
        """(reroute)"""
        now, before = self.totals[k + 1], self.totals[k]
        fewer = np.minimum(now, before)
        scale, past = fewer / np.maximum(now, 1), fewer / np.maximum(before, 1)
        known = np.zeros(len(self.i))
        if k == 0:
            known = past[self.i] * self.data.state.routing[self.i, self.j]
        row = self._rows(-np.inf, known)
        self.entries.add(row[:, None], self.columns[k].x, scale[self.i, None])
        if k:
            self.entries.add(row[:, None], self.columns[k - 1].x, -past[self.i, None])
        self.entries.add(row, self.columns[k].moved, -1)

"""Whole requests of one slot: an integer program near the answer of a window's linear program.

It has the columns of the window's first slot (``request_window.py``) but x, whose sums over origins
are columns f[j,c] of their own, and z[n] are integers:

    minimise    cost of z, hot, q, more and expired, in this slot and later, + κ·Σ_j (over + under)
                − what hot requests of the next slot save
    subject to  (hull), (hot_served)
                reused[p,c] ≤ h·Σ z of pool p,  and what p processes in the next slot of the
                                                                                  linear program
                q[j,c] + more[j,c] + expired[j,c] + Σ z − f[j,c] = W[j,c]       Σ_j f[j,c] = D[c]
                q[j,c] + more[j,c] − f[j,c] ≤ W[j,c] not due        expired[j,c] ≤ W[j,c] due
                q[j,c] ≤ what waits in the linear program, rounded up
                Σ_c f[j,c] − over[j] + under[j] = what the linear program sends to j

What a column costs later is what the duals of the window's later slots say, but for hot requests of
the next slot: a dual prices one more of them, however many there are, so they are counted. ``more``
waits beyond what the linear program has room for later, and is charged as if it expired. κ is for
requests that are re-routed if a region gets more or less in all. Within the facets of a cell, whole
amounts of up to two classes can be divided among its servers.

Integers stay near the relaxation: no further than the requests that take the time of a cell's
largest one. Beyond lie points that are hardly ever better, and finding them takes ten times as
long.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.search.request_window import Window, WindowData
from torta_opt.allocation.search.server_cells import adding_up
from torta_opt.solvers import Limits, Problem, SolverFailed, solve_lp, solve_milp

NODES = 1  # of branch and bound for one slot: a limit that depends on no machine
MORE_NODES = 10  # where that finds nothing
NEAR = 5e-4  # relative gap at which it stops
WHOLE = 1e-6  # requests; what is so near a whole number is meant as one
MOVE = 1e-7  # dollars; a region that gets more or less than planned costs something in any case


@dataclass(frozen=True, eq=False)
class WholeSlot:
    """Whole z (n,) of the cells, and what waits (R, C) at the end of the slot."""

    z: np.ndarray
    waits: np.ndarray


def whole_cells(window: Window, data: WindowData, x: np.ndarray, dual: np.ndarray) -> WholeSlot:
    """Whole requests near an answer of the window's program; x, dual (columns,), (rows,) of it."""
    problem = whole_program(window, data, x, dual)
    relaxed = solve_lp(problem.relaxed(), "simplex").raise_if_interrupted().x
    if relaxed is None:
        raise SolverFailed("a program in which all may wait or expire was not solved")
    nearby = near(problem, relaxed, exchanged(data))
    limits = Limits(gap=NEAR, work=NODES)
    found = solve_milp(nearby, limits, heuristics="near").raise_if_interrupted().x
    if found is None:  # its root alone may find nothing
        found = solve_milp(problem, Limits(gap=NEAR, work=MORE_NODES)).raise_if_interrupted().x
    if found is None:
        raise SolverFailed("no whole requests of a slot were found: all may wait or expire")
    first = 2 * len(window.z)
    waits = found[first : first + 2 * window.q.size].reshape(2, *window.q.shape).sum(axis=0)
    return WholeSlot(np.rint(found[: len(window.z)]), waits)


def whole_program(window: Window, data: WindowData, x: np.ndarray, dual: np.ndarray) -> Problem:
    """Columns z, hot, q, more, expired, f, over, under, reused; see the module."""
    state, system = data.state, data.instance.system
    arrivals = data.instance.arrivals[state.slot]
    ages = np.arange(1, state.waiting.shape[2] + 1)
    waiting = state.waiting.sum(axis=2)
    due = np.where(ages >= system.deadline_slots[:, None], state.waiting, 0).sum(axis=2)
    sent = np.zeros(window.q.shape)
    np.add.at(sent, data.router.cells[data.pairs][:, 1], x[window.x])
    hot_later = _hot_later(window, data, x)
    matrix = _matrix(data, window.q.shape, hot_later)
    facets = data.servers[0].rows.most
    none = np.zeros(len(window.z) + len(hot_later.most))
    above = np.concatenate([facets, none, (waiting - due).ravel()])
    equal = np.concatenate([waiting.ravel(), arrivals.sum(axis=0), sent.sum(axis=1)])
    size = matrix.shape[1]
    return Problem(
        matrix=matrix,
        row_lower=np.append(np.full(len(above), -np.inf), equal),
        row_upper=np.append(above, equal),
        col_lower=np.zeros(size),
        col_upper=np.append(_most(window, data, x, due), hot_later.most),
        cost=np.append(_cost(window, data, later_usd(window, dual)), -hot_later.saved_usd),
        integrality=np.arange(size) < len(window.z),
    )


def exchanged(data: WindowData) -> np.ndarray:
    """(n,) how many requests of each column take the time of the largest one of their cell."""
    cells, pools = data.servers[0].cells, data.pools
    work_ms = data.instance.system.server_ms[pools.type[cells.pool], cells.kind]
    largest = np.zeros(len(cells.cell))
    np.maximum.at(largest, cells.column[:, 0], work_ms)
    return np.ceil(largest[cells.column[:, 0]] / work_ms)


def near(problem: Problem, x: np.ndarray, reach: np.ndarray) -> Problem:
    """The program with its integers at most ``reach`` (n,) beyond the whole numbers around x."""
    low, high = problem.col_lower.copy(), problem.col_upper.copy()
    z = x[: len(reach)]
    low[: len(z)] = np.maximum(low[: len(z)], np.floor(z + WHOLE) - reach)
    high[: len(z)] = np.minimum(high[: len(z)], np.ceil(z - WHOLE) + reach)
    return dataclasses.replace(problem, col_lower=low, col_upper=high)


@dataclass(frozen=True, eq=False)
class _HotLater:
    """Columns reused: pools and classes that this slot and the next one process.

    of_z        (columns, n) what one more of this slot's z lets be hot
    most        (columns,) what the linear program processes in the next slot
    saved_usd   (columns,)
    """

    of_z: sparse.csr_array
    most: np.ndarray
    saved_usd: np.ndarray


def _hot_later(window: Window, data: WindowData, x: np.ndarray) -> _HotLater:
    classes = window.q.shape[1]
    number = [each.cells.pool * classes + each.cells.kind for each in data.servers[:2]]
    then = number[1] if len(number) > 1 else np.zeros(0, np.int64)
    both = np.intersect1d(number[0], then)
    here, there = np.isin(number[0], both), np.isin(then, both)
    most = np.zeros(len(both))
    processed = np.maximum(x[window.later[there]], 0.0)  # a solver may fall a little below
    np.add.at(most, np.searchsorted(both, then[there]), processed)
    own = np.flatnonzero(here)
    share = np.full(len(own), data.instance.system.hot_permille / 1000)
    entries = share, (np.searchsorted(both, number[0][own]), own)
    of_z = sparse.csr_array(entries, shape=(len(both), len(window.z)))
    return _HotLater(of_z, most, data.pools.saved_usd[both // classes, both % classes])


def _matrix(data: WindowData, shape: tuple[int, ...], hot_later: _HotLater) -> sparse.csr_array:
    """The rows of the module in their order; q and f have ``shape`` (R, C)."""
    servers, (regions, classes) = data.servers[0], shape
    width = regions * classes
    each, mine = sparse.eye_array(width), sparse.eye_array(len(servers.usd))
    place = adding_up(np.repeat(np.arange(regions), classes), regions)
    apart = sparse.eye_array(regions)
    of_class = adding_up(np.tile(np.arange(classes), regions), classes)
    at = adding_up(servers.region * classes + servers.cells.kind, width)
    reused = sparse.eye_array(len(hot_later.most))
    blocks = [
        [servers.rows.hull, None, None, None, None, None, None, None, None],
        [-mine, mine, None, None, None, None, None, None, None],
        [-hot_later.of_z, None, None, None, None, None, None, None, reused],
        [None, None, each, each, None, -each, None, None, None],
        [at, None, each, each, each, -each, None, None, None],
        [None, None, None, None, None, of_class, None, None, None],
        [None, None, None, None, None, place, -apart, apart, None],
    ]
    return sparse.csr_array(sparse.block_array(blocks))


def _most(window: Window, data: WindowData, x: np.ndarray, due: np.ndarray) -> np.ndarray:
    """(columns,) upper bounds; ``due`` (R, C) of what waits expires if it is not served."""
    state, instance = data.state, data.instance
    system, arrivals = instance.system, instance.arrivals[state.slot]
    kind = data.servers[0].cells.kind
    stays = (system.deadline_slots > 0) & (state.slot < instance.slots - 1)
    there = state.waiting.sum(axis=(0, 2)) + arrivals.sum(axis=0)  # HiGHS needs bounds
    all_of = np.broadcast_to(there, due.shape)
    parts = [
        there[kind],
        np.minimum(data.hot, there[kind]),
        np.where(stays, np.maximum(np.ceil(x[window.q] - WHOLE), 0.0), 0.0),
        np.where(stays, all_of, 0.0),
        np.where(stays, due, all_of),
        system.allowed.T.astype(np.int64) @ arrivals,
        np.full(2 * len(due), there.sum()),
    ]
    return np.concatenate([np.ravel(part) for part in parts]).astype(float)


def _cost(window: Window, data: WindowData, later: np.ndarray) -> np.ndarray:
    """(columns,) dollars, with what each costs ``later``."""
    servers, shape = data.servers[0], window.q.shape
    wait_usd = window.problem.cost[window.q]
    expiry_usd = np.broadcast_to(data.instance.system.weights.expiry_usd, shape)
    parts = [
        servers.usd + later[window.z],
        -servers.saved_usd,
        wait_usd + later[window.q],
        np.maximum(wait_usd + later[window.q], wait_usd + expiry_usd),
        expiry_usd,
        np.zeros(shape),
        np.full(2 * shape[0], max(data.router.reroute_usd, MOVE)),
    ]
    return np.concatenate([np.ravel(part) for part in parts])


def later_usd(window: Window, dual: np.ndarray) -> np.ndarray:
    """(columns,) dollars that each column costs in the slots after the first, at their duals.

    What hot requests of the next slot save is left out.
    """
    later = np.where(np.arange(len(dual)) < window.rows, 0.0, dual)
    later[window.reuse] = 0.0
    usd: np.ndarray = -(window.problem.matrix.T @ later)
    return usd

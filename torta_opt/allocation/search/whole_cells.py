"""Whole requests of one slot: an integer program near the answer of a window's linear program.

It has the columns of the window's first slot (``request_window.py``) but x, whose sums over origins
are columns f[j,c] of their own, and z[n] are integers:

    minimise    cost of z, hot, q, more and expired, in this slot and later, + κ·Σ_j (over + under)
    subject to  (hull), (hot_served)
                q[j,c] + more[j,c] + expired[j,c] + Σ z − f[j,c] = W[j,c]       Σ_j f[j,c] = D[c]
                q[j,c] + more[j,c] − f[j,c] ≤ W[j,c] not due        expired[j,c] ≤ W[j,c] due
                q[j,c] ≤ what waits in the linear program, rounded up
                Σ_c f[j,c] − over[j] + under[j] = what the linear program sends to j

What a column costs later is what the duals of the window's later slots say. ``more`` waits beyond
what the linear program has room for later, and is charged as if it expired. κ is for requests that
are re-routed if a region gets more or less in all. Within the facets of a cell, whole amounts of up
to two classes can be divided among its servers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.search.request_window import Window, WindowData
from torta_opt.allocation.search.server_cells import adding_up
from torta_opt.solvers import Limits, Problem, SolverFailed, solve_milp

NODES = 10  # nodes of branch and bound for one slot: a limit that depends on no machine
NEAR = 5e-4  # relative gap at which it stops
MOVE = 1e-7  # dollars; a region that gets more or less than planned costs something in any case


@dataclass(frozen=True, eq=False)
class WholeSlot:
    """Whole z (n,) of the cells, and what waits (R, C) at the end of the slot."""

    z: np.ndarray
    waits: np.ndarray


def whole_cells(window: Window, data: WindowData, x: np.ndarray, dual: np.ndarray) -> WholeSlot:
    """Whole requests near an answer of the window's program; x, dual (columns,), (rows,) of it."""
    problem = whole_program(window, data, x, dual)
    found = solve_milp(problem, Limits(gap=NEAR, work=NODES)).raise_if_interrupted().x
    if found is None:
        raise SolverFailed("no whole requests of a slot were found: all may wait or expire")
    first = 2 * len(window.z)
    waits = found[first : first + 2 * window.q.size].reshape(2, *window.q.shape).sum(axis=0)
    return WholeSlot(np.rint(found[: len(window.z)]), waits)


def whole_program(window: Window, data: WindowData, x: np.ndarray, dual: np.ndarray) -> Problem:
    """Columns z, hot, q, more, expired, f, over, under; see the module."""
    state, servers, instance = data.state, data.servers[0], data.instance
    shape, system = window.q.shape, instance.system
    (regions, classes), width, count = shape, window.q.size, len(window.z)
    sent = np.zeros(shape)
    np.add.at(sent, data.router.cells[data.pairs][:, 1], x[window.x])
    ages = np.arange(1, state.waiting.shape[2] + 1)
    is_due = ages >= system.deadline_slots[:, None]
    is_last = state.slot == instance.slots - 1
    waiting = state.waiting.sum(axis=2)
    due = np.where(is_due, state.waiting, 0).sum(axis=2)
    stays = (system.deadline_slots > 0) & ~is_last
    later = later_usd(window, dual)
    arrivals = instance.arrivals[state.slot]
    reach = system.allowed.T.astype(np.int64) @ arrivals
    each, mine = sparse.eye_array(width), sparse.eye_array(count)
    place = adding_up(np.repeat(np.arange(regions), classes), regions)
    apart = sparse.eye_array(regions)
    of_class = adding_up(np.tile(np.arange(classes), regions), classes)
    at = adding_up(servers.region * classes + servers.cells.kind, width)
    blocks = [
        [servers.rows.hull, None, None, None, None, None, None, None],
        [-mine, mine, None, None, None, None, None, None],
        [None, None, each, each, None, -each, None, None],
        [at, None, each, each, each, -each, None, None],
        [None, None, None, None, None, of_class, None, None],
        [None, None, None, None, None, place, -apart, apart],
    ]
    above = np.concatenate([servers.rows.most, np.zeros(count), (waiting - due).ravel()])
    equal = np.concatenate([waiting.ravel(), arrivals.sum(axis=0), sent.sum(axis=1)])
    there = waiting.sum(axis=0) + arrivals.sum(axis=0)  # no column is larger: HiGHS needs bounds
    all_of = np.broadcast_to(there, shape)
    waits_most = np.where(stays, np.ceil(x[window.q] - 1e-6), 0.0)
    more_most = np.where(stays, all_of, 0.0)
    expire_most = np.where(stays, due, all_of)
    move_usd = np.full(2 * regions, max(data.router.reroute_usd, MOVE))
    waits_usd = window.problem.cost[window.q] + later[window.q]
    expiry_usd = np.broadcast_to(system.weights.expiry_usd, shape)
    cost = [
        servers.usd + later[window.z],
        -servers.saved_usd,
        waits_usd.ravel(),
        np.maximum(waits_usd, window.problem.cost[window.q] + expiry_usd).ravel(),
        expiry_usd.ravel(),
        np.zeros(width),
        move_usd,
    ]
    apart_most = np.full(2 * regions, float(there.sum()))
    most = [
        there[servers.cells.kind],
        np.minimum(data.hot, there[servers.cells.kind]),
        waits_most,
        more_most,
        expire_most,
        reach,
        apart_most,
    ]
    size = 2 * count + 4 * width + 2 * regions
    return Problem(
        matrix=sparse.csr_array(sparse.block_array(blocks)),
        row_lower=np.append(np.full(len(above), -np.inf), equal),
        row_upper=np.append(above, equal),
        col_lower=np.zeros(size),
        col_upper=np.concatenate([np.ravel(part) for part in most]).astype(float),
        cost=np.concatenate(cost),
        integrality=np.arange(size) < count,
    )


def later_usd(window: Window, dual: np.ndarray) -> np.ndarray:
    """(columns,) dollars that each column costs in the slots after the first, at their duals."""
    later = np.where(np.arange(len(dual)) < window.rows, 0.0, dual)
    usd: np.ndarray = -(window.problem.matrix.T @ later)
    return usd

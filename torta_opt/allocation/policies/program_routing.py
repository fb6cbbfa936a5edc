"""``micro=routed``: routing of a slot chosen together with what the servers of all regions process.

The assignment programs of all regions (``program_dispatch``), counted, become one linear program in
which requests choose their region:

    x[t,i,j,c] ≥ 0    requests of class c sent from i to j, this slot's and the forecast
    moved[i,j] ≥ 0    share of the origin's requests that goes to j now and did not before
    minimise          Σ (v·L + g)·x + Σ κ·min(D, D′)·moved + cost of the assignment program
    subject to        Σ_j x[t,i,j,c] = D[t,i,c]                                  (route)
                      Σ_c x[0,i,j,c]/D[i] − moved[i,j] ≤ A′[i,j]                 (moved)
                      the rows of the assignment program, Σ_i x in (queue)

D′ and A′ are requests and shares of the slot before. Sums of shares are 1, so half of the absolute
changes is the sum of the increases. Requests that no loaded server can take go where the policy
sends them. The optimum is rounded class by class: inflows by largest remainder, then requests that
rounding down left over to the cheapest region that lacks some.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.assignment.counted import counted
from torta_opt.allocation.formulations.assignment import build_assignment_program
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.program_dispatch import Slot, Task, task_of
from torta_opt.allocation.policies.routing import apportion, send_cheapest
from torta_opt.solvers import Limits, Problem, solve_lp


def program_routing(
    tables: Tables, slot: Slot, look_ahead: int, seconds: float = np.inf
) -> np.ndarray:
    """(R, R, C) requests of this slot by origin, region and class; ``slot.routing`` where the
    program has nothing to say or a limit came first."""
    arrivals = slot.observation.arrivals
    demand = np.concatenate([arrivals[None], np.repeat(slot.expected[None], look_ahead, axis=0)])
    demand = demand.astype(float)
    able = tables.system.allowed[:, :, None] & (demand.sum(axis=0) > 0)[:, None, :]
    task = task_of(tables, slot, np.einsum("tic,ij->tjc", demand, tables.system.allowed * 1.0))
    if task is None:
        return slot.routing
    columns = _Columns(tables, task, demand, able)
    problem = _problem(tables, slot, task, columns, demand)
    result = solve_lp(problem, "simplex", Limits(seconds=seconds)).raise_if_interrupted()
    if result.x is None:
        return slot.routing
    x = np.zeros(slot.routing.shape)
    first = columns.slot == 0
    x[columns.origin[first], columns.region[first], columns.kind[first]] = result.x[
        columns.begin : columns.begin + len(first)
    ][first]
    return _whole(tables, slot, x, columns)


class _Columns:
    """x of the program: slot, origin, region, class and group of each, (n,), behind the columns of
    the assignment program."""

    def __init__(self, tables: Tables, task: Task, demand: np.ndarray, able: np.ndarray):
        regions, _, classes = tables.sizes
        group = np.full((regions, classes), -1)
        group[task.region, task.kind] = np.arange(len(task.region))
        there = able & (group >= 0)
        mask = there[None] & (demand > 0)[:, :, None, :]
        self.slot, self.origin, self.region, self.kind = np.nonzero(mask)
        self.group = group[self.region, self.kind]
        self.routed = there.any(axis=1)  # (R, C) origins and classes that the program routes
        self.begin = 0


def _problem(
    tables: Tables, slot: Slot, task: Task, columns: _Columns, demand: np.ndarray
) -> Problem:
    merged, _ = counted(task.data)
    program = build_assignment_program(merged)
    inner, queue = program.problem, program.rows["queue"]
    system, weights = tables.system, tables.system.weights
    columns.begin, size = inner.columns, len(columns.slot)
    number = columns.begin + np.arange(size)
    usd = weights.time_usd_per_s * system.latency_s[columns.origin, columns.region]
    usd = usd + weights.transfer_factor * system.transfer_usd[
        columns.origin, columns.region, columns.kind
    ]
    # (route): one row for each slot, origin and class that has columns
    keys = np.stack([columns.slot, columns.origin, columns.kind], axis=1)
    cells, row = np.unique(keys, axis=0, return_inverse=True)
    row = row.reshape(-1)
    routed = demand[cells[:, 0], cells[:, 1], cells[:, 2]]
    # (moved)
    before = slot.observation.state.routing.astype(float)
    now, last = demand[0].sum(axis=1), before.sum(axis=1)
    pairs = np.argwhere(system.allowed & ((now > 0) & (last > 0))[:, None])
    pair = np.full(system.allowed.shape, -1)
    pair[pairs[:, 0], pairs[:, 1]] = np.arange(len(pairs))
    first = (columns.slot == 0) & (pair[columns.origin, columns.region] >= 0)
    base = inner.rows + len(cells)
    moved = columns.begin + size + np.arange(len(pairs))
    kappa = weights.reroute_usd * np.minimum(now, last)[pairs[:, 0]]
    entries = inner.matrix.tocoo()
    rows = [entries.row, queue.number[columns.slot, columns.group], inner.rows + row]
    rows += [base + pair[columns.origin, columns.region][first], base + np.arange(len(pairs))]
    cols = [entries.col, number, number, number[first], moved]
    origin = columns.origin[first]
    data = [entries.data, np.full(size, -1.0), np.ones(size), 1 / now[origin]]
    data += [np.full(len(pairs), -1.0)]
    total = columns.begin + size + len(pairs)
    matrix = sparse.csr_array(
        (np.concatenate(data), (np.concatenate(rows), np.concatenate(cols))),
        shape=(base + len(pairs), total),
    )
    side = np.zeros(len(queue))  # (queue): what comes is x; in slot 0 there is what waits too
    at = np.argwhere(queue.mask)
    side[at[:, 0] == 0] = merged.waiting.sum(axis=1)[at[at[:, 0] == 0, 1]]
    lower, upper = inner.row_lower.copy(), inner.row_upper.copy()
    lower[queue.numbers] = upper[queue.numbers] = side
    share = before[pairs[:, 0], pairs[:, 1]] / last[pairs[:, 0]]
    return Problem(
        matrix=matrix,
        row_lower=np.concatenate([lower, routed, np.full(len(pairs), -np.inf)]),
        row_upper=np.concatenate([upper, routed, share]),
        col_lower=np.zeros(total),
        col_upper=np.concatenate([inner.col_upper, np.full(size + len(pairs), np.inf)]),
        cost=np.concatenate([inner.cost, usd, kappa]),
    )


def _whole(tables: Tables, slot: Slot, x: np.ndarray, columns: _Columns) -> np.ndarray:
    """(R, R, C) whole requests near x (R, R, C)."""
    arrivals, system = slot.observation.arrivals, tables.system
    weights = system.weights
    network = np.where(system.allowed, weights.time_usd_per_s * system.latency_s, np.inf)
    routing = slot.routing.copy()
    for c in range(len(system.classes)):
        routed = columns.routed[:, c] & (arrivals[:, c] > 0)
        if not routed.any():
            continue
        requests = np.where(routed, arrivals[:, c], 0)
        sent = np.where(routed[:, None], x[:, :, c], 0)
        inflow = apportion(np.array([requests.sum()]), (sent.sum(axis=0) / sent.sum())[None])[0]
        flow = np.floor(sent + 1e-6).astype(np.int64)
        wants = np.maximum(inflow - flow.sum(axis=0), 0)
        usd = network + weights.transfer_factor * system.transfer_usd[:, :, c] - 1e3 * (sent - flow)
        left = requests - flow.sum(axis=1)
        flow += send_cheapest(left, wants, usd)
        left = requests - flow.sum(axis=1)
        if left.any():
            share = np.where(sent.sum(axis=1, keepdims=True) > 0, sent, 1.0 * system.allowed)
            flow += apportion(left, share / share.sum(axis=1, keepdims=True))
        routing[routed, :, c] = flow[routed]
    return routing



def clipped(tables: Tables, slot: Slot, routing: np.ndarray) -> np.ndarray:
    """(S, C) the greedy processing of the policy's own routing, less what another ``routing``
    leaves without requests: the last servers of each region lose them first."""
    region, state = tables.system.server_region, slot.observation.state
    come = routing.sum(axis=0) + state.waiting.sum(axis=2)
    kept = np.zeros_like(slot.greedy)
    for j in range(len(come)):
        here = region == j
        before = slot.greedy[here].cumsum(axis=0) - slot.greedy[here]
        kept[here] = np.clip(come[j] - before, 0, slot.greedy[here])
    return kept

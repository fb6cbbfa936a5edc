"""``micro=routed``: routing of a slot chosen together with what the servers of all regions process.

The assignment programs of all regions (``program_dispatch``), counted, become one linear program in
which requests choose their region:

    x[t,i,j,c] ≥ 0    requests of class c sent from i to j, this slot's and the forecast
    moved[i,j] ≥ 0    share of the origin's requests that goes to j now and did not before
    minimise          Σ (v·L + g)·x + Σ κ·min(D, D′)·moved + cost of the assignment program
    subject to        Σ_j x[t,i,j,c] = D[t,i,c]                                  (route)
                      Σ_c x[0,i,j,c]/D[i] − moved[i,j] ≤ A′[i,j]                 (moved)
                      the rows of the assignment program, Σ_i x in (queue)

D′ and A′ are requests and shares of the slot before; shares add up to 1, so half of their absolute
changes is the sum of their increases. In later slots origins that may use the same regions are one,
at their mean latency and price. An origin chooses from its ``NEAR`` cheapest regions and those it
sent requests to before. Requests that no loaded server can take go where the policy sends them.

The optimum is rounded (``rounding``, a class being served in any region), which gives every region
seats of a class; requests go to seats, near x, and what finds none to where x sends most.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.assignment.counted import counted
from torta_opt.allocation.assignment.rounding import rounded
from torta_opt.allocation.formulations.assignment import (
    AssignmentProgram,
    build_assignment_program,
)
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.program_dispatch import Slot, Task, program_processing, task_of
from torta_opt.allocation.policies.routing import apportion, send_cheapest
from torta_opt.solvers import Limits, Problem, solve_lp

NEAR = 12  # regions that an origin may choose from, beside those it sent requests to before
WHOLE = 1e-6  # distance from a whole number that is a rounding error


def routed(
    tables: Tables,
    slot: Slot,
    by_rule: Callable[[np.ndarray], np.ndarray],
    look_ahead: int,
    seconds: float = math.inf,
) -> tuple[np.ndarray, np.ndarray]:
    """(R, R, C) requests by origin, region and class, and (S, C) what each server serves; after
    ``seconds`` the best so far.

    by_rule   the processing (S, C) of the policy's own rule, given a routing (R, R, C)
    """
    ends = time.perf_counter() + seconds
    routing, later = program_routing(tables, slot, look_ahead, seconds)
    slot = replace(slot, routing=routing, greedy=by_rule(routing))
    left = max(0.0, ends - time.perf_counter())
    return routing, program_processing(tables, slot, look_ahead, left, later)


def program_routing(
    tables: Tables, slot: Slot, look_ahead: int, seconds: float = math.inf
) -> tuple[np.ndarray, np.ndarray | None]:
    """(R, R, C) requests of this slot by origin, region and class, and (look_ahead, R, C) requests
    that come to the regions after it. ``slot.routing`` and None where the program has nothing to
    say or a limit came first."""
    allowed, arrivals = tables.system.allowed, slot.observation.arrivals
    if not arrivals.any():
        return slot.routing, None
    most = np.einsum("ic,ij->jc", arrivals, allowed)
    later = np.einsum("ic,ij->jc", slot.expected, allowed)
    inflow = np.concatenate([most[None], np.repeat(later[None], look_ahead, axis=0)])
    task = task_of(tables, slot, inflow.astype(float))
    if task is None:
        return slot.routing, None
    columns = _columns(tables, slot, task, look_ahead)
    program = build_assignment_program(counted(task.data)[0])
    problem = _problem(tables, slot, program, columns)
    result = solve_lp(problem, "simplex", Limits(seconds=seconds)).raise_if_interrupted()
    if result.x is None:
        return slot.routing, None
    inner = problem.columns - len(columns.slot) - len(columns.pairs)
    own = np.maximum(result.x[inner : inner + len(columns.slot)], 0.0)
    now = columns.slot == 0
    x, come = np.zeros(slot.routing.shape), np.zeros(inflow.shape)
    x[columns.origin[now], columns.region[now], columns.kind[now]] = own[now]
    np.add.at(come, (columns.slot, columns.region, columns.kind), own)
    seats = np.zeros(inflow.shape[1:], np.int64)
    taken = rounded(program, result.x[:inner], task.kind).sum(axis=0)
    seats[task.region, task.kind] = np.maximum(taken - task.data.waiting.sum(axis=1), 0)
    return _whole(slot, x, seats, columns.routed, allowed), come[1:]


@dataclass(frozen=True, eq=False)
class _Columns:
    """x of the program, (n,): slot, origin (in later slots a group of origins), region and class,
    group of the task, $, and row of (route).

    requests   (rows,) right sides of (route)
    routed     (R, C) origins and classes whose requests of this slot the program routes
    pairs      (P, 2) origins and regions of ``moved``
    """

    slot: np.ndarray
    origin: np.ndarray
    region: np.ndarray
    kind: np.ndarray
    group: np.ndarray
    usd: np.ndarray
    row: np.ndarray
    requests: np.ndarray
    routed: np.ndarray
    pairs: np.ndarray


def _columns(tables: Tables, slot: Slot, task: Task, look_ahead: int) -> _Columns:
    system, weights = tables.system, tables.system.weights
    regions, _, classes = tables.sizes
    group = np.full((regions, classes), -1)
    group[task.region, task.kind] = np.arange(len(task.region))
    usd = weights.time_usd_per_s * np.where(system.allowed, system.latency_s, 0.0)
    usd = usd[:, :, None] + weights.transfer_factor * system.transfer_usd
    there = system.allowed[:, :, None] & (group >= 0)
    arrivals, expected = slot.observation.arrivals, slot.expected
    # origins that may use the same regions
    kinds, kind_of = np.unique(system.allowed, axis=0, return_inverse=True)
    alike = np.zeros((len(kinds), regions))
    alike[kind_of.reshape(-1), np.arange(regions)] = 1.0
    together = alike @ expected
    mean = np.einsum("oi,ic,ijc->ojc", alike, expected, usd)
    mean = mean / np.maximum(together, 1e-9)[:, None, :]
    can = kinds[:, :, None] & (group >= 0)
    before = slot.observation.state.routing
    rank = np.where(there, usd, np.inf).argsort(axis=1, kind="stable").argsort(axis=1)
    near = there & ((rank < NEAR) | (before > 0)[:, :, None])
    now = np.argwhere(near & (arrivals > 0)[:, None, :])
    then = np.argwhere(can & (together > 0)[:, None, :])
    cells = np.concatenate(
        [np.insert(now, 0, 0, axis=1)]
        + [np.insert(then, 0, t, axis=1) for t in range(1, look_ahead + 1)]
    )
    price = [usd[tuple(now.T)]] + look_ahead * [mean[tuple(then.T)]]
    rows, row = np.unique(cells[:, [0, 1, 3]], axis=0, return_inverse=True)
    first = rows[:, 0] == 0
    requests = np.zeros(len(rows))
    requests[first] = arrivals[rows[first, 1], rows[first, 2]]
    requests[~first] = together[rows[~first, 1], rows[~first, 2]]
    both = (arrivals.sum(axis=1) > 0) & (before.sum(axis=1) > 0)
    return _Columns(
        slot=cells[:, 0],
        origin=cells[:, 1],
        region=cells[:, 2],
        kind=cells[:, 3],
        group=group[cells[:, 2], cells[:, 3]],
        usd=np.concatenate(price),
        row=row.reshape(-1),
        requests=requests,
        routed=np.asarray(there.any(axis=1)),
        pairs=np.argwhere(near.any(axis=2) & both[:, None]),
    )


def _problem(tables: Tables, slot: Slot, program: AssignmentProgram, columns: _Columns) -> Problem:
    """The assignment program, then x and moved; below its rows (route) and (moved)."""
    inner, queue, pairs = program.problem, program.rows["queue"], columns.pairs
    size, moves = len(columns.slot), len(pairs)
    x, moved = inner.columns + np.arange(size), inner.columns + size + np.arange(moves)
    below = inner.rows + len(columns.requests)
    before = slot.observation.state.routing
    last, now = before.sum(axis=1)[pairs[:, 0]], slot.observation.arrivals.sum(axis=1)
    pair = np.full(before.shape, -1)
    pair[tuple(pairs.T)] = np.arange(moves)
    first = np.flatnonzero(columns.slot == 0)
    of_pair = pair[columns.origin[first], columns.region[first]]
    first, of_pair = first[of_pair >= 0], of_pair[of_pair >= 0]
    entries = inner.matrix.tocoo()
    parts = (
        (entries.row, entries.col, entries.data),
        (queue.number[columns.slot, columns.group], x, np.full(size, -1.0)),
        (inner.rows + columns.row, x, np.ones(size)),
        (below + of_pair, x[first], 1.0 / now[columns.origin[first]]),
        (below + np.arange(moves), moved, np.full(moves, -1.0)),
    )
    row, column, value = (np.concatenate(each) for each in zip(*parts, strict=True))
    shape = below + moves, inner.columns + size + moves
    lower, upper = inner.row_lower.copy(), inner.row_upper.copy()
    waits = np.zeros(queue.mask.shape)
    waits[0] = program.data.waiting.sum(axis=1)
    lower[queue.numbers] = upper[queue.numbers] = waits[queue.mask]
    kappa = tables.system.weights.reroute_usd * np.minimum(now[pairs[:, 0]], last)
    return Problem(
        matrix=sparse.csr_array((value, (row, column)), shape=shape),
        row_lower=np.concatenate([lower, columns.requests, np.full(moves, -np.inf)]),
        row_upper=np.concatenate([upper, columns.requests, before[tuple(pairs.T)] / last]),
        col_lower=np.zeros(shape[1]),
        col_upper=np.concatenate([inner.col_upper, np.full(size + moves, np.inf)]),
        cost=np.concatenate([inner.cost, columns.usd, kappa]),
    )


def _whole(
    slot: Slot, x: np.ndarray, seats: np.ndarray, routed: np.ndarray, allowed: np.ndarray
) -> np.ndarray:
    """(R, R, C) whole requests near x (R, R, C), as far as they fit first into the ``seats`` (R, C)
    of this slot; those not ``routed`` (R, C) as they were."""
    arrivals = slot.observation.arrivals
    routing = slot.routing.copy()
    for c in range(arrivals.shape[1]):
        origins = np.flatnonzero(routed[:, c] & (arrivals[:, c] > 0))
        if not len(origins):
            continue
        requests, sent, room = arrivals[origins, c], x[origins, :, c], seats[:, c]
        flow = np.floor(sent + WHOLE).astype(np.int64)
        over = np.maximum(flow.sum(axis=0) - room, 0)
        flow -= _last(flow, over)
        fraction = np.where(allowed[origins], -(sent - flow), np.inf)
        flow += send_cheapest(requests - flow.sum(axis=1), room - flow.sum(axis=0), fraction)
        left = requests - flow.sum(axis=1)
        if left.any():
            share = np.maximum(sent - flow, 0) + WHOLE * sent
            flow += apportion(left, share / share.sum(axis=1, keepdims=True))
        routing[origins, :, c] = flow
    return routing


def _last(flow: np.ndarray, over: np.ndarray) -> np.ndarray:
    """(I, R) of ``flow`` the last ``over`` (R,) requests of each region."""
    before = flow[::-1].cumsum(axis=0)[::-1] - flow
    return np.clip(over - before, 0, flow)

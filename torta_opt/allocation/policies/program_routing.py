"""``micro=routed``: routing of a slot chosen together with what the servers of all regions process.

The assignment programs of all regions (``program_dispatch``), counted, become one linear program in
which requests choose their region:

    x[t,i,j,c] ≥ 0    requests of class c sent from i to j, this slot's and the forecast
    0 ≤ stay[i,j] ≤ A′[i,j]·D[i]   requests of this slot that go to j, as far as no more of the
                                   origin's go there than before
    minimise          Σ (v·L + g)·x + Σ κ·min(1, D′/D)·(x − stay) + cost of the assignment program
    subject to        Σ_j x[t,i,j,c] = D[t,i,c]                                  (route)
                      stay[i,j] ≤ Σ_c x[0,i,j,c]                                 (stay)
                      the rows of the assignment program, Σ_i x in (queue)

Σ κ·x is constant by (route), so that it is left out: prices of x then hardly change from slot to
slot, and the basis of the slot before stays nearly optimal (``assignment.kept``).
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

from torta_opt.allocation.assignment.kept import Beside, KeptProgram, Sides, key_of
from torta_opt.allocation.assignment.rounding import rounded
from torta_opt.allocation.formulations.assignment import AssignmentProgram
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.program_dispatch import (
    arrivals_of,
    assigned,
    program_processing,
)
from torta_opt.allocation.policies.routing import apportion, send_cheapest
from torta_opt.allocation.policies.slot_task import SPARE, Slot, SlotPrograms, Task
from torta_opt.solvers import Limits

NEAR = 12  # regions that an origin may choose from, beside those it sent requests to before
X, STAY = 8, 9  # families of columns and rows, beside the eight of the assignment program
WHOLE = 1e-6  # distance from a whole number that is a rounding error


def routed(
    tables: Tables,
    slot: Slot,
    by_rule: Callable[[np.ndarray], np.ndarray],
    look_ahead: int,
    seconds: float = math.inf,
    programs: SlotPrograms | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(R, R, C) requests by origin, region and class, and (S, C) what each server serves; after
    ``seconds`` the best so far.

    by_rule   the processing (S, C) of the policy's own rule, given a routing (R, R, C)
    programs  those of the slots before
    """
    ends, programs = time.perf_counter() + seconds, programs or SlotPrograms()
    task = programs.task(tables, slot, look_ahead)
    if task is None or not slot.observation.arrivals.any():
        slot = replace(slot, greedy=by_rule(slot.routing))
        return slot.routing, program_processing(tables, slot, look_ahead, seconds, programs)
    routing, come = program_routing(tables, slot, task, programs, seconds)
    slot = replace(slot, routing=routing, greedy=by_rule(routing))
    arrivals = arrivals_of(slot, look_ahead + 1)
    if come is not None:
        arrivals[1:] = come
    left = max(0.0, ends - time.perf_counter())
    return routing, assigned(tables, slot, task.with_arrivals(arrivals), programs, left)


def program_routing(
    tables: Tables, slot: Slot, task: Task, programs: SlotPrograms, seconds: float = math.inf
) -> tuple[np.ndarray, np.ndarray | None]:
    """(R, R, C) requests of this slot by origin, region and class, and (look_ahead, R, C) requests
    that come to the regions after it. ``slot.routing`` and None where the program has nothing to
    say or a limit came first."""
    task = task.with_arrivals(most_arrivals(tables, slot, task.data.sizes[0]))
    if not task.active.any():
        return slot.routing, None
    program, choice = numbered(tables, slot, task, programs)
    routes = program.beside
    assert isinstance(routes, Routes)
    x = program.solve(Limits(seconds=seconds))
    if x is None:
        return slot.routing, None
    inner = program.program.problem.columns
    own = np.maximum(x[inner : inner + len(routes.cell)], 0.0)
    t, origin, region, kind = routes.cell.T
    now = t == 0
    sent = np.zeros(slot.routing.shape)
    come = np.zeros((task.data.sizes[0], *slot.expected.shape))
    sent[origin[now], region[now], kind[now]] = own[now]
    np.add.at(come, (t, region, kind), own)
    seats = np.zeros(slot.expected.shape, np.int64)
    taken = rounded(program.program, x[:inner], task.kind).sum(axis=0)
    seats[task.region, task.kind] = np.maximum(taken - task.data.waiting.sum(axis=1), 0)
    has_choice = np.asarray(choice.now.any(axis=1))
    routing = _whole(slot, sent, seats, has_choice, tables.system.allowed)
    return routing, come[1:]


def numbered(
    tables: Tables, slot: Slot, task: Task, programs: SlotPrograms
) -> tuple[KeptProgram, Choice]:
    """The program of a slot with its numbers, and where requests may go in it."""
    choice = Choice.of(tables, slot, task)
    program = programs.program(
        tables, task, lambda program, *there: choice.routes(program, task, *there)
    )
    assert isinstance(program.beside, Routes)
    waits = np.zeros(task.data.arrivals.shape)
    waits[0] = task.data.waiting.sum(axis=1)
    program.change(task.merged, choice.sides(program.beside), waits)
    return program, choice


def most_arrivals(tables: Tables, slot: Slot, slots: int) -> np.ndarray:
    """(H, R, C) requests that can come to each region at most."""
    allowed = tables.system.allowed
    most = np.einsum("ic,ij->jc", slot.observation.arrivals, allowed).astype(float)
    later = np.einsum("ic,ij->jc", slot.expected, allowed)
    return np.concatenate([most[None], np.repeat(later[None], slots - 1, axis=0)])


@dataclass(frozen=True, eq=False)
class Routes(Beside):
    """x and stay beside an assignment program, and their rows.

    cell   (n, 4) slot, origin (in later slots a group of origins), region and class of x
    row    (m, 3) slot, origin and class of (route)
    row_of (n,) row of (route) of x
    pair   (P, 2) origins and regions of stay
    """

    cell: np.ndarray
    row: np.ndarray
    row_of: np.ndarray
    pair: np.ndarray

    @classmethod
    def of(cls, cell: np.ndarray, queue: np.ndarray, classes: int) -> Routes:
        """
        queue   (n,) row (queue) that each x brings requests to
        """
        row, row_of = np.unique(cell[:, [0, 1, 3]], axis=0, return_inverse=True)
        row_of, first = row_of.reshape(-1), np.flatnonzero(cell[:, 0] == 0)
        pair, pair_of = np.unique(cell[first, 1:3], axis=0, return_inverse=True)
        size, moves, rows = len(cell), len(pair), len(row)
        below, stay = rows + pair_of.reshape(-1), size + np.arange(moves)
        parts = (
            (row_of, np.arange(size), np.ones(size)),
            (below, first, np.full(len(first), -1.0)),
            (rows + np.arange(moves), stay, np.ones(moves)),
        )
        at, column, value = (np.concatenate(each) for each in zip(*parts, strict=True))
        t, origin, region, kind = cell.T
        pairs = key_of(STAY, [], [pair[:, 0], pair[:, 1]])
        return cls(
            queue=np.concatenate([queue, np.full(moves, -1)]),
            matrix=sparse.csr_array((value, (at, column)), shape=(rows + moves, size + moves)),
            keys=(
                np.concatenate([key_of(X, [t], [origin, region * classes + kind]), pairs]),
                np.concatenate([key_of(X, [row[:, 0]], [row[:, 1], row[:, 2]]), pairs]),
            ),
            cell=cell,
            row=row,
            row_of=row_of,
            pair=pair,
        )


@dataclass(frozen=True, eq=False)
class Choice:
    """Where the requests of a slot may go, and at what price.

    group   (R, C) group of the task; −1: none
    allowed (O, R) bool: regions that a group of origins may use; origins that may use the same
            regions are one
    now     (R, R, C) bool: regions near an origin, or that it sent requests to before, if the task
            has requests for them
    then    (O, R, C) bool: regions of ``allowed`` for which the task has requests
    usd     (R, R, C), mean (O, R, C) $ of a request in this slot and in later ones
    arrivals (R, C), expected (O, C)  requests
    kappa   (R,) $ for a request of an origin that is re-routed
    share   (R, R) share of an origin's requests that went to a region in the slot before, A′
    """

    group: np.ndarray
    allowed: np.ndarray
    now: np.ndarray
    then: np.ndarray
    usd: np.ndarray
    mean: np.ndarray
    arrivals: np.ndarray
    expected: np.ndarray
    kappa: np.ndarray
    share: np.ndarray

    @classmethod
    def of(cls, tables: Tables, slot: Slot, task: Task) -> Choice:
        system, weights = tables.system, tables.system.weights
        regions, _, classes = tables.sizes
        group = np.full((regions, classes), -1)
        group[task.region, task.kind] = np.where(task.active, np.arange(len(task.region)), -1)
        usd = weights.time_usd_per_s * np.where(system.allowed, system.latency_s, 0.0)
        usd = usd[:, :, None] + weights.transfer_factor * system.transfer_usd
        arrivals, expected = slot.observation.arrivals, slot.expected
        kinds, kind_of = np.unique(system.allowed, axis=0, return_inverse=True)
        alike = np.zeros((len(kinds), regions))
        alike[kind_of.reshape(-1), np.arange(regions)] = 1.0
        together = alike @ expected
        mean = np.einsum("oi,ic,ijc->ojc", alike, expected, usd)
        there = system.allowed[:, :, None] & (group >= 0)
        before = slot.observation.state.routing
        rank = np.where(there, usd, np.inf).argsort(axis=1, kind="stable").argsort(axis=1)
        last, now = before.sum(axis=1), arrivals.sum(axis=1)
        return cls(
            group=group,
            allowed=kinds,
            now=there & ((rank < NEAR) | (before > 0)[:, :, None]),
            then=kinds[:, :, None] & (group >= 0),
            usd=usd,
            mean=mean / np.maximum(together, 1e-9)[:, None, :],
            arrivals=arrivals,
            expected=together,
            kappa=weights.reroute_usd * np.minimum(now, last) / np.maximum(now, 1),
            share=before / np.maximum(last, 1)[:, None],
        )

    def routes(
        self, program: AssignmentProgram, task: Task, there: Beside | None, same: bool
    ) -> Routes:
        """Columns and rows beside the program.

        there, same   those beside the program before, and whether it is this one; they stay if they
                      suffice, else those that are not needed now stay while they are few
        """
        slots, _, groups = task.data.sizes
        group = np.full(self.group.shape, -1)
        group[task.region, task.kind] = np.arange(groups)
        now = self.now
        if isinstance(there, Routes):
            held = np.zeros(self.now.shape, bool)
            held[tuple(there.cell[there.cell[:, 0] == 0, 1:].T)] = True
            if same and not (now & ~held).any():
                return there
            joined = now | held & (group >= 0)
            now = joined if joined.sum() <= SPARE * now.sum() else now
        then = np.argwhere(self.allowed[:, :, None] & (group >= 0))
        cell = np.concatenate(
            [np.insert(np.argwhere(now), 0, 0, axis=1)]
            + [np.insert(then, 0, t, axis=1) for t in range(1, slots)]
        )
        queue = program.rows["queue"].number[cell[:, 0], group[cell[:, 2], cell[:, 3]]]
        return Routes.of(cell, queue, self.group.shape[1])

    @property
    def rerouted_usd(self) -> float:
        """$ of re-routing all requests of this slot that the program routes."""
        routed = np.where(self.now.any(axis=1), self.arrivals, 0)
        return float(self.kappa @ routed.sum(axis=1))

    def sides(self, routes: Routes) -> Sides:
        """Prices, bounds and sides of ``routes``."""
        cells, first = routes.cell, routes.cell[:, 0] == 0
        now, then = tuple(cells[first, 1:].T), tuple(cells[~first, 1:].T)
        cost, is_open = np.zeros(len(cells)), np.zeros(len(cells), bool)
        cost[first], cost[~first] = self.usd[now], self.mean[then]
        is_open[first], is_open[~first] = self.now[now], self.then[then]
        row, early = routes.row, routes.row[:, 0] == 0
        requests = np.zeros(len(row))
        requests[early] = self.arrivals[tuple(row[early, 1:].T)]
        requests[~early] = self.expected[tuple(row[~early, 1:].T)]
        open_rows = np.zeros(len(row), bool)
        open_rows[routes.row_of[is_open]] = True
        requests = np.where(open_rows, requests, 0)
        origin, moves = routes.pair[:, 0], len(routes.pair)
        stay = self.share[tuple(routes.pair.T)] * self.arrivals.sum(axis=1)[origin]
        return Sides(
            cost=np.concatenate([cost, -self.kappa[origin]]),
            upper=np.concatenate([np.where(is_open, np.inf, 0), stay]),
            row_lower=np.concatenate([requests, np.full(moves, -np.inf)]),
            row_upper=np.concatenate([requests, np.zeros(moves)]),
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

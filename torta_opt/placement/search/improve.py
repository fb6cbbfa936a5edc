"""Better placements by small moves.

Once a placement is fixed, routes are a small program: requests of a client flow along the links of
the placement, and caches on a server fit beside its blocks.

Variables   Y[c,i,j] ∈ ℤ₊  requests of c that go from server i to j · O[j] ≥ 0 caches without room
minimise    Σ (visit_cj + block_j k_ij) Y[c,i,j] + fine Σ O[j]
subject to  what enters a server leaves it, R_c end at servers with the last block   (flow)
            Σ k_ij Y[c,i,j] ≤ ⌊(M_j − s_m m_j)/s_c⌋ + O[j]                           (memory)

Its linear relaxation scores a placement, with a fine for caches that find no room, so that a search
may pass through placements that do not fit. Moves are of one server: next to where another one
ends, one block longer or shorter, along by one block, or away. The best move of each server in
turn is taken until none helps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sparse

from torta_opt.placement.instance.data import NO_SERVER, PlacementInstance
from torta_opt.placement.schedule.chains import Chains, chains_of
from torta_opt.placement.schedule.data import Placement, PlacementSchedule, Route
from torta_opt.placement.schedule.performance import Prices, cache_slots
from torta_opt.solvers import Limits, Problem, Status, solve_lp, solve_milp

Span = tuple[int, int]  # first block, end


class Improver:
    """Moves from a placement to better ones; ``scores`` counts the programs solved."""

    def __init__(self, instance: PlacementInstance, paid: Prices) -> None:
        self.instance, self.paid = instance, paid
        demand = instance.clients.requests
        self.clients = np.flatnonzero(demand).tolist()
        self.fine = float(paid.visit.max(initial=0.0) + paid.block.max(initial=0.0))
        need = instance.llm.block_bytes + instance.requests * instance.cache_bytes
        everyone = instance.servers.memory_bytes // need
        self.roomy = np.minimum(everyone, instance.use_limit)
        self.scores = 0
        self._known: dict[tuple[bytes, bytes], float] = {}

    def score(self, placement: Placement) -> float:
        """The relaxed program's value, ms; infinite where blocks are uncovered."""
        key = placement.first.tobytes(), placement.count.tobytes()
        if key not in self._known:
            self._known[key] = self._solved(placement)
        return self._known[key]

    def improve(
        self, placement: Placement, most_scores: int, stop: Callable[[], bool] = lambda: False
    ) -> Placement:
        """The placement that no move betters, or the best one when scores or time are used up."""
        end_at = self.scores + most_scores
        value = self.score(placement)
        settled = False
        while not settled:
            settled = True
            for j in range(len(self.instance.servers)):
                best, chosen = value * (1 - 1e-9), None
                for span in self._moves(placement, j):
                    if self.scores >= end_at or stop():
                        return placement
                    moved = _moved(placement, j, span)
                    if (found := self.score(moved)) < best:
                        best, chosen = found, moved
                if chosen is not None:
                    placement, value, settled = chosen, best, False
        return placement

    def schedule(self, placement: Placement, limits: Limits) -> PlacementSchedule | None:
        """The placement with the best routes that fit; None if there are none."""
        chains = chains_of(placement, self.instance.llm.blocks)
        problem = self._program(placement, chains, lacking=0.0)
        if problem is None:
            return None
        found = solve_milp(problem, limits)
        if found.status == Status.INTERRUPTED:
            raise KeyboardInterrupt
        if found.x is None:
            return None
        return _schedule(self.instance, placement, chains, self.clients, np.round(found.x))

    def _solved(self, placement: Placement) -> float:
        self.scores += 1
        problem = self._program(placement, chains_of(placement, self.instance.llm.blocks))
        if problem is None:
            return math.inf
        found = solve_lp(problem, method="simplex")
        if found.status == Status.INTERRUPTED:
            raise KeyboardInterrupt
        return math.inf if found.x is None else float(found.objective)

    def _program(
        self, placement: Placement, chains: Chains, lacking: float = math.inf
    ) -> Problem | None:
        """``lacking`` caches may find no room; None where no way begins or none ends."""
        servers, links = len(self.instance.servers), len(chains.head)
        if not any(chains.is_last) or not (chains.tail == NO_SERVER).any():
            return None
        is_last = np.array(chains.is_last)
        inner = chains.tail != NO_SERVER
        columns = np.arange(links)
        leaves = sparse.csr_array(
            (np.ones(inner.sum()), (chains.tail[inner], columns[inner])), shape=(servers, links)
        )
        enters = sparse.csr_array((np.ones(links), (chains.head, columns)), shape=(servers, links))
        flow = (enters - leaves)[~is_last]
        ends = is_last[chains.head].astype(float)[None, :]
        one = sparse.vstack([flow, sparse.csr_array(ends)])
        loads = sparse.csr_array(
            (chains.blocks.astype(float), (chains.head, columns)), shape=(servers, links)
        )
        count = len(self.clients)
        flows = sparse.block_diag([one] * count)
        no_caches = sparse.csr_array((flows.shape[0], servers))
        memory = sparse.hstack([*[loads] * count, -sparse.eye_array(servers)])
        matrix = sparse.vstack([sparse.hstack([flows, no_caches]), memory])
        demand = self.instance.clients.requests[self.clients].astype(float)
        balance = np.zeros((count, one.shape[0]))
        balance[:, -1] = demand
        room = cache_slots(self.instance, placement).astype(float)
        cost = [chains.prices_of(self.paid.visit[c], self.paid.block) for c in self.clients]
        return Problem(
            matrix=sparse.csr_array(matrix),
            row_lower=np.concatenate([balance.ravel(), np.full(servers, -np.inf)]),
            row_upper=np.concatenate([balance.ravel(), room]),
            col_lower=np.zeros(count * links + servers),
            col_upper=np.concatenate([np.repeat(demand, links), np.full(servers, lacking)]),
            cost=np.concatenate([*cost, np.full(servers, self.fine)]),
            integrality=np.arange(count * links + servers) < count * links,
        )

    def _moves(self, placement: Placement, j: int) -> Iterator[Span]:
        """Spans for server j, none twice, none as it is."""
        blocks, limit = self.instance.llm.blocks, int(self.instance.use_limit[j])
        first, end = int(placement.first[j]), int(placement.end[j])
        others = np.flatnonzero((placement.count > 0) & (np.arange(len(placement.count)) != j))
        joints = {0, blocks, *placement.end[others].tolist(), *placement.first[others].tolist()}
        sizes = {int(self.roomy[j]), int(self.roomy[j]) + 1, end - first, limit}
        spans = {(b, b + m) for b in joints for m in sizes}
        spans |= {(b - m, b) for b in joints for m in sizes}
        if end > first:
            near = [(-1, -1), (1, 1), (0, -1), (0, 1), (-1, 0), (1, 0)]
            spans |= {(first + a, end + b) for a, b in near} | {(0, 0)}
        spans |= {(max(a, 0), min(b, blocks)) for a, b in spans}
        for a, b in sorted(spans - {(first, end)}):
            if 0 <= a <= b <= blocks and b - a <= limit and (b > a or (a, b) == (0, 0)):
                yield a, b


def laid_out(instance: PlacementInstance, chain: list[int], hosted: np.ndarray) -> Placement:
    """The servers of ``chain`` one after the other, the last ones moved back to end with L."""
    first, count = np.zeros(len(hosted), int), np.zeros(len(hosted), int)
    here, blocks = 0, instance.llm.blocks
    for j in chain:
        size = min(int(hosted[j]), blocks)
        first[j], count[j] = min(here, blocks - size), size
        here = min(here + size, blocks)
    return Placement(first, count)


def layers(instance: PlacementInstance, order: list[int], hosted: np.ndarray) -> Placement:
    """All servers of ``order`` one after the other, from block 0 again whenever L is reached."""
    first, count = np.zeros(len(hosted), int), np.zeros(len(hosted), int)
    here, blocks = 0, instance.llm.blocks
    for j in order:
        size = min(int(hosted[j]), blocks)
        if size:
            first[j], count[j] = min(here, blocks - size), size
            here = 0 if here + size >= blocks else here + size
    return Placement(first, count)


def _moved(placement: Placement, j: int, span: Span) -> Placement:
    first, count = placement.first.copy(), placement.count.copy()
    first[j], count[j] = span[0], span[1] - span[0]
    return Placement(first, count)


def _schedule(
    instance: PlacementInstance,
    placement: Placement,
    chains: Chains,
    clients: list[int],
    taken: np.ndarray,
) -> PlacementSchedule:
    """Requests one by one along links that still carry some."""
    links, blocks = len(chains.head), instance.llm.blocks
    routes = []
    for row, c in enumerate(clients):
        left = taken[row * links : (row + 1) * links].copy()
        out: dict[int, list[int]] = {}
        for e, tail in enumerate(chains.tail.tolist()):
            out.setdefault(tail, []).append(e)
        for _ in range(int(instance.clients.requests[c])):
            here, chain = NO_SERVER, []
            while here == NO_SERVER or placement.end[here] < blocks:
                e = next(e for e in out[here] if left[e] > 0.5)
                left[e] -= 1
                here = int(chains.head[e])
                chain.append(here)
            routes.append(Route(c, tuple(chain)))
    used = {j for route in routes for j in route.servers}
    first, count = placement.first.copy(), placement.count.copy()
    idle = [j for j in range(len(count)) if j not in used]
    first[idle] = count[idle] = 0
    return PlacementSchedule("exact", Placement(first, count), tuple(routes))

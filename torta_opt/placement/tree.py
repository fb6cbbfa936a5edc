"""A combinatorial bound that branches on what servers host and on who visits them.

The bound of ``lower_bound`` lets a server be large for one request and roomy for all others. Here a
tree splits the schedules into boxes,

    least_j ≤ m_j ≤ most_j             blocks that server j hosts
    fewest_cj ≤ v_cj ≤ visitors_cj     requests of client c that pass server j,

and in each box block prices λ_j ≥ 0 and visit prices μ_cj of any sign prove, by weak duality,

    cost ≥ Σ_c R_c f_c(visit + μ, block + λ) − Σ_j λ_j K_j
           − Σ_cj max(μ_cj fewest_cj, μ_cj visitors_cj),
    K_j = max {S_j(m) : least_j ≤ m ≤ most_j},

f_c being the floor's sweep, with k_j ≤ most_j and k_j = 0 where visitors_cj = 0. Two halves of a
box hold all its schedules, so the least bound of all leaves bounds every schedule. Prices come from
a linear program over ways that the sweep finds (column generation); whatever they are, the bound
holds. So a proof is the tree with the prices at its leaves, and ``proved_ms`` checks it with sweeps
alone, without a solver.

The ways found are also good servers to visit together: ``assembly`` makes schedules of them.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sparse

from torta_opt.placement.assembly import Hint
from torta_opt.placement.data import PlacementInstance
from torta_opt.placement.lower_bound import cache_room, least_with_blocks
from torta_opt.placement.performance import Prices
from torta_opt.solvers import Problem, Status, solve_lp

ROUNDING = 1e-11  # of the sum of the sizes of all terms
MOST_ROUNDS = 60  # of column generation in a box
CLOSE = 1e-7  # relative distance of a box's linear program and bound at which it is solved
WHOLE = 1e-5  # distance from an integer that is none


@dataclass(frozen=True, eq=False)
class Box:
    """Hosted blocks (J,) and visits by client (C, J), both with lower and upper ends."""

    least: np.ndarray
    most: np.ndarray
    fewest: np.ndarray
    visitors: np.ndarray


@dataclass(frozen=True)
class Split:
    """Two halves: at most ``value``, or more. ``client`` None: of hosted blocks, else of visits."""

    server: int
    client: int | None
    value: int

    def halves(self, box: Box) -> tuple[Box, Box]:
        if self.client is None:
            low, high = box.most.copy(), box.least.copy()
            low[self.server] = min(low[self.server], self.value)
            high[self.server] = max(high[self.server], self.value + 1)
            return replace(box, most=low), replace(box, least=high)
        at = self.client, self.server
        low, high = box.visitors.copy(), box.fewest.copy()
        low[at] = min(low[at], self.value)
        high[at] = max(high[at], self.value + 1)
        return replace(box, visitors=low), replace(box, fewest=high)


@dataclass(eq=False)
class Node:
    """A box of the tree: its prices, what they prove, and its halves once it is split."""

    bound: float
    block_price: np.ndarray
    visit_price: np.ndarray
    split: Split | None = None
    halves: tuple[Node, ...] = ()


class Pricing:
    """What prices prove in a box."""

    def __init__(self, instance: PlacementInstance, paid: Prices) -> None:
        self.instance, self.paid = instance, paid
        self.demand = instance.clients.requests
        self.clients = np.flatnonzero(self.demand)
        self.rooms = [
            cache_room(instance, j, np.arange(limit + 1))
            for j, limit in enumerate(instance.use_limit.tolist())
        ]

        need = instance.llm.block_bytes + instance.requests * instance.cache_bytes
        everyone = instance.servers.memory_bytes // need
        self.roomy = np.minimum(everyone, instance.use_limit)  # with room for all caches

    def whole(self) -> Box:
        """All schedules."""
        shape = self.paid.visit.shape
        visitors = np.broadcast_to(self.demand[:, None], shape).copy()
        use = self.instance.use_limit
        return Box(np.zeros_like(use), use.copy(), np.zeros(shape, int), visitors)

    def is_empty(self, box: Box) -> bool:
        return bool((box.least > box.most).any() or (box.fewest > box.visitors).any())

    def room(self, box: Box) -> np.ndarray:
        """(J,) K_j."""
        ends = zip(self.rooms, box.least.tolist(), box.most.tolist(), strict=True)
        return np.array([float(room[low : high + 1].max()) for room, low, high in ends])

    def limit(self, box: Box, client: int) -> np.ndarray:
        return np.where(box.visitors[client] > 0, box.most, 0)

    def bound(
        self, box: Box, block_price: np.ndarray, visit_price: np.ndarray
    ) -> tuple[float, list[tuple[int, np.ndarray]]]:
        """The bound, and per client the (J,) blocks of the way that it rests on.

        Infinite if the box is empty or a client finds no way in it.
        """
        if self.is_empty(box):
            return math.inf, []
        value = size = 0.0
        ways = []
        block = self.paid.block + block_price
        for c in self.clients.tolist():
            visit = self.paid.visit[c] + visit_price[c]
            cost, counts = least_with_blocks(self.instance, visit, block, self.limit(box, c))
            if cost == math.inf:
                return math.inf, []
            value += float(self.demand[c]) * cost
            longest = float(np.abs(visit).sum() + np.abs(block).max() * self.instance.llm.blocks)
            size += float(self.demand[c]) * longest
            ways.append((c, counts))
        spared = block_price * self.room(box)
        visits = np.maximum(visit_price * box.fewest, visit_price * box.visitors)
        size += float(np.abs(spared).sum() + np.abs(visits).sum())
        return value - float(spared.sum()) - float(visits.sum()) - ROUNDING * size, ways


class Tree:
    """Best-first search: ``grow`` until the bound reaches a target; may go on later."""

    def __init__(self, pricing: Pricing) -> None:
        self.pricing = pricing
        self.pool: dict[int, dict[bytes, np.ndarray]] = {c: {} for c in pricing.clients.tolist()}
        shape = pricing.paid.visit.shape
        self.root = Node(-math.inf, np.zeros(shape[1]), np.zeros(shape))
        self.count = 0
        self.hints: list[Hint] = []
        self._order = itertools.count()
        self._open: list[tuple[float, int, Node, Box]] = []
        self._stuck = math.inf  # the least bound of boxes that no split would help
        self._push(self.root, pricing.whole())

    @property
    def bound(self) -> float:
        """What the tree proves, in milliseconds."""
        return min(self._open[0][0] if self._open else math.inf, self._stuck)

    @property
    def can_grow(self) -> bool:
        """Whether splitting may still raise the bound."""
        return bool(self._open) and self._open[0][0] < self._stuck

    def grow(self, target: float, stop: Callable[[], bool], boxes: int = 1 << 62) -> None:
        """Split boxes, the lowest first, until ``target``, ``stop()`` or that many boxes more.

        Whatever ends it, Ctrl-C included, ``bound`` holds afterwards.
        """
        for _ in range(boxes):
            if not self.can_grow or self.bound >= target or stop():
                return
            _, _, node, box = heapq.heappop(self._open)
            try:
                split = self._solve(node, box, target, stop)
            except BaseException:
                self._push(node, box)
                raise
            self.count += 1
            if node.bound >= target or (split is None and stop()):
                self._push(node, box)
            elif split is None:
                self._stuck = min(self._stuck, node.bound)
            else:
                self._halve(node, box, split)

    def _halve(self, node: Node, box: Box, split: Split) -> None:
        """The halves begin with what is known of the whole."""
        halves = [Node(node.bound, node.block_price, node.visit_price) for _ in range(2)]
        for half, part in zip(halves, split.halves(box), strict=True):
            self._push(half, part)
        node.split, node.halves = split, tuple(halves)

    def ways(self) -> Iterator[tuple[int, np.ndarray]]:
        """Every (client, blocks per server) found so far."""
        for c, found in self.pool.items():
            for counts in found.values():
                yield c, counts

    def _push(self, node: Node, box: Box) -> None:
        heapq.heappush(self._open, (node.bound, next(self._order), node, box))

    def _solve(self, node: Node, box: Box, target: float, stop: Callable[[], bool]) -> Split | None:
        """Raise the bound of ``node``; the split that its linear program suggests, if any."""
        block_price, visit_price = node.block_price, node.visit_price
        master = _Master(self.pricing, box, self.pool)
        for _ in range(MOST_ROUNDS):
            value, ways = self.pricing.bound(box, block_price, visit_price)
            if value > node.bound:
                node.bound = value
                node.block_price, node.visit_price = block_price, visit_price
            fresh = master.add(ways)
            if node.bound >= target or stop():
                return None
            if master.solved and (not fresh or master.value - node.bound <= CLOSE * master.value):
                break
            block_price, visit_price = master.solve()
        if not master.solved:
            return None
        split, hosted = master.split()
        if hosted is not None:
            way = master.main_way()
            self.hints.append(Hint(node.bound, hosted, node.block_price, way, split is None))
        return split


class _Master:
    """The linear program of a box: how many requests of a client take which way."""

    def __init__(
        self, pricing: Pricing, box: Box, pool: dict[int, dict[bytes, np.ndarray]]
    ) -> None:
        self.pricing, self.box, self.pool = pricing, box, pool
        self.room = pricing.room(box)
        self.value, self.solved = math.inf, False
        demand = pricing.demand[:, None]
        clients, servers = np.nonzero((box.fewest > 0) | (box.visitors < demand))
        inside = box.visitors[clients, servers] > 0  # else the ways are left out altogether
        self.counted = list(zip(clients[inside].tolist(), servers[inside].tolist(), strict=True))
        self.columns: list[tuple[int, np.ndarray]] = []
        for c, found in pool.items():
            limit = pricing.limit(box, c)
            self.columns += [(c, counts) for counts in found.values() if (counts <= limit).all()]
        paid, blocks = pricing.paid, pricing.instance.llm.blocks
        self.lack = 10.0 * float(paid.visit.max(initial=1.0) * len(self.room)) + float(
            10.0 * paid.block.max(initial=1.0) * blocks
        )
        self._taken = np.zeros(0)

    def add(self, ways: list[tuple[int, np.ndarray]]) -> bool:
        """Take in ways; whether one of them is new."""
        fresh = False
        for c, counts in ways:
            key = counts.tobytes()
            if key not in self.pool[c]:
                self.pool[c][key] = counts
                self.columns.append((c, counts))
                fresh = True
        return fresh

    def solve(self) -> tuple[np.ndarray, np.ndarray]:
        """Block and visit prices."""
        pricing, box = self.pricing, self.box
        paid, clients = pricing.paid, pricing.clients.tolist()
        place = {c: row for row, c in enumerate(clients)}
        count, servers = len(self.columns), len(self.room)
        matrix = np.zeros((len(clients) + servers + len(self.counted), count + len(clients)))
        cost = np.full(count + len(clients), self.lack)
        for column, (c, counts) in enumerate(self.columns):
            matrix[place[c], column] = 1.0
            matrix[len(clients) : len(clients) + servers, column] = counts
            cost[column] = paid.visit[c, counts > 0].sum() + paid.block @ counts
        for row, (c, j) in enumerate(self.counted, start=len(clients) + servers):
            mine = [n for n, (owner, k) in enumerate(self.columns) if owner == c and k[j] > 0]
            matrix[row, mine] = 1.0
        matrix[np.arange(len(clients)), count + np.arange(len(clients))] = 1.0
        demand = pricing.demand[clients].astype(float)
        fewest = np.array([box.fewest[at] for at in self.counted], float)
        visitors = np.array([box.visitors[at] for at in self.counted], float)
        found = solve_lp(
            Problem(
                matrix=sparse.csc_array(matrix),
                row_lower=np.concatenate([demand, np.full(servers, -np.inf), fewest]),
                row_upper=np.concatenate([demand, self.room, visitors]),
                col_lower=np.zeros(len(cost)),
                col_upper=np.full(len(cost), np.inf),
                cost=cost,
            ),
            method="simplex",
        )
        if found.status == Status.INTERRUPTED:
            raise KeyboardInterrupt
        block_price, visit_price = np.zeros(servers), np.zeros_like(paid.visit)
        if found.row_dual is None or found.x is None:
            return block_price, visit_price
        self.solved, self.value = True, float(found.objective)
        self._taken = found.x[:count]
        block_price = np.maximum(-found.row_dual[len(clients) : len(clients) + servers], 0.0)
        for row, at in enumerate(self.counted, start=len(clients) + servers):
            visit_price[at] = -found.row_dual[row]
        return block_price, visit_price

    def split(self) -> tuple[Split | None, np.ndarray | None]:
        """Where the ways taken together break a rule: memory first, then whole visits.

        If it is not memory, also the (J,) blocks that servers may host for them.
        """
        taken = [(c, k, w) for (c, k), w in zip(self.columns, self._taken, strict=False)]
        taken = [(c, k, w) for c, k, w in taken if w > WHOLE]
        if not taken:
            return None, None
        found = self._hosted_split(taken)
        if found is not None:
            return found, None
        roomy = self.pricing.roomy
        hosted = np.maximum(np.max([k for _, k, _ in taken], axis=0), roomy)
        return self._visit_split(taken), np.minimum(hosted, self.box.most)

    def main_way(self) -> np.ndarray:
        """(J,) blocks per server of the way that most requests take."""
        return self.columns[int(np.argmax(self._taken))][1]

    def _hosted_split(self, taken: list[tuple[int, np.ndarray, float]]) -> Split | None:
        """The server that would host too much for the caches it is to hold."""
        worst, found = WHOLE, None
        total = sum(k * w for _, k, w in taken)
        peak = np.max([k for _, k, _ in taken], axis=0)
        for j in np.flatnonzero(peak).tolist():
            room = self.pricing.rooms[j]
            over = float(total[j] - room[peak[j]]) / self.pricing.instance.requests
            if over > worst and peak[j] > self.box.least[j]:
                enough = np.flatnonzero(room[: peak[j] + 1] >= total[j] - WHOLE)
                last = int(enough[-1]) if len(enough) else int(self.box.least[j])
                middle = max((last + int(peak[j])) // 2, int(self.box.least[j]))
                worst, found = over, Split(j, None, min(middle, int(peak[j]) - 1))
        return found

    def _visit_split(self, taken: list[tuple[int, np.ndarray, float]]) -> Split | None:
        """The client and server whose visits are farthest from a whole number."""
        visits = np.zeros_like(self.pricing.paid.visit)
        for c, k, w in taken:
            visits[c] += (k > 0) * w
        away = np.abs(visits - np.round(visits))
        c, j = np.unravel_index(int(np.argmax(away)), away.shape)
        if away[c, j] <= WHOLE:
            return None
        return Split(int(j), int(c), math.floor(visits[c, j]))


# --- proofs ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Leaf:
    """Prices that are not 0: ``block`` by server, ``visit`` by (client, server)."""

    block: tuple[tuple[int, float], ...] = ()
    visit: tuple[tuple[int, int, float], ...] = ()


Proof = tuple[Split | Leaf, ...]
"""A tree, parents before their halves, the lower half first."""


def proof_of(tree: Tree) -> Proof:
    """What ``proved_ms`` needs to come to the bound of ``tree``."""
    entries: list[Split | Leaf] = []
    stack = [tree.root]
    while stack:
        node = stack.pop()
        if node.split is None:
            entries.append(leaf_of(node.block_price, node.visit_price))
        else:
            entries.append(node.split)
            stack += reversed(node.halves)
    return tuple(entries)


def leaf_of(block_price: np.ndarray, visit_price: np.ndarray | None = None) -> Leaf:
    """The prices that are not 0."""
    visit_price = np.zeros((0, 0)) if visit_price is None else visit_price
    block = [(int(j), float(block_price[j])) for j in np.flatnonzero(block_price)]
    visit = [(int(c), int(j), float(visit_price[c, j])) for c, j in np.argwhere(visit_price)]
    return Leaf(tuple(block), tuple(visit))


def proved_ms(instance: PlacementInstance, paid: Prices, proof: Proof) -> float:
    """What ``proof`` proves, whoever wrote it: milliseconds without the start, by sweeps alone.

    Raises ValueError if it is no tree, or a block price is negative.
    """
    pricing = Pricing(instance, paid)
    clients, servers = paid.visit.shape
    entries = iter(proof)
    boxes = [pricing.whole()]
    least = math.inf
    while boxes:
        box, entry = boxes.pop(), next(entries, None)
        if isinstance(entry, Split):
            if not (0 <= entry.server < servers and 0 <= (entry.client or 0) < clients):
                raise ValueError("a split names no server or no client")
            boxes += reversed(entry.halves(box))
        elif isinstance(entry, Leaf):
            block, visit = np.zeros(servers), np.zeros((clients, servers))
            for j, price in entry.block:
                block[_within(j, servers)] = price
            for c, j, price in entry.visit:
                visit[_within(c, clients), _within(j, servers)] = price
            if not (np.isfinite(block).all() and np.isfinite(visit).all() and (block >= 0).all()):
                raise ValueError("a block price is negative or a price no number")
            least = min(least, pricing.bound(box, block, visit)[0])
        else:
            raise ValueError("the tree breaks off")
    if next(entries, None) is not None:
        raise ValueError("the tree goes on after its last leaf")
    return least


def _within(position: int, count: int) -> int:
    if not 0 <= position < count:
        raise ValueError("a price names no server or no client")
    return position

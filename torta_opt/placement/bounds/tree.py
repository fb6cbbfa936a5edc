"""A combinatorial bound that branches on what servers host and on who visits them.

Boxes of schedules and what prices prove in them stand in ``proof``. This search splits the box of
the lowest bound, again and again. Its prices are the duals of a linear program over ways that the
floor's sweep finds (column generation). Where the ways taken together break a rule, the box is
split: at what a server hosts, if that leaves no room for the caches it is to keep, else at visits
that are no whole number.

The ways found are also good servers to visit together: ``assembly`` makes schedules of them.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from torta_opt.placement.bounds.proof import Box, Hint, Leaf, Pricing, Proof, Split, leaf_of
from torta_opt.solvers import Problem, Status, solve_lp

MOST_ROUNDS = 60  # rounds of column generation in a box
CLOSE = 1e-7  # relative distance of a box's linear program and bound at which it is solved
WHOLE = 1e-5  # distance from an integer that is none


@dataclass(eq=False)
class Node:
    """A box of the tree: its prices, what they prove, and its halves once it is split."""

    bound: float
    block_price: np.ndarray
    visit_price: np.ndarray
    split: Split | None = None
    halves: tuple[Node, ...] = ()


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
        taken = [(c, k, w) for (c, k), w in zip(self.columns, self._taken.tolist(), strict=False)]
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
        total = sum((k * w for _, k, w in taken), np.zeros(len(taken[0][1])))
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
        client, server = map(int, np.unravel_index(int(np.argmax(away)), away.shape))
        if away[client, server] <= WHOLE:
            return None
        return Split(server, client, math.floor(visits[client, server]))


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

"""What prices prove about a box of schedules, and trees of boxes as proofs.

The bound of ``combinatorial`` lets a server be large for one request and roomy for all others.
Boxes hold the schedules with

    least_j ≤ m_j ≤ most_j             blocks that server j hosts
    fewest_cj ≤ v_cj ≤ visitors_cj     requests of client c that pass server j,

and in each box block prices λ_j ≥ 0 and visit prices μ_cj of any sign prove, by weak duality,

    cost ≥ Σ_c R_c f_c(visit + μ, block + λ) − Σ_j λ_j K_j
           − Σ_cj max(μ_cj fewest_cj, μ_cj visitors_cj),
    K_j = max {S_j(m) : least_j ≤ m ≤ most_j},

f_c being the floor's sweep, with k_j ≤ most_j and k_j = 0 where visitors_cj = 0. Two halves of a
box hold all its schedules, so the least bound of all leaves of a tree bounds every schedule. Where
prices come from does not matter: a proof is the tree with the prices at its leaves, and
``proved_ms`` derives the bound from it with sweeps alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from torta_opt.placement.bounds.combinatorial import cache_room, least_with_blocks
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.schedule.performance import Prices


@dataclass(frozen=True, eq=False)
class Hint:
    """What a box of the tree suggests.

    bound         ms that schedules in the box cost at least
    hosted        (J,) blocks that servers host
    block_price   (J,) what a block is worth beyond its price
    way           (J,) blocks per server of the way that most requests take
    is_whole      requests that share nothing but memory would fit
    """

    bound: float
    hosted: np.ndarray
    block_price: np.ndarray
    way: np.ndarray
    is_whole: bool = False


ROUNDING = 1e-11  # share of the sum of the absolute values of all terms
MOST_PRICE_MS = 1e15  # in a proof: sums of larger ones may overflow, and infinity proves anything


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
            longest = _sum(np.abs(visit)) + float(np.abs(block).max()) * self.instance.llm.blocks
            size += float(self.demand[c]) * longest
            ways.append((c, counts))
        spared = block_price * self.room(box)
        visits = np.maximum(visit_price * box.fewest, visit_price * box.visitors)
        size += _sum(np.abs(spared)) + _sum(np.abs(visits))
        return value - _sum(spared) - _sum(visits) - ROUNDING * size, ways


def _sum(terms: np.ndarray) -> float:
    """The exact sum, rounded once: a proof is worth the same, to the last bit, on every processor.

    NumPy adds in an order that depends on the vector units at hand.
    """
    return math.fsum(terms.ravel().tolist())


@dataclass(frozen=True)
class Leaf:
    """Prices that are not 0: ``block`` by server, ``visit`` by (client, server)."""

    block: tuple[tuple[int, float], ...] = ()
    visit: tuple[tuple[int, int, float], ...] = ()


Proof = tuple[Split | Leaf, ...]
"""A tree, parents before their halves, the lower half first."""


def leaf_of(block_price: np.ndarray, visit_price: np.ndarray | None = None) -> Leaf:
    """The prices that are not 0."""
    visit_price = np.zeros((0, 0)) if visit_price is None else visit_price
    block = [(int(j), float(block_price[j])) for j in np.flatnonzero(block_price)]
    visit = [(int(c), int(j), float(visit_price[c, j])) for c, j in np.argwhere(visit_price)]
    return Leaf(tuple(block), tuple(visit))


def proved_ms(instance: PlacementInstance, paid: Prices, proof: Proof) -> float:
    """What ``proof`` proves, whatever its source: milliseconds without the start, by sweeps alone.

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
            if not (_is_price(block).all() and _is_price(visit).all() and (block >= 0).all()):
                raise ValueError("a block price is negative or a price no number up to 1e15")
            least = min(least, pricing.bound(box, block, visit)[0])
        else:
            raise ValueError("the tree breaks off")
    if next(entries, None) is not None:
        raise ValueError("the tree goes on after its last leaf")
    return least


def _is_price(prices: np.ndarray) -> np.ndarray:
    usable: np.ndarray = np.abs(prices) <= MOST_PRICE_MS  # false for what is no number
    return usable


def _within(position: int, count: int) -> int:
    if not 0 <= position < count:
        raise ValueError("a price names no server or no client")
    return position

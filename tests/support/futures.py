"""Small random processes of demand, and the best policy that cannot see ahead, exact.

``random_tree(rng)``      a scenario tree of tiny instances with equally likely leaves
``tiny_tree(seed, n)``    one of many; ``tiny_trees(seed, n)``: n of them with their best policies
``best_of(tree)``         its best policy, found at once; raises TooLarge
``unconditional(tree)``  the same demands, whatever came before
``expected_on(tree, …)``  conditional means of its arrivals, exact sums
``Best(tree)``            the best policy that cannot see ahead, by dynamic programming over nodes
                          of the tree and all states; and inner values with its value function
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from support.tiny import TINIEST, TooLarge, _BruteForce, random_tiny_instance

from torta_opt.allocation.instance import Instance


@dataclass(frozen=True, eq=False)
class TinyTree:
    """Equally likely leaves; ``node`` (L, T) says which share their past up to and with a slot."""

    leaves: tuple[Instance, ...]
    node: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        return np.full(len(self.leaves), 1 / len(self.leaves))


def random_tree(rng: np.random.Generator, slots: int | None = None) -> TinyTree:
    """Every slot after the first brings one of two demands, given all before.

    2 or 3 slots where ``slots`` does not say.
    """
    length = int(rng.integers(2, 4))
    root = random_tiny_instance(rng, TINIEST, slots=slots or length)
    paths = [root.arrivals]
    node = [[0] * root.slots]
    for t in range(1, root.slots):
        grown, numbers = [], []
        for path, before in zip(paths, node, strict=True):
            for _ in range(2):
                anew = path.copy()
                anew[t:] = rng.integers(0, TINIEST.requests + 1, anew[t:].shape)
                grown.append(anew)
                numbers.append([*before[:t], *[len(grown) - 1] * (root.slots - t)])
        paths, node = grown, numbers
    leaves = tuple(dataclasses.replace(root, arrivals=path) for path in paths)
    return TinyTree(leaves, np.array(node))


def tiny_tree(seed: int, n: int, slots: int | None = None) -> TinyTree:
    """Random tree n of a seed."""
    return random_tree(np.random.default_rng([seed, n]), slots)


def best_of(tree: TinyTree) -> Best:
    """Its best policy, of which the cost is known then. Raises TooLarge."""
    best = Best(tree, 400)
    assert best.cost >= -1e9
    return best


def tiny_trees(seed: int, count: int, slots: int | None = None) -> Iterator[tuple[TinyTree, Best]]:
    """Those that are small enough, with their best policies."""
    made = 0
    for n in range(100 * count):
        tree = tiny_tree(seed, n, slots)
        try:
            best = best_of(tree)
        except TooLarge:
            continue
        yield tree, best
        made += 1
        if made == count:
            return


def unconditional(tree: TinyTree) -> TinyTree:
    """Every history before the last slot is followed by what may follow any of them."""
    last = tree.leaves[0].slots - 1
    leaves, node = [], []
    for history in np.unique(tree.node[:, last - 1], return_index=True)[1].tolist():
        for leaf in tree.leaves:
            arrivals = tree.leaves[history].arrivals.copy()
            arrivals[last] = leaf.arrivals[last]
            leaves.append(dataclasses.replace(leaf, arrivals=arrivals))
            node.append([*tree.node[history, :last].tolist(), len(leaves)])
    return TinyTree(tuple(leaves), np.array(node))


def expected_on(tree: TinyTree, leaf: int, horizons: tuple[int, ...]) -> np.ndarray:
    """(T, H, C) mean arrivals of all regions in slot t + h, over the leaves that share slot t."""
    slots, classes = tree.leaves[0].slots, tree.leaves[0].arrivals.shape[2]
    found = np.zeros((slots, len(horizons), classes))
    for t in range(slots):
        same = np.flatnonzero(tree.node[:, t] == tree.node[leaf, t])
        for n, ahead in enumerate(horizons):
            if t + ahead < slots:
                coming = [tree.leaves[k].arrivals[t + ahead].sum(axis=0) for k in same]
                found[t, n] = np.mean(coming, axis=0)
    return found


class Best:
    """The best policy that knows arrivals up to the slot it decides.

    ``value(leaf, t, state)`` is what it pays from slot t on, in the node of ``leaf`` there. Raises
    TooLarge.
    """

    def __init__(self, tree: TinyTree, max_states: int = 4_000) -> None:
        self.tree, self.max_states = tree, max_states
        self.brutes = [_Blind(leaf, 50 * max_states) for leaf in tree.leaves]
        self._known: dict[tuple[int, int, Any], Fraction] = {}
        self._slots: dict[tuple[int, int, Any], dict[Any, Fraction]] = {}

    @property
    def cost(self) -> float:
        return float(self.value(0, 0, self.brutes[0].first_state()))

    def value(self, leaf: int, t: int, state: Any) -> Fraction:
        key = (t, int(self.tree.node[leaf, t]), state)
        if key not in self._known:
            if len(self._known) > self.max_states:
                raise TooLarge(f"more than {self.max_states} states")
            ways = self._ways(leaf, t, state).items()
            self._known[key] = min(usd + self.mean(leaf, t, after) for after, usd in ways)
        return self._known[key]

    def mean(self, leaf: int, t: int, state: Any) -> Fraction:
        """E[V_{t+1}(state) | node of ``leaf`` in slot t]."""
        if t + 1 == self.tree.leaves[0].slots:
            return Fraction(0)
        same = np.flatnonzero(self.tree.node[:, t] == self.tree.node[leaf, t])
        following, first = np.unique(self.tree.node[same, t + 1], return_index=True)
        values = [self.value(int(same[n]), t + 1, state) for n in first]
        return sum(values, Fraction(0)) / len(following)

    def inner(self, leaf: int) -> Fraction:
        """min_a C(a, ω) + Σ_t E[V_{t+1}(s_{t+1}(a)) | t] − V_{t+1}(s_{t+1}(a), ω) on a leaf."""
        slots = self.tree.leaves[0].slots
        layer = {self.brutes[leaf].first_state(): Fraction(0)}
        for t in range(slots):
            following: dict[Any, Fraction] = {}
            for state, paid in layer.items():
                for after, usd in self._ways(leaf, t, state).items():
                    last = t + 1 == slots
                    surprise = Fraction(0) if last else self.value(leaf, t + 1, after)
                    total = paid + usd + self.mean(leaf, t, after) - surprise
                    if after not in following or total < following[after]:
                        following[after] = total
            layer = following
        return min(layer.values())

    def _ways(self, leaf: int, t: int, state: Any) -> dict[Any, Fraction]:
        """State after slot t → least cost of getting there."""
        key = (t, int(self.tree.node[leaf, t]), state)
        if key not in self._slots:
            brute = self.brutes[leaf]
            denominator = brute.prices.denominator
            found = _slot(brute, t, state).items()
            self._slots[key] = {after: Fraction(cost, denominator) for after, cost in found}
        return self._slots[key]


class _Blind(_BruteForce):
    """Keeps the last routing whatever comes next: a policy does not know whether it will matter."""

    def routed_before(self, t: int, i: int, row: Any) -> Any:
        priced = self.tables.reroute_usd or self.tables.frobenius_usd
        return tuple(row) if t < self.tables.slots and priced and sum(row) else None

    def close_origin(self, state: Any, t: int, i: int) -> Any:
        queues, servers, routed, current = state
        before = routed[i]
        cost = self.prices.change(before, current) if before and sum(current) else 0
        kept = (*routed[:i], self.routed_before(t + 1, i, current), *routed[i + 1 :])
        yield cost, (queues, servers, kept, (0,) * len(current)), None


def _slot(brute: _BruteForce, t: int, state: Any) -> dict[Any, int]:
    """State after slot t → least cost of getting there."""
    tables = brute.tables
    layer: Any = {state: (0, None)}
    for i in range(tables.regions):
        for c in range(tables.classes):
            if tables.arrivals[t][i][c]:
                layer = brute.expand(layer, t, brute.routes, (i, c))
        layer = brute.expand(layer, t, brute.close_origin, (i,))
    for s in range(tables.servers):
        layer = brute.expand(layer, t, brute.server_decisions, (s,))
    layer = brute.expand(layer, t, brute.end_slot, ())
    return {after: cost for after, (cost, _) in layer.items()}

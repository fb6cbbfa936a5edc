"""Chains of servers that hold all blocks in order, and the cheapest of them.

Under a placement a request may go from server i to server j if j holds the block that follows i's
last one: first_j ≤ end_i < end_j (Lemma 1). It then processes the blocks end_i … end_j − 1 at j.
Ends grow along a path, so servers sorted by their end are in topological order and one sweep finds
the cheapest path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from torta_opt.placement.instance.data import NO_SERVER
from torta_opt.placement.schedule.data import Placement

INFINITE = float("inf")


@dataclass(frozen=True, eq=False)
class Chains:
    """The links of a placement; tail NO_SERVER is the client.

    tail, head, blocks   (E,) from server, to server, blocks processed at the head; by head's end
    """

    blocks_total: int
    placement: Placement
    tail: np.ndarray
    head: np.ndarray
    blocks: np.ndarray

    @cached_property
    def links(self) -> tuple[tuple[int, int, int], ...]:
        """The same as plain integers, for loops."""
        return tuple(zip(self.tail.tolist(), self.head.tolist(), self.blocks.tolist(), strict=True))

    @cached_property
    def is_last(self) -> tuple[bool, ...]:
        """(J,) whether a server holds the last block."""
        return tuple((self.placement.end == self.blocks_total).tolist())

    def cheapest(self, cost: Sequence[float] | np.ndarray) -> tuple[float, tuple[int, ...]]:
        """(cost, servers) of the cheapest chain, with ``cost`` (E,) of each link.

        Infinite and empty if there is none; of equal chains the first one found.
        """
        return cheapest_chain(self.links, self.is_last, cost)

    def prices_of(self, visit: np.ndarray, block: np.ndarray) -> np.ndarray:
        """(E,) price of each link, from ``visit`` and ``block`` (J,) prices of its head."""
        return visit[self.head] + block[self.head] * self.blocks

    def all_chains(self) -> Iterator[tuple[int, ...]]:
        """Every chain; exponential, for small cases and tests."""
        after: dict[int, list[int]] = {}
        for tail, head, _ in self.links:
            after.setdefault(tail, []).append(head)
        stack: list[tuple[int, ...]] = [(head,) for head in after.get(NO_SERVER, [])]
        while stack:
            chain = stack.pop()
            if self.is_last[chain[-1]]:
                yield chain
            stack.extend((*chain, head) for head in after.get(chain[-1], []))


def chains_of(placement: Placement, blocks: int) -> Chains:
    """All links of ``placement``, by the end of their head."""
    hosts = np.flatnonzero(placement.count > 0)
    order = hosts[np.argsort(placement.end[hosts], kind="stable")]
    first, end = placement.first, placement.end
    tails, heads, counts = [], [], []
    for head in order:
        before = order[(first[head] <= end[order]) & (end[order] < end[head])]
        if first[head] == 0:
            before = np.append(NO_SERVER, before)
        start = np.where(before == NO_SERVER, 0, end[before])
        tails.append(before)
        heads.append(np.full(len(before), head))
        counts.append(end[head] - start)
    empty = np.zeros(0, int)
    joined = [np.concatenate(part) if part else empty for part in (tails, heads, counts)]
    return Chains(blocks, placement, *joined)


def cheapest_chain(
    links: Sequence[tuple[int, int, int]],
    is_last: Sequence[bool],
    cost: Sequence[float] | np.ndarray,
    finish: Sequence[float] | None = None,
) -> tuple[float, tuple[int, ...]]:
    """One sweep over links sorted by the end of their head; ``finish`` (J,) is paid at the end."""
    best = [INFINITE] * len(is_last)
    before = [NO_SERVER] * len(is_last)
    for (tail, head, _), price in zip(links, cost, strict=True):
        total = price if tail == NO_SERVER else best[tail] + price
        if total < best[head]:
            best[head] = total
            before[head] = tail
    last, least = NO_SERVER, INFINITE
    for server, ends in enumerate(is_last):
        if not ends:
            continue
        total = best[server] if finish is None else best[server] + finish[server]
        if total < least:
            last, least = server, total
    chain = []
    while last != NO_SERVER:
        chain.append(last)
        last = before[last]
    return least, tuple(reversed(chain))

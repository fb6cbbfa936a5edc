"""Which chain of servers a request takes when it arrives.

ws_rr           shortest path where a link costs what it takes and how long it makes wait
shortest_path   the same without the waiting
opt_rr          the exact myopic choice: path time + the longest wait along the path
min_latency     PETALS: its own estimate, 10 s for servers whose cache is spoken for
max_throughput  PETALS: at random, by length of span
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from torta_opt.placement.online.swarm import Swarm
from torta_opt.placement.policies.petals import FULL_CACHE_MS, random_by_span
from torta_opt.placement.schedule.chains import INFINITE, cheapest_chain

Chain = tuple[int, ...]
Router = Callable[[Swarm, int, int, int, float], Chain]
"""(swarm, client, tokens, cache bytes per block, now) → chain; empty if there is none."""


def ws_rr(swarm: Swarm, client: int, tokens: int, cache: int, now: float) -> Chain:
    """Waiting-penalised shortest path."""
    free, wait = swarm.free, swarm.wait
    cost = [
        price if free[head] >= blocks * cache else price + wait(head, blocks * cache, now)
        for (_, head, blocks), price in zip(
            swarm.chains.links, swarm.response_ms(client, tokens), strict=True
        )
    ]
    return cheapest_chain(swarm.chains.links, swarm.chains.is_last, cost)[1]


def shortest_path(swarm: Swarm, client: int, tokens: int, cache: int, now: float) -> Chain:
    """As if all memory were free."""
    pool = swarm.pool
    cost = [
        price if pool[head] >= blocks * cache else INFINITE
        for (_, head, blocks), price in zip(
            swarm.chains.links, swarm.response_ms(client, tokens), strict=True
        )
    ]
    return cheapest_chain(swarm.chains.links, swarm.chains.is_last, cost)[1]


def opt_rr(swarm: Swarm, client: int, tokens: int, cache: int, now: float) -> Chain:
    """The path that minimises its time plus its longest wait.

    The authors solve a program per arrival. The longest wait is one of the links' waits, so for
    each of them in turn the shortest path over links that wait no longer is enough.
    """
    links, is_last = swarm.chains.links, swarm.chains.is_last
    price = swarm.response_ms(client, tokens)
    waits = [swarm.wait(head, blocks * cache, now) for _, head, blocks in links]
    best: tuple[float, Chain] = (INFINITE, ())
    for longest in sorted(set(waits) - {INFINITE}):
        cost = [p if w <= longest else INFINITE for p, w in zip(price, waits, strict=True)]
        total, chain = cheapest_chain(links, is_last, cost)
        if total + longest < best[0]:
            best = total + longest, chain
        if chain and total < INFINITE and longest >= best[0]:
            break
    return best[1]


def min_latency(swarm: Swarm, client: int, tokens: int, cache: int, now: float) -> Chain:
    """PETALS: a server is penalised if its cache may not suffice for all it hosts."""
    full = tuple(free < count * cache for free, count in zip(swarm.free, swarm.counts, strict=True))
    return swarm.latency_chain(client, full, FULL_CACHE_MS)


def max_throughput(seed: int) -> Router:
    """A router with its own random stream."""
    rng = np.random.default_rng(seed)

    def choose(swarm: Swarm, client: int, tokens: int, cache: int, now: float) -> Chain:
        return random_by_span(swarm.chains, rng)

    return choose

"""The servers while requests are served: cache in use, and when it comes free."""

from __future__ import annotations

from bisect import bisect_right, insort
from functools import cached_property

import numpy as np

from torta_opt.placement.instance.data import NO_SERVER, PlacementInstance
from torta_opt.placement.policies.petals import latency_costs, pool_bytes_per_block
from torta_opt.placement.schedule.chains import INFINITE, Chains, chains_of, cheapest_chain
from torta_opt.placement.schedule.data import Placement
from torta_opt.placement.schedule.performance import first_token_prices


def own_pool(instance: PlacementInstance, placement: Placement) -> np.ndarray:
    """(J,) cache memory that is left beside the hosted blocks."""
    left = instance.servers.memory_bytes - instance.llm.block_bytes * placement.count
    return np.where(placement.count > 0, left, 0)


def petals_pool(instance: PlacementInstance, placement: Placement) -> np.ndarray:
    """(J,) cache memory PETALS sets aside: one long cache per block; the rest is unused."""
    return np.minimum(
        pool_bytes_per_block(instance) * placement.count, own_pool(instance, placement)
    )


class Swarm:
    """A placement at work.

    pool       (J,) cache memory of every server
    free       (J,) what no session holds; negative if it is promised more than once
    sessions   per server the (end, bytes) of the sessions that hold cache, by end
    """

    def __init__(self, instance: PlacementInstance, placement: Placement, pool: np.ndarray):
        self.instance = instance
        self.placement = placement
        self.chains: Chains = chains_of(placement, instance.llm.blocks)
        self.pool: list[int] = pool.tolist()
        self.free: list[int] = pool.tolist()
        self.sessions: list[list[tuple[float, int]]] = [[] for _ in self.pool]
        self.counts: list[int] = placement.count.tolist()
        self._latency_chain: dict[tuple[int, tuple[bool, ...]], tuple[int, ...]] = {}

    @cached_property
    def link_ms(self) -> tuple[list[list[float]], list[list[float]]]:
        """Per client and link: (time of the prompt, time of one token)."""
        first, links = first_token_prices(self.instance), self.instance.links
        decode = self.instance.servers.decode_ms
        prompts = [self.chains.prices_of(v, first.block).tolist() for v in first.visit]
        tokens = [self.chains.prices_of(v, decode).tolist() for v in links.token_ms]
        return prompts, tokens

    @cached_property
    def latency_ms(self) -> list[tuple[list[float], list[float]]]:
        """Per client: PETALS's (cost of links, cost of the way back)."""
        per_client = []
        for c in range(len(self.instance.clients)):
            cost, finish = latency_costs(self.instance, self.chains, c)
            per_client.append((cost.tolist(), finish.tolist()))
        return per_client

    def response_ms(self, client: int, tokens: int) -> list[float]:
        """Per link: time of prompt and tokens, for a request of that many tokens."""
        key = client, tokens
        if key not in self._response:
            prompts, decodes = self.link_ms[0][client], self.link_ms[1][client]
            self._response[key] = [
                prompt + (tokens - 1) * token
                for prompt, token in zip(prompts, decodes, strict=True)
            ]
        return self._response[key]

    @cached_property
    def _response(self) -> dict[tuple[int, int], list[float]]:
        return {}

    @cached_property
    def _link_of(self) -> dict[tuple[int, int], int]:
        return {(tail, head): e for e, (tail, head, _) in enumerate(self.chains.links)}

    def links_along(self, chain: tuple[int, ...]) -> list[int]:
        """The links that ``chain`` uses."""
        return [self._link_of[pair] for pair in zip((NO_SERVER, *chain), chain, strict=False)]

    def blocks_along(self, chain: tuple[int, ...]) -> list[int]:
        """Blocks processed at every server of ``chain``."""
        return [self.chains.links[e][2] for e in self.links_along(chain)]

    def latency_chain(
        self, client: int, full: tuple[bool, ...], penalty_ms: float
    ) -> tuple[int, ...]:
        """PETALS's choice if the servers marked ``full`` cost ``penalty_ms`` more; remembered."""
        key = client, full
        if key not in self._latency_chain:
            base, finish = self.latency_ms[client]
            links, is_last = self.chains.links, self.chains.is_last
            cost = [
                price + penalty_ms if full[head] else price
                for (_, head, _), price in zip(links, base, strict=True)
            ]
            self._latency_chain[key] = cheapest_chain(links, is_last, cost, finish)[1]
        return self._latency_chain[key]

    def release(self, now: float) -> None:
        """Give back what sessions that have ended held."""
        for j, held in enumerate(self.sessions):
            if held and held[0][0] <= now:
                ended = bisect_right(held, (now, INFINITE))
                self.free[j] += sum(size for _, size in held[:ended])
                del held[:ended]

    def hold(self, chain: tuple[int, ...], blocks: list[int], cache: int, end: float) -> None:
        """One session takes its caches until ``end``."""
        for j, count in zip(chain, blocks, strict=True):
            size = count * cache
            self.free[j] -= size
            insort(self.sessions[j], (end, size))

    def wait(self, server: int, size: int, now: float) -> float:
        """Time until ``size`` bytes are free, if nobody else comes; infinite if they never are."""
        free = self.free[server]
        if free >= size:
            return 0.0
        for end, held in self.sessions[server]:
            free += held
            if free >= size:
                return end - now
        return INFINITE

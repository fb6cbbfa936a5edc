"""The authors' online simulation: requests one after the other, each fixed when it arrives.

A request picks its chain (WS-RR or another router), and the time until every server of it has room
is known, since lengths are: that is its wait, the longest over its hops, rounded up to when it
would try again (after 1 s, then 2, 4, … up to 60 s more). It holds its caches from arrival to
completion, waiting and fixed delay included, so later requests see it wherever it is promised.
``simulator`` plays the same out event by event instead.

Source: ``WS_RR`` and ``Petals_online`` of the authors' simulator (one client there, any here).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.io import Infeasible, InvalidInput
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.online.contenders import Contender
from torta_opt.placement.online.swarm import Swarm

LONGEST_GAP_S = 60


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Requests in order of arrival.

    at_ms    (N,) time
    client   (N,) who sends it
    tokens   (N,) tokens to generate
    """

    at_ms: np.ndarray
    client: np.ndarray
    tokens: np.ndarray

    def __len__(self) -> int:
        return len(self.at_ms)


@dataclass(frozen=True, eq=False)
class OnlineResult:
    """Per request, in milliseconds from its arrival; NaN if it was given up.

    response_ms, first_token_ms, wait_ms   (N,)
    tokens                                 (N,)
    most_at_once                           requests in the system at the same time, at most
    """

    response_ms: np.ndarray
    first_token_ms: np.ndarray
    wait_ms: np.ndarray
    tokens: np.ndarray
    most_at_once: int

    @property
    def token_mean_s(self) -> float:
        """Seconds per token over all tokens."""
        done = ~np.isnan(self.response_ms)
        return float(self.response_ms[done].sum() / self.tokens[done].sum() / 1000)

    @property
    def completed(self) -> int:
        return int((~np.isnan(self.response_ms)).sum())

    def mean_s(self, field: str) -> float:
        return float(np.nanmean(getattr(self, field)) / 1000)


def poisson_arrivals(
    instance: PlacementInstance, requests: int, seed: int, first_at_zero: bool = True
) -> Arrivals:
    """``requests`` arrivals at the instance's rates, each of its most tokens."""
    rng = np.random.default_rng(seed)
    rates = instance.clients.rate_per_s
    if rates.sum() <= 0:
        raise InvalidInput("must be above 0 for some client", field="clients.rate_per_s")
    gaps = rng.exponential(1000 / rates.sum(), requests)
    if first_at_zero and requests:
        gaps[0] = 0.0
    client = rng.choice(len(rates), requests, p=rates / rates.sum())
    return Arrivals(np.cumsum(gaps), client, np.full(requests, instance.output_tokens))


def retry_instant(wait_ms: float) -> float:
    """The first instant of a try, after 1, 3, 7, … ms·1000, that is no earlier than ``wait_ms``."""
    if wait_ms <= 0:
        return 0.0
    instant, tries = 0.0, 0
    while instant < wait_ms:
        instant += retry_gap_ms(tries)
        tries += 1
    return instant


def retry_gap_ms(tries: int) -> float:
    """Gap after that many tries that failed: 1, 2, 4, … at most 60 s."""
    return 1000.0 * min(2 ** min(tries, 10), LONGEST_GAP_S)


def run_in_turn(
    instance: PlacementInstance, contender: Contender, arrivals: Arrivals, fixed_ms: float = 0.0
) -> OnlineResult:
    """Play ``arrivals`` the authors' way. Raises Infeasible if a request finds no chain at all."""
    swarm = Swarm(instance, contender.placement, contender.pool)
    prompts, decodes = swarm.link_ms
    count = len(arrivals)
    response, first, waits = (np.zeros(count) for _ in range(3))
    start = instance.delays.start_ms + fixed_ms
    ends: list[float] = []
    most = 0
    for r in range(count):
        now, c, tokens = float(arrivals.at_ms[r]), int(arrivals.client[r]), int(arrivals.tokens[r])
        cache = instance.llm.cache_bytes_per_token * (instance.input_tokens + tokens)
        swarm.release(now)
        ends = [end for end in ends if end > now]
        most = max(most, len(ends) + 1)
        chain = contender.router(swarm, c, tokens, cache, now)
        if not chain:
            raise Infeasible(
                f"{instance.name}: {contender.name}: no chain of servers for a request"
            )
        links = swarm.links_along(chain)
        blocks = [swarm.chains.links[e][2] for e in links]
        longest = max(swarm.wait(j, k * cache, now) for j, k in zip(chain, blocks, strict=True))
        waits[r] = retry_instant(longest)
        prompt = sum(prompts[c][e] for e in links)
        first[r] = waits[r] + start + prompt
        response[r] = first[r] + (tokens - 1) * sum(decodes[c][e] for e in links)
        ends.append(now + response[r])
        swarm.hold(chain, blocks, cache, now + response[r])
    return OnlineResult(response, first, waits, arrivals.tokens, most)

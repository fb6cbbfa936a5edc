"""An event-driven simulator: requests arrive, take their caches, fail to, try again, finish.

A request routes itself on arrival. If every server of its chain has room it takes its caches on all
of them at once and holds them for start + fixed delay + prompt + tokens; if one has not, it takes
nothing and tries again, routed anew, after 1 s, then 2, 4, … up to 60 s (PETALS's back-off).
``give_up_s`` ends that, and so does failing while nothing is in use. Routers know the completion
times of running sessions and nothing of those who wait. Same seed, same result; ties are broken by
order of arrival.
"""

from __future__ import annotations

import heapq
import os

import numpy as np

from torta_opt.io import InvalidInput
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.online.contenders import Contender
from torta_opt.placement.online.in_turn import Arrivals, OnlineResult, retry_gap_ms
from torta_opt.placement.online.swarm import Swarm

IDLE_TRIES = 10  # tries after which a request is given up that fails while nothing is in use


def simulate(
    instance: PlacementInstance,
    contender: Contender,
    arrivals: Arrivals,
    fixed_ms: float = 0.0,
    give_up_s: float | None = None,
    jitter: float = 0.0,
    seed: int = 0,
) -> OnlineResult:
    """Play ``arrivals``; ``jitter`` spreads every gap before a retry by ± that share at random."""
    swarm = Swarm(instance, contender.placement, contender.pool)
    rng = np.random.default_rng(seed)
    count = len(arrivals)
    response, first, waits = (np.full(count, np.nan) for _ in range(3))
    at, client, tokens = (
        array.tolist() for array in (arrivals.at_ms, arrivals.client, arrivals.tokens)
    )
    start = instance.delays.start_ms + fixed_ms
    prompts, decodes = swarm.link_ms
    patience = np.inf if give_up_s is None else give_up_s * 1000
    tries = [0] * count
    events = [(time, r) for r, time in enumerate(at)]  # sorted already, so a heap
    ends: list[float] = []
    inside = most = 0
    while events:
        now, r = heapq.heappop(events)
        while ends and ends[0] <= now:
            heapq.heappop(ends)
            inside -= 1
        if not tries[r]:
            inside += 1
            most = max(most, inside)
        swarm.release(now)
        c = client[r]
        cache = instance.llm.cache_bytes_per_token * (instance.input_tokens + tokens[r])
        chain = contender.router(swarm, c, tokens[r], cache, now)
        links = swarm.links_along(chain)
        blocks = [swarm.chains.links[e][2] for e in links]
        free = swarm.free
        if chain and all(free[j] >= k * cache for j, k in zip(chain, blocks, strict=True)):
            prompt = start + sum(prompts[c][e] for e in links)
            took = prompt + (tokens[r] - 1) * sum(decodes[c][e] for e in links)
            waits[r] = now - at[r]
            first[r] = waits[r] + prompt
            response[r] = waits[r] + took
            swarm.hold(chain, blocks, cache, now + took)
            heapq.heappush(ends, now + took)
            continue
        gap = retry_gap_ms(tries[r])
        if jitter:
            gap *= 1 + jitter * (2 * rng.random() - 1)
        tries[r] += 1
        hopeless = not any(swarm.sessions) and (not chain or tries[r] >= IDLE_TRIES)
        if hopeless or now + gap - at[r] > patience:
            inside -= 1
        else:
            heapq.heappush(events, (now + gap, r))
    return OnlineResult(response, first, waits, arrivals.tokens, most)


def read_arrivals(path: str | os.PathLike[str], instance: PlacementInstance) -> Arrivals:
    """A trace: CSV with columns ``arrival_s`` and, if wanted, ``client`` (name) and ``tokens``."""
    import csv

    name = os.fspath(path)
    clients = {client: c for c, client in enumerate(instance.clients.names)}
    rows: list[tuple[float, int, int]] = []
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            for line, row in enumerate(csv.DictReader(stream), start=2):
                rows.append(_arrival(row, line, clients, instance.output_tokens))
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror or error}", file=name) from None
    except (UnicodeDecodeError, csv.Error):
        raise InvalidInput("is not a CSV file", file=name) from None
    except InvalidInput as error:
        raise error.within(name) from None
    rows.sort(key=lambda row: row[0])
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return Arrivals(
        *(np.array(column, kind) for column, kind in zip(columns, (float, int, int), strict=True))
    )


def _arrival(
    row: dict[str, str | None], line: int, clients: dict[str, int], most_tokens: int
) -> tuple[float, int, int]:
    try:
        at = float(row.get("arrival_s") or "nan") * 1000
        tokens = int(row.get("tokens") or most_tokens)
    except ValueError:
        raise InvalidInput("must hold numbers", field=f"line {line}") from None
    client = row.get("client") or next(iter(clients))
    if not 0 <= at < 1e15:
        raise InvalidInput("arrival_s must be 0 or more", field=f"line {line}")
    if not 1 <= tokens <= 10**7:
        raise InvalidInput("tokens must be at least 1", field=f"line {line}")
    if client not in clients:
        raise InvalidInput(f"names an unknown client, {client!r}", field=f"line {line}")
    return at, clients[client], tokens

"""The performance model: how long a request takes on a chain of servers.

Hub and spoke: the client relays between consecutive servers. With k_j blocks processed at server j
of path p, client c, prompt l_in and l tokens to generate,

    T = Σ_{j∈p} [t^I_cj + k_j τ^I_j]  +  (l − 1) Σ_{j∈p} [t_cj + k_j τ_j]  +  start.

So T is a sum of a price per visit and a price per block processed. The authors' program minimises
l Σ_j [t_cj + k_j τ_j] instead: the same shape without the prompt. Both are ``Prices``.

Server to server (an option): each server hands on to the next one directly. A visit then costs its
overhead (what t_cj exceeds the bare round trip by) and half a round trip on every link used.

Memory: s_m count_j + s_c Σ_r k^r_j ≤ M_j: a cache is kept for blocks that are processed only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.schedule.data import Placement

OBJECTIVES = ("response", "decode")


@dataclass(frozen=True, eq=False)
class Prices:
    """Cost of one request, ms: visit[c, j] for passing server j, block[j] per block there."""

    visit: np.ndarray
    block: np.ndarray


def prices(instance: PlacementInstance, objective: str = "response") -> Prices:
    """``response``: all tokens and the prompt; ``decode``: l tokens, the prompt left out."""
    links, servers, tokens = instance.links, instance.servers, instance.output_tokens
    if objective == "decode":
        return Prices(tokens * links.token_ms, tokens * servers.decode_ms)
    if objective != "response":
        raise ValueError(f"unknown objective {objective!r}")
    return Prices(
        links.prompt_ms + (tokens - 1) * links.token_ms,
        servers.prefill_ms + (tokens - 1) * servers.decode_ms,
    )


def first_token_prices(instance: PlacementInstance) -> Prices:
    """The share of ``response`` that passes before the first token."""
    return Prices(instance.links.prompt_ms, instance.servers.prefill_ms)


def path_ms(
    paid: Prices, client: int, servers: Sequence[int], blocks: Sequence[int]
) -> tuple[float, float]:
    """(network, computation) milliseconds of one request on one path."""
    chain = list(servers)
    network = float(paid.visit[client, chain].sum())
    return network, float(paid.block[chain] @ np.asarray(blocks, float))


def direct_network_ms(
    instance: PlacementInstance, client: int, servers: Sequence[int], prompt: bool
) -> float:
    """Network time of one pass, server to server: overheads, then half a round trip per link."""
    links, chain = instance.links, list(servers)
    sent = links.prompt_ms if prompt else links.token_ms
    overhead = (sent[client, chain] - links.rtt_ms[client, chain]).sum()
    ends = links.rtt_ms[client, chain[0]] + links.rtt_ms[client, chain[-1]]
    between = links.server_rtt_ms[chain[:-1], chain[1:]].sum()
    return float(overhead + (ends + between) / 2)


def direct_response_ms(
    instance: PlacementInstance, client: int, servers: Sequence[int], blocks: Sequence[int]
) -> tuple[float, float]:
    """(network, computation) of one request, server to server."""
    _, computation = path_ms(prices(instance), client, servers, blocks)
    prompt = direct_network_ms(instance, client, servers, prompt=True)
    token = direct_network_ms(instance, client, servers, prompt=False)
    return prompt + (instance.output_tokens - 1) * token, computation


def cache_slots(instance: PlacementInstance, placement: Placement) -> np.ndarray:
    """(J,) ⌊(M_j − s_m count_j)/s_c⌋: blocks × requests that can be processed at once."""
    left = instance.servers.memory_bytes - instance.llm.block_bytes * placement.count
    return np.where(placement.count > 0, left // instance.cache_bytes, 0)

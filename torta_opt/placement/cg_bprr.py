"""CG-BPRR: conservative greedy block placement, then shortest-path routing.

1. count_j = min(⌊M_j / (s_m + s_c |R|)⌋, limit_j, L): room for the caches of |R| requests.
2. t̃_j = τ_j + max_c t_cj / count_j, the time per block; servers in ascending order.
   f_j = ⌊(M_j − s_m count_j) / (s_c count_j)⌋ requests fit for certain; t̃_v = max t̃ + 1;
   C_b = 0 requests block b can serve; T_b = |R| t̃_v its total time.
3. Each server in order: while some C_b < |R|, the window of largest Σ T_b among those that hold an
   under-served block (the first such); afterwards the window whose sorted C_b are least.
   Then T_b −= (t̃_v − t̃_j) min(max(|R| − C_b, 0), f_j) and C_b += f_j.
4. Infeasible if some C_b < |R|. Each client takes one shortest path.

Source: Sun et al. 2025, Algorithm 1, and the authors' ``CG_BP``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.io import Infeasible
from torta_opt.placement.chains import chains_of
from torta_opt.placement.data import Placement, PlacementInstance, PlacementSchedule
from torta_opt.placement.performance import prices
from torta_opt.placement.routing import shortest_path_routes


@dataclass(frozen=True, eq=False)
class ConservativeGreedy:
    """What CG-BP decides.

    order      servers with blocks, by time per block
    per_block_ms  (J,) t̃_j; infinite without blocks
    needed     K, the fewest servers in order that serve every block for |R| requests
    """

    placement: Placement
    requests: int
    order: tuple[int, ...]
    per_block_ms: np.ndarray
    needed: int


def cg_bprr(
    instance: PlacementInstance, requests: int | None = None, objective: str = "response"
) -> PlacementSchedule:
    """Placement for ``requests`` at once (the offline demand if not given), and the routes."""
    found = cg_bp(instance, instance.requests if requests is None else requests)
    routes = shortest_path_routes(instance, found.placement, prices(instance, objective))
    return PlacementSchedule("cg_bprr", found.placement, routes)


def block_counts(instance: PlacementInstance, requests: int) -> np.ndarray:
    """(J,) blocks per server with room for the caches of ``requests``."""
    per_block = instance.llm.block_bytes + instance.cache_bytes * requests
    counts = np.minimum(instance.servers.memory_bytes // per_block, instance.llm.blocks)
    return np.minimum(counts, instance.servers.most_blocks)


def cg_bp(instance: PlacementInstance, requests: int) -> ConservativeGreedy:
    """Conservative greedy block placement. Raises Infeasible."""
    blocks, servers = instance.llm.blocks, instance.servers
    requests = max(requests, 1)
    count = block_counts(instance, requests)
    if count.sum() < blocks:
        raise Infeasible(
            f"{instance.name}: CG-BP for {requests} requests at once places {count.sum()} of "
            f"{blocks} blocks"
        )
    hosts = count > 0
    farthest = instance.links.token_ms.max(axis=0)
    per_block = np.full(len(servers), np.inf)
    per_block[hosts] = servers.decode_ms[hosts] + farthest[hosts] / count[hosts]
    order = [int(j) for j in np.argsort(per_block, kind="stable") if hosts[j]]
    virtual = per_block[hosts].max() + 1
    free = servers.memory_bytes - instance.llm.block_bytes * count
    sessions = free // (instance.cache_bytes * np.maximum(count, 1))
    first = np.zeros(len(servers), int)
    capacity = np.zeros(blocks, np.int64)
    time = np.full(blocks, requests * virtual)
    needed = 0
    for rank, j in enumerate(order):
        first[j] = _window(time, capacity, int(count[j]), requests)
        span = slice(first[j], first[j] + count[j])
        short = np.minimum(np.maximum(requests - capacity[span], 0), sessions[j])
        time[span] -= (virtual - per_block[j]) * short
        capacity[span] += sessions[j]
        if not needed and (capacity >= requests).all():
            needed = rank + 1
    if not needed:
        lacking = int((capacity < requests).sum())
        raise Infeasible(
            f"{instance.name}: CG-BP serves {lacking} blocks for fewer than {requests} requests"
        )
    return ConservativeGreedy(Placement(first, count), requests, tuple(order), per_block, needed)


def online_requests(instance: PlacementInstance) -> int:
    """|R| for arrivals at rate λ: min(round(λT₁ + √(λT₁)), ⌊(ΣM − s_m(L+J)) / (s_c(L+J))⌋).

    T₁ is the time of one request under CG-BPRR with |R| = 1. At least 1.
    """
    alone = cg_bprr(instance.with_requests(np.eye(len(instance.clients), dtype=int)[0]), 1)
    chains = chains_of(alone.placement, instance.llm.blocks)
    paid = prices(instance)
    rates = instance.clients.rate_per_s
    per_client = [chains.cheapest(chains.prices_of(v, paid.block))[0] for v in paid.visit]
    weights = rates if rates.sum() > 0 else np.ones(len(rates))
    one_s = (np.average(per_client, weights=weights) + instance.delays.start_ms) / 1000
    load = float(rates.sum()) * one_s
    places = instance.llm.blocks + len(instance.servers)
    memory = int(instance.servers.memory_bytes.sum())
    most = (memory - instance.llm.block_bytes * places) // (instance.cache_bytes * places)
    wanted = int(np.floor(load + np.sqrt(load) + 0.5))  # halves up, as the authors' language rounds
    return max(1, min(wanted, most))


def _window(time: np.ndarray, capacity: np.ndarray, count: int, requests: int) -> int:
    """The first block of the window that step 3 picks."""
    if (capacity < requests).any():
        sums = np.convolve(time, np.ones(count), "valid")
        under = np.convolve(capacity < requests, np.ones(count), "valid") > 0.5
        return first_largest(np.where(under, sums, -np.inf))
    return least_window(capacity, count)


def first_largest(sums: np.ndarray) -> int:
    """Position of the largest; of those equal but for rounding, the first."""
    best = sums.max()
    return int(np.argmax(sums >= best - 1e-9 * max(abs(best), 1.0)))


def least_window(values: np.ndarray, count: int) -> int:
    """First start of the window of ``count`` whose sorted values are lexicographically least."""
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(values, count), axis=1)
    return int(np.lexsort(windows.T[::-1])[0])

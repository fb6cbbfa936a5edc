"""CG-BP: conservative greedy block placement.

1. count_j = min(⌊M_j / (s_m + s_c |R|)⌋, limit_j, L): room for the caches of |R| requests.
2. t̃_j = τ_j + max_c t_cj / count_j, the time per block; servers in ascending order.
   f_j = ⌊(M_j − s_m count_j) / (s_c count_j)⌋ requests fit for certain; t̃_v = max t̃ + 1;
   C_b = 0 requests block b can serve; T_b = |R| t̃_v its total time.
3. Each server in order: while some C_b < |R|, the window of largest Σ T_b among those that hold an
   under-served block (the first such); afterwards the window whose sorted C_b are least.
   Then T_b −= (t̃_v − t̃_j) min(max(|R| − C_b, 0), f_j) and C_b += f_j.
4. Infeasible if some C_b < |R|.

Source: Sun et al. 2025, Algorithm 1, and the authors' ``CG_BP``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.io import Infeasible
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.schedule.data import Placement

MAX_INT = (1 << 63) - 1


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


def block_counts(instance: PlacementInstance, requests: int) -> np.ndarray:
    """(J,) blocks per server with room for the caches of ``requests``."""
    per_block = min(instance.llm.block_bytes + instance.cache_bytes * requests, MAX_INT)
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
            f"{instance.name}: CG-BP leaves {lacking} blocks without room for {requests} requests"
        )
    return ConservativeGreedy(Placement(first, count), requests, tuple(order), per_block, needed)


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

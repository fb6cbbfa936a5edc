"""A combinatorial lower bound that knows what requests take from each other.

A server that hosts m blocks has room for ⌊(M_j − s_m m)/s_c⌋ caches, and at most R m are asked of
it. So all requests together process no more blocks there than

    K_j = max_m min{R m, ⌊(M_j − s_m m)/s_c⌋}.

The floor (``floor``) serves every request as if it were alone. With a price λ_j ≥ 0 on every block
processed at j, weak duality gives, for every λ,

    cost ≥ Σ_c R_c f_c(visit_c, block + λ) − Σ_j λ_j K_j,

f_c being the floor's sweep over servers. λ = 0 is the floor; ascent by subgradients raises it.
No solver takes part, and no property of λ is needed but its sign. The value is lowered by more than
float64 sums can be off.
"""

from __future__ import annotations

import numpy as np

from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.instance.rules import check_feasible
from torta_opt.placement.schedule.performance import Prices, prices

STEPS = 60
ROUNDING = 1e-11  # share of the sum of the absolute values of all terms


def lower_bound(instance: PlacementInstance, objective: str = "response") -> float:
    """Seconds no schedule can beat. Raises Infeasible if blocks or caches find no room."""
    start_ms = instance.requests * instance.delays.start_ms if objective == "response" else 0.0
    return (lower_bound_ms(instance, prices(instance, objective)) + start_ms) / 1000


def lower_bound_ms(instance: PlacementInstance, paid: Prices, steps: int = STEPS) -> float:
    """The same in milliseconds, without the start, at any prices."""
    return priced_bound_ms(instance, paid, steps)[0]


def priced_bound_ms(
    instance: PlacementInstance, paid: Prices, steps: int = STEPS
) -> tuple[float, np.ndarray]:
    """The same, and the (J,) prices λ that prove it."""
    check_feasible(instance, instance.requests)
    most = most_processed(instance)
    demand = instance.clients.requests
    best, floor = -np.inf, 0.0
    penalty = chosen = np.zeros(len(most))
    scale, stalled = 1.0, 0
    for step in range(steps):
        value, size, used = 0.0, 0.0, np.zeros(len(most))
        for c in np.flatnonzero(demand):
            cost, blocks = least_with_blocks(instance, paid.visit[c], paid.block + penalty)
            value += demand[c] * cost
            used += demand[c] * blocks
        spared = float(penalty @ most)
        size = value + spared
        value = value - spared - ROUNDING * size
        if step == 0:
            floor = value
        stalled = 0 if value > best else stalled + 1
        if value > best:
            best, chosen = value, penalty
        over = used - most
        over[(penalty == 0) & (over < 0)] = 0.0
        norm = float(over @ over)
        if norm == 0:
            break
        if stalled >= 4:
            scale, stalled = scale / 2, 0
        aim = best + 0.05 * abs(floor) - value
        penalty = np.maximum(penalty + scale * aim / norm * over, 0.0)
    return best, chosen


def most_processed(instance: PlacementInstance) -> np.ndarray:
    """(J,) K_j, blocks × requests a server can process at once, however many it hosts."""
    most = np.zeros(len(instance.servers))
    for j, limit in enumerate(instance.use_limit.tolist()):
        hosted = np.arange(limit + 1)
        most[j] = cache_room(instance, j, hosted).max(initial=0)
    return most


def cache_room(instance: PlacementInstance, server: int, hosted: np.ndarray) -> np.ndarray:
    """min{R m, ⌊(M_j − s_m m)/s_c⌋} for ``hosted`` m."""
    left = int(instance.servers.memory_bytes[server]) - instance.llm.block_bytes * hosted
    room: np.ndarray = np.minimum(instance.requests * hosted, left // instance.cache_bytes)
    return room


def least_with_blocks(
    instance: PlacementInstance,
    visit: np.ndarray,
    block: np.ndarray,
    limit: np.ndarray | None = None,
) -> tuple[float, np.ndarray]:
    """min Σ_j [visit_j + block_j k_j] over 0 ≤ k_j ≤ limit_j, Σ k_j = L, and the k (J,)."""
    blocks = instance.llm.blocks
    limit = instance.use_limit if limit is None else limit
    hosts = np.flatnonzero(limit)
    cost = np.full(blocks + 1, np.inf)
    cost[0] = 0.0
    taken = np.zeros((len(hosts), blocks + 1), int)
    at = np.arange(blocks + 1)
    for row, j in enumerate(hosts):
        most = int(limit[j])
        base = cost - block[j] * at
        padded = np.concatenate([np.full(most, np.inf), base[:-1]])
        windows = np.lib.stride_tricks.sliding_window_view(padded, most)  # F(b−u) … F(b−1)
        nearest = windows.argmin(axis=1)
        used = windows[at, nearest] + block[j] * at + visit[j]
        better = used < cost
        taken[row] = np.where(better, most - nearest, 0)
        cost = np.where(better, used, cost)
    counts = np.zeros(len(limit), int)
    left = blocks
    for row in range(len(hosts) - 1, -1, -1):
        counts[hosts[row]] = taken[row, left]
        left -= taken[row, left]
    return float(cost[blocks]), counts

"""The floor of a placement instance: every request as if it were alone.

A request processes k_j blocks at server j, Σ_j k_j = L, and j holds them and their caches whatever
else it does, so (s_m + s_c) k_j ≤ M_j and k_j ≤ u_j, the server's ``use_limit``. It passes no server
twice, because ends grow along a chain. Its time is Σ_{j: k_j > 0} visit_cj + Σ_j block_j k_j. So no
schedule serves a request of client c in less than

    f_c = min { Σ_j [visit_cj + block_j k_j] : 0 ≤ k_j ≤ u_j, Σ_j k_j = L, paid where k_j > 0 },

and the sum over all requests bounds every schedule's cost. The minimum forgets which blocks a server
holds, and what other requests take. A sweep over servers finds it: F(b), the least cost of b blocks,
becomes min(F(b), visit + min_{1≤k≤u} [F(b − k) + block k]).
"""

from __future__ import annotations

import numpy as np

from torta_opt.placement.data import PlacementInstance
from torta_opt.placement.performance import prices
from torta_opt.placement.rules import check_feasible


def floor_s(instance: PlacementInstance) -> float:
    """Seconds no schedule can beat. Raises Infeasible if a lone request finds no room."""
    check_feasible(instance, instance.requests)
    paid = prices(instance)
    total = sum(
        requests * (least_ms(instance, paid.visit[c], paid.block) + instance.delays.start_ms)
        for c, requests in enumerate(instance.clients.requests.tolist())
        if requests
    )
    return float(total) / 1000


def least_ms(instance: PlacementInstance, visit: np.ndarray, block: np.ndarray) -> float:
    """f_c: the least cost of one request at ``visit`` and ``block`` (J,) prices."""
    blocks = instance.llm.blocks
    cost = np.full(blocks + 1, np.inf)
    cost[0] = 0.0
    for j in np.flatnonzero(instance.use_limit):
        limit = int(instance.use_limit[j])
        used = np.full(blocks + 1, np.inf)
        for count in range(1, limit + 1):
            reached = cost[: blocks + 1 - count] + float(block[j]) * count
            np.minimum(used[count:], reached, out=used[count:])
        cost = np.minimum(cost, used + float(visit[j]))
    return float(cost[blocks])

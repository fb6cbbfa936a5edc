"""The floor of a placement instance: every request as if it were alone.

A request processes k_j blocks at server j, Σ_j k_j = L. Whatever else j does, it holds these and
their caches, so (s_m + s_c) k_j ≤ M_j and k_j ≤ u_j, its ``use_limit``. No server is passed twice,
because ends grow along a chain. Its time is Σ_{j: k_j > 0} visit_cj + Σ_j block_j k_j. So no
schedule serves a request of client c in less than

    f_c = min { Σ_j [visit_cj + block_j k_j] : 0 ≤ k_j ≤ u_j, Σ_j k_j = L, paid where k_j > 0 },

and the sum over all requests bounds every schedule's cost. The minimum forgets which blocks a
server holds, and what other requests take. A sweep over servers finds it: F(b), the least cost of
b blocks, becomes min(F(b), visit + min_{1≤k≤u} [F(b − k) + block k]).
"""

from __future__ import annotations

import numpy as np

from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.instance.rules import check_feasible
from torta_opt.placement.schedule.performance import prices


def floor_s(instance: PlacementInstance) -> float:
    """Seconds no schedule can beat. Raises Infeasible if a lone request finds no room."""
    return sum(floor_costs(instance).values())


def floor_costs(instance: PlacementInstance) -> dict[str, float]:
    """The floor by cost component: what each request pays where it is alone."""
    check_feasible(instance, instance.requests)
    paid = prices(instance)
    network = computation = 0.0
    for c, requests in enumerate(instance.clients.requests.tolist()):
        if requests:
            visits, blocks = least_ms(instance, paid.visit[c], paid.block)
            network += requests * visits
            computation += requests * blocks
    start = instance.requests * instance.delays.start_ms
    return {
        "network": network / 1000,
        "computation": computation / 1000,
        "start": start / 1000,
    }


def least_ms(
    instance: PlacementInstance, visit: np.ndarray, block: np.ndarray
) -> tuple[float, float]:
    """f_c in its parts, visits and blocks, at ``visit`` and ``block`` (J,) prices."""
    blocks = instance.llm.blocks
    cost, visits = np.full(blocks + 1, np.inf), np.zeros(blocks + 1)
    cost[0] = 0.0
    for j in np.flatnonzero(instance.use_limit):
        used, paid = np.full(blocks + 1, np.inf), np.zeros(blocks + 1)
        for count in range(1, int(instance.use_limit[j]) + 1):
            reached = cost[: blocks + 1 - count] + float(block[j]) * count
            better = reached < used[count:]
            used[count:][better] = reached[better]
            paid[count:][better] = visits[: blocks + 1 - count][better]
        better = used + float(visit[j]) < cost
        cost = np.where(better, used + float(visit[j]), cost)
        visits = np.where(better, paid + float(visit[j]), visits)
    return float(visits[blocks]), float(cost[blocks] - visits[blocks])

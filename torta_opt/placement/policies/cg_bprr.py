"""CG-BPRR: conservative greedy block placement, then shortest-path routing.

Every run is held to what Theorem 2 promises. Source: Sun et al. 2025; placement in ``cg_bp``.
"""

from __future__ import annotations

import numpy as np

from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.policies.cg_bp import block_counts, cg_bp
from torta_opt.placement.policies.guarantee import check_guarantee
from torta_opt.placement.policies.routing import shortest_path_routes
from torta_opt.placement.schedule.chains import chains_of
from torta_opt.placement.schedule.data import PlacementSchedule
from torta_opt.placement.schedule.performance import prices


def cg_bprr(
    instance: PlacementInstance, requests: int | None = None, objective: str = "response"
) -> PlacementSchedule:
    """Placement for ``requests`` at once (the offline demand if not given), and the routes.

    Raises Infeasible, or VerificationFailed if the placement breaks Theorem 2's promise.
    """
    found = cg_bp(instance, instance.requests if requests is None else requests)
    check_guarantee(instance, found)
    routes = shortest_path_routes(instance, found.placement, prices(instance, objective))
    return PlacementSchedule("cg_bprr", found.placement, routes)


def one_request_s(instance: PlacementInstance) -> float:
    """T₁: a request's time under CG-BPRR with |R| = 1, mean over clients by rate."""
    found = cg_bp(instance, 1)
    chains = chains_of(found.placement, instance.llm.blocks)
    paid = prices(instance)
    alone = [chains.cheapest(chains.prices_of(v, paid.block))[0] for v in paid.visit]
    rates = instance.clients.rate_per_s
    weights = rates if rates.sum() > 0 else np.ones(len(rates))
    return float(np.average(alone, weights=weights) + instance.delays.start_ms) / 1000


def online_requests(instance: PlacementInstance) -> int:
    """|R| for arrivals at rate λ: min(round(λT₁ + √(λT₁)), ⌊(ΣM − s_m(L+J)) / (s_c(L+J))⌋).

    At least 1. The second term keeps CG-BP feasible unless servers have a limit on their blocks;
    where it does not, the most for which CG-BP places all blocks.
    """
    load = float(instance.clients.rate_per_s.sum()) * one_request_s(instance)
    places = instance.llm.blocks + len(instance.servers)
    memory = sum(instance.servers.memory_bytes.tolist())
    most = (memory - instance.llm.block_bytes * places) // (instance.cache_bytes * places)
    wanted = int(np.floor(load + np.sqrt(load) + 0.5))  # halves up, as the authors' language rounds
    return _placeable(instance, max(1, min(wanted, most)))


def _placeable(instance: PlacementInstance, wanted: int) -> int:
    """The most requests, ``wanted`` at most, for which CG-BP places all blocks; 1 if there is none.

    Block counts never grow with the number of requests, so bisection finds it.
    """
    low, high = 1, wanted + 1  # low: taken to be placeable; high: not asked for, or not placeable
    if block_counts(instance, wanted).sum() >= instance.llm.blocks:
        return wanted
    while high - low > 1:
        middle = (low + high) // 2
        if block_counts(instance, middle).sum() >= instance.llm.blocks:
            low = middle
        else:
            high = middle
    return low

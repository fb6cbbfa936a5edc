"""Routes of the offline problem under a given placement."""

from __future__ import annotations

import numpy as np

from torta_opt.io import Infeasible
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.schedule.chains import INFINITE, Chains, chains_of
from torta_opt.placement.schedule.data import Placement, Route
from torta_opt.placement.schedule.performance import Prices, cache_slots


def shortest_path_routes(
    instance: PlacementInstance, placement: Placement, paid: Prices
) -> tuple[Route, ...]:
    """Every client's requests on its cheapest chain, whatever the memory left (Lemma 3).

    Optimal if the placement leaves every server room for all requests, as CG-BP does.
    """
    chains = chains_of(placement, instance.llm.blocks)
    routes: list[Route] = []
    for c, requests in enumerate(instance.clients.requests.tolist()):
        if requests:
            chain = _cheapest(instance, chains, chains.prices_of(paid.visit[c], paid.block))
            routes += [Route(c, chain)] * requests
    return tuple(routes)


def routes_in_turn(
    instance: PlacementInstance, placement: Placement, paid: Prices
) -> tuple[Route, ...]:
    """Request by request, clients in turn: the cheapest chain with memory left on every server.

    Raises Infeasible if a request finds none.
    """
    chains = chains_of(placement, instance.llm.blocks)
    left = cache_slots(instance, placement)
    waiting = instance.clients.requests.copy()
    base = [chains.prices_of(visit, paid.block) for visit in paid.visit]
    routes = []
    while waiting.any():
        for c in np.flatnonzero(waiting):
            fits = chains.blocks <= left[chains.head]
            chain = _cheapest(instance, chains, np.where(fits, base[c], INFINITE))
            routes.append(Route(int(c), chain))
            done = 0
            for j in chain:
                left[j] -= placement.end[j] - done
                done = placement.end[j]
            waiting[c] -= 1
    return tuple(routes)


def _cheapest(instance: PlacementInstance, chains: Chains, cost: np.ndarray) -> tuple[int, ...]:
    total, chain = chains.cheapest(cost.tolist())
    if total == INFINITE:
        covered = np.zeros(instance.llm.blocks, bool)
        for j in np.unique(chains.head):
            covered[chains.placement.first[j] : chains.placement.end[j]] = True
        reason = "blocks stay uncovered" if not covered.all() else "memory is used up"
        raise Infeasible(f"{instance.name}: no chain of servers for a request; {reason}")
    return chain

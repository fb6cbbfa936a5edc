"""Methods that solve the offline problem, by name: all requests arrive at the same time.

Methods for requests that arrive one by one take all of them in turn: each request gets a route and
keeps its caches, and none can wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torta_opt.io import Infeasible, InvalidInput
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.online.contenders import contender
from torta_opt.placement.online.swarm import Swarm
from torta_opt.placement.policies.cg_bp import cg_bp
from torta_opt.placement.policies.cg_bprr import cg_bprr, online_requests
from torta_opt.placement.policies.guarantee import check_guarantee
from torta_opt.placement.policies.petals import (
    opt_number_schedule,
    opt_order_schedule,
    petals_schedule,
)
from torta_opt.placement.policies.routing import routes_in_turn
from torta_opt.placement.schedule.data import PlacementSchedule, Route
from torta_opt.placement.schedule.performance import prices


@dataclass(frozen=True)
class OfflineMethod:
    """A way to a schedule, in a line and as a function of instance and seed."""

    summary: str
    solve: Callable[[PlacementInstance, int], PlacementSchedule]


def solve_offline(instance: PlacementInstance, method: str, seed: int = 0) -> PlacementSchedule:
    """The schedule ``method`` finds. Raises Infeasible, naming the method, if it finds none."""
    check_method(method)
    try:
        return METHODS[method].solve(instance, seed)
    except Infeasible as error:
        raise Infeasible(f"{method}: {error}") from None


def check_method(name: str) -> None:
    """Raise InvalidInput if there is no method of that name."""
    if name not in METHODS:
        raise InvalidInput(
            f"{name!r:.60} does not place blocks; known: {', '.join(METHODS)}", field="method"
        )


def ws_rr_schedule(instance: PlacementInstance) -> PlacementSchedule:
    """CG-BP for as many requests as the arrival rate suggests, the cheapest way left for each.

    Fewer requests than there are mean more blocks on a server and less room for caches: some
    requests take a longer way, and all of them may not fit. Then CG-BP plans for more.
    """
    wanted = max(instance.requests, 1)
    planned = min(online_requests(instance), wanted)
    while True:
        found = cg_bp(instance, planned)
        check_guarantee(instance, found)
        try:
            routes = routes_in_turn(instance, found.placement, prices(instance))
            return PlacementSchedule("ws_rr", found.placement, routes)
        except Infeasible:
            if planned == wanted:
                raise
        planned = min(planned + max(planned // 4, 1), wanted)


def played_at_once(instance: PlacementInstance, name: str, seed: int) -> PlacementSchedule:
    """A contender of the online comparison with all requests at the same time."""
    chosen = contender(instance, name, seed, max(instance.requests, 1))
    swarm = Swarm(instance, chosen.placement, chosen.pool)
    routes: list[Route] = []
    for c, requests in enumerate(instance.clients.requests.tolist()):
        for _ in range(requests):
            cache, tokens = instance.cache_bytes, instance.output_tokens
            chain = chosen.router(swarm, c, tokens, cache, 0.0)
            blocks = swarm.blocks_along(chain)
            fits = all(
                swarm.free[j] >= count * cache for j, count in zip(chain, blocks, strict=True)
            )
            if not chain or not fits:
                raise Infeasible(f"{instance.name}: request {len(routes) + 1} would have to wait")
            swarm.hold(chain, blocks, cache, 1.0)
            routes.append(Route(c, chain))
    return PlacementSchedule(name, chosen.placement, tuple(routes), seed)


def _petals_simulated(instance: PlacementInstance, seed: int) -> PlacementSchedule:
    found = played_at_once(instance, "petals", seed)
    return PlacementSchedule("petals_simulated", found.placement, found.routes, seed)


METHODS: dict[str, OfflineMethod] = {
    "cg_bprr": OfflineMethod(
        "CG-BPRR: conservative greedy placement with memory for all requests, shortest paths",
        lambda instance, seed: cg_bprr(instance),
    ),
    "ws_rr": OfflineMethod(
        "CG-BP placement for the expected number of requests, cheapest route with free memory",
        lambda instance, seed: ws_rr_schedule(instance),
    ),
    "petals": OfflineMethod("PETALS as its code implements it", petals_schedule),
    "petals_rebalanced": OfflineMethod(
        "PETALS after servers have moved until a whole round passes without a move",
        lambda instance, seed: petals_schedule(instance, seed, rebalanced=True),
    ),
    "petals_simulated": OfflineMethod(
        "PETALS as the authors of CG-BPRR simulate it", _petals_simulated
    ),
    "opt_order": OfflineMethod(
        "PETALS, but servers join in CG-BP's order",
        lambda instance, seed: opt_order_schedule(instance),
    ),
    "opt_number": OfflineMethod(
        "PETALS, but every server hosts CG-BP's number of blocks", opt_number_schedule
    ),
    "opt_rr": OfflineMethod(
        "PETALS's placement, each request in turn on the best route for it",
        lambda instance, seed: played_at_once(instance, "opt_rr", seed),
    ),
}

"""PETALS as the authors' simulator has it, and the three ablations.

    petals       random joining order; PETALS's blocks, windows, routing and cache pool
    opt_order    the same, joining in CG-BP's order
    opt_number   the same, with CG-BP's number of blocks (and the memory beside them as cache)
    opt_rr       PETALS's placement and pool, routing by the exact myopic program
    proposed     CG-BP and WS-RR

It differs from the real PETALS in this: no rebalancing; a server is penalised only when its number
of sessions equals its capacity, counted in full spans; hub and spoke timing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.online.routers import Chain, Router, opt_rr, ws_rr
from torta_opt.placement.online.swarm import Swarm, own_pool, petals_pool
from torta_opt.placement.policies.cg_bp import cg_bp
from torta_opt.placement.policies.cg_bprr import online_requests
from torta_opt.placement.policies.guarantee import check_guarantee
from torta_opt.placement.policies.petals import (
    FULL_CACHE_MS,
    opt_number_placement,
    opt_order_placement,
    petals_placement,
)
from torta_opt.placement.schedule.data import Placement


@dataclass(frozen=True, eq=False)
class Contender:
    """A placement, the memory its caches may take, and a router."""

    name: str
    placement: Placement
    pool: np.ndarray
    router: Router


def session_latency(swarm: Swarm, client: int, tokens: int, cache: int, now: float) -> Chain:
    """The simulator's ``min_latency``: 10 s if as many sessions as full spans fit."""
    full = tuple(
        count > 0 and len(held) == pool // (count * cache)
        for count, held, pool in zip(swarm.counts, swarm.sessions, swarm.pool, strict=True)
    )
    return swarm.latency_chain(client, full, FULL_CACHE_MS)


def _petals(instance: PlacementInstance, requests: int, seed: int) -> Contender:
    placement = petals_placement(instance, seed)
    return Contender("petals", placement, petals_pool(instance, placement), session_latency)


def _opt_order(instance: PlacementInstance, requests: int, seed: int) -> Contender:
    placement = opt_order_placement(instance, requests)
    return Contender("opt_order", placement, petals_pool(instance, placement), session_latency)


def _opt_number(instance: PlacementInstance, requests: int, seed: int) -> Contender:
    placement = opt_number_placement(instance, requests, seed)
    return Contender("opt_number", placement, own_pool(instance, placement), session_latency)


def _opt_rr(instance: PlacementInstance, requests: int, seed: int) -> Contender:
    placement = petals_placement(instance, seed)
    return Contender("opt_rr", placement, petals_pool(instance, placement), opt_rr)


def _proposed(instance: PlacementInstance, requests: int, seed: int) -> Contender:
    found = cg_bp(instance, requests)
    check_guarantee(instance, found)
    return Contender("proposed", found.placement, own_pool(instance, found.placement), ws_rr)


CONTENDERS: dict[str, Callable[[PlacementInstance, int, int], Contender]] = {
    "petals": _petals,
    "opt_number": _opt_number,
    "opt_order": _opt_order,
    "opt_rr": _opt_rr,
    "proposed": _proposed,
}


def contender(
    instance: PlacementInstance, name: str, seed: int = 0, requests: int | None = None
) -> Contender:
    """The contender of that name; ``requests`` is |R|, by the online rule if not given."""
    if requests is None:
        requests = online_requests(instance)
    return CONTENDERS[name](instance, requests, seed)

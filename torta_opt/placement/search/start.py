"""Schedules from which the exact search starts: known methods, and one chain for all requests."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import numpy as np

from torta_opt.io import Infeasible
from torta_opt.placement.bounds.combinatorial import least_with_blocks
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.policies.cg_bprr import cg_bprr
from torta_opt.placement.schedule.data import Placement, PlacementSchedule, Route
from torta_opt.placement.schedule.performance import Prices


def known_schedules(
    instance: PlacementInstance, paid: Prices, start: PlacementSchedule | None, objective: str
) -> Iterator[PlacementSchedule]:
    """The user's start, one chain for all requests, CG-BPRR."""
    if start is not None:
        yield start
    with contextlib.suppress(Infeasible):
        yield one_chain(instance, paid)
    with contextlib.suppress(Infeasible):
        yield cg_bprr(instance, objective=objective)


def by_other_methods(instance: PlacementInstance) -> Iterator[PlacementSchedule]:
    """For instances in which none of the known schedules passes the verifier."""
    from torta_opt.placement.methods import METHODS

    for method in METHODS.values():
        with contextlib.suppress(Infeasible):
            yield method.solve(instance, 0)


def one_chain(instance: PlacementInstance, paid: Prices) -> PlacementSchedule:
    """The cheapest schedule in which all requests take the same chain.

    A server then holds the blocks it processes for everyone, (s_m + R s_c) k_j ≤ M_j, and positions
    do not matter: the floor's sweep, at the prices of all requests together, is exact.
    """
    demand = instance.clients.requests
    need = instance.llm.block_bytes + instance.requests * instance.cache_bytes
    limit = np.minimum(instance.use_limit, instance.servers.memory_bytes // need)
    visit, block = demand @ paid.visit, instance.requests * paid.block
    cost, counts = least_with_blocks(instance, visit, block, limit)
    if not math.isfinite(cost):
        raise Infeasible(f"{instance.name}: no single chain of servers has room for all requests")
    chain = np.flatnonzero(counts)
    first = np.zeros(len(counts), int)
    first[chain] = np.cumsum(counts[chain]) - counts[chain]
    servers = tuple(chain.tolist())
    routes = [Route(c, servers) for c, requests in enumerate(demand) for _ in range(requests)]
    return PlacementSchedule("exact", Placement(first, counts), tuple(routes))

"""The assignment of Fig. 5, identical tasks and identical servers counted instead of named: exact.

Sets        i, j ∈ R regions · c ∈ C classes, at most two a pool · p ∈ P pools: the n[p] servers of
            one type in one region that hold the same model
Variables   x[i,j,c] ∈ ℤ₊  tasks of class c sent from i to j
            Z[p,c]   ∈ ℤ₊  tasks of class c that the servers of pool p run together

minimise    Σ route[i,j,c]·x[i,j,c] + Σ serve[p,c]·Z[p,c]
subject to  Σ_j x[i,j,c] = D[i,c]                                        (route)
            Σ_i x[i,j,c] = Σ_{p in j} Z[p,c]                             (serve)
            α·Z[p,c₁] + β·Z[p,c₂] ≤ n[p]·γ   for every facet (α, β, γ)
            of conv{(a, b) ∈ ℤ²₊ : u₁a + u₂b ≤ Δ}                        (facet)
            Σ_{p in j} Σ_c u·Z[p,c] ≤ f·Σ_{s in j} Δ                     (region)

The size does not depend on the number of tasks. That totals Z within the facets can be shared out
to n[p] servers, none of them over Δ, is a theorem on lattice polygons; with three classes in a pool
it would be false. Proof: docs/formulations/fig5.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from numpy.typing import ArrayLike

from torta_opt.allocation.formulations.server_hull import Facets, facets_of, shared_out
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule import Schedule
from torta_opt.allocation.single_slot.by_task import (
    REGION_SHARE,
    check_single_slot,
    idle_usd,
    region_limits,
    route_usd,
    serve_usd,
    server_load_ms,
    single_slot_schedule,
)
from torta_opt.io import InvalidInput
from torta_opt.solvers.problem import Problem


@dataclass(frozen=True, eq=False)
class Pool:
    """Servers alike: ``servers`` of them, ``region``, ``type``, the classes they run and the load
    (ms) of each, and the facets of what one of them can take.
    """

    servers: np.ndarray
    region: int
    type: int
    classes: np.ndarray
    load_ms: np.ndarray
    facets: Facets


@dataclass(frozen=True, eq=False)
class GroupedProgram:
    """The program, and what its columns mean.

    routes   (X, 3) i, j, c of every column x
    totals   (Z, 2) pool and class of every column Z; these columns come after the others
    """

    problem: Problem
    instance: Instance
    pools: tuple[Pool, ...]
    routes: np.ndarray
    totals: np.ndarray


def build_grouped_program(instance: Instance, region_share: float = REGION_SHARE) -> GroupedProgram:
    """The program above for a single-slot instance."""
    check_single_slot(instance)
    system, arrivals = instance.system, instance.arrivals[0]
    pools = pools_of(instance)
    route = route_usd(system)
    sent = np.isfinite(route) & (arrivals > 0)[:, None, :]
    routes = np.argwhere(sent)
    totals = np.array([(p, c) for p, pool in enumerate(pools) for c in pool.classes], int)
    totals = totals.reshape(-1, 2)
    serve = serve_usd(instance)
    cost = np.concatenate(
        [route[sent], [serve[pools[p].region, pools[p].type, c] for p, c in totals]]
    )
    most = np.concatenate(
        [arrivals[routes[:, 0], routes[:, 2]], arrivals.sum(axis=0)[totals[:, 1]]]
    )
    rows = _Rows(len(routes) + len(totals))
    _add_routing(rows, instance, routes)
    _add_serving(rows, instance, pools, routes, totals)
    _add_facets(rows, pools, totals, len(routes))
    _add_regions(rows, instance, pools, totals, len(routes), region_share)
    matrix, lower, upper = rows.finished()
    columns = len(cost)
    problem = Problem(
        matrix=matrix,
        row_lower=lower,
        row_upper=upper,
        col_lower=np.zeros(columns),
        col_upper=most.astype(float),
        cost=cost,
        offset=idle_usd(instance),
        integrality=np.ones(columns, bool),
    )
    return GroupedProgram(problem, instance, pools, routes, totals)


def pools_of(instance: Instance) -> tuple[Pool, ...]:
    system = instance.system
    load = server_load_ms(instance)
    key = np.stack([system.server_region, system.server_type, instance.initial.model], axis=1)
    kinds, which = np.unique(key, axis=0, return_inverse=True)
    known: dict[tuple[int, ...], Facets] = {}
    pools = []
    for p, (region, kind, _) in enumerate(kinds.tolist()):
        servers = np.flatnonzero(which.ravel() == p)
        takes = load[servers[0]]
        classes = np.flatnonzero((takes > 0) & (takes <= system.slot_ms) & _arrives(instance))
        if len(classes) > 2:
            raise InvalidInput(
                f"{system.types[kind]} runs {len(classes)} classes in one slot; grouping is exact "
                "for at most 2",
                field="instance",
            )
        size = tuple(takes[classes].tolist())
        if size not in known:
            known[size] = facets_of(size, system.slot_ms)
        pools.append(Pool(servers, region, kind, classes, takes[classes], known[size]))
    return tuple(pools)


def _arrives(instance: Instance) -> np.ndarray:
    return instance.arrivals[0].any(axis=0)


class _Rows:
    """Rows being collected."""

    def __init__(self, columns: int) -> None:
        self.columns, self.count = columns, 0
        self.row: list[np.ndarray] = []
        self.column: list[np.ndarray] = []
        self.value: list[np.ndarray] = []
        self.lower: list[float] = []
        self.upper: list[float] = []

    def add(self, columns: np.ndarray, values: ArrayLike, lower: float, upper: float) -> None:
        self.row.append(np.full(len(columns), self.count))
        self.column.append(columns)
        self.value.append(np.broadcast_to(np.asarray(values, float), len(columns)))
        self.lower.append(lower)
        self.upper.append(upper)
        self.count += 1

    def finished(self) -> tuple[sparse.csr_array, np.ndarray, np.ndarray]:
        entries = tuple(
            np.concatenate(part) if part else np.zeros(0, int)
            for part in (self.value, self.row, self.column)
        )
        value, row, column = entries
        matrix = sparse.csr_array((value, (row, column)), shape=(self.count, self.columns))
        return matrix, np.array(self.lower, float), np.array(self.upper, float)


def _add_routing(rows: _Rows, instance: Instance, routes: np.ndarray) -> None:
    """(route) Every task is sent somewhere."""
    for i, c in np.argwhere(instance.arrivals[0] > 0):
        columns = np.flatnonzero((routes[:, 0] == i) & (routes[:, 2] == c))
        demand = float(instance.arrivals[0, i, c])
        rows.add(columns, 1.0, demand, demand)


def _add_serving(
    rows: _Rows,
    instance: Instance,
    pools: tuple[Pool, ...],
    routes: np.ndarray,
    totals: np.ndarray,
) -> None:
    """(serve) What is sent to a region runs there."""
    place = np.array([pool.region for pool in pools])[totals[:, 0]]
    for j in range(len(instance.system.regions)):
        for c in np.flatnonzero(_arrives(instance)):
            inward = np.flatnonzero((routes[:, 1] == j) & (routes[:, 2] == c))
            here = np.flatnonzero((place == j) & (totals[:, 1] == c))
            columns = np.concatenate([inward, len(routes) + here])
            signs = np.concatenate([np.ones(len(inward)), -np.ones(len(here))])
            rows.add(columns, signs, 0.0, 0.0)


def _add_facets(rows: _Rows, pools: tuple[Pool, ...], totals: np.ndarray, first: int) -> None:
    """(facet) What the servers of a pool can take together."""
    for p, pool in enumerate(pools):
        columns = first + np.flatnonzero(totals[:, 0] == p)
        for *slope, most in pool.facets.tolist():
            rows.add(columns, slope[: len(columns)], -np.inf, float(len(pool.servers) * most))


def _add_regions(
    rows: _Rows,
    instance: Instance,
    pools: tuple[Pool, ...],
    totals: np.ndarray,
    first: int,
    share: float,
) -> None:
    """(region) At most a share of the server time of a region."""
    system = instance.system
    limits = region_limits(system.server_region, system.slot_ms, share)
    place = np.array([pool.region for pool in pools])[totals[:, 0]]
    load = np.array([system.server_ms[pools[p].type, c] for p, c in totals], float)
    for j, limit in enumerate(limits):
        here = np.flatnonzero(place == j)
        rows.add(first + here, load[here], -np.inf, float(limit))


# --- the way back -------------------------------------------------------------------------------


def grouped_schedule(program: GroupedProgram, x: np.ndarray) -> Schedule:
    """The schedule a point of the program stands for: totals shared out to the named servers."""
    system = program.instance.system
    counts = np.round(x).astype(int)
    routing = np.zeros((1, len(system.regions), len(system.regions), len(system.classes)), int)
    origin, region, kind = program.routes.T
    routing[0, origin, region, kind] = counts[: len(program.routes)]
    processing = np.zeros((1, len(system.servers), len(system.classes)), int)
    totals = counts[len(program.routes) :]
    for p, pool in enumerate(program.pools):
        total = totals[program.totals[:, 0] == p]
        shares = shared_out(total, pool.facets, len(pool.servers))
        processing[0, pool.servers[:, None], pool.classes[None, :]] = shares
    return single_slot_schedule(program.instance, routing, processing, "fig5_grouped")

"""The merged program: all regions as one, for bounds and plans over long horizons.

Sum every family of rows of the allocation program over regions, and add up columns that then have
the same coefficients: requests of a class anywhere, servers of a type anywhere whose outages fall
in the same slots (a *group* γ of pools p). What depends on the region is charged at its least:

    network, transfer    Σ_{t,i,c} D[t,i,c]·min_j ( v·L[i,j] + g[i,j,c] ),  j allowed
    service and energy   min_{p∈γ} of the cost of z[t,p,c]
    servers on           the N cheapest of the group: convex in N
    re-routing           0

With c_p[t] the dollars for a server of pool p on in slot t (idle energy, rent), sorted upwards, and
n_p their number, N servers of the group on cost at least

    c_1[t]·N + Σ_{k≥2} (c_k[t] − c_1[t])·excess[t,γ,k],    0 ≤ excess[t,γ,k] ≤ n_k
    Σ_{k≥2} excess[t,γ,k] ≥ N − n_1,    N = size − off − Σ_m stop                   (spread)

so the optimum of the merged program is at most that of the allocation program, and a bound of the
first is one of the second. Its size does not grow with the number of regions, up to the segments:
docs/formulations/merged.md has the proof.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.formulations.lift import check_values, lift
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.program import AllocationProgram, Family
from torta_opt.allocation.instance.data import Initial, Instance
from torta_opt.allocation.instance.rules import MAX_COUNT
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.io.errors import LimitReached
from torta_opt.results import LiftCheck

EVERYWHERE = "everywhere"
COLUMNS = 30_000  # solved in seconds


@dataclass(frozen=True, eq=False)
class MergedProgram:
    """A program over an instance of one region, and how it came from another instance.

    instance   the one with all its regions
    pools      of that instance, not counted by outage but as the allocation program counts them
    group      (P,) group of each of these pools: a pool of ``program``
    program    the merged program; families ``excess`` (t, γ, k) and ``spread`` (t, γ) beside those
               of the allocation program
    order      (T, G, K) pools of a group from the cheapest to be on to the dearest, −1 beyond
    """

    instance: Instance
    pools: Pools
    group: np.ndarray
    program: AllocationProgram
    order: np.ndarray


def build_merged_program(instance: Instance, *, tiers: int | None = None) -> MergedProgram:
    """The merged program of an instance.

    tiers   groups that the servers of a type are divided into, by what they cost while on; with
            as many as there are regions, only requests are merged. None: as many as keep the
            program below ``COLUMNS`` columns
    """
    pools = Pools.of(instance)
    program = build_allocation_program(merge_regions(instance, tiers=tiers or 1))
    if tiers is None:
        most = len(instance.system.regions)
        tiers = int(np.clip(COLUMNS // max(len(program.cost), 1), 1, most))
        if tiers > 1:
            program = build_allocation_program(merge_regions(instance, tiers=tiers))
    group = _groups(pools, program.pools)
    order = _by_cost(pools, group, len(program.pools))
    program = _least_costs(program, pools, group)
    program = _spread_rows(program, pools, order)
    return MergedProgram(instance, pools, group, program, order)


def check_merged(merged: MergedProgram, schedule: Schedule, cost: float | None = None) -> LiftCheck:
    """Does a legal schedule satisfy every row of the merged program, at no higher cost?"""
    values = lift_merged(merged, schedule)
    return check_values(merged.program, values, merged.instance, schedule, cost)


def lift_merged(merged: MergedProgram, schedule: Schedule) -> dict[str, np.ndarray]:
    """Values of all columns for a schedule of the instance with all its regions."""
    values = lift(merged.instance, schedule, pools=merged.pools)
    total = {
        "x": values["x"].sum(axis=(1, 2))[:, None, None],
        **{name: values[name].sum(axis=1)[:, None] for name in ("inflow", "q", "expired")},
    }
    groups = len(merged.program.pools)
    for name in ("z", "hot", "off", "ready", "start", "stop", "leave", "enter"):
        total[name] = np.zeros((len(values[name]), groups, *values[name].shape[2:]))
        cells = (slice(None), merged.group)
        np.add.at(total[name], cells, values[name])  # type: ignore[arg-type]  # numpy: tuples too
    nothing = np.zeros((len(values["x"]), 1, 1))
    total["moved"] = nothing
    total["rise"] = total["fall"] = np.zeros((*nothing.shape, values["rise"].shape[3]))
    total["excess"] = _fill(merged, total)
    return total


def merge_regions(instance: Instance, *, tiers: int = 1) -> Instance:
    """The instance with all regions in one place, electricity and rent at their least.

    Every type becomes ``tiers`` types or fewer, which differ in rent alone. Raises LimitReached if
    all regions together have more requests in a cell than an instance may have.
    """
    system, initial = instance.system, instance.initial
    together = max(instance.arrivals.sum(axis=1).max(), initial.backlog.sum(axis=0).max(initial=0))
    if together > MAX_COUNT:
        raise LimitReached(
            f"{instance.name}: {together} requests of a class at once, all regions together, are "
            f"more than {MAX_COUNT}: too many to merge regions"
        )
    tier = _tiers(instance, tiers)
    kinds, kind = np.unique(np.stack([system.server_type, tier]), axis=1, return_inverse=True)
    of_type = kinds[0]
    rent = np.full(len(of_type), np.inf)
    np.minimum.at(
        rent, kind.ravel(), system.rent_usd_per_hour[system.server_region, system.server_type]
    )
    weights = dataclasses.replace(system.weights, reroute_usd=0.0, frobenius_usd=0.0)
    by_type = {
        name: getattr(system, name)[of_type]
        for name in (
            *("service_s", "hot_service_s", "server_ms", "idle_kw", "peak_kw"),
            *("start_ms", "switch_ms", "start_usd", "switch_usd"),
        )
    }
    one = dataclasses.replace(
        system,
        regions=(EVERYWHERE,),
        types=tuple(f"{system.types[k]} {n}" for k, n in kinds.T.tolist()),
        server_region=np.zeros_like(system.server_region),
        server_type=kind.ravel(),
        latency_s=np.zeros((1, 1)),
        transfer_usd=np.zeros((1, 1, len(system.classes))),
        rent_usd_per_hour=rent[None],
        weights=weights,
        **by_type,
    )
    return Instance(
        name=instance.name,
        system=one,
        initial=_merge_initial(initial),
        arrivals=instance.arrivals.sum(axis=1, keepdims=True),
        price_usd_per_kwh=instance.price_usd_per_kwh.min(axis=1, keepdims=True),
        up=instance.up,
        description=instance.description,
    )


def _tiers(instance: Instance, tiers: int) -> np.ndarray:
    """(S,) tier of each server: those of its type in the order of their mean cost while on."""
    pools = Pools.of(instance)
    usd = pools.on_usd.mean(axis=0)
    tier = np.zeros(len(pools), np.int64)
    for k in np.unique(pools.type):
        members = np.flatnonzero(pools.type == k)
        ranking = members[np.argsort(usd[members], kind="stable")]
        before = pools.size[ranking].cumsum() - pools.size[ranking]
        middle = before + pools.size[ranking] / 2
        tier[ranking] = np.minimum(middle * tiers // pools.size[ranking].sum(), tiers - 1)
    by_server: np.ndarray = tier[pools.of_server]
    return by_server


def _merge_initial(initial: Initial) -> Initial:
    return dataclasses.replace(
        initial,
        backlog=initial.backlog.sum(axis=0, keepdims=True),
        routing=np.zeros((1, 1), np.int64),  # with one region nothing is re-routed
    )


def _groups(pools: Pools, merged: Pools) -> np.ndarray:
    """(P,) merged pool that the servers of each pool belong to."""
    group = np.empty(len(pools), np.int64)
    group[pools.of_server] = merged.of_server
    return group


def _by_cost(pools: Pools, group: np.ndarray, groups: int) -> np.ndarray:
    """(T, G, K) pools of every group in the order of their cost while on."""
    most = int(np.bincount(group, minlength=groups).max())
    order = np.full((len(pools.up), groups, most), -1)
    for g in range(groups):
        members = np.flatnonzero(group == g)
        ranking = np.argsort(pools.on_usd[:, members], axis=1, kind="stable")
        order[:, g, : len(members)] = members[ranking]
    return order


def _least_costs(program: AllocationProgram, pools: Pools, group: np.ndarray) -> AllocationProgram:
    """Costs and the constant, at the least over regions."""
    instance, merged = pools.instance, program.pools
    groups = len(merged)
    cost = program.cost.copy()
    least_on = _least(pools.on_usd, group, groups)
    dearer = np.where(merged.up, least_on - merged.on_usd, 0.0)
    off, stop, z = (program.columns[name] for name in ("off", "stop", "z"))
    cost[off.numbers] -= dearer[off.index[:, 0], off.index[:, 1]]
    cost[stop.numbers] -= dearer[stop.index[:, 0], stop.index[:, 1]]
    price = instance.price_usd_per_kwh * instance.system.weights.energy_factor
    least_price = _least(price[:, pools.region], group, groups)
    merged_price = merged.instance.price_usd_per_kwh * instance.system.weights.energy_factor
    system = merged.instance.system
    busy_kw = (system.peak_kw - system.idle_kw)[merged.type]
    busy_kwh = busy_kw[:, None] * merged.work_ms / 3.6e6
    t, g, c = z.index.T
    cost[z.numbers] += (least_price - merged_price)[t, g] * busy_kwh[g, c]
    constant = program.constant + float((dearer * merged.size).sum()) + _least_routes(instance)
    return dataclasses.replace(program, cost=cost, constant=constant)


def _least(values: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """(T, G) least of (T, P) over the pools of each group."""
    least = np.full((len(values), groups), np.inf)
    np.minimum.at(least, (slice(None), group), values)  # type: ignore[arg-type]  # numpy: tuples too
    return least


def _least_routes(instance: Instance) -> float:
    """Dollars of routing every request where that is cheapest."""
    system, weights = instance.system, instance.system.weights
    latency = np.where(system.allowed, weights.time_usd_per_s * system.latency_s, np.inf)
    route = latency[:, :, None] + weights.transfer_factor * system.transfer_usd
    return float((instance.arrivals.sum(axis=0) * route.min(axis=1)).sum())


def _spread_rows(program: AllocationProgram, pools: Pools, order: np.ndarray) -> AllocationProgram:
    """Columns ``excess`` and rows ``spread`` where the regions of a group differ in cost."""
    slots = np.arange(len(order))[:, None, None]
    on_usd = np.where(order >= 0, pools.on_usd[slots, order], np.nan)
    above = np.nan_to_num(on_usd - on_usd[:, :, :1])
    there = (order >= 0) & program.pools.up[:, :, None]
    there[:, :, 0] = False
    there &= (above > 0).any(axis=2, keepdims=True)
    columns, rows = len(program.cost), len(program.row_lower)
    excess = Family("excess", columns, there)
    spread = Family("spread", rows, there.any(axis=2))
    entries = [
        _block(spread.number[:, :, None], excess.number, rows),
        _block(spread.number, program.columns["off"].number, rows),
        _block(spread.number[:, :, None], program.columns["stop"].number, rows),
    ]
    row, column = (np.concatenate(part) for part in zip(*entries, strict=True))
    shape = (len(spread), columns + len(excess))
    block = sparse.csr_array((np.ones(len(row)), (row, column)), shape=shape)
    wider = sparse.hstack([program.matrix, sparse.csr_array((rows, len(excess)))])
    size = np.where(order >= 0, pools.size[order], 0)
    t, g = spread.index.T
    lower = (program.pools.size - size[:, :, 0])[t, g]
    return dataclasses.replace(
        program,
        columns={**program.columns, "excess": excess},
        rows={**program.rows, "spread": spread},
        cost=np.append(program.cost, above[there]),
        upper=np.append(program.upper, size[there]),
        integer=np.append(program.integer, np.zeros(len(excess), bool)),
        matrix=sparse.csr_array(sparse.vstack([wider, block])),
        row_lower=np.append(program.row_lower, lower),
        row_upper=np.append(program.row_upper, np.full(len(spread), np.inf)),
    )


def _block(row: np.ndarray, column: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows, counted from ``first``, and columns of coefficients 1 where both exist."""
    row, column = np.broadcast_arrays(row, column)
    both = (row >= 0) & (column >= 0)
    return row[both] - first, column[both]


def _fill(merged: MergedProgram, values: dict[str, np.ndarray]) -> np.ndarray:
    """(T, G, K) servers on beyond those of the cheapest pool, the cheaper ones first."""
    pools = merged.program.pools
    on = (pools.size - values["off"] - values["stop"].sum(axis=2)) * pools.up
    size = np.where(merged.order >= 0, merged.pools.size[merged.order], 0)
    before = size.cumsum(axis=2) - size
    filled: np.ndarray = np.clip(on[:, :, None] - before, 0, size).astype(float)
    filled[:, :, 0] = 0.0
    return filled

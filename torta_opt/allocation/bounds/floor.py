"""The floor: a lower bound in closed form, what no schedule avoids.

Every request is charged the cheaper of expiring and of being served hot at the least sum of route,
service and marginal energy over all allowed regions and the server types there; nothing else is
charged. Where prices are negative, every server is credited with what it could at most earn by
running idle. With e[τ,j,k,c] = β·price[τ,j]·(peak_k − idle_k)·u[k,c] (kWh), β the energy factor:

    serve[t,j,c] = min_{t ≤ τ ≤ min(t+ℓ, T−1)} min_k  v·Δ·(τ − t) + v·σʰ[k,c] + e[τ,j,k,c]
    floor = Σ_{t,i,c} D[t,i,c]·min_j ( v·L[i,j] + g[i,j,c] + min(π[c], serve[t,j,c]) )
          + Σ_{backlog} min(π[c], serve[0,j,c], over the slots its age leaves)
          + Σ_{t,s up} min(0, β·price·idle_kw·Δ + rent·Δ)

Serving at once (τ = t) is the cheapest unless the price falls faster than waiting costs.
Proof: docs/bounds/floor.md.

Every term is a few float64 products and sums of numbers of the instance, cell by cell, and the
terms are added up exactly and rounded once (``math.fsum``): the value is the same, to the last bit,
on every processor, whatever order its vector units add in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.family import FLOOR, Request
from torta_opt.results import BoundResult


@dataclass(frozen=True)
class Floor:
    """The bound in $, and its parts under the names of the cost components they bound."""

    value: float
    costs: dict[str, float]


def floor(instance: Instance) -> Floor:
    """The closed-form lower bound on the cost of every schedule of ``instance``."""
    serve = _serve_parts(instance)
    parts = _arrivals(instance, serve)
    for name, usd in _backlog(instance, serve).items():
        parts[name] += usd
    for name, usd in _idle_earnings(instance).items():
        parts[name] = parts.get(name, 0.0) + usd
    return Floor(math.fsum(parts.values()), parts)


@dataclass(frozen=True, eq=False)
class _Serve:
    """Cheapest cost of serving in slot τ, region j, class c: (T, R, C) in all and by part."""

    total: np.ndarray
    service: np.ndarray
    energy: np.ndarray


def _serve_parts(instance: Instance) -> _Serve:
    system, weights = instance.system, instance.system.weights
    shape = instance.arrivals.shape
    total, service, energy = (np.full(shape, np.inf) for _ in range(3))
    kwh = (system.peak_kw - system.idle_kw)[:, None] * system.server_ms / 3.6e6
    for k in range(len(system.types)):
        homes = np.unique(system.server_region[system.server_type == k])
        for c in np.flatnonzero(system.usable_by[k]):
            hot_usd = weights.time_usd_per_s * system.hot_service_s[k, c]
            energy_usd = weights.energy_factor * kwh[k, c] * instance.price_usd_per_kwh[:, homes]
            better = hot_usd + energy_usd < total[:, homes, c]
            for table, usd in (
                (total, hot_usd + energy_usd),
                (service, hot_usd),
                (energy, energy_usd),
            ):
                table[:, homes, c] = np.where(better, usd, table[:, homes, c])
    return _Serve(total, service, energy)


def _best_wait(
    instance: Instance, serve: _Serve, slots: np.ndarray, longest: int, c: int
) -> tuple[np.ndarray, np.ndarray]:
    """For requests present in ``slots``: cheapest cost (n, R) of serving within ``longest`` more
    slots, and the slot (n, R) in which that is."""
    system = instance.system
    per_slot = system.weights.time_usd_per_s * system.slot_s
    cost = serve.total[slots, :, c]
    when = np.broadcast_to(slots[:, None], cost.shape).copy()
    for wait in range(1, longest + 1):
        later = slots + wait
        inside = later < instance.slots
        usd = np.full_like(cost, np.inf)
        usd[inside] = serve.total[later[inside], :, c] + wait * per_slot
        better = usd < cost
        cost = np.where(better, usd, cost)
        when = np.where(better, later[:, None], when)
    return cost, when


def _arrivals(instance: Instance, serve: _Serve) -> dict[str, float]:
    system, weights = instance.system, instance.system.weights
    per_slot = weights.time_usd_per_s * system.slot_s
    parts = dict.fromkeys(("network", "transfer", "service", "waiting", "energy", "expiry"), 0.0)
    slots = np.arange(instance.slots)
    for c in range(len(system.classes)):
        demand = instance.arrivals[:, :, c].astype(float)
        transfer = weights.transfer_factor * system.transfer_usd[:, :, c]
        network = np.where(system.allowed, weights.time_usd_per_s * system.latency_s, np.inf)
        cost, when = _best_wait(instance, serve, slots, int(system.deadline_slots[c]), c)
        end = np.minimum(cost, weights.expiry_usd[c])
        best = np.argmin((network + transfer)[None] + end[:, None, :], axis=2)  # (T, R) region
        here = slots[:, None]
        chosen, chosen_when = cost[here, best], when[here, best]
        is_served = chosen <= weights.expiry_usd[c]
        served = demand * is_served
        origin = np.arange(len(system.regions))[None]
        parts["network"] += _sum(demand * network[origin, best])
        parts["transfer"] += _sum(demand * transfer[origin, best])
        parts["expiry"] += _sum(demand * ~is_served) * weights.expiry_usd[c]
        parts["waiting"] += _sum(served * (chosen_when - here)) * per_slot
        for name in ("service", "energy"):
            usd = getattr(serve, name)[chosen_when, best, c]
            parts[name] += _sum(demand * np.where(is_served, usd, 0.0))
    return {name: float(usd) for name, usd in parts.items()}


def _sum(terms: np.ndarray) -> float:
    """The exact sum, rounded once."""
    return math.fsum(terms.ravel().tolist())


def _backlog(instance: Instance, serve: _Serve) -> dict[str, float]:
    system, weights = instance.system, instance.system.weights
    per_slot = weights.time_usd_per_s * system.slot_s
    parts = dict.fromkeys(("service", "waiting", "energy", "expiry"), 0.0)
    now = np.zeros(1, np.int64)
    for j, c, a in np.argwhere(instance.initial.backlog > 0):
        count = float(instance.initial.backlog[j, c, a])
        cost, when = _best_wait(instance, serve, now, int(system.deadline_slots[c]) - a - 1, c)
        if cost[0, j] > weights.expiry_usd[c]:
            parts["expiry"] += count * weights.expiry_usd[c]
            continue
        slot = when[0, j]
        parts["service"] += count * serve.service[slot, j, c]
        parts["energy"] += count * serve.energy[slot, j, c]
        parts["waiting"] += count * slot * per_slot
    return {name: float(usd) for name, usd in parts.items()}


def _idle_earnings(instance: Instance) -> dict[str, float]:
    """What servers could at most earn by running where that pays: energy and rent, netted."""
    system, weights = instance.system, instance.system.weights
    region, kind = system.server_region, system.server_type
    hours = system.slot_hours
    idle_usd = weights.energy_factor * system.idle_kw[kind] * hours
    energy = instance.price_usd_per_kwh[:, region] * idle_usd
    rent = np.broadcast_to(
        weights.rent_factor * system.rent_usd_per_hour[region, kind] * hours, energy.shape
    )
    pays = instance.up & (energy + rent < 0)
    return {"energy": _sum(energy[pays]), "rent": _sum(rent[pays])}


def compute(instance: Instance, request: Request) -> BoundResult:
    """The bound method ``floor``.

    It holds with and without a user's constraints, which can only make schedules dearer.
    """
    result = floor(instance)
    return BoundResult(result.value, FLOOR, costs=result.costs)

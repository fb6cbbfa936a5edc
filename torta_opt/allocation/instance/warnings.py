"""What is legal in an instance but rarely meant: one line each, for people."""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.expiry_price import highest_serving_cost_usd
from torta_opt.allocation.instance.utilisation import load_of


def warnings_of(instance: Instance) -> list[str]:
    """Warnings about ``instance``, none if it is as one would expect."""
    return [*_cheap_expiry(instance), *_out_of_reach(instance), *_overload(instance)]


def _cheap_expiry(instance: Instance) -> list[str]:
    """π[c] up to the dearest way to serve c: expiry may pay though a running server has time."""
    system = instance.system
    dearest = highest_serving_cost_usd(system, instance.price_usd_per_kwh.max(axis=0))
    expiry = system.weights.expiry_usd
    return [
        f"weights.expiry_usd.{system.classes[c]}: {expiry[c]:g} $ does not exceed the highest "
        f"cost of serving the class on a running server ({dearest[c]:.4g} $), so letting requests "
        "expire may be cheaper even if a ready server has time left"
        for c in np.flatnonzero(expiry <= dearest)
    ]


def _out_of_reach(instance: Instance) -> list[str]:
    """Demand of an origin and class that no allowed region has a server for always expires."""
    system = instance.system
    regions = len(system.regions)
    able = np.zeros((regions, len(system.classes)), bool)
    for j, k in zip(system.server_region, system.server_type, strict=True):
        able[j] |= system.usable_by[k]
    reached = system.allowed.astype(int) @ able.astype(int) > 0
    asked = instance.arrivals.sum(axis=0)
    waiting = instance.initial.backlog.sum(axis=2)
    lines = [
        f"region {system.regions[i]!r} asks {asked[i, c]} times for class {system.classes[c]!r}, "
        "which no region it may send to can serve: all of these expire"
        for i, c in np.argwhere((asked > 0) & ~reached)
    ]
    return lines + [
        f"{waiting[j, c]} requests of class {system.classes[c]!r} wait in region "
        f"{system.regions[j]!r}, which cannot serve them: all of these expire"
        for j, c in np.argwhere((waiting > 0) & ~able)
    ]


def _overload(instance: Instance) -> list[str]:
    load = load_of(instance)
    if load <= 1:
        return []
    if np.isinf(load):
        return ["servers that are up at all cannot serve every class that is asked for"]
    return [f"the demand takes at least {load:.0%} of the servers' time: requests must expire"]

"""The state that a site's servers are in before slot 0."""

from __future__ import annotations

import dataclasses

import numpy as np

from torta_opt.allocation.instance.data import Initial, System
from torta_opt.allocation.instance.generate.fleet import largest_remainder
from torta_opt.allocation.site.files import Site
from torta_opt.allocation.site.fleet import FleetTables
from torta_opt.io import InvalidInput


def initial_state(site: Site, fleet: FleetTables, system: System, arrivals: np.ndarray) -> Initial:
    """Servers ready before slot 0: as the fleet says, else all, with models as the demand asks."""
    start = Initial.all_off(len(system.servers), len(system.regions), len(system.classes))
    model = np.array(start.model)
    asked = arrivals.sum(axis=(0, 1))
    first = 0
    for pool in fleet.pools:
        here = np.arange(first, first + pool.count)
        first += pool.count
        k = fleet.labels.index(pool.label)
        if pool.ready is not None:
            held = _ready(pool.ready, system, k, pool.count, f"fleet ({pool.region}, {pool.label})")
        elif site.document.initial == "on":
            work = np.zeros(len(system.models))
            np.add.at(work, system.class_model, asked * system.server_ms[k])
            counts = largest_remainder(work, pool.count) if work.sum() > 0 else np.zeros(0, int)
            held = np.repeat(np.arange(counts.size), counts)
        else:
            held = np.zeros(0, int)
        model[here[: held.size]] = held
    return dataclasses.replace(start, model=model)


def _ready(ready: dict[str, int], system: System, k: int, count: int, where: str) -> np.ndarray:
    held: list[int] = []
    for name, servers in ready.items():
        if name not in system.models:
            raise InvalidInput(f"{name!r} is not in [[models]]", f"{where}.ready")
        m = system.models.index(name)
        if not system.holds[k, m]:
            raise InvalidInput(f"{name!r} cannot run on this type", f"{where}.ready")
        held += [m] * servers
    if len(held) > count:
        raise InvalidInput(f"names {len(held)} servers, there are {count}", f"{where}.ready")
    return np.array(held, dtype=int)

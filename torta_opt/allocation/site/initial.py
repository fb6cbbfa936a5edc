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
    """Servers ready before slot 0: as the fleet says, else all, with models as the demand asks.

    The demand of a class falls evenly on the servers that can serve it, so where only some regions
    may serve a class (or only some types can), their servers hold more of its model.
    """
    start = Initial.all_off(len(system.servers), len(system.regions), len(system.classes))
    model = np.array(start.model)
    asked = _asked_of_able(system, arrivals)
    chosen = np.zeros(len(model), bool)
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
            chosen[here[: held.size]] = True
        else:
            held = np.zeros(0, int)
        model[here[: held.size]] = held
    if chosen.any():
        _hold_every_confined_model(fleet, system, asked, model, chosen)
    return dataclasses.replace(start, model=model)


def _asked_of_able(system: System, arrivals: np.ndarray) -> np.ndarray:
    """(C,) requests of a class per server that can serve it, times all servers."""
    able = system.compatible[system.server_type].sum(axis=0)
    asked: np.ndarray = arrivals.sum(axis=(0, 1)) * (len(system.servers) / np.maximum(able, 1))
    return asked


def _hold_every_confined_model(
    fleet: FleetTables, system: System, asked: np.ndarray, model: np.ndarray, chosen: np.ndarray
) -> None:
    """A model of a class that only some regions may serve, and that no server there holds, replaces
    the commonest model on one of the fastest servers for it; in ``model`` (S,) where ``chosen``.

    Otherwise a plan would have to begin with a switch, and requests would wait for it.
    """
    barred = frozenset[str]().union(*fleet.barred)
    confined = np.array([name in barred for name in system.classes])
    for m in np.unique(system.class_model[confined & (asked > 0)]):
        of_model = confined & (system.class_model == m)
        work = asked[of_model] @ system.server_ms[system.server_type][:, of_model].T
        held = np.bincount(model[model >= 0], minlength=len(system.models))
        can = chosen & (work > 0) & (held[model] > 1)
        if (model[work > 0] == m).any() or not can.any():
            continue
        best = np.flatnonzero(can & (work == work[can].min()))
        model[best[np.argmax(held[model[best]])]] = m


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

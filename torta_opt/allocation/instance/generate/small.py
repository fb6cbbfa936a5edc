"""Tiny instances, each built so that the optimum cannot be found if one rule is ignored.

Two regions, two servers, slots of 45 s; a server works through three requests in a slot. Anything
else is said below.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from torta_opt.allocation.instance.data import OFF, Initial, Instance, System, Weights

EAST, WEST = 0, 1


def loading() -> Instance:
    """A start takes time: 90 s in the east, 30 s in the west, and requests cannot wait.

    The east must start two slots ahead; a slot in which the west starts has 15 s left, enough for
    one request.
    """
    arrivals = _arrivals(5, {(2, EAST): 3, (2, WEST): 1, (3, EAST): 3})
    system = _system(deadline_slots=[0], start_ms=[[90_000], [30_000]])
    return _instance("loading", loading, system, arrivals, ready={})


def outage() -> Instance:
    """The eastern server fails in slots 2 and 3: the western one must load ahead.

    Loading takes a slot, and an outage of the west in slot 0 would cut it short.
    """
    arrivals = _arrivals(5, {(t, EAST): 2 for t in range(5)})
    system = _system(deadline_slots=[0], start_ms=[[45_000], [45_000]])
    up = np.ones((5, 2), bool)
    up[2:4, EAST] = up[0, WEST] = False
    return _instance("outage", outage, system, arrivals, ready={EAST: 0}, up=up)


def expiry() -> Instance:
    """A burst larger than the servers on: what expires, and when, is a choice.

    One server, three requests a slot; the spare one costs more to start than what expires.
    Patient requests can wait one slot, but then they compete with urgent ones, which are worth
    more.
    """
    cells = {(0, EAST, 1): 1, (1, EAST, 0): 3, (1, EAST, 1): 5, (2, EAST, 0): 2}
    system = _system(
        classes=("urgent", "patient"),
        class_model=[0, 0],
        deadline_slots=[0, 1],
        expiry_usd=[0.30, 0.20],
        server_region=[EAST, EAST],
        start_usd=[[2.0], [2.0]],
    )
    return _instance("expiry", expiry, system, _arrivals(4, cells, classes=2), ready={0: 0})


def hot() -> Instance:
    """Requests alike are served fast where the slot before served them: 2 s instead of 10 s.

    They come from east and west in turn. To serve each at home is to serve all of them cold.
    Servers that are on cost nothing.
    """
    arrivals = _arrivals(5, {(t, (EAST, WEST)[t % 2]): 3 for t in range(5)})
    system = _system(
        deadline_slots=[0],
        hot_permille=700,
        hot_service_s=2.0,
        rent_usd_per_hour=np.zeros((2, 2)),
        idle_kw=np.zeros(2),
    )
    return _instance("hot", hot, system, arrivals, ready={EAST: 0, WEST: 0})


def switch() -> Instance:
    """One server for two models: a switch takes 30 s of a slot, and each slot asks for both.

    Requests can wait one slot, so the models are served in turns. The western server holds only
    the first model, and its rent is high.
    """
    cells = {(t, EAST, m): 1 for t in range(4) for m in (0, 1)}
    system = _system(
        models=("a", "b"),
        classes=("ask-a", "ask-b"),
        class_model=[0, 1],
        deadline_slots=[1, 1],
        server_ms=[[15_000, 15_000], [15_000, 0]],
        service_s=[[10.0, 10.0], [10.0, np.nan]],
        start_ms=[[90_000, 90_000], [45_000, -1]],
        switch_ms=[[30_000, 30_000], [45_000, -1]],
        switch_usd=[[0.02, 0.02], [0.02, 0.02]],
        rent_usd_per_hour=[[1.0, 1.0], [1.0, 40.0]],
    )
    return _instance("switch", switch, system, _arrivals(5, cells, classes=2), ready={0: 0})


def residency() -> Instance:
    """What arises in the east must be served there, though the west is faster and cheaper."""
    cells = {(t, EAST): 2 for t in range(4)} | {(t, WEST): 1 for t in range(4)}
    system = _system(
        deadline_slots=[1],
        latency_s=[[0.001, np.nan], [0.05, 0.001]],
        service_s=[[14.0], [6.0]],
        server_ms=[[20_000], [10_000]],
        rent_usd_per_hour=[[4.0, 0.0], [0.0, 1.0]],
    )
    return _instance("residency", residency, system, _arrivals(5, cells), ready={WEST: 0})


def negative_price() -> Instance:
    """In slots 2 and 3 electricity in the west costs less than nothing: running there earns.

    Patient requests of slot 1 are worth delaying, and a server is worth its start though nobody
    needs it.
    """
    price = np.full((5, 2), 0.10)
    price[2:4, WEST] = -2.0
    system = _system(
        deadline_slots=[2],
        time_usd_per_s=1e-5,
        idle_kw=[1.0, 1.0],
        peak_kw=[3.0, 3.0],
        rent_usd_per_hour=[[0.5, 0.5], [0.5, 0.5]],
        start_usd=[[0.01], [0.01]],
    )
    arrivals = _arrivals(5, {(1, EAST): 3})
    return _instance(
        "negative-price", negative_price, system, arrivals, ready={EAST: 0}, price=price
    )


def drain() -> Instance:
    """Six requests in the last slot with arrivals, and two slots more to serve them in.

    Who stops counting at the last arrival starts the spare server, or lets three expire.
    """
    arrivals = _arrivals(4, {(0, EAST): 2, (1, EAST): 6})
    system = _system(deadline_slots=[2], server_region=[EAST, EAST], start_usd=[[0.30], [0.30]])
    return _instance("drain", drain, system, arrivals, ready={0: 0})


BUILDERS: dict[str, Callable[[], Instance]] = {
    "loading": loading,
    "outage": outage,
    "expiry": expiry,
    "hot": hot,
    "switch": switch,
    "residency": residency,
    "negative-price": negative_price,
    "drain": drain,
}


def _system(**changes: Any) -> System:
    """Two regions, a server of its own type in each; scalars fill whole tables."""
    fields: dict[str, Any] = {
        "slot_ms": 45_000,
        "hot_permille": 0,
        "regions": ("east", "west"),
        "models": ("a",),
        "types": ("gpu-east", "gpu-west"),
        "classes": ("ask",),
        "class_model": [0],
        "deadline_slots": [1],
        "server_region": [EAST, WEST],
        "server_type": [0, 1],
        "latency_s": [[0.001, 0.05], [0.05, 0.001]],
        "service_s": 10.0,
        "hot_service_s": None,
        "server_ms": 15_000,
        "start_ms": 0,
        "switch_ms": 0,
        "start_usd": 0.01,
        "switch_usd": 0.01,
        "time_usd_per_s": 0.001,
        "reroute_usd": 0.0,
        "expiry_usd": None,
    }
    fields.update(changes)
    regions, types = len(fields["regions"]), len(fields["types"])
    classes, models = len(fields["classes"]), len(fields["models"])
    for name in ("service_s", "hot_service_s", "server_ms"):
        given = fields["service_s"] if fields[name] is None else fields[name]
        fields[name] = np.broadcast_to(given, (types, classes))
    for name in ("start_ms", "switch_ms", "start_usd", "switch_usd"):
        fields[name] = np.broadcast_to(fields[name], (types, models))
    expiry = fields.pop("expiry_usd")
    weights = Weights(
        fields.pop("time_usd_per_s"),
        fields.pop("reroute_usd"),
        np.full(classes, 0.5) if expiry is None else np.array(expiry),
    )
    defaults = {
        "slo_s": np.full(classes, 30.0),
        "transfer_usd": np.zeros((regions, regions, classes)),
        "rent_usd_per_hour": np.full((regions, types), 1.0),
        "idle_kw": np.full(types, 0.2),
        "peak_kw": np.full(types, 0.5),
        "servers": tuple(f"server-{s + 1}" for s in range(len(fields["server_region"]))),
    }
    return System(**{**defaults, **fields}, weights=weights)


Cell = TypeVar("Cell", bound=tuple[int, ...])


def _arrivals(slots: int, cells: Mapping[Cell, int], classes: int = 1) -> np.ndarray:
    """(slots, 2, classes) from {(slot, region[, class]): requests}."""
    arrivals = np.zeros((slots, 2, classes), int)
    for (slot, region, *of_class), requests in cells.items():
        arrivals[slot, region, of_class[0] if of_class else 0] = requests
    return arrivals


def _instance(
    name: str,
    rule: Callable[[], Instance],
    system: System,
    arrivals: np.ndarray,
    ready: dict[int, int],
    up: np.ndarray | None = None,
    price: np.ndarray | None = None,
) -> Instance:
    """``ready`` maps servers that are ready before slot 0 to their models; the rest are off."""
    slots, servers = len(arrivals), len(system.servers)
    model = np.full(servers, OFF)
    for server, held in ready.items():
        model[server] = held
    start = Initial.all_off(servers, len(system.regions), len(system.classes))
    return Instance(
        name=f"small/{name}",
        description=" ".join((rule.__doc__ or "").split()),
        system=system,
        initial=dataclasses.replace(start, model=model),
        arrivals=arrivals,
        price_usd_per_kwh=np.full((slots, 2), 0.1) if price is None else price,
        up=np.ones((slots, servers), bool) if up is None else up,
    )

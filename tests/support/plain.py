"""Instances and schedules by hand: sensible defaults, and only what an example is about changed.

``make_instance(...)``  one region, model, type, server and class unless told otherwise
``make_schedule(...)``  a schedule from short lists; every origin keeps its requests by default
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import Initial, Instance, System, Weights
from torta_opt.allocation.schedule.data import Command, Schedule

COMMANDS = {"start": Command.START, "stop": Command.STOP, "switch": Command.SWITCH}


def make_instance(
    arrivals: Sequence[Any],
    *,
    price: float | Sequence[Any] = 0.0,
    down: Iterable[tuple[int, int]] = (),
    initial: dict[str, Any] | None = None,
    weights: dict[str, Any] | None = None,
    models: int = 1,
    types: int = 1,
    **system: Any,
) -> Instance:
    """``arrivals`` [slot][region][class] sets the sizes; ``down`` holds (slot, server) pairs.

    What is left out: 45 s slots, nothing hot, one server per region, latency and every price 0,
    service 1 s, server time 1000 ms, starts and switches of 0 ms, deadline 1 slot; servers off.
    Values broadcast: a scalar stands for a whole table.
    """
    arrivals = np.asarray(arrivals)
    slots, regions, classes = arrivals.shape
    system.setdefault("server_region", np.arange(regions))
    servers = len(system["server_region"])
    built = make_system(regions, models, types, classes, servers, weights or {}, system)
    up = np.ones((slots, servers), bool)
    for t, s in down:
        up[t, s] = False
    empty = Initial.all_off(servers, regions, classes)
    names = ("model", "loading_ms", "backlog", "processing", "routing")
    start = {name: (initial or {}).get(name, getattr(empty, name)) for name in names}
    return Instance(
        name="by hand",
        system=built,
        initial=Initial(**start),
        arrivals=arrivals,
        price_usd_per_kwh=np.broadcast_to(np.asarray(price, float), (slots, regions)),
        up=up,
    )


def make_system(
    regions: int,
    models: int,
    types: int,
    classes: int,
    servers: int,
    weights: dict[str, Any],
    values: dict[str, Any],
) -> System:
    defaults: dict[str, tuple[tuple[int, ...], Any]] = {
        "class_model": ((classes,), 0),
        "deadline_slots": ((classes,), 1),
        "slo_s": ((classes,), 60.0),
        "server_region": ((servers,), 0),
        "server_type": ((servers,), 0),
        "latency_s": ((regions, regions), 0.0),
        "transfer_usd": ((regions, regions, classes), 0.0),
        "service_s": ((types, classes), 1.0),
        "hot_service_s": ((types, classes), None),
        "server_ms": ((types, classes), 1000),
        "rent_usd_per_hour": ((regions, types), 0.0),
        "idle_kw": ((types,), 0.0),
        "peak_kw": ((types,), None),
        "start_ms": ((types, models), 0),
        "switch_ms": ((types, models), 0),
        "start_usd": ((types, models), 0.0),
        "switch_usd": ((types, models), 0.0),
    }
    values = {"hot_service_s": values.get("service_s", 1.0), **values}
    values = {"peak_kw": values.get("idle_kw", 0.0), **values}
    tables = {
        name: np.broadcast_to(np.asarray(values.pop(name, default)), shape)
        for name, (shape, default) in defaults.items()
    }
    weights = {"time_usd_per_s": 0.0, "reroute_usd": 0.0, "expiry_usd": 0.0, **weights}
    weights["expiry_usd"] = np.broadcast_to(np.asarray(weights["expiry_usd"], float), (classes,))
    names = {
        "regions": ("east", "west", "north", "south")[:regions],
        "models": ("small", "large", "huge")[:models],
        "types": ("big", "lite", "old")[:types],
        "classes": ("chat", "code", "draft")[:classes],
        "servers": tuple(f"server-{s}" for s in range(servers)),
    }
    scalars = {"slot_ms": 45_000, "hot_permille": 0}
    return System(**{**scalars, **names, **tables, **values}, weights=Weights(**weights))


def make_schedule(
    instance: Instance,
    *,
    commands: Iterable[tuple[int, int, str, int | None]] = (),
    processing: Iterable[tuple[int, int, int, int]] = (),
    moves: Iterable[tuple[int, int, int, int, int]] = (),
    forecast: Any = None,
) -> Schedule:
    """``commands`` (slot, server, name, model or None), ``processing`` (slot, server, class,
    requests), ``moves`` (slot, origin, region, class, requests) sent away from their origin."""
    slots, regions, classes = instance.arrivals.shape
    servers = len(instance.system.servers)
    routing = np.zeros((slots, regions, regions, classes), int)
    for i in range(regions):
        routing[:, i, i] = instance.arrivals[:, i]
    for t, i, j, c, requests in moves:
        routing[t, i, i, c] -= requests
        routing[t, i, j, c] += requests
    command = np.zeros((slots, servers), int)
    command_model = np.full((slots, servers), -1)
    for t, s, name, model in commands:
        command[t, s] = COMMANDS[name]
        command_model[t, s] = -1 if model is None else model
    done = np.zeros((slots, servers, classes), int)
    for t, s, c, requests in processing:
        done[t, s, c] = requests
    return Schedule(routing, command, command_model, done, forecast=forecast)

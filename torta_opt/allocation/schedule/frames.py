"""A schedule on its instance as pandas data frames, one row for each cell that is not zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt.allocation.instance.data import OFF, Instance
from torta_opt.allocation.schedule.data import Command, Schedule
from torta_opt.allocation.schedule.evaluate import energy_by_pool, rerouting_by_origin
from torta_opt.allocation.schedule.metrics import responses
from torta_opt.allocation.schedule.timeline import hot_requests, trace_queues, trace_servers
from torta_opt.io.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

Columns = Mapping[str, Any]


def to_frame(instance: Instance, schedule: Schedule, table: str) -> pd.DataFrame:
    """One table of a schedule; ``TABLES`` has the names. Raises InvalidInput."""
    import pandas as pd

    if table not in TABLES:
        known = ", ".join(TABLES)
        raise InvalidInput(f"{table!r:.40} is not a table; known: {known}", field="table")
    return pd.DataFrame(TABLES[table](instance, schedule))


def _cells(array: np.ndarray, value: str, **axes: Sequence[str] | None) -> dict[str, np.ndarray]:
    """Columns of an array's cells that are not 0: the name of the position on each axis, the value.

    An axis without names is numbered.
    """
    at = np.nonzero(array)
    columns: dict[str, np.ndarray] = {}
    for (axis, names), position in zip(axes.items(), at, strict=True):
        columns[axis] = position if names is None else np.array(names, object)[position]
    return {**columns, value: array[at]}


# --- dollars ------------------------------------------------------------------------------------


def _costs(instance: Instance, schedule: Schedule) -> Columns:
    system = instance.system
    regions, classes = np.array(system.regions, object), np.array(system.classes, object)
    columns: dict[str, list[np.ndarray]] = {
        name: [] for name in ("slot", "component", "region", "class", "usd")
    }
    for component, array in costs_by_cell(instance, schedule):
        at = np.nonzero(array)
        empty = np.full(len(at[0]), "", object)
        columns["slot"].append(at[0])
        columns["component"].append(np.full(len(at[0]), component, object))
        columns["region"].append(regions[at[1]] if array.ndim > 1 else empty)
        columns["class"].append(classes[at[2]] if array.ndim > 2 else empty)
        columns["usd"].append(array[at])
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def costs_by_cell(instance: Instance, schedule: Schedule) -> Iterator[tuple[str, np.ndarray]]:
    """Every component of the cost as far as it can be told apart: (T, R, C), (T, R) or (T,) $.

    Over slots, regions and classes each adds up to the component that ``evaluate`` returns. Network
    and transfer belong to the region that serves, re-routing to the origin.
    """
    system, weights = instance.system, instance.system.weights
    servers, queues = trace_servers(instance, schedule), trace_queues(instance, schedule)
    latency = np.where(system.allowed, system.latency_s, 0.0)
    time = weights.time_usd_per_s
    yield "network", time * np.einsum("tijc,ij->tjc", schedule.routing, latency)
    paid = np.einsum("tijc,ijc->tjc", schedule.routing, system.transfer_usd)
    yield "transfer", weights.transfer_factor * paid
    yield "service", time * _service_seconds(instance, schedule)
    yield "waiting", time * system.slot_s * queues.queued
    energy = energy_by_pool(instance, schedule.processing, servers) * instance.price_usd_per_kwh
    yield "energy", weights.energy_factor * energy
    rent_rate = system.rent_usd_per_hour[system.server_region, system.server_type]
    home = np.eye(len(system.regions))[system.server_region]
    rent = np.einsum("ts,sj->tj", servers.on * (system.slot_hours * rent_rate), home)
    yield "rent", weights.rent_factor * rent
    for name, command, table in (
        ("starts", Command.START, system.start_usd),
        ("switches", Command.SWITCH, system.switch_usd),
    ):
        target = np.maximum(schedule.command_model, 0)
        usd = np.where(schedule.command == command, table[system.server_type, target], 0.0)
        yield name, weights.loading_factor * np.einsum("ts,sj->tj", usd, home)
    moved, frobenius = rerouting_by_origin(instance, schedule)
    yield "rerouting", weights.reroute_usd * moved
    yield "frobenius", weights.frobenius_usd * frobenius
    yield "expiry", queues.expired * weights.expiry_usd


def _service_seconds(instance: Instance, schedule: Schedule) -> np.ndarray:
    """(T, R, C) service time of the requests that each region processes."""
    system = instance.system
    kind = system.server_type
    hot = hot_requests(instance, schedule.processing)
    cold_s = np.nan_to_num(system.service_s)[kind]
    hot_s = np.nan_to_num(system.hot_service_s)[kind]
    seconds = (schedule.processing - hot) * cold_s + hot * hot_s
    home = np.eye(len(system.regions))[system.server_region]
    return np.einsum("tsc,sj->tjc", seconds, home)


# --- servers and requests -----------------------------------------------------------------------


def _queues(instance: Instance, schedule: Schedule) -> Columns:
    system, queues = instance.system, trace_queues(instance, schedule)
    parts = {
        "routed": queues.inflow,
        "served": queues.served,
        "waiting": queues.queued,
        "expired": queues.expired,
    }
    at = np.nonzero(np.any([part != 0 for part in parts.values()], axis=0))
    return {
        "slot": at[0],
        "region": np.array(system.regions, object)[at[1]],
        "class": np.array(system.classes, object)[at[2]],
        **{name: part[at] for name, part in parts.items()},
    }


def _servers(instance: Instance, schedule: Schedule) -> Columns:
    system = instance.system
    ready, loading = (server_counts(instance, schedule, part) for part in ("ready", "loading"))
    at = np.nonzero(ready + loading)
    return {
        "slot": at[0],
        "region": np.array(system.regions, object)[at[1]],
        "type": np.array(system.types, object)[at[2]],
        "model": np.array(system.models, object)[at[3]],
        "ready": ready[at],
        "loading": loading[at],
    }


def server_counts(instance: Instance, schedule: Schedule, part: str) -> np.ndarray:
    """(T, R, K, M) servers by region, type and model that are ``ready`` or ``loading``.

    A server counts as loading in a slot of which it loses any time to loading.
    """
    system, servers = instance.system, trace_servers(instance, schedule)
    whole = servers.usable_ms == system.slot_ms
    chosen = (servers.model != OFF) & (whole if part == "ready" else ~whole)
    t, s = np.nonzero(chosen)
    count = np.zeros(
        (len(chosen), len(system.regions), len(system.types), len(system.models)), np.int64
    )
    where = (t, system.server_region[s], system.server_type[s], servers.model[t, s])
    np.add.at(count, where, 1)
    return count


def _commands(instance: Instance, schedule: Schedule) -> Columns:
    system = instance.system
    t, s = np.nonzero(schedule.command)
    models = np.array([*system.models, ""], object)  # −1, of a stop, is the last
    return {
        "slot": t,
        "server": np.array(system.servers, object)[s],
        "region": np.array(system.regions, object)[system.server_region[s]],
        "type": np.array(system.types, object)[system.server_type[s]],
        "command": np.array([each.name.lower() for each in Command], object)[
            schedule.command[t, s]
        ],
        "model": models[schedule.command_model[t, s]],
    }


def _routing(instance: Instance, schedule: Schedule) -> Columns:
    system = instance.system
    names = {"origin": system.regions, "region": system.regions, "class": system.classes}
    return _cells(schedule.routing, "requests", slot=None, **names)


def _processing(instance: Instance, schedule: Schedule) -> Columns:
    system = instance.system
    names = {"server": system.servers, "class": system.classes}
    return _cells(schedule.processing, "requests", slot=None, **names)


def _responses(instance: Instance, schedule: Schedule) -> Columns:
    system, found = instance.system, responses(instance, schedule)
    return {
        "slot": found.slot,
        "region": np.array(system.regions, object)[found.region],
        "class": np.array(system.classes, object)[found.group],
        "requests": found.count,
        "network_s": found.network_s,
        "wait_s": found.wait_s,
        "service_s": found.service_s,
        "target_s": system.slo_s[found.group],
    }


TABLES: Mapping[str, Callable[[Instance, Schedule], Columns]] = {
    "costs": _costs,
    "queues": _queues,
    "servers": _servers,
    "commands": _commands,
    "routing": _routing,
    "processing": _processing,
    "responses": _responses,
}

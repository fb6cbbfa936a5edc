"""The instance file: its schema, and the way there and back between file and data classes.

The file names things (regions, models, classes, types, servers) and refers to them by name; the
data classes of ``data.py`` refer to them by position. What a type cannot do is left out of the
file (a class under ``service``, a model under ``loading``); a forbidden pair is a null latency.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from torta_opt.allocation.instance.data import (
    CANNOT_HOLD,
    INCOMPATIBLE,
    OFF,
    Initial,
    Instance,
    System,
    Weights,
)
from torta_opt.allocation.instance.rules import MAX_COUNT, MAX_MS
from torta_opt.io import InvalidInput, read_document, sha256_of, write_document
from torta_opt.io.schema import Bulk, Name, Real, Strict, parse

FORMAT = "torta-opt/allocation"
VERSION = 1

Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Milliseconds = Annotated[int, Field(ge=0, le=MAX_MS)]


class ClassEntry(Strict):
    """A request class: requests alike in model, length, deadline and target."""

    name: Name
    model: Name
    deadline_slots: Count = Field(description="a request expires if unserved this many slots on")
    slo_s: Real = Field(description="target response in seconds")


class ServiceEntry(Strict):
    """How one server type serves one class."""

    service_s: Real = Field(description="service time of a request, in seconds")
    hot_service_s: Real = Field(description="the same when hot; at most service_s")
    server_ms: Milliseconds = Field(gt=0, description="server time one request takes")


class LoadingEntry(Strict):
    """How one server type loads one model."""

    start_ms: Milliseconds = Field(description="loading time from off")
    switch_ms: Milliseconds = Field(description="loading time from another model")
    start_usd: Real = 0.0
    switch_usd: Real = 0.0


class TypeEntry(Strict):
    """A server type."""

    name: Name
    idle_kw: Real
    peak_kw: Real
    loading: dict[Name, LoadingEntry] = Field(description="by model; left out: cannot hold it")
    service: dict[Name, ServiceEntry] = Field(description="by class; left out: incompatible")
    rent_usd_per_hour: dict[Name, Real] = Field(
        default_factory=dict, description="by region; left out: owned"
    )


class ServerEntry(Strict):
    name: Name
    region: Name
    type: Name


class InitialServer(Strict):
    """State of a server before slot 0; servers left out are off."""

    model: Name
    loading_ms: Milliseconds = 0
    processing: dict[Name, Count] = Field(
        default_factory=dict, description="requests processed in the last slot, by class"
    )


class BacklogEntry(Strict):
    region: Name
    class_: Name = Field(alias="class")
    age_slots: int = Field(ge=1, description="arrived this many slots before slot 0")
    requests: Count


class InitialEntry(Strict):
    servers: dict[Name, InitialServer] = Field(default_factory=dict)
    backlog: Bulk[BacklogEntry] = Field(default_factory=list)
    routing: Bulk[Bulk[Count]] | None = Field(
        default=None, description="requests routed in the last slot, [origin][region]"
    )


class Outage(Strict):
    server: Name
    from_slot: Count
    to_slot: Count = Field(description="first slot after the outage")


class WeightsEntry(Strict):
    time_usd_per_s: Real
    reroute_usd: Real
    expiry_usd: dict[Name, Real] = Field(description="by class")
    frobenius_usd: Real = 0.0
    energy_factor: Real = 1.0
    rent_factor: Real = 1.0
    transfer_factor: Real = 1.0
    loading_factor: Real = 1.0


class InstanceDocument(Strict):
    """A multi-timeslot allocation instance of torta-opt."""

    format: Literal["torta-opt/allocation"]
    version: Literal[1]
    name: Name
    description: str = ""
    slot_ms: int
    hot_permille: int
    regions: Bulk[Name]
    models: Bulk[Name]
    classes: Bulk[ClassEntry]
    types: Bulk[TypeEntry]
    servers: Bulk[ServerEntry]
    latency_s: Bulk[Bulk[Real | None]] = Field(description="[origin][region]; null forbids")
    transfer_usd: Bulk[Bulk[Bulk[Real]]] | None = Field(
        default=None, description="[origin][region][class] per request; left out or null: free"
    )
    weights: WeightsEntry
    initial: InitialEntry = Field(default_factory=InitialEntry)
    outages: Bulk[Outage] = Field(default_factory=list)
    price_usd_per_kwh: Bulk[Bulk[Real]] = Field(description="[slot][region]")
    carbon_g_per_kwh: Bulk[Bulk[Real]] | None = Field(
        default=None, description="[slot][region] g CO2 per kWh; left out or null: not known"
    )
    arrivals: Bulk[Bulk[Bulk[Count]]] = Field(description="[slot][region][class]")


def load_instance(path: str | os.PathLike[str]) -> Instance:
    """Read and validate an instance file (.json or .json.gz). Raises InvalidInput."""
    document = read_document(path, {FORMAT: VERSION})
    try:
        return instance_from_document(document)
    except InvalidInput as error:
        raise error.within(os.fspath(path)) from None


def save_instance(instance: Instance, path: str | os.PathLike[str]) -> None:
    """Write an instance file; the same instance gives the same bytes."""
    write_document(path, instance_to_document(instance))


def instance_sha256(instance: Instance) -> str:
    """Hash that names an instance's content."""
    return sha256_of(instance_to_document(instance))


def json_schema() -> dict[str, Any]:
    """JSON Schema of the instance file."""
    schema = InstanceDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def instance_from_document(document: dict[str, Any]) -> Instance:
    """Names become positions; lists become arrays; every rule is checked."""
    entry: InstanceDocument = parse(InstanceDocument, document)
    system = _system(entry)
    arrivals = _table(entry.arrivals, "arrivals")
    carbon = entry.carbon_g_per_kwh
    return Instance(
        name=entry.name,
        description=entry.description,
        system=system,
        initial=_initial(entry.initial, system),
        arrivals=arrivals,
        price_usd_per_kwh=_table(entry.price_usd_per_kwh, "price_usd_per_kwh"),
        up=_up(entry.outages, system, len(arrivals)),
        carbon_g_per_kwh=None if carbon is None else _table(carbon, "carbon_g_per_kwh"),
    )


def instance_to_document(instance: Instance) -> dict[str, Any]:
    """The inverse of ``instance_from_document``."""
    system, carbon = instance.system, instance.carbon_g_per_kwh
    known = {} if carbon is None else {"carbon_g_per_kwh": carbon.tolist()}
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": instance.name,
        "description": instance.description,
        "slot_ms": int(system.slot_ms),
        "hot_permille": int(system.hot_permille),
        "regions": list(system.regions),
        "models": list(system.models),
        "classes": [_class_document(system, c) for c in range(len(system.classes))],
        "types": [_type_document(system, k) for k in range(len(system.types))],
        "servers": [
            {"name": name, "region": system.regions[j], "type": system.types[k]}
            for name, j, k in zip(
                system.servers, system.server_region, system.server_type, strict=True
            )
        ],
        "latency_s": [
            [None if np.isnan(value) else value for value in row]
            for row in system.latency_s.tolist()
        ],
        "transfer_usd": system.transfer_usd.tolist() if system.transfer_usd.any() else None,
        "weights": _weights_document(system),
        "initial": _initial_document(system, instance.initial),
        "outages": _outages_document(system, instance.up),
        "price_usd_per_kwh": instance.price_usd_per_kwh.tolist(),
        **known,
        "arrivals": instance.arrivals.tolist(),
    }


# --- file to data -------------------------------------------------------------------------------


class _Positions:
    """Positions by name; an unknown name is refused with the field that holds it."""

    def __init__(self, names: list[str], field: str):
        self.noun = {"classes": "class"}.get(field, field.rstrip("s"))
        self.by_name: dict[str, int] = {}
        for position, name in enumerate(names):
            if name in self.by_name:
                path = f"{field}[{position}]"
                raise InvalidInput(f"has the name of an earlier one, {name!r}", field=path)
            self.by_name[name] = position

    def __call__(self, name: str, field: str) -> int:
        try:
            return self.by_name[name]
        except KeyError:
            raise InvalidInput(f"names an unknown {self.noun}, {name!r}", field=field) from None


def _system(entry: InstanceDocument) -> System:
    regions = _Positions(entry.regions, "regions")
    models = _Positions(entry.models, "models")
    classes = _Positions([c.name for c in entry.classes], "classes")
    types = _Positions([k.name for k in entry.types], "types")
    sizes = len(entry.regions), len(entry.regions), len(entry.classes)
    transfer = np.zeros(sizes)
    if entry.transfer_usd is not None:
        transfer = _table(entry.transfer_usd, "transfer_usd")
    return System(
        slot_ms=entry.slot_ms,
        hot_permille=entry.hot_permille,
        regions=tuple(entry.regions),
        models=tuple(entry.models),
        types=tuple(k.name for k in entry.types),
        classes=tuple(c.name for c in entry.classes),
        servers=tuple(s.name for s in entry.servers),
        class_model=np.array(
            [models(c.model, f"classes[{p}].model") for p, c in enumerate(entry.classes)]
        ),
        deadline_slots=np.array([c.deadline_slots for c in entry.classes]),
        slo_s=np.array([c.slo_s for c in entry.classes]),
        server_region=np.array(
            [regions(s.region, f"servers[{p}].region") for p, s in enumerate(entry.servers)]
        ),
        server_type=np.array(
            [types(s.type, f"servers[{p}].type") for p, s in enumerate(entry.servers)]
        ),
        latency_s=_nullable_table(entry.latency_s, "latency_s"),
        transfer_usd=transfer,
        weights=_weights(entry.weights, classes),
        idle_kw=np.array([k.idle_kw for k in entry.types]),
        peak_kw=np.array([k.peak_kw for k in entry.types]),
        **_type_tables(entry, regions, models, classes),
    )


def _type_tables(
    entry: InstanceDocument, regions: _Positions, models: _Positions, classes: _Positions
) -> dict[str, np.ndarray]:
    kinds = len(entry.types)
    service = np.full((kinds, len(entry.classes)), np.nan)
    hot, work = service.copy(), np.full(service.shape, INCOMPATIBLE)
    start_ms = np.full((kinds, len(entry.models)), CANNOT_HOLD)
    switch_ms, start_usd = start_ms.copy(), np.zeros(start_ms.shape)
    switch_usd, rent = start_usd.copy(), np.zeros((len(entry.regions), kinds))
    for k, kind in enumerate(entry.types):
        for name, serving in kind.service.items():
            c = classes(name, f"types[{k}].service")
            service[k, c], hot[k, c] = serving.service_s, serving.hot_service_s
            work[k, c] = serving.server_ms
        for name, loading in kind.loading.items():
            m = models(name, f"types[{k}].loading")
            start_ms[k, m], switch_ms[k, m] = loading.start_ms, loading.switch_ms
            start_usd[k, m], switch_usd[k, m] = loading.start_usd, loading.switch_usd
        for name, usd in kind.rent_usd_per_hour.items():
            rent[regions(name, f"types[{k}].rent_usd_per_hour"), k] = usd
    return {
        "service_s": service,
        "hot_service_s": hot,
        "server_ms": work,
        "start_ms": start_ms,
        "switch_ms": switch_ms,
        "start_usd": start_usd,
        "switch_usd": switch_usd,
        "rent_usd_per_hour": rent,
    }


def _weights(entry: WeightsEntry, classes: _Positions) -> Weights:
    expiry = np.full(len(classes.by_name), np.nan)
    for name, usd in entry.expiry_usd.items():
        expiry[classes(name, "weights.expiry_usd")] = usd
    for name, position in classes.by_name.items():
        if np.isnan(expiry[position]):
            raise InvalidInput(f"lacks class {name!r}", field="weights.expiry_usd")
    scalars = entry.model_dump(exclude={"expiry_usd"})
    return Weights(expiry_usd=expiry, **scalars)


def _initial(entry: InitialEntry, system: System) -> Initial:
    regions = _Positions(list(system.regions), "regions")
    models = _Positions(list(system.models), "models")
    classes = _Positions(list(system.classes), "classes")
    servers = _Positions(list(system.servers), "servers")
    model = np.full(len(system.servers), OFF)
    loading = np.zeros(len(system.servers), int)
    processing = np.zeros((len(system.servers), len(system.classes)), int)
    for name, state in entry.servers.items():
        s = servers(name, "initial.servers")
        model[s] = models(state.model, f"initial.servers.{name}.model")
        loading[s] = state.loading_ms
        for class_name, requests in state.processing.items():
            c = classes(class_name, f"initial.servers.{name}.processing")
            processing[s, c] = requests
    routing = np.zeros((len(system.regions),) * 2, int)
    if entry.routing is not None:
        routing = _table(entry.routing, "initial.routing")
    return Initial(
        model=model,
        loading_ms=loading,
        backlog=_backlog(entry.backlog, system, regions, classes),
        processing=processing,
        routing=routing,
    )


def _backlog(
    entries: list[BacklogEntry], system: System, regions: _Positions, classes: _Positions
) -> np.ndarray:
    placed: dict[tuple[int, int, int], int] = {}
    for position, entry in enumerate(entries):
        path = f"initial.backlog[{position}]"
        j = regions(entry.region, f"{path}.region")
        c = classes(entry.class_, f"{path}.class")
        if entry.age_slots > system.deadline_slots[c]:
            raise InvalidInput("has expired before slot 0", field=f"{path}.age_slots")
        if (j, c, entry.age_slots) in placed:
            raise InvalidInput("repeats an earlier region, class and age", field=path)
        placed[j, c, entry.age_slots] = entry.requests
    oldest = max((age for _, _, age in placed), default=0)
    backlog = np.zeros((len(system.regions), len(system.classes), oldest), int)
    for (j, c, age), requests in placed.items():
        backlog[j, c, age - 1] = requests
    return backlog


def _up(outages: list[Outage], system: System, slots: int) -> np.ndarray:
    servers = _Positions(list(system.servers), "servers")
    up = np.ones((slots, len(system.servers)), bool)
    for position, outage in enumerate(outages):
        path = f"outages[{position}]"
        s = servers(outage.server, f"{path}.server")
        if not outage.from_slot < outage.to_slot <= slots:
            raise InvalidInput(
                f"must satisfy from_slot < to_slot <= {slots}", field=f"{path}.to_slot"
            )
        up[outage.from_slot : outage.to_slot, s] = False
    return up


def _table(rows: list[Any], field: str) -> np.ndarray:
    """Nested lists as an array; a row of another length is named."""
    _check_rows(rows, field)
    return np.array(rows)


def _nullable_table(rows: list[list[float | None]], field: str) -> np.ndarray:
    _check_rows(rows, field)
    return np.array(rows, dtype=float)  # None becomes NaN


def _check_rows(rows: list[Any], field: str, like: list[Any] | None = None) -> None:
    """Every row is as long as ``like`` (the first row of all), at every depth."""
    if not rows or not isinstance(rows[0], list):
        return
    model = rows[0] if like is None else like
    for position, row in enumerate(rows):
        path = f"{field}[{position}]"
        if len(row) != len(model):
            raise InvalidInput(f"has {len(row)} entries, expected {len(model)}", field=path)
        if model and isinstance(model[0], list):
            _check_rows(row, path, model[0])


# --- data to file -------------------------------------------------------------------------------


def _class_document(system: System, c: int) -> dict[str, Any]:
    return {
        "name": system.classes[c],
        "model": system.models[system.class_model[c]],
        "deadline_slots": int(system.deadline_slots[c]),
        "slo_s": float(system.slo_s[c]),
    }


def _type_document(system: System, k: int) -> dict[str, Any]:
    loading = {
        system.models[m]: {
            "start_ms": int(system.start_ms[k, m]),
            "switch_ms": int(system.switch_ms[k, m]),
            "start_usd": float(system.start_usd[k, m]),
            "switch_usd": float(system.switch_usd[k, m]),
        }
        for m in np.flatnonzero(system.holds[k])
    }
    service = {
        system.classes[c]: {
            "service_s": float(system.service_s[k, c]),
            "hot_service_s": float(system.hot_service_s[k, c]),
            "server_ms": int(system.server_ms[k, c]),
        }
        for c in np.flatnonzero(system.compatible[k])
    }
    rent = {
        system.regions[j]: float(system.rent_usd_per_hour[j, k])
        for j in np.flatnonzero(system.rent_usd_per_hour[:, k])
    }
    return {
        "name": system.types[k],
        "idle_kw": float(system.idle_kw[k]),
        "peak_kw": float(system.peak_kw[k]),
        "loading": loading,
        "service": service,
        "rent_usd_per_hour": rent,
    }


def _weights_document(system: System) -> dict[str, Any]:
    weights = system.weights
    expiry = dict(zip(system.classes, weights.expiry_usd.tolist(), strict=True))
    return {
        "time_usd_per_s": float(weights.time_usd_per_s),
        "reroute_usd": float(weights.reroute_usd),
        "expiry_usd": expiry,
        "frobenius_usd": float(weights.frobenius_usd),
        "energy_factor": float(weights.energy_factor),
        "rent_factor": float(weights.rent_factor),
        "transfer_factor": float(weights.transfer_factor),
        "loading_factor": float(weights.loading_factor),
    }


def _initial_document(system: System, initial: Initial) -> dict[str, Any]:
    servers = {
        system.servers[s]: {
            "model": system.models[initial.model[s]],
            "loading_ms": int(initial.loading_ms[s]),
            "processing": {
                system.classes[c]: int(initial.processing[s, c])
                for c in np.flatnonzero(initial.processing[s])
            },
        }
        for s in np.flatnonzero(initial.model != OFF)
    }
    backlog = [
        {
            "region": system.regions[j],
            "class": system.classes[c],
            "age_slots": int(a) + 1,
            "requests": int(initial.backlog[j, c, a]),
        }
        for j, c, a in np.argwhere(initial.backlog > 0)
    ]
    routing = initial.routing.tolist() if initial.routing.any() else None
    return {"servers": servers, "backlog": backlog, "routing": routing}


def _outages_document(system: System, up: np.ndarray) -> list[dict[str, Any]]:
    """Maximal runs of down slots, by server."""
    down = np.zeros((up.shape[0] + 2, up.shape[1]), np.int8)
    down[1:-1] = ~up
    edges = np.diff(down, axis=0)
    begins = np.argwhere(edges.T == 1)
    ends = np.argwhere(edges.T == -1)
    return [
        {"server": system.servers[s], "from_slot": int(first), "to_slot": int(last)}
        for (s, first), (_, last) in zip(begins, ends, strict=True)
    ]

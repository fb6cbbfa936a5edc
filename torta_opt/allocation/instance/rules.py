"""The rules an instance must meet, each refused in one line that names the field.

Field paths are those of the instance file (``document.py``), so one check serves a file that is
read and an object that is built in a notebook.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from torta_opt.io.errors import InvalidInput

if TYPE_CHECKING:
    from torta_opt.allocation.instance.data import Initial, Instance, System, Weights

MAX_COUNT = 10**8  # requests in one cell
MAX_MS = 10**8  # any duration in milliseconds (about 28 hours)
MAX_CLASSES = 500  # with the two above: sums of requests times milliseconds fit 64 bits
MAX_FLOAT = 1e9  # any real number: keeps every sum far from overflow

_PATHS = {
    "class_model": "classes[{0}].model",
    "deadline_slots": "classes[{0}].deadline_slots",
    "slo_s": "classes[{0}].slo_s",
    "expiry_usd": "weights.expiry_usd.{class_0}",
    "server_region": "servers[{0}].region",
    "server_type": "servers[{0}].type",
    "latency_s": "latency_s[{0}][{1}]",
    "transfer_usd": "transfer_usd[{0}][{1}][{2}]",
    "service_s": "types[{0}].service.{class_1}.service_s",
    "hot_service_s": "types[{0}].service.{class_1}.hot_service_s",
    "server_ms": "types[{0}].service.{class_1}.server_ms",
    "rent_usd_per_hour": "types[{1}].rent_usd_per_hour.{region_0}",
    "idle_kw": "types[{0}].idle_kw",
    "peak_kw": "types[{0}].peak_kw",
    "start_ms": "types[{0}].loading.{model_1}.start_ms",
    "switch_ms": "types[{0}].loading.{model_1}.switch_ms",
    "start_usd": "types[{0}].loading.{model_1}.start_usd",
    "switch_usd": "types[{0}].loading.{model_1}.switch_usd",
    "initial.model": "initial.servers.{server_0}.model",
    "initial.loading_ms": "initial.servers.{server_0}.loading_ms",
    "initial.processing": "initial.servers.{server_0}.processing.{class_1}",
    "initial.routing": "initial.routing[{0}][{1}]",
    "initial.backlog": "initial.backlog (region {region_0}, class {class_1}, age {age_2})",
    "arrivals": "arrivals[{0}][{1}][{2}]",
    "price_usd_per_kwh": "price_usd_per_kwh[{0}][{1}]",
    "carbon_g_per_kwh": "carbon_g_per_kwh[{0}][{1}]",
}


def as_array(value: object, kind: type, field: str) -> np.ndarray:
    """A read-only array of ``int``, ``float`` or ``bool``; refuses anything lossy."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise InvalidInput("must have the same length in every row", field=field) from None
    wanted = {int: np.int64, float: np.float64, bool: np.bool_}[kind]
    if array.size == 0 and array.dtype == np.float64:
        array = array.astype(wanted)
    exact = {int: "iu", float: "iuf", bool: "b"}[kind]
    if array.dtype.kind not in exact:
        noun = {int: "integers", float: "numbers", bool: "true or false"}[kind]
        raise InvalidInput(f"must hold {noun}", field=field)
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise InvalidInput(f"must be at most {MAX_COUNT}", field=field)
    if array.dtype != wanted or array.flags.writeable:
        array = array.astype(wanted)
        array.setflags(write=False)
    return array


def check_weights(weights: Weights) -> None:
    for field in (
        "time_usd_per_s",
        "reroute_usd",
        "frobenius_usd",
        "energy_factor",
        "rent_factor",
        "transfer_factor",
        "loading_factor",
    ):
        value = getattr(weights, field)
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise InvalidInput("must be a number", field=f"weights.{field}")
        if not 0 <= value <= MAX_FLOAT:
            raise InvalidInput(f"must lie in [0, {MAX_FLOAT:g}]", field=f"weights.{field}")


def check_system(system: System) -> None:
    _check_names(system)
    _check_whole(system.slot_ms, 1, MAX_MS, "slot_ms")
    _check_whole(system.hot_permille, 0, 1000, "hot_permille")
    _check_shapes(system)
    _check_references(system)
    _check_ranges(system)
    _check_service(system)
    _check_loading(system)
    _check_reach(system)


def check_instance(instance: Instance) -> None:
    system = instance.system
    if not instance.name or not isinstance(instance.name, str):
        raise InvalidInput("must be a non-empty string", field="name")
    if not instance.name.isprintable():
        raise InvalidInput("must not hold control characters", field="name")
    regions, classes, servers = len(system.regions), len(system.classes), len(system.servers)
    if instance.arrivals.ndim != 3 or instance.arrivals.shape[0] == 0:
        raise InvalidInput("must be [slot][region][class] with at least one slot", field="arrivals")
    slots = instance.arrivals.shape[0]
    _check_shape(instance.arrivals, (slots, regions, classes), "arrivals", "slot, region, class")
    price = instance.price_usd_per_kwh
    _check_shape(price, (slots, regions), "price_usd_per_kwh", "slot, region")
    _check_shape(instance.up, (slots, servers), "up", "slot, server")
    _check_cells(system, "arrivals", instance.arrivals, 0, MAX_COUNT)
    _check_cells(system, "price_usd_per_kwh", price, -MAX_FLOAT, MAX_FLOAT)
    carbon = instance.carbon_g_per_kwh
    if carbon is not None:
        _check_shape(carbon, (slots, regions), "carbon_g_per_kwh", "slot, region")
        _check_cells(system, "carbon_g_per_kwh", carbon, 0, MAX_FLOAT)
    check_initial(system, instance.initial)


def check_initial(system: System, initial: Initial) -> None:
    regions, classes, servers = len(system.regions), len(system.classes), len(system.servers)
    _check_shape(initial.model, (servers,), "initial.model", "server")
    _check_shape(initial.loading_ms, (servers,), "initial.loading_ms", "server")
    _check_shape(initial.processing, (servers, classes), "initial.processing", "server, class")
    _check_shape(initial.routing, (regions, regions), "initial.routing", "region, region")
    if initial.backlog.ndim != 3 or initial.backlog.shape[:2] != (regions, classes):
        raise InvalidInput("must be (region, class, age)", field="initial.backlog")
    _check_cells(system, "initial.model", initial.model, -1, len(system.models) - 1)
    _check_cells(system, "initial.loading_ms", initial.loading_ms, 0, MAX_MS)
    _check_cells(system, "initial.processing", initial.processing, 0, MAX_COUNT)
    _check_cells(system, "initial.routing", initial.routing, 0, MAX_COUNT)
    _check_cells(system, "initial.backlog", initial.backlog, 0, MAX_COUNT)
    on = initial.model >= 0
    held = np.ones(servers, bool)
    held[on] = system.holds[system.server_type[on], initial.model[on]]
    _refuse(system, "initial.model", ~held, "is a model that this server's type cannot hold")
    _refuse(
        system,
        "initial.loading_ms",
        (initial.loading_ms > 0) & ~on,
        "must be 0 for a server that is off",
    )
    _check_last_processing(system, initial)
    ages = np.arange(1, initial.backlog.shape[2] + 1)
    too_old = (initial.backlog > 0) & (ages > system.deadline_slots[:, None])[None]
    _refuse(system, "initial.backlog", too_old, "has expired before slot 0")
    _refuse(
        system,
        "initial.routing",
        (initial.routing > 0) & ~system.allowed,
        "must be 0 where latency_s is null",
    )


def _check_last_processing(system: System, initial: Initial) -> None:
    """Last slot's work is work that a server ready with that model could have done in one slot."""
    worked = initial.processing > 0
    ready = (initial.model >= 0) & (initial.loading_ms == 0)
    fits = system.usable_by[system.server_type] & (
        system.class_model[None, :] == initial.model[:, None]
    )
    _refuse(
        system,
        "initial.processing",
        worked & ~(ready[:, None] & fits),
        "must be 0: the server was not ready with a model that serves this class",
    )
    one_slot = system.slot_ms // np.maximum(system.server_ms[system.server_type], 1)
    excess = worked & (initial.processing > one_slot)
    _refuse(system, "initial.processing", excess, "is more than one slot allows")
    busy = (initial.processing * system.server_ms[system.server_type]).sum(axis=1)
    over = np.zeros_like(worked)
    over[:, 0] = busy > system.slot_ms
    _refuse(system, "initial.processing", over, "adds up to more than one slot allows")


def _check_names(system: System) -> None:
    for field in ("regions", "models", "types", "classes", "servers"):
        names: Sequence[str] = getattr(system, field)
        if not names:
            raise InvalidInput("must hold at least one entry", field=field)
        seen: set[str] = set()
        for position, name in enumerate(names):
            path = f"{field}[{position}]"
            if not isinstance(name, str) or not name:
                raise InvalidInput("must have a non-empty name", field=path)
            if not name.isprintable():
                raise InvalidInput("must not hold control characters", field=path)
            if name in seen:
                raise InvalidInput(f"has the name of an earlier one, {name!r}", field=path)
            seen.add(name)
    if len(system.classes) > MAX_CLASSES:
        raise InvalidInput(f"must hold at most {MAX_CLASSES} entries", field="classes")


def _check_whole(value: object, low: int, high: int, field: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InvalidInput("must be an integer", field=field)
    if not low <= value <= high:
        raise InvalidInput(f"must lie in [{low}, {high}], found {value}", field=field)


def _check_shapes(system: System) -> None:
    sizes = {
        "region": len(system.regions),
        "model": len(system.models),
        "type": len(system.types),
        "class": len(system.classes),
        "server": len(system.servers),
    }
    axes = {
        "class_model": "class",
        "deadline_slots": "class",
        "slo_s": "class",
        "server_region": "server",
        "server_type": "server",
        "latency_s": "region, region",
        "transfer_usd": "region, region, class",
        "service_s": "type, class",
        "hot_service_s": "type, class",
        "server_ms": "type, class",
        "rent_usd_per_hour": "region, type",
        "idle_kw": "type",
        "peak_kw": "type",
        "start_ms": "type, model",
        "switch_ms": "type, model",
        "start_usd": "type, model",
        "switch_usd": "type, model",
    }
    for field, names in axes.items():
        shape = tuple(sizes[name] for name in names.split(", "))
        _check_shape(getattr(system, field), shape, field, names)
    _check_shape(system.weights.expiry_usd, (sizes["class"],), "weights.expiry_usd", "class")


def _check_shape(array: np.ndarray, shape: tuple[int, ...], field: str, axes: str) -> None:
    if array.shape != shape:
        raise InvalidInput(
            f"has shape {_by(array.shape)}, expected {_by(shape)} ({axes})", field=field
        )


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "scalar"


def _check_references(system: System) -> None:
    for field, array, size in (
        ("class_model", system.class_model, len(system.models)),
        ("server_region", system.server_region, len(system.regions)),
        ("server_type", system.server_type, len(system.types)),
    ):
        _check_cells(system, field, array, 0, size - 1)


def _check_ranges(system: System) -> None:
    _check_cells(system, "deadline_slots", system.deadline_slots, 0, 100_000)
    for field in ("slo_s", "transfer_usd", "rent_usd_per_hour", "idle_kw", "peak_kw"):
        _check_cells(system, field, getattr(system, field), 0, MAX_FLOAT)
    for field in ("start_usd", "switch_usd"):
        _check_cells(system, field, getattr(system, field), 0, MAX_FLOAT)
    _check_cells(system, "expiry_usd", system.weights.expiry_usd, 0, MAX_FLOAT)
    latency = np.where(system.allowed, system.latency_s, 0.0)
    _check_cells(system, "latency_s", latency, 0, MAX_FLOAT)
    _refuse(system, "peak_kw", system.peak_kw < system.idle_kw, "must not be below idle_kw")


def _check_service(system: System) -> None:
    _check_cells(system, "server_ms", system.server_ms, 0, MAX_MS)
    for field in ("service_s", "hot_service_s"):
        seconds = getattr(system, field)
        unknown = np.isnan(seconds) == system.compatible
        _refuse(system, field, unknown, "must be given exactly where server_ms is")
        filled = np.where(system.compatible, seconds, 0.0)
        _check_cells(system, field, filled, 0, MAX_FLOAT)
    slower = np.zeros_like(system.compatible)
    slower[system.compatible] = (system.hot_service_s > system.service_s)[system.compatible]
    _refuse(system, "hot_service_s", slower, "must not exceed service_s")
    unheld = system.compatible & ~system.holds[:, system.class_model]
    rule = "is given on a type that cannot hold the class's model: leave the class out of service"
    _refuse(system, "server_ms", unheld, rule)


def _check_loading(system: System) -> None:
    for field in ("start_ms", "switch_ms"):
        _check_cells(system, field, getattr(system, field), -1, MAX_MS)
    _refuse(
        system,
        "switch_ms",
        (system.switch_ms < 0) == system.holds,
        "must be given exactly where start_ms is",
    )


def _check_reach(system: System) -> None:
    """Every origin can send somewhere, and every class has a server that can serve it."""
    stuck = ~system.allowed.any(axis=1)
    if stuck.any():
        origin = int(np.argmax(stuck))
        raise InvalidInput(
            f"leaves region {system.regions[origin]!r} no region to send to",
            field=f"latency_s[{origin}]",
        )
    served = system.usable_by[system.server_type].any(axis=0)
    if not served.all():
        position = int(np.argmin(served))
        raise InvalidInput(
            f"class {system.classes[position]!r} cannot be served by any server within one slot "
            f"of {system.slot_ms} ms",
            field=f"classes[{position}]",
        )


def _check_cells(system: System, field: str, array: np.ndarray, low: float, high: float) -> None:
    """Every cell is finite and lies in [low, high]."""
    with np.errstate(invalid="ignore"):
        bad = ~((array >= low) & (array <= high))
    if not bad.any():
        return
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    found = array[index]
    rule = f"must lie in [{low:g}, {high:g}], found {found}"
    if array.dtype.kind == "f" and not np.isfinite(found):
        rule = "must be a finite number"
    elif low == 0 and found < 0:
        rule = f"must not be negative, found {found}"
    raise InvalidInput(rule, field=_path(system, field, index))


def _refuse(system: System, field: str, bad: np.ndarray, rule: str) -> None:
    """Raise for the first cell where ``bad`` holds."""
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InvalidInput(rule, field=_path(system, field, index))


def _path(system: System, field: str, index: tuple[int, ...]) -> str:
    names = {
        "class": system.classes,
        "region": system.regions,
        "model": system.models,
        "server": system.servers,
    }
    named = {
        f"{noun}_{axis}": group[position]
        for axis, position in enumerate(index)
        for noun, group in names.items()
        if position < len(group)
    }
    ages = {f"age_{axis}": position + 1 for axis, position in enumerate(index)}
    return _PATHS[field].format(*index, **named, **ages)

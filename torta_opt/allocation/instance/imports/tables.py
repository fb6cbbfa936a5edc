"""An instance as a folder of CSV tables, and back: exactly the same instance.

Tables name things as the instance file does. What a table leaves out cannot be done (a pair of
regions in latency.csv, a class in service.csv, a model in loading.csv), is 0 (arrivals, rents,
transfer prices) or does not happen (outages). A price holds until the next one of its region.
Each table's titles are in ``TITLES``; docs/imports.md describes them.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import OFF, Instance, System
from torta_opt.allocation.instance.document import instance_to_document
from torta_opt.io.text import as_cell
from torta_opt.io.writing import whole_folder, write_all

WEIGHTS = (
    "time_usd_per_s",
    "reroute_usd",
    "frobenius_usd",
    "energy_factor",
    "rent_factor",
    "transfer_factor",
    "loading_factor",
)
SETTINGS = ("name", "description", "slots", "slot_ms", "hot_permille", *WEIGHTS)
TITLES: dict[str, tuple[str, ...]] = {
    "settings": ("setting", "value"),
    "regions": ("region",),
    "models": ("model",),
    "classes": ("class", "model", "deadline_slots", "slo_s", "expiry_usd"),
    "types": ("type", "idle_kw", "peak_kw"),
    "loading": ("type", "model", "start_ms", "switch_ms", "start_usd", "switch_usd"),
    "service": ("type", "class", "service_s", "hot_service_s", "server_ms"),
    "servers": ("server", "region", "type", "model", "loading_ms"),
    "latency": ("origin", "region", "latency_s"),
    "prices": ("slot", "region", "usd_per_kwh"),
    "carbon": ("slot", "region", "g_per_kwh"),
    "arrivals": ("slot", "region", "class", "requests"),
    "rent": ("region", "type", "usd_per_hour"),
    "transfer": ("origin", "region", "class", "usd"),
    "outages": ("server", "from_slot", "to_slot"),
    "backlog": ("region", "class", "age_slots", "requests"),
    "processing": ("server", "class", "requests"),
    "routing": ("origin", "region", "requests"),
}
OPTIONAL = ("carbon", "rent", "transfer", "outages", "backlog", "processing", "routing")


def save_tables(instance: Instance, folder: str | os.PathLike[str]) -> list[str]:
    """Write every table into ``folder``, or none of them; returns the files.

    A new folder gets its name once it is complete; in one that exists, other files stay.
    """
    target = Path(folder)
    with whole_folder(target) as place:
        contents = {f"{t}.csv": _csv(TITLES[t], rows) for t, rows in tables_of(instance)}
        write_all((place / name, content) for name, content in contents.items())
    return [str(target / name) for name in contents]


def load_tables(folder: str | os.PathLike[str]) -> Instance:
    """The instance in a folder of tables, each .csv or .csv.gz. Raises InvalidInput."""
    from torta_opt.allocation.instance.imports.tables_reader import read_tables

    return read_tables(Path(folder))


def _csv(titles: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """Floats in the shortest form that reads back as the same number; no text is a formula."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(titles)
    for row in rows:
        writer.writerow([as_cell(cell) if isinstance(cell, str) else cell for cell in row])
    return text.getvalue().encode()


def tables_of(instance: Instance) -> Iterator[tuple[str, Iterable[Iterable[Any]]]]:
    """Every table of ``TITLES`` with its rows."""
    system = instance.system
    yield "settings", _settings(instance)
    yield "regions", ((name,) for name in system.regions)
    yield "models", ((name,) for name in system.models)
    yield "classes", _classes(system)
    yield (
        "types",
        zip(system.types, system.idle_kw.tolist(), system.peak_kw.tolist(), strict=True),
    )
    yield "loading", _loading(system)
    yield "service", _service(system)
    yield "servers", _servers(instance)
    yield "latency", _cells(system.latency_s, system.allowed, system.regions, system.regions)
    yield "prices", _changes(instance, instance.price_usd_per_kwh)
    if instance.carbon_g_per_kwh is not None:
        yield "carbon", _changes(instance, instance.carbon_g_per_kwh)
    yield (
        "arrivals",
        _cells(
            instance.arrivals,
            instance.arrivals > 0,
            range(instance.slots),
            system.regions,
            system.classes,
        ),
    )
    rent, transfer, initial = system.rent_usd_per_hour, system.transfer_usd, instance.initial
    yield "rent", _cells(rent, rent != 0, system.regions, system.types)
    yield (
        "transfer",
        _cells(transfer, transfer != 0, system.regions, system.regions, system.classes),
    )
    outages = instance_to_document(instance)["outages"]
    yield "outages", ([o["server"], o["from_slot"], o["to_slot"]] for o in outages)
    ages = range(1, initial.backlog.shape[2] + 1)
    yield (
        "backlog",
        _cells(initial.backlog, initial.backlog > 0, system.regions, system.classes, ages),
    )
    worked = initial.processing
    yield "processing", _cells(worked, worked > 0, system.servers, system.classes)
    yield (
        "routing",
        _cells(initial.routing, initial.routing > 0, system.regions, system.regions),
    )


def _cells(array: np.ndarray, kept: np.ndarray, *names: Any) -> Iterator[list[Any]]:
    """One row per kept cell: the name of its position on each axis, then its value."""
    values = array[kept].tolist()
    for index, value in zip(np.argwhere(kept).tolist(), values, strict=True):
        yield [*(axis[i] for axis, i in zip(names, index, strict=True)), value]


def _settings(instance: Instance) -> Iterator[tuple[str, Any]]:
    system = instance.system
    yield "name", instance.name
    yield "description", instance.description
    yield "slots", instance.slots
    yield "slot_ms", system.slot_ms
    yield "hot_permille", system.hot_permille
    for name in WEIGHTS:
        yield name, float(getattr(system.weights, name))


def _classes(system: System) -> Iterator[list[Any]]:
    for c, name in enumerate(system.classes):
        yield [
            name,
            system.models[system.class_model[c]],
            int(system.deadline_slots[c]),
            float(system.slo_s[c]),
            float(system.weights.expiry_usd[c]),
        ]


def _loading(system: System) -> Iterator[list[Any]]:
    for k, m in np.argwhere(system.holds):
        yield [
            system.types[k],
            system.models[m],
            int(system.start_ms[k, m]),
            int(system.switch_ms[k, m]),
            float(system.start_usd[k, m]),
            float(system.switch_usd[k, m]),
        ]


def _service(system: System) -> Iterator[list[Any]]:
    for k, c in np.argwhere(system.compatible):
        yield [
            system.types[k],
            system.classes[c],
            float(system.service_s[k, c]),
            float(system.hot_service_s[k, c]),
            int(system.server_ms[k, c]),
        ]


def _servers(instance: Instance) -> Iterator[list[Any]]:
    system, initial = instance.system, instance.initial
    for s, name in enumerate(system.servers):
        model = initial.model[s]
        yield [
            name,
            system.regions[system.server_region[s]],
            system.types[system.server_type[s]],
            "" if model == OFF else system.models[model],
            int(initial.loading_ms[s]),
        ]


def _changes(instance: Instance, values: np.ndarray) -> Iterator[list[Any]]:
    """The first value (T, R) of each region, and then every new one."""
    is_new = np.ones(values.shape, bool)
    is_new[1:] = values[1:] != values[:-1]
    return _cells(values, is_new, range(instance.slots), instance.system.regions)

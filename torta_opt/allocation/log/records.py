"""The two files of a log.

Requests, one row each: ``time_s``, ``origin``, the ``region`` or ``server`` that got it, and its
``class`` or ``model``. Where only the model is known, the requests of a slot, origin and model are
taken to be of its classes in the proportions in which the instance has them there.

Replicas, one row for each change: ``time_s``, ``region``, ``model``, ``replicas`` and, if known,
``type``. A number holds until the next row of the same region, model and type; before the first
row it is that of the servers that the instance has on at its start. Replicas that still load count.

Times are seconds from the start of slot 0, or from the moment that ``start_s`` names.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import OFF, Instance
from torta_opt.allocation.instance.imports.small_csv import Row, Table, read_table
from torta_opt.allocation.policies.routing import apportion
from torta_opt.io import InvalidInput

TIME = "time_s"
EPOCH_S = 1e9  # times above are seconds since 1970, not since the start
UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class RequestLog:
    """Requests of a log within the horizon.

    flow      (T, R, R, C) requests by slot, origin, region and class, as logged
    by_server (T, S, C) those of them whose server is named
    rows, outside    rows in the file; those before or after the horizon, which are left out
    """

    flow: np.ndarray
    by_server: np.ndarray
    rows: int
    outside: int


@dataclass(frozen=True, eq=False)
class ReplicaLog:
    """replicas (T, R, M); by_type (T, P, M), p = region · types + type, if the types are named."""

    replicas: np.ndarray
    by_type: np.ndarray | None


def read_requests(
    instance: Instance, path: str | os.PathLike[str], start_s: float = 0.0
) -> RequestLog:
    """The requests of a log. Raises InvalidInput that names file, line and rule."""
    system = instance.system
    table = _table(path, TIME, "origin")
    place = _one_of(table, "server", "region")
    kind = _one_of(table, "class", "model")
    names = {
        "origin": _positions(system.regions),
        "region": _positions(system.regions),
        "server": _positions(system.servers),
        "class": _positions(system.classes),
        "model": _positions(system.models),
    }
    columns = ("origin", place, kind)
    seconds = np.array([row.number(TIME) - start_s for row in table])
    _check_times(table, seconds, instance)
    found = [[_position(row, title, names[title]) for title in columns] for row in table]
    origin, where, what = np.array(found, np.int64).reshape(-1, 3).T
    slot = np.floor(seconds * 1000 / system.slot_ms).astype(np.int64)
    inside = (slot >= 0) & (slot < instance.slots)
    order = np.flatnonzero(inside)[np.argsort(seconds[inside], kind="stable")]
    slot, origin, where, what = slot[order], origin[order], where[order], what[order]
    group = what if kind == "class" else _classes(instance, slot, origin, what)
    server = where if place == "server" else np.full(len(where), UNKNOWN)
    region = system.server_region[where] if place == "server" else where
    regions, classes = len(system.regions), len(system.classes)
    flow = np.zeros((instance.slots, regions, regions, classes), np.int64)
    np.add.at(flow, (slot, origin, region, group), 1)
    by_server = np.zeros((instance.slots, len(system.servers), classes), np.int64)
    known = server != UNKNOWN
    np.add.at(by_server, (slot[known], server[known], group[known]), 1)
    return RequestLog(flow, by_server, len(seconds), int((~inside).sum()))


def read_replicas(
    instance: Instance, path: str | os.PathLike[str], start_s: float = 0.0
) -> ReplicaLog:
    """The replica counts of a log, at the start of each slot. Raises InvalidInput."""
    system = instance.system
    table = _table(path, TIME, "region", "model", "replicas")
    typed = "type" in table.titles
    seconds = np.array([row.number(TIME) - start_s for row in table])
    _check_times(table, seconds, instance)
    regions, models = _positions(system.regions), _positions(system.models)
    types = _positions(system.types)
    counts = _at_first(instance, typed)
    for n in np.argsort(seconds, kind="stable"):
        row = table.rows[n]
        j, m = _position(row, "region", regions), _position(row, "model", models)
        number = row.whole("replicas")
        if number < 0:
            raise row.fault(f"{number} must be at least 0", "replicas")
        # what changes within a slot counts from the next one on
        since = min(max(float(seconds[n]) / system.slot_s, 0.0), float(instance.slots))
        slot = math.ceil(since - 1e-9)
        k = _position(row, "type", types) if typed else 0
        counts[slot:, j * len(types) + k if typed else j, m] = number
    if not typed:
        return ReplicaLog(counts, None)
    shape = (instance.slots, len(regions), len(types), len(models))
    return ReplicaLog(counts.reshape(shape).sum(axis=2), counts)


def _at_first(instance: Instance, typed: bool) -> np.ndarray:
    """(T, R or P, M) the servers that are on before slot 0."""
    system, model = instance.system, instance.initial.model
    types = len(system.types)
    place = system.server_region * types + system.server_type if typed else system.server_region
    places = len(system.regions) * (types if typed else 1)
    counts = np.zeros((instance.slots, places, len(system.models)), np.int64)
    on = model != OFF
    np.add.at(counts, (slice(None), place[on], model[on]), 1)  # type: ignore[arg-type]  # tuples too
    return counts


def _classes(
    instance: Instance, slot: np.ndarray, origin: np.ndarray, model: np.ndarray
) -> np.ndarray:
    """(N,) classes of requests of which the model is known, rows in order of time."""
    system = instance.system
    group = np.zeros(len(slot), np.int64)
    overall = instance.arrivals.sum(axis=(0, 1))
    key = (slot * len(system.regions) + origin) * len(system.models) + model
    order = np.argsort(key, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        if not len(rows):
            continue
        own = np.flatnonzero(system.class_model == model[rows[0]])
        here = instance.arrivals[slot[rows[0]], origin[rows[0]], own]
        weight = here if here.sum() else overall[own] if overall[own].sum() else np.ones(len(own))
        count = apportion(np.array([len(rows)]), (weight / weight.sum())[None])[0]
        turn = np.concatenate([(np.arange(each) + 0.5) / max(each, 1) for each in count])
        group[rows] = np.repeat(own, count)[np.argsort(turn, kind="stable")]
    return group


def _table(path: str | os.PathLike[str], *titles: str) -> Table:
    table = read_table(path)
    if TIME not in table.titles:
        others = [title for title in table.titles if title.lower().startswith("time")]
        if others:
            rule = f"lacks the column {TIME}, seconds from slot 0; found {others[0]!r:.40}"
            raise InvalidInput(f"{rule}: convert it to seconds", "line 1", table.file)
    table.require(*titles)
    if not table.rows:
        raise InvalidInput("has no rows", file=table.file)
    return table


def _check_times(table: Table, seconds: np.ndarray, instance: Instance) -> None:
    """Refuse a file of which no row falls into the horizon, and say what is likely wrong."""
    end = instance.slots * instance.system.slot_s
    if ((seconds >= 0) & (seconds < end)).any():
        if (seconds >= end).mean() <= 0.5 or (seconds / 1000).max() >= end:
            return
        rule = f"most times lie after the end of the instance ({end:g} s), all would fit as ms"
        raise InvalidInput(f"{rule}; {TIME} are seconds", TIME, table.file)
    first = float(seconds.min())
    rule = f"no time lies within the instance, 0 to {end:g} s; the first is {first:g}"
    if abs(first) > EPOCH_S:
        rule += "; for clock times give the start of slot 0 in the same clock (--start)"
    elif ((seconds / 1000 >= 0) & (seconds / 1000 < end)).all():
        rule += "; are these milliseconds? they must be seconds"
    raise InvalidInput(rule, TIME, table.file)


def _one_of(table: Table, *titles: str) -> str:
    """The first of the titles that the file has."""
    for title in titles:
        if title in table.titles:
            return title
    found = ", ".join(table.titles)[:200]
    rule = f"lacks a column {' or '.join(titles)}; found: {found}"
    raise InvalidInput(rule, "line 1", table.file)


def _positions(names: Sequence[str]) -> dict[str, int]:
    return {name: n for n, name in enumerate(names)}


def _position(row: Row, title: str, names: Mapping[str, int]) -> int:
    name = row.text(title)
    if name not in names:
        known = ", ".join(list(names)[:5])
        raise row.fault(f"{name!r:.40} is not a {title} of the instance; it has {known}", title)
    return names[name]

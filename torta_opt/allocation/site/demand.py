"""Demand of a site: requests by slot, origin and class, from a table, a law or a trace.

A table has rows ``hour`` (from the start) or ``time``, ``region``, ``class`` or ``model``, and one
column of values that says its unit: ``requests_per_second``, ``requests_per_minute``,
``requests_per_hour``, or ``requests`` (of the time until the next row). Rows of a region and class
are evenly spaced and cover the horizon. ``even`` gives the slots whole requests that add up to the
table's; ``poisson`` draws around them. A model's requests are divided among its classes by
``share``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from torta_opt.allocation.instance.imports.csv_rows import to_milliseconds
from torta_opt.allocation.instance.imports.small_csv import Row, Table, read_table
from torta_opt.allocation.instance.rules import MAX_COUNT
from torta_opt.allocation.site.faults import Faults
from torta_opt.allocation.site.files import Site
from torta_opt.io import InvalidInput
from torta_opt.io.seeds import stream
from torta_opt.io.topology import Topology

PER_HOUR = {
    "requests_per_second": 3600.0,
    "requests_per_minute": 60.0,
    "requests_per_hour": 1.0,
    "requests": None,
}
HOUR_MS = 3_600_000
Series = dict[tuple[int, int], list[tuple[int, float]]]  # (region, class) → (ms from start, value)


def demand_of(site: Site, topology: Topology, faults: Faults, notes: list[str]) -> np.ndarray:
    """(T, R, C) requests that arise in each region; T are the slots with demand."""
    entry = site.document.demand
    if entry.trace is not None:
        from torta_opt.allocation.site.trace_demand import demand_of_trace

        return demand_of_trace(site, topology, faults, notes)
    shape = (len(site.document.regions), len(site.document.classes))
    borders = np.arange(site.slots + 1) * site.slot_ms
    expected = np.zeros((site.slots, *shape))
    if entry.file is not None:
        for (i, c), course in _courses(site, faults, notes).items():
            expected[:, i, c] += np.diff(course(borders))
        drawn = entry.within == "poisson"
    else:
        expected = _law(site, topology, faults)
        drawn = True
    if expected.max(initial=0) > MAX_COUNT:
        faults.add("demand", f"has more than {MAX_COUNT} requests in a slot: is the unit right?")
        return np.zeros(expected.shape, np.int64)
    if drawn:
        return stream(site.document.seed, "site demand").poisson(expected)
    total = np.floor(np.cumsum(expected, axis=0) + 1e-6)
    return np.diff(total, axis=0, prepend=0).astype(np.int64)


def class_shares(site: Site) -> dict[str, list[tuple[int, float]]]:
    """Model → (class, share of the model's requests).

    Classes without a share divide what the others leave of 1, all alike. Shares of all classes are
    scaled to a sum of 1.
    """
    found: dict[str, list[tuple[int, float | None]]] = {}
    for c, kind in enumerate(site.document.classes):
        found.setdefault(kind.model, []).append((c, kind.share))
    shares = {}
    for model, entries in found.items():
        given = [share for _, share in entries if share is not None]
        without = len(entries) - len(given)
        rest = max(0.0, 1.0 - math.fsum(given)) / without if without else 0.0
        filled = [rest if share is None else share for _, share in entries]
        total = math.fsum(filled) or 1.0
        shares[model] = [(c, s / total) for (c, _), s in zip(entries, filled, strict=True)]
    return shares


def check_shares(site: Site, faults: Faults) -> None:
    """Classes without a share are left something by those with one, and some share is not 0."""
    for position, kind in enumerate(site.document.classes):
        others = [k.share for k in site.document.classes if k.model == kind.model]
        given = math.fsum(share for share in others if share is not None)
        if None not in others and given == 0:
            rule = f"is 0 for every class of {kind.model}, so its requests would be lost"
            faults.add(f"classes[{position}].share", rule, "share = ...")
        if kind.share is None and given >= 1:
            faults.add(
                f"classes[{position}].share",
                f"is missing: the other classes of {kind.model} have {given:g} together, which "
                "leaves it nothing",
                "share = ...",
            )


def _courses(
    site: Site, faults: Faults, notes: list[str]
) -> dict[tuple[int, int], Callable[[np.ndarray], np.ndarray]]:
    """Requests until a time (ms from the start), by region and class."""
    try:
        table = read_table(site.path(site.document.demand.file or ""))
        series, unit = _series(site, table)
        courses = {key: _course(site, table, key, rows, unit) for key, rows in series.items()}
    except InvalidInput as error:
        faults.take(error, "demand.file")
        return {}
    regions, classes = site.document.regions, site.document.classes
    silent = [
        f"{region.name}/{kind.name}"
        for i, region in enumerate(regions)
        for c, kind in enumerate(classes)
        if (i, c) not in courses
    ]
    if silent:
        notes.append(f"{site.document.demand.file} has no demand of {', '.join(silent[:8])}")
    return courses


def _series(site: Site, table: Table) -> tuple[Series, str]:
    table.require("region")
    units = [title for title in table.titles if title in PER_HOUR]
    if len(units) != 1:
        raise InvalidInput(
            f"needs one of the columns {', '.join(PER_HOUR)}, which say their unit",
            "line 1",
            table.file,
        )
    if "class" not in table.titles and "model" not in table.titles:
        raise InvalidInput("needs a column class or model", "line 1", table.file)
    if "hour" not in table.titles and "time" not in table.titles:
        raise InvalidInput("needs a column hour or time", "line 1", table.file)
    regions = {region.name: i for i, region in enumerate(site.document.regions)}
    series: Series = {}
    times = _times(site, table)
    for row, ms in zip(table, times, strict=True):
        region = row.text("region")
        if region not in regions:
            raise row.fault(f"{region!r:.60} is not in [[regions]]", "region")
        value = row.number(units[0])
        if value < 0:
            raise row.fault(f"{value:g} must not be negative", units[0])
        for c, share in _classes(site, table, row):
            series.setdefault((regions[region], c), []).append((ms, value * share))
    return series, units[0]


def _classes(site: Site, table: Table, row: Row) -> list[tuple[int, float]]:
    if "class" in table.titles:
        names = [kind.name for kind in site.document.classes]
        name = row.text("class")
        if name not in names:
            raise row.fault(f"{name!r:.60} is not in [[classes]]", "class")
        return [(names.index(name), 1.0)]
    shares = class_shares(site)
    name = row.text("model")
    if name not in shares:
        raise row.fault(f"{name!r:.60} is the model of no class in [[classes]]", "model")
    return shares[name]


def _times(site: Site, table: Table) -> list[int]:
    """Milliseconds from the start of the horizon, of every row."""
    if "hour" in table.titles:
        return [round(row.number("hour") * HOUR_MS) for row in table]
    texts = np.array([row.text("time").strip() for row in table], dtype=object)
    ms, known = to_milliseconds(texts)
    if not known.all():
        row = table.rows[int(np.argmin(known))]
        raise row.fault(f"{row.cells['time']!r:.40} is not an ISO 8601 date and time", "time")
    return (ms - site.start_ms).tolist()


def _course(
    site: Site, table: Table, key: tuple[int, int], rows: list[tuple[int, float]], unit: str
) -> Callable[[np.ndarray], np.ndarray]:
    """Requests until a time: linear between the rows."""
    names = site.document.regions[key[0]].name, site.document.classes[key[1]].name
    where = f"{names[0]}, {names[1]}"
    ordered = sorted(rows)
    at = np.array([ms for ms, _ in ordered])
    value = np.array([v for _, v in ordered])
    gaps = np.diff(at)
    if at.size < 2:
        raise InvalidInput("needs at least two rows", where, table.file)
    if (gaps <= 0).any():
        raise InvalidInput(
            f"has hour {at[int(np.argmin(gaps))] / HOUR_MS:g} twice", where, table.file
        )
    slack = max(2000.0, 0.02 * gaps[0])  # ms; hours are often rounded
    uneven = np.abs(gaps - gaps[0]) > slack
    if uneven.any():
        odd = int(np.argmax(uneven))
        raise InvalidInput(
            f"must be evenly spaced: after hour {at[odd] / HOUR_MS:g} comes hour "
            f"{at[odd + 1] / HOUR_MS:g}, where the rows before are {gaps[0] / HOUR_MS:g} apart",
            where,
            table.file,
        )
    end = site.slots * site.slot_ms
    if at[0] > 0 or at[-1] + gaps[0] < end - slack:
        raise InvalidInput(
            f"covers hours {at[0] / HOUR_MS:g} to {(at[-1] + gaps[0]) / HOUR_MS:g}; the horizon "
            f"is 0 to {end / HOUR_MS:g}",
            where,
            table.file,
        )
    factor = PER_HOUR[unit]
    spans = np.append(gaps, gaps[0])
    each = value if factor is None else value * factor * spans / HOUR_MS
    last = at[-1] + gaps[0]
    ends = np.append(at, end if abs(last - end) <= slack else last)
    total = np.concatenate([[0.0], np.cumsum(each)])
    return lambda borders: np.interp(borders, ends, total)


def _law(site: Site, topology: Topology, faults: Faults) -> np.ndarray:
    """(T, R, C) expected: mean · (1 + wave · cos(2π (h − peak)/24)), h local solar hour."""
    regions = [region.name for region in site.document.regions]
    classes = [kind.name for kind in site.document.classes]
    expected = np.zeros((site.slots, len(regions), len(classes)))
    middle_h = (np.arange(site.slots) + 0.5) * site.slot_ms / HOUR_MS
    utc = site.start_ms / HOUR_MS + middle_h
    for n, law in enumerate(site.document.demand.law):
        known = True
        for name, where, names in ((law.region, "region", regions), (law.class_, "class", classes)):
            if name not in names:
                faults.add(
                    f"demand.law[{n}].{where}",
                    f"{name!r} is not in [[{where}{'es' if where == 'class' else 's'}]]",
                )
                known = False
        if not known:
            continue
        i, c = regions.index(law.region), classes.index(law.class_)
        local = utc + topology.longitude[i] / 15
        wave = 1 + law.wave * np.cos((local - law.peak_hour) * np.pi / 12)
        expected[:, i, c] += law.mean_requests_per_hour * wave * site.slot_ms / HOUR_MS
    return expected

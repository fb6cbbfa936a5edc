"""Electricity prices by hour and market zone, from a CSV file.

First column: date and time, UTC; one further column per zone: $ per MWh, empty where there is no
new price. A price holds until the next one of its zone. Prices are taken as they are: negative ones
and spikes too, nothing added. The columns of HPE's sustain-cluster (ZONES of the generator) are
known by place, so that each region takes the nearest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.generate.prices import ZONES
from torta_opt.allocation.instance.imports.csv_rows import to_milliseconds
from torta_opt.allocation.instance.imports.places import bare_name, nearest
from torta_opt.allocation.instance.imports.small_csv import Row, Table, read_table
from torta_opt.io import InvalidInput
from torta_opt.io.topology import Topology

DAY_MS = 86_400_000


@dataclass(frozen=True, eq=False)
class PriceTable:
    """Prices of each zone: (milliseconds since 1970 UTC, $ per kWh), in order of time."""

    file: str
    zones: dict[str, tuple[np.ndarray, np.ndarray]]

    @property
    def first_ms(self) -> int:
        """When every zone has a price."""
        return max(int(times[0]) for times, _ in self.zones.values())

    @property
    def end_ms(self) -> int:
        """When the last price of every zone is a day old."""
        return min(int(times[-1]) for times, _ in self.zones.values()) + DAY_MS

    def at(self, zone: str, ms: np.ndarray) -> np.ndarray:
        """(n,) $ per kWh in a zone at the given times."""
        times, usd = self.zones[zone]
        return usd[np.maximum(np.searchsorted(times, ms, side="right") - 1, 0)]


def read_prices(path: str | os.PathLike[str]) -> PriceTable:
    """All prices of a file. Raises InvalidInput."""
    table = read_table(path)
    head, *zones = table.titles
    if not zones or not table.rows:
        raise InvalidInput("must hold a column of times and one of prices", file=table.file)
    times = _times(table, head)
    order = np.argsort(times, kind="stable")
    found = {}
    for zone in zones:
        usd = np.array([_usd_per_kwh(row, zone) for row in table])[order]
        given = ~np.isnan(usd)
        if not given.any():
            raise InvalidInput("holds no price", field=zone, file=table.file)
        found[zone] = times[order][given], usd[given]
    return PriceTable(table.file, found)


def slot_prices(
    table: PriceTable, zone_of: list[str], begin_ms: int, slots: int, slot_ms: int
) -> np.ndarray:
    """(T, R) $ per kWh at the beginning of each slot."""
    if not table.first_ms <= begin_ms or begin_ms + slots * slot_ms > table.end_ms:
        begin, end = (_text_of(ms) for ms in (begin_ms, begin_ms + slots * slot_ms))
        first, last = (_text_of(ms) for ms in (table.first_ms, table.end_ms))
        raise InvalidInput(
            f"holds prices from {first} to {last}; needed: {begin} to {end} (see price_start)",
            file=table.file,
        )
    ms = begin_ms + np.arange(slots) * slot_ms
    return np.stack([table.at(zone, ms) for zone in zone_of], axis=1)


def begin_of(table: PriceTable, price_start: str | None, clock_ms: int | None) -> tuple[int, str]:
    """(time in the table at which slot 0 begins, why).

    The one asked for; else the trace's own; else the same day and hour of the table's first year;
    else, for a trace without a date, the table's first.
    """
    if price_start is not None:
        ms, known = to_milliseconds(np.array([price_start]))
        if not known[0]:
            rule = "must be a date and time such as 2024-03-01 00:00:00"
            raise InvalidInput(rule, field="price_start")
        return int(ms[0]), "the time asked for"
    if clock_ms is None:
        return table.first_ms, "the table's first hour, as the trace has no date"
    if table.first_ms <= clock_ms < table.end_ms - DAY_MS:
        return clock_ms, "the trace's own time"
    moved = _in_year_of(table.first_ms, clock_ms)
    if table.first_ms <= moved < table.end_ms - DAY_MS:
        return moved, "the trace's day and hour in the table's year"
    return table.first_ms, "the table's first hour, as it does not reach the trace's day"


def zones_of(table: PriceTable, topology: Topology, given: Mapping[str, str] | None) -> list[str]:
    """Column for each region: the one given, the one of its name, or the nearest known market."""
    given = given or {}
    for region, zone in given.items():
        if region not in topology.nodes:
            raise InvalidInput(f"{region!r:.60} is not a region of the instance", field="zones")
        if zone not in table.zones:
            raise InvalidInput(f"{zone!r:.60} is not a column of {table.file}", field="zones")
    known = [zone for zone in table.zones if zone in ZONES]
    close = None
    if known:
        places = [(ZONES[zone].longitude, ZONES[zone].latitude) for zone in known]
        close = nearest(topology.longitude, topology.latitude, places)
    chosen = []
    for i, region in enumerate(topology.nodes):
        names = [name for name in (region, bare_name(region)) if name in table.zones]
        if region in given:
            chosen.append(given[region])
        elif names:
            chosen.append(names[0])
        elif close is not None:
            chosen.append(known[close[i]])
        else:
            raise InvalidInput(
                f"has no column for region {region!r:.60}; zones says which to take",
                file=table.file,
            )
    return chosen


def _times(table: Table, head: str) -> np.ndarray:
    texts = [row.text(head).strip() for row in table]
    ms, known = to_milliseconds(np.array(texts, dtype=object))
    if not known.all():
        row = table.rows[int(np.argmin(known))]
        raise row.fault(f"{row.cells[head]!r:.40} is not an ISO 8601 date and time", head)
    return ms


def _usd_per_kwh(row: Row, zone: str) -> float:
    if not row.cells[zone].strip():
        return float("nan")
    usd_per_mwh = row.number(zone)
    if abs(usd_per_mwh) > 1e6:
        raise row.fault(f"{usd_per_mwh:g} $/MWh does not lie in [-1e6, 1e6]", zone)
    return round(usd_per_mwh / 1000, 8)


def _in_year_of(year_ms: int, ms: int) -> int:
    """The same day and time in the year of ``year_ms``; 29 February becomes 1 March."""
    time, year = np.datetime64(ms, "ms"), np.datetime64(year_ms, "ms").astype("datetime64[Y]")
    since_month = time - time.astype("datetime64[M]")
    months = time.astype("datetime64[M]") - time.astype("datetime64[Y]").astype("datetime64[M]")
    moved = (year.astype("datetime64[M]") + months).astype("datetime64[ms]") + since_month
    return int(moved.astype(np.int64))


def _text_of(ms: int) -> str:
    return str(np.datetime64(ms, "ms").astype("datetime64[m]")).replace("T", " ")

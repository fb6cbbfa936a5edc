"""Reads the tables of ``tables.py``; a fault names the table, the line and the column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import (
    CANNOT_HOLD,
    INCOMPATIBLE,
    OFF,
    Initial,
    Instance,
    System,
    Weights,
)
from torta_opt.allocation.instance.imports.horizon import MAX_SLOTS
from torta_opt.allocation.instance.imports.small_csv import Row, Table, read_table
from torta_opt.allocation.instance.imports.tables import OPTIONAL, SETTINGS, TITLES, WEIGHTS
from torta_opt.io import InvalidInput
from torta_opt.io.text import from_cell

MAX_AGE = 100_000


@dataclass(frozen=True)
class Names:
    """Positions by name."""

    noun: str
    names: tuple[str, ...]
    positions: dict[str, int]

    @classmethod
    def of(cls, table: Table, title: str) -> Names:
        """Names in a column, each of which must come once."""
        positions: dict[str, int] = {}
        for row in table:
            name = row.text(title)
            if name in positions:
                raise row.fault(f"has the name of an earlier one, {name!r:.60}", title)
            positions[name] = len(positions)
        return cls(title, tuple(positions), positions)

    def at(self, row: Row, title: str | None = None) -> int:
        """Position of the name in a cell."""
        title = title or self.noun
        name = row.text(title)
        if name not in self.positions:
            raise row.fault(f"names an unknown {self.noun}, {name!r:.60}", title)
        return self.positions[name]


def read_tables(folder: Path) -> Instance:
    """The instance in ``folder``."""
    if not folder.is_dir():
        raise InvalidInput("is not a folder", file=str(folder))
    tables = {name: _table(folder, name) for name in TITLES}
    try:
        return instance_of(tables)
    except InvalidInput as error:
        raise (error if error.file else error.within(str(folder))) from None


def instance_of(tables: dict[str, Table]) -> Instance:
    """The instance in tables, one for each name of ``TITLES``."""
    return _Reader(tables).instance()


def _table(folder: Path, name: str) -> Table:
    file = folder / f"{name}.csv"
    if not file.exists():
        file = folder / f"{name}.csv.gz"
    if not file.exists():
        if name in OPTIONAL:
            return Table(str(folder / f"{name}.csv"), list(TITLES[name]), [])
        raise InvalidInput(f"lacks {name}.csv", file=str(folder))
    table = read_table(file)
    table.require(*TITLES[name])
    rows = [
        Row(row.file, row.line, {title: from_cell(cell) for title, cell in row.cells.items()})
        for row in table
    ]
    return Table(table.file, table.titles, rows)


class _Reader:
    def __init__(self, tables: dict[str, Table]):
        self.tables = tables
        self.settings = _settings(tables["settings"])
        self.regions = Names.of(tables["regions"], "region")
        self.models = Names.of(tables["models"], "model")
        self.classes = Names.of(tables["classes"], "class")
        self.types = Names.of(tables["types"], "type")
        self.servers = Names.of(tables["servers"], "server")
        self.slots = self._whole("slots", 1, MAX_SLOTS)

    def instance(self) -> Instance:
        sizes = self.slots, len(self.regions.names), len(self.classes.names)
        return Instance(
            name=self.settings["name"].cells["value"],
            description=self.settings["description"].cells["value"],
            system=self.system(),
            initial=self.initial(),
            arrivals=self.counts("arrivals", sizes, self.slot, self.regions.at, self.classes.at),
            price_usd_per_kwh=self.lasting("prices", "usd_per_kwh", "price"),
            up=self.up(),
            carbon_g_per_kwh=self.lasting("carbon", "g_per_kwh", "value")
            if self.tables["carbon"].rows
            else None,
        )

    def system(self) -> System:
        classes, types = self.tables["classes"], self.tables["types"]
        regions = len(self.regions.names)
        return System(
            slot_ms=self._whole("slot_ms", 1, 10**8),
            hot_permille=self._whole("hot_permille", 0, 1000),
            regions=self.regions.names,
            models=self.models.names,
            types=self.types.names,
            classes=self.classes.names,
            servers=self.servers.names,
            class_model=np.array([self.models.at(row) for row in classes]),
            deadline_slots=np.array([row.whole("deadline_slots") for row in classes]),
            slo_s=np.array([row.number("slo_s") for row in classes]),
            server_region=np.array([self.regions.at(row) for row in self.tables["servers"]]),
            server_type=np.array([self.types.at(row) for row in self.tables["servers"]]),
            latency_s=self.numbers(
                "latency", (regions, regions), "latency_s", np.nan, self.origin, self.regions.at
            ),
            transfer_usd=self.numbers(
                "transfer",
                (regions, regions, len(self.classes.names)),
                "usd",
                0.0,
                self.origin,
                self.regions.at,
                self.classes.at,
            ),
            rent_usd_per_hour=self.numbers(
                "rent",
                (regions, len(self.types.names)),
                "usd_per_hour",
                0.0,
                self.regions.at,
                self.types.at,
            ),
            idle_kw=np.array([row.number("idle_kw") for row in types]),
            peak_kw=np.array([row.number("peak_kw") for row in types]),
            weights=self.weights(),
            **self.service(),
            **self.loading(),
        )

    def weights(self) -> Weights:
        scalars = {name: self.settings[name].number("value") for name in WEIGHTS}
        expiry = [row.number("expiry_usd") for row in self.tables["classes"]]
        return Weights(expiry_usd=np.array(expiry), **scalars)

    def service(self) -> dict[str, np.ndarray]:
        shape = len(self.types.names), len(self.classes.names)
        at = self.types.at, self.classes.at
        return {
            "service_s": self.numbers("service", shape, "service_s", np.nan, *at),
            "hot_service_s": self.numbers("service", shape, "hot_service_s", np.nan, *at),
            "server_ms": self.wholes("service", shape, "server_ms", INCOMPATIBLE, *at),
        }

    def loading(self) -> dict[str, np.ndarray]:
        shape = len(self.types.names), len(self.models.names)
        at = self.types.at, self.models.at
        return {
            "start_ms": self.wholes("loading", shape, "start_ms", CANNOT_HOLD, *at),
            "switch_ms": self.wholes("loading", shape, "switch_ms", CANNOT_HOLD, *at),
            "start_usd": self.numbers("loading", shape, "start_usd", 0.0, *at),
            "switch_usd": self.numbers("loading", shape, "switch_usd", 0.0, *at),
        }

    def initial(self) -> Initial:
        regions, classes = len(self.regions.names), len(self.classes.names)
        servers = self.tables["servers"]
        oldest = max((self.age(row) + 1 for row in self.tables["backlog"]), default=0)
        backlog = (regions, classes, oldest)
        return Initial(
            model=np.array([self.models.at(row) if row.cells["model"] else OFF for row in servers]),
            loading_ms=np.array([row.whole("loading_ms") for row in servers]),
            backlog=self.counts("backlog", backlog, self.regions.at, self.classes.at, self.age),
            processing=self.counts(
                "processing", (len(servers.rows), classes), self.servers.at, self.classes.at
            ),
            routing=self.counts("routing", (regions, regions), self.origin, self.regions.at),
        )

    def lasting(self, name: str, title: str, noun: str) -> np.ndarray:
        """(T, R): each value holds until the next of its region."""
        shape = self.slots, len(self.regions.names)
        values = self.numbers(name, shape, title, np.nan, self.slot, self.regions.at)
        if np.isnan(values[0]).any():
            region = self.regions.names[int(np.argmax(np.isnan(values[0])))]
            raise InvalidInput(
                f"lacks a {noun} in slot 0 for region {region!r:.60}",
                file=self.tables[name].file,
            )
        latest = np.where(np.isnan(values), 0, np.arange(self.slots)[:, None])
        return np.take_along_axis(values, np.maximum.accumulate(latest, axis=0), axis=0)

    def up(self) -> np.ndarray:
        up = np.ones((self.slots, len(self.servers.names)), bool)
        for row in self.tables["outages"]:
            first, last = row.whole("from_slot"), row.whole("to_slot")
            if not 0 <= first < last <= self.slots:
                raise row.fault(f"must satisfy 0 <= from_slot < to_slot <= {self.slots}")
            up[first:last, self.servers.at(row)] = False
        return up

    # --- cells --------------------------------------------------------------------------------

    def counts(self, name: str, shape: tuple[int, ...], *at: Callable[[Row], int]) -> np.ndarray:
        return self.wholes(name, shape, "requests", 0, *at)

    def wholes(
        self, name: str, shape: tuple[int, ...], title: str, empty: int, *at: Callable[[Row], int]
    ) -> np.ndarray:
        """An array of whole numbers from one column; ``empty`` where no row says otherwise."""
        array = np.full(shape, empty, dtype=np.int64)
        return self._fill(array, name, lambda row: row.whole(title), at)

    def numbers(
        self, name: str, shape: tuple[int, ...], title: str, empty: float, *at: Callable[[Row], int]
    ) -> np.ndarray:
        """The same for real numbers."""
        return self._fill(np.full(shape, empty), name, lambda row: row.number(title), at)

    def _fill(
        self,
        array: np.ndarray,
        name: str,
        value: Callable[[Row], Any],
        at: Sequence[Callable[[Row], int]],
    ) -> np.ndarray:
        filled: set[tuple[int, ...]] = set()
        for row in self.tables[name]:
            index = tuple(position(row) for position in at)
            if index in filled:
                raise row.fault("repeats an earlier row")
            filled.add(index)
            array[index] = value(row)
        return array

    def origin(self, row: Row) -> int:
        return self.regions.at(row, "origin")

    def slot(self, row: Row) -> int:
        slot = row.whole("slot")
        if not 0 <= slot < self.slots:
            raise row.fault(f"must lie in [0, {self.slots - 1}], found {slot}", "slot")
        return slot

    def age(self, row: Row) -> int:
        age = row.whole("age_slots")
        if not 1 <= age <= MAX_AGE:
            raise row.fault(f"must lie in [1, {MAX_AGE}], found {age}", "age_slots")
        return age - 1

    def _whole(self, name: str, low: int, high: int) -> int:
        row = self.settings[name]
        value = row.whole("value")
        if not low <= value <= high:
            raise row.fault(f"{name} must lie in [{low}, {high}], found {value}", "value")
        return value


def _settings(table: Table) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for row in table:
        name = row.text("setting")
        if name not in SETTINGS:
            raise row.fault(f"{name!r:.40} is not known; known: {', '.join(SETTINGS)}", "setting")
        if name in rows:
            raise row.fault(f"repeats {name}", "setting")
        rows[name] = row
    for name in SETTINGS:
        if name not in rows:
            raise InvalidInput(f"lacks the setting {name}", file=table.file)
    return rows

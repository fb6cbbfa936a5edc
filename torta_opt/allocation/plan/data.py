"""What a plan is: tables of a schedule, its bill, and the clock that its slots run by."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.results import Evaluation


@dataclass(frozen=True)
class Table:
    """Titles and rows; cells are text, numbers, or None."""

    titles: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def to_document(self) -> dict[str, list[Any]]:
        """Columns by title."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.titles)
        return {title: list(column) for title, column in zip(self.titles, columns, strict=True)}


@dataclass(frozen=True)
class Unit:
    """What one server of a type runs of a model: copies, and GPUs of each."""

    replicas: int
    gpus: int


@dataclass(frozen=True)
class SiteFacts:
    """What a plan takes from the site of its instance.

    start_ms     when slot 0 begins, milliseconds since 1970 UTC
    fixed        (region, server type, servers, $ per hour of all): paid whatever is done
    tokens       class → mean (input, output) tokens
    units        (server type, model) → copies on a server and GPUs of each
    clouds       region → its name in the cloud
    """

    start_ms: int
    fixed: Sequence[tuple[str, str, int, float]]
    tokens: Mapping[str, tuple[float, float]]
    units: Mapping[tuple[str, str], Unit]
    clouds: Mapping[str, str]


@dataclass(frozen=True)
class ServerUse:
    """Servers on with a model, in one region (or in all) and of one type.

    least, most, mean    over the slots with demand
    by_part              the most in each of some parts of them, as long as each other
    """

    region: str
    type: str
    model: str
    least: int
    most: int
    mean: float
    by_part: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Plan:
    """A verified schedule with its tables.

    on, ready    (T, R, K, M) servers that are on (loading or ready), and ready, at the slot's end
    """

    instance: Instance
    schedule: Schedule
    evaluation: Evaluation
    start_ms: int | None
    site: SiteFacts | None
    on: np.ndarray
    ready: np.ndarray
    tables: Mapping[str, Table]
    bill: Table
    priced: Table
    warnings: tuple[str, ...]

    @property
    def paid_usd(self) -> float:
        return float(sum(row[-1] for row in self.bill.rows))

    def time(self, slot: int) -> str | None:
        """When a slot begins, UTC; None if the plan has no clock."""
        return clock(self.start_ms, slot, self.instance.system.slot_ms)

    @property
    def slots_with_demand(self) -> int:
        """Slots up to the last in which a request arrives."""
        asked = np.flatnonzero(self.instance.arrivals.any(axis=(1, 2)))
        return int(asked[-1]) + 1 if asked.size else self.instance.slots


def clock(start_ms: int | None, slot: int, slot_ms: int) -> str | None:
    if start_ms is None:
        return None
    seconds = (start_ms + slot * slot_ms) / 1000
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")

"""A schedule from pandas data frames: the reverse of ``to_frame`` for the tables of decisions."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.rules import MAX_COUNT
from torta_opt.allocation.schedule.data import NO_MODEL, Command, Schedule
from torta_opt.io.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

DECISIONS = ("routing", "commands", "processing")
COMMANDS = tuple(each.name.lower() for each in Command)


def from_frames(instance: Instance, frames: Mapping[str, pd.DataFrame], method: str) -> Schedule:
    """The schedule that frames of decisions describe; a table that is missing decides nothing.

    Raises InvalidInput that names frame, row and column.
    """
    for name in frames:
        if name not in DECISIONS:
            known = ", ".join(DECISIONS)
            raise InvalidInput(
                f"{name!r:.40} is not a table of decisions; known: {known}", "frames"
            )
    system, slots = instance.system, instance.slots
    regions, servers, classes = len(system.regions), len(system.servers), len(system.classes)
    routing = np.zeros((slots, regions, regions, classes), np.int64)
    command = np.zeros((slots, servers), np.int64)
    model = np.full((slots, servers), NO_MODEL)
    processing = np.zeros((slots, servers, classes), np.int64)
    if "routing" in frames:
        table = _Table("routing", frames["routing"], slots)
        names = {"origin": system.regions, "region": system.regions, "class": system.classes}
        cells = (table.slots(), *(table.places(axis, names[axis]) for axis in names))
        np.add.at(routing, cells, table.counts("requests"))
    if "commands" in frames:
        table = _Table("commands", frames["commands"], slots)
        cells = (table.slots(), table.places("server", system.servers))
        table.refuse_twice(cells)
        told = table.places("command", COMMANDS)
        command[cells] = told
        held = table.places("model", ("", *system.models)) - 1
        model[cells] = np.where(np.isin(told, (Command.START, Command.SWITCH)), held, NO_MODEL)
    if "processing" in frames:
        table = _Table("processing", frames["processing"], slots)
        names = {"server": system.servers, "class": system.classes}
        cells = (table.slots(), *(table.places(axis, names[axis]) for axis in names))
        np.add.at(processing, cells, table.counts("requests"))
    return Schedule(routing, command, model, processing, method=method, instance=instance.name)


class _Table:
    """Columns of a frame as positions and counts. Raises InvalidInput for what is neither."""

    def __init__(self, name: str, frame: Any, slots: int) -> None:
        import pandas as pd

        self.name, self.frame, self.horizon = name, frame, slots
        if not isinstance(frame, pd.DataFrame):
            rule = f"is a {type(frame).__name__}, not a DataFrame"
            raise InvalidInput(rule, field=f"frames[{name!r}]")

    def column(self, title: str) -> list[Any]:
        if title not in self.frame.columns:
            raise InvalidInput(f"lacks the column {title!r}", field=f"frames[{self.name!r}]")
        values: list[Any] = self.frame[title].tolist()
        return values

    def wrong(self, row: int, title: str, rule: str) -> InvalidInput:
        return InvalidInput(rule, field=f"frames[{self.name!r}], row {row + 1}, {title}")

    def counts(self, title: str) -> np.ndarray:
        """Whole numbers from 0."""
        values = self.column(title)
        for row, value in enumerate(values):
            is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
            if not (is_number and 0 <= value <= MAX_COUNT and value == int(value)):
                rule = f"{value!r:.40} must be a whole number from 0 to {MAX_COUNT}"
                raise self.wrong(row, title, rule)
        return np.array(values, np.int64)

    def slots(self) -> np.ndarray:
        found = self.counts("slot")
        for row in np.flatnonzero(found >= self.horizon).tolist():
            raise self.wrong(row, "slot", f"{found[row]} must be below {self.horizon}")
        return found

    def places(self, title: str, names: Sequence[str]) -> np.ndarray:
        position = {name: n for n, name in enumerate(names)}
        values = ["" if _is_missing(value) else value for value in self.column(title)]
        for row, value in enumerate(values):
            if not isinstance(value, str) or value not in position:
                raise self.wrong(row, title, f"{value!r:.60} is not a name in the instance")
        return np.array([position[value] for value in values], np.int64)

    def refuse_twice(self, cells: tuple[np.ndarray, ...]) -> None:
        seen: set[tuple[int, ...]] = set()
        for row, cell in enumerate(zip(*(each.tolist() for each in cells), strict=True)):
            if cell in seen:
                raise self.wrong(row, "command", "is the second command to a server in a slot")
            seen.add(cell)


def _is_missing(value: Any) -> bool:
    """What pandas reads of an empty cell, as of the model of a stop."""
    return value is None or (isinstance(value, float) and value != value)

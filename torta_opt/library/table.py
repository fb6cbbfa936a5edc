"""The table of the library, ``data/library.csv``: one row per instance.

A value that has not been computed is empty, and the status beside it says so.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torta_opt.io import InvalidInput
from torta_opt.io.writing import write_bytes

NOT_RUN, DONE, LIMIT = "not run", "done", "limit"
STATUSES = (NOT_RUN, DONE, LIMIT)
CERTIFIED = "certified"
DEFAULT = Path(os.environ.get("TORTA_LIBRARY", Path(__file__).parent / "data/library.csv"))


def _about(text: str, **options: Any) -> Any:
    return field(metadata={"about": text}, **options)


@dataclass(frozen=True)
class Row:
    """One instance; ``fields()`` says what each column is."""

    name: str = _about("name of the instance in the library")
    family: str = _about("problem family: `allocation` or `placement`")
    recipe: str = _about("arguments of `torta-opt` that make it")
    sha256: str = _about("SHA-256 of the instance file, uncompressed; empty: not made yet")
    unit: str = _about("unit of cost and bound")
    cost: float | None = _about("best known cost, that of a verified schedule", default=None)
    cost_status: str = _about(
        "`done`, `limit` (the search ended at its limit) or `not run`", default=NOT_RUN
    )
    found_by: str = _about("method, or person, that found the schedule", default="")
    found_s: float | None = _about("processor seconds of the search", default=None)
    bound: float | None = _about("greatest proven bound: no schedule costs less", default=None)
    bound_status: str = _about(
        "`done`, `limit` (more time raises it) or `not run`", default=NOT_RUN
    )
    proved_by: str = _about("method that proved the bound", default="")
    certificate: str = _about(
        "`certified`: a checker without a solver derived the bound from its certificate; empty: "
        "no bound",
        default="",
    )
    proved_s: float | None = _about("processor seconds of the proof", default=None)
    version: str = _about("version of torta-opt that made the row", default="")

    @property
    def gap(self) -> float | None:
        """(cost − bound)/|cost|."""
        if self.cost is None or self.bound is None or not self.cost:
            return None
        return max(self.cost - self.bound, 0.0) / abs(self.cost)


def fields() -> Iterator[tuple[str, str]]:
    """Columns of the table, and what they are."""
    for each in dataclasses.fields(Row):
        yield each.name, each.metadata["about"]


@dataclass(frozen=True)
class Library:
    """All rows by name, and the file they stand in."""

    path: Path
    rows: dict[str, Row]

    @classmethod
    def read(cls, path: str | os.PathLike[str] | None = None) -> Library:
        """The library in a file. Raises InvalidInput."""
        path = DEFAULT if path is None else Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not text"
            raise InvalidInput(f"cannot be read: {why}", file=str(path)) from None
        reader = csv.DictReader(io.StringIO(text))
        columns = [name for name, _ in fields()]
        if reader.fieldnames != columns:
            raise InvalidInput(f"must have the columns {','.join(columns)}", file=str(path))
        rows: dict[str, Row] = {}
        for number, entry in enumerate(reader, 2):
            row = _row(entry, f"{path}: line {number}")
            if row.name in rows:
                raise InvalidInput(f"has two rows named {row.name}", file=str(path))
            rows[row.name] = row
        return cls(path, rows)

    def row(self, name: str) -> Row:
        """Raises InvalidInput, with names that are alike."""
        import difflib

        if name in self.rows:
            return self.rows[name]
        alike = ", ".join(difflib.get_close_matches(name, self.rows, 3))
        rule = f"{name!r:.60} is not in the library"
        raise InvalidInput(f"{rule}; similar names: {alike}" if alike else rule, field="name")

    def with_row(self, row: Row) -> Library:
        return Library(self.path, {**self.rows, row.name: row})

    def write(self) -> None:
        """Write the whole table, or leave it as it was."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([name for name, _ in fields()])
        for row in self.rows.values():
            writer.writerow([_text(value) for value in dataclasses.astuple(row)])
        write_bytes(self.path, out.getvalue().encode())

    def schedule_path(self, name: str) -> Path:
        """Where the best schedule is, if it comes with the library."""
        return self.path.with_suffix("") / f"{name}.json.gz"


def _row(entry: dict[str, Any], file: str) -> Row:
    if None in entry or None in entry.values():
        raise InvalidInput("must have one value for each column", file=file)
    values: dict[str, Any] = {
        name: _number(value, name, file) if name in NUMBERS else value
        for name, value in entry.items()
    }
    row = Row(**values)
    for name in ("cost_status", "bound_status"):
        if getattr(row, name) not in STATUSES:
            raise InvalidInput(f"must be one of {', '.join(STATUSES)}", name, file)
    return row


NUMBERS = ("cost", "found_s", "bound", "proved_s")


def _number(text: str, name: str, file: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(f"{text!r:.40} must be a finite number or empty", name, file)
    return value


def _text(value: Any) -> str:
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)

"""Columns of a CSV file of any size, block by block; bad rows are counted and named.

A block is handed to pandas' parser first. Where that stumbles, the block is read again row by row,
which takes about ten times as long and tells which rows are bad and why. Both give the same.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from torta_opt.allocation.instance.imports.kinds import check_form
from torta_opt.allocation.instance.imports.rows import MAX_TOKENS, Progress, Tally, refuse_where
from torta_opt.allocation.instance.imports.text import open_lines
from torta_opt.io import InvalidInput

MAX_NUMBER = 1e11
_EARLIEST_MS, _LATEST_MS = 0, 7_258_118_400_000  # years 1970 to 2199
_SHORTEST_DATETIME = len("2023-11-16 18:17:03")
_DTYPES = {"tokens": "int64", "number": "float64", "datetime": str, "text": str, "name": str}


@dataclass(frozen=True)
class Column:
    """A column of the file: its title and what it holds.

    tokens      whole number in [0, MAX_TOKENS]
    number      real number in [0, MAX_NUMBER]
    datetime    ISO 8601 date and time, UTC unless it says otherwise; becomes milliseconds
    text        anything
    name        anything but an empty cell
    """

    title: str
    kind: Literal["tokens", "number", "datetime", "text", "name"]
    is_optional: bool = False


def read_csv_columns(
    path: str | os.PathLike[str],
    columns: Mapping[str, Column],
    tally: Tally,
    progress: Progress | None = None,
    titles: list[str] | None = None,
    kind: str | None = None,
    unit: str | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """Good rows of ``path``: their ``line`` numbers, and each of ``columns`` that the file has.

    The first line holds the titles, unless ``titles`` stand in for it. They are compared without
    regard to case, order or surrounding spaces; ``tally`` is told which others there are. With
    ``kind``, the first line of another kind of trace is refused; ``unit`` is what the user says
    about the times (see ``kinds``).
    """
    with open_lines(path, progress) as lines:
        first_row = 1
        if titles is None:
            first = lines.first()
            if kind is not None:
                check_form(kind, first, unit)
            titles = _titles(first)
            first_row = 2
        places = _places(titles, columns)
        found = {key: columns[key] for key in places}
        tally.leave_out(title for n, title in enumerate(titles) if n not in places.values())
        for line, block in lines.blocks(first_row):
            numbers, values = _parse(line, block, len(titles), places, found, tally)
            yield _check(numbers, values, found, tally)


def _titles(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise InvalidInput(f"is not CSV: {error}", field="line 1") from None


def _places(titles: list[str], columns: Mapping[str, Column]) -> dict[str, int]:
    """Position of each wanted column in the file."""
    plain = [title.strip().lower() for title in titles]
    places: dict[str, int] = {}
    for key, column in columns.items():
        count = plain.count(column.title.lower())
        if count > 1:
            raise InvalidInput("is the title of two columns", field=column.title)
        if count == 1:
            places[key] = plain.index(column.title.lower())
        elif not column.is_optional:
            wanted = ", ".join(c.title for c in columns.values() if not c.is_optional)
            found = ", ".join(title.strip() for title in titles)[:200]
            raise InvalidInput(
                f"lacks the column {column.title}; needed: {wanted}; found: {found}", field="line 1"
            )
    return places


def _parse(
    line: int,
    block: bytes,
    width: int,
    places: dict[str, int],
    columns: dict[str, Column],
    tally: Tally,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(line numbers, values) of the rows whose numbers are numbers."""
    if b'"' not in block:
        values = _parse_at_once(block, width, places, columns)
        if values is not None:
            numbers = np.arange(line, line + block.count(b"\n"))
            tally.rows += numbers.size
            return numbers, values
    return _parse_by_row(line, block, width, places, columns, tally)


def _parse_at_once(
    block: bytes, width: int, places: dict[str, int], columns: dict[str, Column]
) -> dict[str, np.ndarray] | None:
    """Values of a block in which every row can be read; None if one cannot."""
    import pandas as pd

    rows = block.count(b"\n")
    if block.count(b",") != rows * (width - 1):
        return None
    dtypes = {places[key]: _DTYPES[column.kind] for key, column in columns.items()}
    try:
        with np.errstate(invalid="raise"):  # pandas makes whole numbers of inf otherwise
            table = pd.read_csv(
                io.BytesIO(block),
                header=None,
                names=list(range(width)),
                index_col=False,
                dtype=dtypes,
                na_filter=False,
                skip_blank_lines=False,
            )
    except (ArithmeticError, ValueError):  # ParserError and UnicodeDecodeError are ValueErrors
        return None
    if len(table) != rows:
        return None
    return {key: table[place].to_numpy() for key, place in places.items()}


def _parse_by_row(
    line: int,
    block: bytes,
    width: int,
    places: dict[str, int],
    columns: dict[str, Column],
    tally: Tally,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    numbers: list[int] = []
    values: dict[str, list[Any]] = {key: [] for key in columns}
    readers = [
        (key, places[key], columns[key].title, _READERS[columns[key].kind]) for key in columns
    ]
    for number, raw in enumerate(block.split(b"\n")[:-1], start=line):
        if not raw.strip():
            continue
        tally.rows += 1
        try:
            cells = _cells(raw, width)
            row = [_read(reader, cells[place], title) for _, place, title, reader in readers]
        except ValueError as error:
            tally.refuse(number, str(error))
            continue
        numbers.append(number)
        for (key, *_), value in zip(readers, row, strict=True):
            values[key].append(value)
    arrays = {}
    for key, column in columns.items():
        kind = {"tokens": np.int64, "number": np.float64}.get(column.kind, object)
        arrays[key] = np.array(values[key], dtype=kind)
    return np.array(numbers, dtype=np.int64), arrays


def _cells(raw: bytes, width: int) -> list[str]:
    try:
        text = raw.decode().rstrip("\r")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    try:
        cells = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise ValueError(f"is not CSV: {error}") from None
    if len(cells) != width:
        raise ValueError(f"has {len(cells)} fields, expected {width}")
    return cells


def _read(reader: Callable[[str], object], cell: str, title: str) -> object:
    if reader is not str and not cell.strip():
        raise ValueError(f"{title} is missing")
    try:
        return reader(cell)
    except ValueError as error:
        raise ValueError(f"{title} {_shown(cell)} {error}") from None


def _tokens(cell: str) -> int:
    number = _number(cell, "is not a whole number")
    if not number.is_integer():
        raise ValueError("is not a whole number")
    return int(max(-1e18, min(number, 1e18)))  # what is out of range is refused later


def _real(cell: str) -> float:
    return _number(cell, "is not a number")


def _number(cell: str, rule: str) -> float:
    if "_" in cell:  # Python reads 1_000
        raise ValueError(rule)
    try:
        number = float(cell)
    except ValueError:
        raise ValueError(rule) from None
    if not math.isfinite(number):
        raise ValueError(rule)
    return number


_READERS: dict[str, Callable[[str], object]] = {
    "tokens": _tokens,
    "number": _real,
    "datetime": str,
    "text": str,
    "name": str,
}


def _check(
    lines: np.ndarray, given: dict[str, np.ndarray], columns: dict[str, Column], tally: Tally
) -> dict[str, np.ndarray]:
    """The rows in which every value keeps its rules; the others are refused, each once."""
    good = np.ones(lines.size, bool)
    values: dict[str, np.ndarray] = {}
    for key, column in columns.items():
        values[key], rules = _RULES[column.kind](given[key])
        for bad, rule in rules:
            sentence = partial(_sentence, column.title, given[key], rule)
            refuse_where(tally, lines, bad & good, sentence)
            good &= ~bad
    return {"line": lines[good], **{key: array[good] for key, array in values.items()}}


def _sentence(title: str, cells: np.ndarray, rule: str, i: int) -> str:
    return f"{title} {_shown(cells[i])} {rule}"


Checked = tuple[np.ndarray, list[tuple[np.ndarray, str]]]  # values, and (rows that break it, rule)


def _check_tokens(given: np.ndarray) -> Checked:
    return given, [
        (given < 0, "is negative"),
        (given > MAX_TOKENS, f"is more than {MAX_TOKENS} tokens"),
    ]


def _check_number(given: np.ndarray) -> Checked:
    finite = np.isfinite(given)
    return given, [
        (~finite, "is not a number"),
        (finite & (given < 0), "is negative"),
        (finite & (given > MAX_NUMBER), f"is more than {MAX_NUMBER:g}"),
    ]


def _check_datetimes(given: np.ndarray) -> Checked:
    milliseconds, known = to_milliseconds(given)
    outside = known & ((milliseconds < _EARLIEST_MS) | (milliseconds >= _LATEST_MS))
    return milliseconds, [
        (~known, "is not an ISO 8601 date and time"),
        (outside, "lies outside the years 1970 to 2199"),
    ]


def _check_text(given: np.ndarray) -> Checked:
    return given, []


def _check_names(given: np.ndarray) -> Checked:
    empty = np.fromiter((not str(cell).strip() for cell in given), bool, len(given))
    return given, [(empty, "is missing")]


_RULES: dict[str, Callable[[np.ndarray], Checked]] = {
    "tokens": _check_tokens,
    "number": _check_number,
    "datetime": _check_datetimes,
    "text": _check_text,
    "name": _check_names,
}


def to_milliseconds(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(milliseconds since 1970 UTC, whether the text is a date and time), each (n,)."""
    import pandas as pd

    times = pd.to_datetime(pd.Series(texts, dtype=str), format="ISO8601", utc=True, errors="coerce")
    long_enough = np.fromiter(map(len, texts), np.int64, len(texts)) >= _SHORTEST_DATETIME
    known = times.notna().to_numpy() & long_enough
    microseconds = times.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    return np.where(known, microseconds // 1000, 0), known


def _shown(cell: object) -> str:
    """A cell as a message shows it."""
    text = str(cell).strip()
    return repr(text if len(text) <= 40 else text[:40] + "...")

"""Small CSV tables, read whole, with the line of every cell for messages."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torta_opt.allocation.instance.imports.text import open_lines
from torta_opt.io import InvalidInput

MAX_BYTES = 512 << 20
MAX_CELLS = 10_000_000  # arrivals: 480 slots × 200 regions × 26 classes in 4 columns


@dataclass(frozen=True)
class Row:
    """One row: its line in the file and its cells by title."""

    file: str
    line: int
    cells: dict[str, str]

    def fault(self, rule: str, title: str | None = None) -> InvalidInput:
        """A complaint about this row, or about one of its cells."""
        where = f"line {self.line}" + (f", {title}" if title else "")
        return InvalidInput(rule, field=where, file=self.file)

    def text(self, title: str) -> str:
        """The cell, which must not be empty."""
        cell = self.cells[title]
        if not cell:
            raise self.fault("is missing", title)
        return cell

    def number(self, title: str) -> float:
        cell = self.text(title)
        try:
            number = math.nan if "_" in cell else float(cell)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.fault(f"{cell!r:.40} is not a number", title)
        return number

    def whole(self, title: str) -> int:
        cell = self.text(title)
        text = cell.strip()  # also of control characters, which int() does not take
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            raise self.fault(f"{cell!r:.40} is not a whole number", title)
        return int(text)


@dataclass(frozen=True)
class Table:
    """A CSV file: its titles in order, and its rows."""

    file: str
    titles: list[str]
    rows: list[Row]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def require(self, *titles: str) -> None:
        for title in titles:
            if title not in self.titles:
                found = ", ".join(self.titles)[:200]
                raise InvalidInput(
                    f"lacks the column {title}; needed: {', '.join(titles)}; found: {found}",
                    field="line 1",
                    file=self.file,
                )


def read_table(path: str | os.PathLike[str], delimiter: str = ",") -> Table:
    """All rows of a CSV file, plain or .gz; empty lines do not count."""
    file = os.fspath(path)
    content = _text(file, delimiter.encode())
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    titles: list[str] = []
    rows: list[Row] = []
    try:
        for cells in reader:
            if not cells:
                continue
            if not titles:
                titles = _titles(cells, file)
                continue
            if len(cells) != len(titles):
                rule = f"has {len(cells)} fields, expected {len(titles)}"
                raise InvalidInput(rule, field=f"line {reader.line_num}", file=file)
            rows.append(Row(file, reader.line_num, dict(zip(titles, cells, strict=True))))
    except csv.Error as error:
        raise InvalidInput(
            f"is not CSV: {error}", field=f"line {reader.line_num}", file=file
        ) from None
    if not titles:
        raise InvalidInput("is empty", file=file)
    return Table(file, titles, rows)


def _text(file: str, delimiter: bytes) -> str:
    try:
        if Path(file).stat().st_size > MAX_BYTES:
            raise InvalidInput(f"is larger than {MAX_BYTES} bytes", file=file)
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", file=file) from None
    parts: list[bytes] = []
    cells = 0
    with open_lines(file) as lines:
        for _, block in lines.blocks(1):
            parts.append(block)
            cells += block.count(b"\n") + block.count(delimiter)
            if cells > MAX_CELLS:  # each takes a hundred times its byte
                raise InvalidInput(f"holds more than {MAX_CELLS:,} cells", file=file)
            if sum(map(len, parts)) > MAX_BYTES:
                raise InvalidInput(f"is larger than {MAX_BYTES} bytes once decompressed", file=file)
    try:
        return b"".join(parts).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"is not UTF-8 text (byte {error.start})", file=file) from None


def _titles(cells: list[str], file: str) -> list[str]:
    titles = [cell.strip() for cell in cells]
    seen: set[str] = set()
    for title in titles:
        if title in seen:
            raise InvalidInput(f"has the title {title!r:.60} twice", field="line 1", file=file)
        seen.add(title)
    return titles

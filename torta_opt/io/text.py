"""Numbers as people read them."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from html import escape

_MISSING = "-"
_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # what a spreadsheet computes when it opens a CSV file


def money(values: Sequence[float | None]) -> list[str]:
    """Amounts with as many decimals as the largest needs for five digits, two at the least."""
    finite = (abs(value) for value in values if value and math.isfinite(value))
    largest = max(finite, default=0.0)
    whole_digits = math.floor(math.log10(largest)) + 1 if largest else 1
    decimals = min(max(5 - whole_digits, 2), 9)
    return [_MISSING if value is None else f"{value:,.{decimals}f}" for value in values]


def percent(share: float | None) -> str:
    """A share of 1; what is not quite 0 does not look like it."""
    if share is None:
        return _MISSING
    if 0 < share < 5e-5:
        return "<0.01 %"
    return f"{100 * share:.2f} %"


def number(value: float | int | None) -> str:
    if value is None:
        return _MISSING
    return f"{value:,}" if isinstance(value, int) else f"{value:,.5g}"


def one_line(title: str, entries: Mapping[str, str]) -> str:
    """The ``repr`` of something large: its title and sizes."""
    return f"<{title}: {', '.join(f'{name} {value}' for name, value in entries.items())}>"


def as_cell(text: str) -> str:
    """``text`` for a CSV file, with an apostrophe before it if a spreadsheet would compute it."""
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """The text of which ``as_cell`` made ``cell``."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def harmless(text: str) -> str:
    """``text`` in which no character moves the cursor, changes colours or reverses the line.

    Control, format (bidirectional ones too) and lone surrogate characters, and the line and
    paragraph separators, become U+FFFD; line ends stay.
    """
    if text.isprintable():
        return text
    return "".join(char if _is_harmless(char) else "\N{REPLACEMENT CHARACTER}" for char in text)


def _is_harmless(char: str) -> bool:
    category = unicodedata.category(char)
    return char == "\n" or not (category.startswith("C") or category in ("Zl", "Zp"))


def html_table(title: str, entries: Mapping[str, str]) -> str:
    """Two columns for a notebook; names and values are escaped."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in entries.items()
    )
    return f"<table><caption>{escape(title)}</caption>{rows}</table>"


def did_you_mean(name: str, known: Iterable[str], close: float = 0.6) -> str:
    """``; did you mean overflow?`` where a known name is as close as that, else nothing."""
    found = difflib.get_close_matches(name, list(dict.fromkeys(known)), n=3, cutoff=close)
    return f"; did you mean {' or '.join(found)}?" if found else ""

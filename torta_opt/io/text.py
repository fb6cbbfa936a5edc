"""Numbers as people read them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

_MISSING = "-"


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

"""Changes to a valid file that a reader should meet: by value, by cell, by line and by byte.

A byte turned at random breaks the syntax nearly always, and the reader stops there. So documents
are changed as documents (a value replaced by one at the end of its range, a field gone, an entry
twice), tables cell by cell, and only some of the time bytes.
"""

from __future__ import annotations

import json
import random
from typing import Any

EXTREMES: tuple[Any, ...] = (
    *(None, True, False, "", [], {}, 0, -1, 1, 2, -0.0, 0.5, 1e-320, 1e308, -1e308),
    *(float("nan"), float("inf"), 2**31, 2**53 + 1, 2**63, 10**30, 10**400, "nan", "1e999"),
    *("x" * 300, "\x1b[2J", "a\r\nb", "\u202edrow", "<script>alert(1)</script>", "=1+1", "../../x"),
    *("/etc/passwd", "\x00", "\ud800", "A", "0", "-1", "💥", "1_000", " 1", "١"),
)
CELLS = (
    *("", " ", "0", "-1", "1e308", "nan", "inf", "-inf", "1e999", "99999999999999999999", "0x1f"),
    *(
        '"',
        '""',
        '"a',
        ",",
        ";",
        "\t",
        "\x00",
        "=1+1",
        "@x",
        "é",
        "١",
        "1_000",
        "1,5",
        "2024-13-45",
    ),
    *(
        "9999-12-31T23:59:59Z",
        "0001-01-01",
        "1e-320",
        "None",
        "true",
        "a" * 300,
        "\u202e",
        "\ufeff",
    ),
)
MOST_BYTES = 1 << 16


def mutate(form: str, data: bytes, draw: random.Random) -> bytes:
    """``data`` changed in a way that suits its form: json, csv, text, or with a byte before it."""
    if form.startswith("pick+"):  # the first byte says which file of a folder it is
        if draw.random() < 0.05:
            return bytes([draw.randrange(256)]) + data[1:]
        return data[:1] + mutate(form.removeprefix("pick+"), data[1:], draw)
    changed = data
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        chance = draw.random()
        if form == "json" and chance < 0.8:
            changed = _in_json(changed, draw)
        elif form in ("csv", "text") and chance < 0.8:
            changed = _in_lines(changed, draw, form == "csv")
        else:
            changed = _in_bytes(changed, draw)
    return changed[:MOST_BYTES]


def _in_json(data: bytes, draw: random.Random) -> bytes:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return _in_bytes(data, draw)
    places = [(None, None), *_places(document)]
    holder, key = draw.choice(places)
    if holder is None:
        document = draw.choice((document, [document], document, {"format": document}))
    else:
        _change(holder, key, draw, [place for place in places if place[0] is not None])
    try:
        return json.dumps(document).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):  # an integer too long to print
        return data


def _places(value: Any, depth: int = 0) -> list[tuple[Any, Any]]:
    """Every place of a document at which a value stands, up to a depth and a number."""
    if depth > 30 or not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    found = [(value, key) for key in keys]
    for key in keys[:40]:
        found += _places(value[key], depth + 1)
    return found


def _change(holder: Any, key: Any, draw: random.Random, places: list[tuple[Any, Any]]) -> None:
    chance = draw.random()
    if chance < 0.5:
        holder[key] = draw.choice(EXTREMES)
    elif chance < 0.65:  # a value of elsewhere, by value: no cycles
        other, at = draw.choice(places)
        holder[key] = json.loads(json.dumps(other[at]))
    elif chance < 0.8:
        value = holder[key]
        if isinstance(value, int | float) and not isinstance(value, bool):
            holder[key] = draw.choice((-value, value + 1, value * 2, value // 3, value * 10**6))
        else:
            holder[key] = [value] * draw.choice((0, 1, 2, 50))
    elif isinstance(holder, dict):
        value = holder.pop(key)
        if chance > 0.9:
            holder[draw.choice((str(draw.choice(EXTREMES)), str(key) + "x"))] = value
    else:
        holder[key : key + 1] = [holder[key]] * draw.choice((0, 2, 3))


def _in_lines(data: bytes, draw: random.Random, in_cells: bool) -> bytes:
    lines = data.split(b"\n")
    n = draw.randrange(len(lines))
    chance = draw.random()
    if chance < 0.65:
        separator = b"," if in_cells else b" "
        cells = lines[n].split(separator)
        k = draw.randrange(len(cells))
        if draw.random() < 0.2:
            cells[k : k + 1] = [cells[k]] * draw.choice((0, 2))
        else:
            cells[k] = draw.choice(CELLS).encode("utf-8", "surrogatepass")
        lines[n] = separator.join(cells)
    elif chance < 0.75:
        lines[n : n + 1] = [lines[n]] * draw.choice((0, 2, 20))
    elif chance < 0.85:
        m = draw.randrange(len(lines))
        lines[n], lines[m] = lines[m], lines[n]
    else:
        return _in_bytes(data, draw)
    return b"\n".join(lines)


def _in_bytes(data: bytes, draw: random.Random) -> bytes:
    if not data:
        return bytes([draw.randrange(256)])
    n, chance = draw.randrange(len(data)), draw.random()
    if chance < 0.3:
        return data[:n] + bytes([draw.randrange(256)]) + data[n + 1 :]
    if chance < 0.5:
        return data[:n] + data[n + draw.choice((1, 2, 8, 64)) :]
    if chance < 0.7:
        length = draw.choice((1, 4, 16, 256))
        return data[: n + length] + data[n:]
    if chance < 0.8:
        return data[:n]
    tokens = (b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 2000, b"{", b'"', b"\r\n", b"\x1f\x8b")
    return data[:n] + draw.choice(tokens) + data[n:]

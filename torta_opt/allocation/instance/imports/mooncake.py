"""Mooncake traces (github.com/kvcache-ai/Mooncake, FAST'25, Apache-2.0).

One JSON object a line: timestamp (milliseconds), input_length, output_length, hash_ids (one per
block of 512 prompt tokens; blocks with the same id share their prefix and so their cache).
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from torta_opt.allocation.instance.imports.importer import Importer, Reading
from torta_opt.allocation.instance.imports.kinds import UNITS_MS, check_form
from torta_opt.allocation.instance.imports.rows import MAX_TOKENS, Batch, Progress, Tally
from torta_opt.allocation.instance.imports.text import open_lines
from torta_opt.io import InvalidInput

MAX_MILLISECONDS = 10**14
BLOCK_IDS = 268_435_399  # a prime; larger ids (64-bit hashes, say) are taken modulo this
FIELDS = ("timestamp", "input_length", "output_length")


class SeenBlocks:
    """How many prompt blocks occurred before in the trace."""

    def __init__(self) -> None:
        self._seen = np.zeros(1 << 16, bool)
        self.blocks = 0
        self.repeated = 0

    @property
    def repeat_permille(self) -> int | None:
        """Repeated blocks in thousandths of all; None if the trace names no blocks."""
        return None if self.blocks == 0 else self.repeated * 1000 // self.blocks

    def add(self, prompts: list[list[int]]) -> None:
        """Count the blocks of some prompts in order; only those of earlier prompts are repeated."""
        blocks = _remainders(list(itertools.chain.from_iterable(prompts)))
        if not blocks.size:
            return
        if blocks.max() >= self._seen.size:
            grown = np.zeros(max(2 * self._seen.size, int(blocks.max()) + 1), bool)
            grown[: self._seen.size] = self._seen
            self._seen = grown
        prompt = np.repeat(np.arange(len(prompts)), [len(ids) for ids in prompts])
        _, first, same = np.unique(blocks, return_index=True, return_inverse=True)
        is_repeated = self._seen[blocks] | (prompt[first][same] < prompt)
        self.blocks += blocks.size
        self.repeated += int(is_repeated.sum())
        self._seen[blocks] = True


def _remainders(ids: list[int]) -> np.ndarray:
    """(n,) ids modulo ``BLOCK_IDS``; they may be longer than 64 bits."""
    try:
        return np.array(ids, dtype=np.int64) % BLOCK_IDS
    except OverflowError:
        return np.array([block % BLOCK_IDS for block in ids], dtype=np.int64)


def read_mooncake(
    path: str | os.PathLike[str],
    tally: Tally,
    progress: Progress | None = None,
    seen: SeenBlocks | None = None,
    unit: str | None = None,
    origin: str | None = None,
) -> Iterator[Batch]:
    """Requests of a Mooncake trace, in the order of the file; ``seen`` counts their blocks.

    ``unit`` is that of the times, milliseconds if it is None. ``tally.fractions`` counts times that
    are no whole milliseconds. ``origin`` is the key of the region that a request comes from.
    """
    factor = UNITS_MS[unit or "ms"]
    with open_lines(path, progress) as lines:
        text = lines.first()
        check_form("mooncake", text, unit)
        first = (text + "\n").encode()
        entry = _check_json(first, FIELDS if origin is None else (*FIELDS, origin))
        tally.leave_out(str(key) for key in entry if key not in (*FIELDS, "hash_ids", origin))
        yield _batch(1, first, tally, seen, factor, origin)
        for line, block in lines.blocks(2):
            yield _batch(line, block, tally, seen, factor, origin)


def _check_json(first: bytes, fields: tuple[str, ...]) -> dict[str, Any]:
    """A first line that is no JSON object means another kind of file."""
    try:
        entry = json.loads(first)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        wanted = ", ".join(fields)
        raise InvalidInput(f"must be a JSON object with {wanted}", field="line 1")
    for field in fields:
        if field not in entry:
            found = ", ".join(map(str, entry))[:200]
            raise InvalidInput(f"lacks {field}; found: {found}", field="line 1")
    return entry


def _batch(
    line: int,
    block: bytes,
    tally: Tally,
    seen: SeenBlocks | None,
    factor: float,
    origin: str | None,
) -> Batch:
    latest = round(MAX_MILLISECONDS / factor)
    rows: list[tuple[float, int, int]] = []
    origins: list[int] = []
    prompts: list[list[int]] = []
    for number, raw in enumerate(block.split(b"\n")[:-1], start=line):
        if not raw.strip():
            continue
        tally.rows += 1
        try:
            entry = _object(raw)
            row, blocks = _request(entry, latest)
            name = None if origin is None else _name(entry, origin)
        except ValueError as error:
            tally.refuse(number, str(error))
            continue
        if name is not None:
            origins.append(tally.origin(name))
        rows.append(row)
        prompts.append(blocks)
    if seen is not None:
        seen.add(prompts)
    times = [_milliseconds(time, factor) for time, _, _ in rows]
    tally.fractions += sum(time != int(time) for time, _, _ in rows)
    table = np.array([row[1:] for row in rows], dtype=np.int64).reshape(-1, 2)
    where = None if origin is None else np.array(origins, dtype=np.int64)
    return Batch(np.array(times, dtype=np.int64), table[:, 0], table[:, 1], origin=where)


def _milliseconds(time: float, factor: float) -> int:
    """⌊time · factor⌋; what floating point adds to a whole millisecond does not count."""
    return int(time) if factor == 1 and time == int(time) else math.floor(time * factor + 1e-6)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(raw)
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(entry, dict):
        raise ValueError("is not a JSON object")
    return entry


def _request(entry: dict[str, Any], latest: int) -> tuple[tuple[float, int, int], list[int]]:
    """((time in the unit of the trace, input tokens, output tokens), prompt blocks)."""
    time = _number(entry, "timestamp", latest)
    prompt, output = (_number(entry, field, MAX_TOKENS) for field in FIELDS[1:])
    if prompt != int(prompt) or output != int(output):
        raise ValueError("input_length or output_length is not a whole number")
    blocks = _block_ids(entry["hash_ids"]) if "hash_ids" in entry else []
    return (time, int(prompt), int(output)), blocks


def _number(entry: dict[str, Any], field: str, most: int) -> float:
    value = entry.get(field)
    if value is None:
        raise ValueError(f"{field} is missing")
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ValueError(f"{field} {str(value)[:40]!r} is not a number")
    if value < 0:
        raise ValueError(f"{field} {value!s:.40} is negative")
    if value > most:
        raise ValueError(f"{field} {value!s:.40} is more than {most}")
    return value


def _name(entry: dict[str, Any], field: str) -> str:
    value = entry.get(field)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{field} is missing" if value in (None, "") else f"{field} is not a name")
    return value.strip()


def _block_ids(ids: object) -> list[int]:
    if not isinstance(ids, list) or not set(map(type, ids)) <= {int}:
        raise ValueError("hash_ids is not a list of block numbers")
    return ids


def _read(path: str | os.PathLike[str], reading: Reading) -> Iterator[Batch]:
    seen, unit, origin = SeenBlocks(), reading.parameters.unit, reading.parameters.origin
    yield from read_mooncake(path, reading.tally, reading.progress, seen, unit, origin)
    reading.hot_permille = seen.repeat_permille


IMPORTER = Importer(
    "Mooncake trace: JSON lines, a request a line", _read, has_unit=True, has_origin=True
)

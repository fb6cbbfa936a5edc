"""The table of an experiment: a file of JSON lines that only grows.

A last line that a kill cut short is dropped. A row is written whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torta_opt.io import InvalidInput, VerificationFailed
from torta_opt.io.writing import descriptor_of, is_special, write_fully

Row = dict[str, Any]
Key = tuple[Any, ...]


def read_table(table: str | os.PathLike[str]) -> list[Row]:
    """The runs in a table, none if it does not exist; an incomplete last line does not count.

    A file that is something else is refused. A device or a pipe holds no rows.
    """
    return [row for row in read_rows(table) if not is_bound(row)]


def read_rows(table: str | os.PathLike[str], mend: bool = False) -> list[Row]:
    """Rows of both kinds; ``mend`` cuts off a last line that is incomplete."""
    path = Path(table)
    if not path.exists() or is_special(path):
        return []
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", file=str(path)) from None
    whole = content[: content.rfind(b"\n") + 1]
    rows = _parsed(whole, path)
    cut_short = content[len(whole) :]
    if cut_short and not _may_begin_a_row(cut_short):
        raise InvalidInput("is not a table of comparisons", file=str(path))
    if cut_short and mend:
        _truncate(path, len(whole))
    return rows


def _may_begin_a_row(line: bytes) -> bool:
    """Whether a kill could have left ``line``: the start of a row, and not a whole JSON document.

    A row that lacks nothing but its line end counts as cut short too.
    """
    start = b'{"instance": "'
    if not (line.startswith(start) or start.startswith(line)):
        return False
    try:
        _parsed_row(line)
    except (KeyError, TypeError):
        return False
    except (ValueError, RecursionError):
        return True
    return True


def _parsed_row(line: bytes) -> Row:
    """A row of either kind. Raises ValueError, KeyError, TypeError or RecursionError."""
    row = json.loads(line, parse_constant=_finite)
    hash(key_of(row))
    number = row["value"] if is_bound(row) else row.get("cost")
    if number is not None:
        _finite(number)
    return row


def _finite(number: Any) -> None:
    if not math.isfinite(float(number)):
        raise ValueError(f"{number} is no number of JSON")


def _truncate(path: Path, size: int) -> None:
    try:
        os.truncate(path, size)
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", file=str(path)) from None


def _parsed(whole: bytes, path: Path) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            row = _parsed_row(line)
        except (ValueError, KeyError, TypeError, RecursionError):
            rule = f"line {number} is not a row of a comparison"
            raise InvalidInput(rule, file=str(path)) from None
        rows.append(row)
    return rows


@contextlib.contextmanager
def appending(table: str | os.PathLike[str]) -> Iterator[Callable[[str], None]]:
    """What adds a line to ``table``, and leaves no part of it where the disk is full.

    Raises InvalidInput if another process does so already.
    """
    own = descriptor_of(table)
    flags = os.O_WRONLY | os.O_APPEND | (0 if is_special(table) else os.O_CREAT)
    with _complaining(table):
        handle = os.open(table, flags, 0o666) if own is None else os.dup(own)
    has_size = own is None and stat.S_ISREG(os.fstat(handle).st_mode)
    if has_size and _is_locked(handle):
        os.close(handle)
        rule = "is being written by another process: wait for it, or name another file"
        raise InvalidInput(rule, file=str(table))

    def write(line: str) -> None:
        with _complaining(table):
            before = os.fstat(handle).st_size
            try:
                write_fully(handle, line.encode())
                if has_size:
                    os.fsync(handle)
            except OSError:
                if has_size:
                    os.ftruncate(handle, before)
                raise

    try:
        yield write
    finally:
        os.close(handle)


def _is_locked(handle: int) -> bool:
    """Whether another process holds the lock; otherwise this one does, until it closes the file.

    Where the file system has no locks, nobody holds one.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextlib.contextmanager
def _complaining(table: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", file=str(table)) from None


def line_of(row: Row) -> str:
    try:
        return json.dumps(row, allow_nan=False) + "\n"
    except ValueError:
        what = row["bound"] if is_bound(row) else row["policy"]
        raise VerificationFailed(f"{what}: gives no finite number on {row['instance']}") from None


def is_bound(row: Row) -> bool:
    return "bound" in row


def key_of(row: Row) -> Key:
    """What a row is known by; KeyError or TypeError if it is no row of ours."""
    if is_bound(row):
        return row["sha256"], row["bound"], row["version"]
    return row["sha256"], row["policy"], row["seed"], row["version"]

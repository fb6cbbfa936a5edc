"""Standard streams that may be closed, full, or read by somebody who has gone.

Python answers a full disk behind ``> file`` with a traceback or at exit with code 120, and a closed
stream is None. After ``guard_streams``, what cannot be written to standard output is an error of
this package; what cannot be written to standard error is dropped, for there is no place left to
complain. ``flush_output`` writes what is still kept back, before the exit code is decided.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import Any

from torta_opt.io.errors import InvalidInput, TortaOptError


class ReaderGone(TortaOptError):
    """The reader of standard output has ended, as ``head`` does; no message is needed."""

    exit_code = 141  # what a shell reports for a tool that SIGPIPE ends


def guard_streams() -> None:
    """Replace standard output and standard error; once, at the start of a program."""
    _occupy(0, os.O_WRONLY)
    _occupy(1, os.O_RDONLY)
    _occupy(2, os.O_WRONLY)
    sys.stdout = _text_stream(sys.stdout, 1, _Output)
    sys.stderr = _text_stream(sys.stderr, 2, _Complaints)


def flush_output(code: int) -> tuple[int, str]:
    """(exit code, complaint or "") once all output is written; a bad ``code`` stays."""
    try:
        sys.stdout.flush()
    except TortaOptError as error:
        return code or error.exit_code, str(error)
    return code, ""


def _occupy(descriptor: int, flags: int) -> None:
    """Where a standard stream is closed, the next file that is opened would become it.

    A stand-in opened the wrong way round refuses what is written or read, as a closed one does.
    """
    try:
        os.fstat(descriptor)
    except OSError:
        handle = os.open(os.devnull, flags)
        if handle != descriptor:
            os.dup2(handle, descriptor)
            os.close(handle)
        os.set_inheritable(descriptor, True)


def _text_stream(old: Any, descriptor: int, kind: type[_Raw]) -> io.TextIOWrapper:
    encoding = getattr(old, "encoding", None) or "utf-8"
    raw = kind(descriptor)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        errors="replace",
        line_buffering=descriptor == 2 or raw.isatty(),
    )


class _Raw(io.FileIO):
    def __init__(self, descriptor: int):
        super().__init__(descriptor, "w", closefd=False)


class _Output(_Raw):
    """Standard output; after a failure it takes everything, so that the end is quiet."""

    _failed = False

    def write(self, data: Any) -> int:
        if self._failed:
            return len(memoryview(data).cast("B"))
        try:
            return super().write(data)
        except OSError as error:
            self._failed = True
            if error.errno == errno.EPIPE:
                raise ReaderGone("") from None
            rule = f"cannot be written: {error.strerror or error}"
            raise InvalidInput(rule, file="standard output") from None


class _Complaints(_Raw):
    """Standard error; what it does not take is lost."""

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):
            return super().write(data)
        return len(memoryview(data).cast("B"))

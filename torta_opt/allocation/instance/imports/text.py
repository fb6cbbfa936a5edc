"""Whole lines of a text file of any size, plain or gzip-compressed, a few megabytes at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from torta_opt.allocation.instance.imports.rows import Progress
from torta_opt.io import InvalidInput
from torta_opt.io.unpacking import plain_reading_errors, unpacked

BLOCK_BYTES = 8 << 20
MAX_LINE_BYTES = 4 << 20
FREE_BYTES = 8 << 20  # unpacked bytes that any packed file may have
_BOM = b"\xef\xbb\xbf"


class Lines:
    """The lines of an open file: the first one on its own, the rest in blocks."""

    def __init__(self, stream: IO[bytes], raw: IO[bytes], size: int, progress: Progress | None):
        self._stream, self._raw, self._size, self._progress = stream, raw, size, progress

    def first(self) -> str:
        """The first line, without its end."""
        line = self._stream.readline(MAX_LINE_BYTES)
        if not line:
            raise InvalidInput("is empty")
        _check_text(line, 1)
        try:
            return line.removeprefix(_BOM).decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"is not UTF-8 text (byte {error.start})", field="line 1") from None

    def blocks(self, line: int) -> Iterator[tuple[int, bytes]]:
        """(number of the first line, lines) from line ``line`` on; each block ends a line."""
        rest = b""
        while chunk := self._stream.read(BLOCK_BYTES):
            _check_text(chunk, line)
            cut = chunk.rfind(b"\n") + 1
            if cut == 0:
                rest += chunk
            else:
                block = rest + chunk[:cut]
                rest = chunk[cut:]
                yield line, block
                line += block.count(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                raise InvalidInput(f"is longer than {MAX_LINE_BYTES} bytes", field=f"line {line}")
            self._report()
        if rest:
            yield line, rest + b"\n"
        self._report()

    def _report(self) -> None:
        if self._progress is not None and self._size > 0:  # a pipe has no size
            self._progress(min(self._raw.tell(), self._size), self._size)


@contextmanager
def open_lines(path: str | os.PathLike[str], progress: Progress | None = None) -> Iterator[Lines]:
    """Open ``path`` for reading; whatever goes wrong is an InvalidInput that names it."""
    name = os.fspath(path)
    try:
        with plain_reading_errors(), Path(path).open("rb") as raw:
            size = os.fstat(raw.fileno()).st_size
            yield Lines(unpacked(raw, FREE_BYTES), raw, size, progress)
    except InvalidInput as error:
        raise (error if error.file else error.within(name)) from None


def _check_text(chunk: bytes, line: int) -> None:
    """A zero byte means a binary file, or UTF-16."""
    if b"\0" in chunk:
        where = line + chunk[: chunk.index(b"\0")].count(b"\n")
        raise InvalidInput("is not UTF-8 text: it holds a zero byte", field=f"line {where}")

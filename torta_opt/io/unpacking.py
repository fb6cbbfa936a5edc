"""Bytes of files that may be gzip-compressed, with a limit on how far they expand.

Text of traces and instances shrinks to a fifth or a twentieth, seldom to a hundredth; gzip shrinks
a repeated byte to a thousandth. Beyond a size that does no harm, a file that expands more than
``MOST_TIMES`` is refused: a small file should not keep a machine busy for minutes.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from torta_opt.io.errors import InvalidInput

FREE_BYTES = 128 << 20  # may be of any ratio
MOST_TIMES = 200
_GZIP_MAGIC = b"\x1f\x8b"


def unpacked(raw: io.BufferedReader, free_bytes: int | None = None) -> IO[bytes]:
    """What ``raw`` holds, decompressed if it is gzip; also of a pipe, which cannot be rewound.

    ``free_bytes`` may come out whatever the ratio, ``FREE_BYTES`` if it is not given.
    """
    if raw.peek(2)[:2] != _GZIP_MAGIC:
        return raw
    return io.BufferedReader(_Guarded(raw, free_bytes or FREE_BYTES), buffer_size=1 << 16)


@contextmanager
def plain_reading_errors() -> Iterator[None]:
    """What the system or gzip refuses, as InvalidInput."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InvalidInput("is not a complete gzip file") from None
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror or error}") from None


class _Counted:
    """A file that counts the bytes taken out of it; ``tell`` of a pipe does not."""

    def __init__(self, raw: io.BufferedReader):
        self._raw = raw
        self.bytes = 0

    def read(self, size: int = -1) -> bytes:
        content = self._raw.read(size)
        self.bytes += len(content)
        return content


class _Guarded(io.RawIOBase):
    """A gzip file that stops where it has expanded too far."""

    def __init__(self, raw: io.BufferedReader, free_bytes: int):
        self._packed, self._free = _Counted(raw), free_bytes
        self._stream = gzip.GzipFile(fileobj=self._packed, mode="rb")  # type: ignore[call-overload]
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read1(len(buffer))
        buffer[: len(content)] = content
        self._bytes += len(content)
        if self._bytes > self._free and self._bytes > MOST_TIMES * self._packed.bytes:
            raise InvalidInput(
                f"expands to more than {MOST_TIMES} times its size (and {self._free:,} bytes)"
            )
        return len(content)

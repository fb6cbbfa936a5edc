"""How much a JSON document holds, counted in its bytes before anything is built of them.

A few hundred kilobytes of gzip can hold a hundred million values, and Python needs up to a few
hundred bytes for each. ``Structure`` counts what costs memory, chunk by chunk, and refuses a
document that holds more than any instance, schedule or bound of 480 slots and 200 regions.
"""

from __future__ import annotations

from dataclasses import dataclass

from torta_opt.io.errors import InvalidInput


@dataclass(frozen=True)
class Most:
    """What a document may hold at most.

    values       numbers, strings, arrays, …: 480 slots × 200 regions × 400 classes, and more
    containers   arrays and objects: 480 × 200 rows of arrivals, 200 × 200 of transfer prices, and
                 objects for hundreds of thousands of servers, outages or cuts
    keys         names of fields: up to 10 for each server of 100,000
    strings      keys and texts; a schedule holds one for each command
    text_bytes   of all strings together; the dual vector in a bound file is base64 text
    """

    values: int = 40_000_000
    containers: int = 2_000_000
    keys: int = 1_000_000
    strings: int = 5_000_000
    text_bytes: int = 128 << 20


MOST = Most()


class Structure:
    """Counts of a document that comes in chunks, cut anywhere.

    What stands in strings counts as text only. Counts of what is not JSON mean nothing, but stay
    bounded; the parser refuses such a document later.
    """

    def __init__(self, most: Most = MOST):
        self.most = most
        self.values = self.containers = self.keys = self.strings = self.text_bytes = 0
        self._in_string = False
        self._rest = b""  # a backslash whose second half comes with the next chunk

    def add(self, chunk: bytes) -> None:
        """Count ``chunk``. Raises InvalidInput once there is more of anything than may be."""
        chunk = self._without_escapes(self._rest + chunk)
        pieces = chunk.split(b'"')  # in turn outside and inside strings
        outside = b"".join(pieces[int(self._in_string) :: 2])
        quotes = len(pieces) - 1
        self.strings += (quotes + (not self._in_string)) // 2  # quotes that open one
        self.text_bytes += len(chunk) - len(outside) - quotes
        self._in_string ^= quotes % 2 == 1
        opened = outside.count(b"[") + outside.count(b"{")
        self.containers += opened
        self.keys += outside.count(b":")
        self.values += opened + outside.count(b",")
        self._check()

    def _without_escapes(self, chunk: bytes) -> bytes:
        """``chunk`` of the same length, in which every quote begins or ends a string."""
        self._rest = b""
        if b"\\" not in chunk:
            return chunk
        chunk = chunk.replace(b"\\\\", b"..").replace(b'\\"', b"..")
        if chunk.endswith(b"\\"):
            self._rest, chunk = b"\\", chunk[:-1]
        return chunk

    def _check(self) -> None:
        most = self.most
        for found, allowed, noun in (
            (self.values, most.values, "values"),
            (self.containers, most.containers, "arrays and objects"),
            (self.keys, most.keys, "keys"),
            (self.strings, most.strings, "strings"),
            (self.text_bytes, most.text_bytes, "bytes of text"),
        ):
            if found > allowed:
                raise InvalidInput(f"holds more than {allowed:,} {noun}")

"""What a target of the fuzzer is, and how one file of a folder is replaced at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Read = Callable[[Path], Any]
Opened = tuple[Read, list[bytes]]


@dataclass(frozen=True)
class Target:
    """form: of ``fuzz_mutate``; ending: of the file; open: (reader, valid files) in a folder."""

    form: str
    ending: str
    open: Callable[[Path], Opened]


def in_folder(folder: Path, read_all: Callable[[], Any]) -> Opened:
    """One file of a folder at a time is replaced; the first byte says which."""
    whole = {each: each.read_bytes() for each in sorted(folder.iterdir())}
    files = list(whole)

    def read(path: Path) -> None:
        data = path.read_bytes() or b"\0"
        file = files[data[0] % len(files)]
        file.write_bytes(data[1:])
        try:
            read_all()
        finally:
            file.write_bytes(whole[file])

    return read, [bytes([n]) + content for n, content in enumerate(whole.values())]

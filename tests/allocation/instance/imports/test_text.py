"""Lines of a file, block by block: nothing lost, little in memory, progress told."""

from __future__ import annotations

import gzip
import os
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torta_opt.allocation.instance.imports import text
from torta_opt.allocation.instance.imports.text import open_lines
from torta_opt.io import InvalidInput


def read(path: Path, block_bytes: int = text.BLOCK_BYTES) -> list[tuple[int, bytes]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK_BYTES", block_bytes)
        with open_lines(path) as lines:
            return list(lines.blocks(1))


@given(
    content=st.binary(max_size=60).map(lambda data: data.replace(b"\0", b"\n")),
    block_bytes=st.integers(1, 20),
    packed=st.booleans(),
)
def test_blocks_are_whole_lines_and_nothing_is_lost(
    content: bytes, block_bytes: int, packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("text") / "t"
    content = b"x" + content  # not by chance the head of a gzip file
    path.write_bytes(gzip.compress(content) if packed else content)
    blocks = read(path, block_bytes)
    joined = b"".join(block for _, block in blocks)
    assert joined == content if content.endswith(b"\n") else joined == content + b"\n"
    for line, block in blocks:
        assert block.endswith(b"\n")
        assert joined.split(b"\n")[line - 1] == block.split(b"\n")[0]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for _ in range(20):
            stream.write(b"2023-11-16 18:17:03.9799600,4808,10\n" * 100_000)
    tracemalloc.start()
    with open_lines(path) as lines:
        count = sum(block.count(b"\n") for _, block in lines.blocks(1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2_000_000
    assert peak < 6 * text.BLOCK_BYTES  # of 72 MB; 4.9 blocks on Python 3.11, 5.1 on 3.14


def test_progress_is_told_in_bytes_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.gz"
    path.write_bytes(gzip.compress(b"line\n" * 1000))
    seen: list[tuple[int, int]] = []
    with open_lines(path, lambda done, total: seen.append((done, total))) as lines:
        list(lines.blocks(1))
    size = path.stat().st_size
    assert seen[-1] == (size, size)


@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_a_line_without_end_is_refused(newline: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"first\n" + b"9" * (text.MAX_LINE_BYTES + text.BLOCK_BYTES) + newline)
    with pytest.raises(InvalidInput, match=r"t: line 2: is longer than \d+ bytes"):
        read(path)


def test_a_file_that_may_not_be_read_or_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read: Is a directory"):
        read(tmp_path)
    with pytest.raises(InvalidInput, match="cannot be read: "):
        read(tmp_path / ("x" * 300))


def test_a_packed_file_that_expands_too_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "FREE_BYTES", 100_000)
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"\n" * 1_000_000))
    with pytest.raises(InvalidInput, match=r"bomb\.csv\.gz: expands to more than 200 times"):
        read(path)


def test_a_packed_file_through_a_pipe(tmp_path: Path) -> None:
    """A pipe cannot be rewound after a look at its first bytes."""
    os.mkfifo(tmp_path / "pipe")
    content = gzip.compress(b"title\n1\n2\n")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(content), daemon=True)
    writer.start()
    assert read(tmp_path / "pipe") == [(1, b"title\n1\n2\n")]
    writer.join(timeout=60)

"""Mooncake: requests, repeated blocks, and lines that are not requests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.real_data import real_data
from support.traces import mooncake_entry, write, write_mooncake

from torta_opt.allocation.instance.imports.mooncake import SeenBlocks, read_mooncake
from torta_opt.allocation.instance.imports.rows import Tally
from torta_opt.io import InvalidInput


def read(path: Path) -> tuple[list[tuple[int, int, int]], Tally, SeenBlocks]:
    tally, seen = Tally(), SeenBlocks()
    rows: list[tuple[int, int, int]] = []
    for batch in read_mooncake(path, tally, None, seen):
        columns = (batch.arrival_ms, batch.input_tokens, batch.output_tokens)
        rows += zip(*(column.tolist() for column in columns), strict=True)
    return rows, tally, seen


@pytest.mark.parametrize("name", ["m.jsonl", "m.jsonl.gz"])
def test_requests(tmp_path: Path, name: str) -> None:
    entries = [mooncake_entry(0, 6758, 500), mooncake_entry(3000, 10, 0)]
    rows, tally, _ = read(write_mooncake(tmp_path / name, entries))
    assert rows == [(0, 6758, 500), (3000, 10, 0)]
    assert (tally.rows, tally.bad) == (2, 0)


def test_blocks_of_earlier_prompts_count_as_repeated(tmp_path: Path) -> None:
    ids = [(0, 1, 2), (0, 3, 3), (0, 1, 3, 2**62), (2**62,)]
    entries = [mooncake_entry(i, ids=block) for i, block in enumerate(ids)]
    _, _, seen = read(write_mooncake(tmp_path / "m.jsonl", entries))
    assert (seen.blocks, seen.repeated) == (11, 5)
    assert seen.repeat_permille == 454


@given(
    prompts=st.lists(st.lists(st.integers(-3, 6) | st.just(2**70), max_size=4), max_size=8),
    cut=st.integers(0, 8),
)
def test_repeated_blocks_are_the_same_in_any_batches(prompts: list[list[int]], cut: int) -> None:
    seen, before, repeated = SeenBlocks(), set(), 0
    for part in (prompts[:cut], prompts[cut:]):
        seen.add(part)
    for ids in prompts:
        repeated += sum(block in before for block in ids)
        before |= set(ids)
    assert (seen.blocks, seen.repeated) == (sum(map(len, prompts)), repeated)


def test_without_blocks_the_share_is_not_known(tmp_path: Path) -> None:
    entry = {"timestamp": 1, "input_length": 2, "output_length": 3}
    _, _, seen = read(write_mooncake(tmp_path / "m.jsonl", [entry]))
    assert seen.repeat_permille is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "is not JSON: Expecting property name"),
        ("[1]", "is not a JSON object"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"timestamp": 1, "input_length": 2}', "output_length is missing"),
        (json.dumps(mooncake_entry(-1)), "timestamp -1 is negative"),
        (json.dumps(mooncake_entry(0, prompt=10**9)), "input_length 1000000000 is more than"),
        (json.dumps(mooncake_entry(0)).replace("1000", "NaN"), "input_length 'nan' is not a num"),
        (json.dumps(mooncake_entry(0)).replace("1000", "1.5"), "is not a whole number"),
        (json.dumps(mooncake_entry(0)).replace("1000", "true"), "'True' is not a number"),
        (json.dumps(mooncake_entry(0)).replace("1000", "9" * 5000), "digits"),
        (json.dumps(mooncake_entry(0)).replace("[]", '["a"]'), "hash_ids is not a list of block"),
        ("\udcff", "is not UTF-8 text"),
    ],
)
def test_bad_lines(tmp_path: Path, line: str, reason: str) -> None:
    good = json.dumps(mooncake_entry(7))
    content = "\n".join([good, "", line, good]).encode(errors="surrogateescape")
    rows, tally, _ = read(write(tmp_path / "m.jsonl", content))
    assert rows == [(7, 1000, 100)] * 2
    assert (tally.rows, tally.bad) == (3, 1)
    assert tally.bad_rows[0].line == 3
    assert reason in tally.bad_rows[0].reason


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"timestamp,input_length\n", "line 1: must be a JSON object with timestamp"),
        (b'{"a": 1}\n', "line 1: lacks timestamp; found: a"),
        (b"\xff\xfe{\n", "line 1: is not UTF-8 text"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, content: bytes, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        read(write(tmp_path / "m.jsonl", content))


def test_the_published_trace() -> None:
    rows, tally, seen = read(real_data("mooncake_fast25/conversation_trace.jsonl"))
    assert (len(rows), tally.bad) == (12_031, 0)
    assert seen.repeat_permille == pytest.approx(370, abs=15)

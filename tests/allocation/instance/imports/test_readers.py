"""Traces by kind: every broken file is one plain line, whichever reader meets it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from support.traces import (
    AZURE_TITLES,
    BURSTGPT_TITLES,
    azure_rows,
    mooncake_entry,
    qwen_entry,
    write_azure,
    write_burstgpt,
    write_mooncake,
    write_servegen_tables,
)

from torta_opt.allocation.instance.imports import TRACE_KINDS, readers, text
from torta_opt.allocation.instance.imports.parameters import ImportParameters
from torta_opt.allocation.instance.imports.readers import Trace, open_trace
from torta_opt.allocation.instance.imports.rows import Batch, Tally
from torta_opt.io import InvalidInput

ENTRY = json.dumps(mooncake_entry(0))
QWEN = json.dumps(qwen_entry(0))
GOOD = {
    "azure": (AZURE_TITLES, "2023-11-16 18:17:03.9799600,4808,10"),
    "burstgpt": (BURSTGPT_TITLES, "5,ChatGPT,472,18,490,Conversation log"),
    "mooncake": (ENTRY, ENTRY),
    "qwen": (QWEN, QWEN),
    "blis": ("request_id,arrival_time_us,input_tokens,output_tokens,model", "7,5,472,18,m"),
}
# What stands in the place of the first number of tokens.
TOKENS = {
    "azure": "2023-11-16 18:17:03,{},10",
    "burstgpt": "5,ChatGPT,{},18,490,Conversation log",
    "mooncake": '{{"timestamp": 0, "input_length": {}, "output_length": 3}}',
    "qwen": '{{"chat_id": 1, "timestamp": 0, "input_length": {}, "output_length": 3}}',
    "blis": "7,5,{},18,m",
}


def read(kind: str, path: Path, **parameters: object) -> Trace:
    with open_trace(kind, path, ImportParameters.of(**parameters), seed=0) as trace:
        return trace


def complaint(kind: str, path: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        read(kind, path)
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    assert "\n" not in told
    assert len(told) < 700 + len(str(path))
    return told.removeprefix(f"{path}: ")


FILES = {
    "empty": (b"", "is empty"),
    "only a line end": (b"\n", "line 1: "),
    "other columns": (b"a,b,c\n1,2,3\n", "line 1: "),
    "binary": (bytes(range(1, 256)) * 50, "line 1: "),
    "zero bytes": (b"\0" * 1000, "it holds a zero byte"),
    "utf-16": ("TIMESTAMP,ContextTokens\n" * 9).encode("utf-16"),
    "gzip header": (b"\x1f\x8b\x08\x00\x00", "is not a complete gzip file"),
    "truncated gzip": (gzip.compress(b"a,b\n" * 99_999)[:100], ""),
    "damaged gzip": (gzip.compress(b"a,b\n" * 999)[:-8] + b"12345678", ""),
    "one endless line": (b"7" * (text.MAX_LINE_BYTES + text.BLOCK_BYTES + 1), "line 1: "),
}


@pytest.mark.parametrize("kind", [kind for kind in TRACE_KINDS if kind != "servegen"])
class TestEveryReader:
    @pytest.mark.parametrize("name", list(FILES))
    def test_broken_files(self, kind: str, name: str, tmp_path: Path) -> None:
        entry = FILES[name]
        content, told = entry if isinstance(entry, tuple) else (entry, "is not UTF-8 text")
        path = tmp_path / "trace"
        path.write_bytes(content)
        assert told in complaint(kind, path)

    def test_titles_alone(self, kind: str, tmp_path: Path) -> None:
        path = tmp_path / "trace"
        if kind in ("mooncake", "qwen"):
            chat = '"chat_id": 1, ' if kind == "qwen" else ""
            path.write_text(f'{{{chat}"timestamp": -1, "input_length": 1, "output_length": 1}}\n')
            assert "1 of 1 rows are bad" in complaint(kind, path)
        else:
            path.write_text(GOOD[kind][0] + "\n")
            assert complaint(kind, path) == "holds no request"

    @pytest.mark.parametrize(
        "cell",
        [
            "-5",
            "NaN",
            "nan",
            "Infinity",
            "1e999",
            "1.5",
            '"',
            "9" * 30,
            "9" * 5000,
            "9" * 3_000_000,
        ],
    )
    def test_a_bad_number_is_counted_and_named(self, kind: str, cell: str, tmp_path: Path) -> None:
        first, good = GOOD[kind]
        path = tmp_path / "trace"
        path.write_text("\n".join([first, *[good] * 20, TOKENS[kind].format(cell), good]) + "\n")
        trace = read(kind, path)
        assert trace.tally.bad == 1
        assert trace.tally.bad_rows[0].line == 22
        assert len(trace.tally.bad_rows[0].reason) < 200
        assert trace.requests == trace.tally.rows - 1
        assert trace.requests == 21 + (kind in ("mooncake", "qwen"))

    def test_too_many_bad_rows_name_the_first(self, kind: str, tmp_path: Path) -> None:
        first, good = GOOD[kind]
        path = tmp_path / "trace"
        path.write_text("\n".join([first, good, TOKENS[kind].format(-1), good]) + "\n")
        assert "rows are bad, more than the share of 0.1 that is let pass: line 3: " in complaint(
            kind, path
        )
        assert read(kind, path, max_bad_share=0.5).tally.bad == 1

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
    @pytest.mark.parametrize("packed", [False, True])
    def test_forms_of_a_text_file(
        self, kind: str, end: str, mark: bytes, packed: bool, tmp_path: Path
    ) -> None:
        first, good = GOOD[kind]
        content = mark + end.join([first, good, good]).encode()
        path = tmp_path / "trace"
        path.write_bytes(gzip.compress(content) if packed else content)
        trace = read(kind, path)
        assert trace.tally.bad == 0
        assert trace.requests == 2 + (kind in ("mooncake", "qwen"))

    def test_a_missing_file(self, kind: str, tmp_path: Path) -> None:
        assert complaint(kind, tmp_path / "none") == "cannot be read: No such file or directory"


class TestOrderAndClock:
    def test_azure_in_mixed_order_and_formats_is_put_in_order(self, tmp_path: Path) -> None:
        rows = [
            "2023-11-16 18:17:33,1,1",
            "2023-11-16T18:17:03.5Z,2,1",
            "2023-11-16 19:18:03+01:00,3,1",
            "11/16/2023 18:17,4,1",
        ]
        trace = read("azure", write_azure(tmp_path / "t.csv", rows), max_bad_share=0.5)
        assert (trace.requests, trace.out_of_order, trace.tally.bad) == (3, 1, 1)
        assert trace.part.start_ms == trace.first_ms == 1_700_158_623_500
        assert trace.has_clock

    def test_burstgpt_has_no_clock_and_clients_only_where_sessions_are_named(
        self, tmp_path: Path
    ) -> None:
        rows = ["5,ChatGPT,472,18,490,Conversation log", "3,GPT-4,10,0,10,API log"]
        trace = read("burstgpt", write_burstgpt(tmp_path / "t.csv", rows))
        assert (trace.requests, trace.tally.failed) == (1, 1)
        assert (trace.has_clock, trace.has_clients) == (False, False)
        assert trace.models == ["ChatGPT", "GPT-4"]
        assert read("burstgpt", tmp_path / "t.csv", keep_failed=True).out_of_order == 1

    def test_mooncake_tells_the_share_of_repeated_blocks(self, tmp_path: Path) -> None:
        entries = [mooncake_entry(1000 * i, ids=(0, i + 1)) for i in range(4)]
        trace = read("mooncake", write_mooncake(tmp_path / "t.jsonl", entries))
        assert trace.hot_permille == 375

    def test_servegen_names_clients_and_its_model(self, tmp_path: Path) -> None:
        trace = read("servegen", write_servegen_tables(tmp_path / "folder"), slots=4)
        assert trace.has_clients
        assert trace.models == ["m-test"]


def test_memory_is_bounded_by_the_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go to a file once they are many; the same trace comes out."""
    path = write_azure(tmp_path / "t.csv", azure_rows(5000))
    whole = read("azure", path)
    monkeypatch.setattr("torta_opt.allocation.instance.imports.spool.MEMORY_BYTES", 1000)
    monkeypatch.setattr("torta_opt.allocation.instance.imports.text.BLOCK_BYTES", 5000)
    pieces = read("azure", path)
    assert (pieces.part, pieces.requests) == (whole.part, whole.requests)


def test_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="kind: 'vllm' is not known; known: azure, burstgpt"):
        read("vllm", tmp_path / "x")


class TestBatchesOfOtherPackages:
    """What the arrays of an importer that is not ours must be."""

    RIGHT: ClassVar = {"arrival_ms": [0, 5], "input_tokens": [1, 2], "output_tokens": [3, 4]}

    def batch(self, **changes: object) -> Batch:
        given = {**self.RIGHT, **changes}
        return Batch(**{name: np.array(values) for name, values in given.items()})

    def test_right_ones_pass(self) -> None:
        tally = Tally(models={"GPT-4": 0})
        batch = self.batch(model=[0, 0], client=np.array([7, 2**63], dtype=np.uint64))
        assert readers._checked(batch, tally) is batch

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"arrival_ms": [-1, 5]}, r"arrival_ms must lie in \[0, "),
            ({"arrival_ms": [0.0, 5.5]}, "arrival_ms must hold integers, holds float64"),
            ({"arrival_ms": [[0, 5]]}, "arrival_ms must be an array with one number"),
            ({"input_tokens": [1]}, "input_tokens must be an array with one number"),
            ({"output_tokens": [3, 10**9]}, r"output_tokens must lie in \[0, 10000000\]"),
            ({"model": [0, 1]}, r"model must lie in \[0, 0\]"),
            ({"client": ["a", "b"]}, "client must hold integers"),
        ],
    )
    def test_wrong_ones_are_refused(self, changes: dict[str, object], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            readers._checked(self.batch(**changes), Tally(models={"GPT-4": 0}))

    def test_what_is_no_batch_is_refused(self) -> None:
        with pytest.raises(TypeError, match="must give batches of requests, gave tuple"):
            readers._checked((1, 2), Tally())

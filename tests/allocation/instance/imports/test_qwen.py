"""Qwen-Bailian traces: seconds, in the fields of Mooncake."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.real_data import real_data
from support.traces import mooncake_entry, qwen_entry, write_mooncake

from torta_opt.allocation.instance.imports import import_trace
from torta_opt.allocation.instance.imports.parameters import ImportParameters
from torta_opt.allocation.instance.imports.readers import open_trace
from torta_opt.io import InvalidInput


def test_times_are_seconds_and_repeated_blocks_are_hot(tmp_path: Path) -> None:
    path = write_mooncake(tmp_path / "q.jsonl", [qwen_entry(2.5 * i) for i in range(81)])
    with open_trace("qwen", path, ImportParameters.of(), seed=0) as trace:
        assert trace.spool.last_ms - trace.first_ms == 200_000
        assert trace.hot_permille == 80 * 32 * 1000 // (81 * 32)
        (batch,) = trace.spool.batches()
        assert (batch.input_tokens == 502).all()
        assert (batch.output_tokens == 1494).all()


def test_a_mooncake_trace_is_refused(tmp_path: Path) -> None:
    path = write_mooncake(tmp_path / "m.jsonl", [mooncake_entry(3000 * i) for i in range(9)])
    with pytest.raises(InvalidInput, match=r"looks like a Mooncake trace.*use import mooncake"):
        import_trace("qwen", path)


def test_real_row() -> None:
    path = real_data("qwen_bailian/thinking_first_row.jsonl")
    with open_trace("qwen", path, ImportParameters.of(), seed=0) as trace:
        (batch,) = trace.spool.batches()
        assert (batch.input_tokens.tolist(), batch.output_tokens.tolist()) == ([502], [1494])

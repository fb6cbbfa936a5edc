"""BurstGPT: both published layouts, failed requests, models, sessions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.traces import write, write_burstgpt

from torta_opt.allocation.instance.imports.burstgpt import read_burstgpt
from torta_opt.allocation.instance.imports.rows import Batch, Tally
from torta_opt.io import InvalidInput

ROWS = [
    "5,ChatGPT,472,18,490,Conversation log",
    "45.5,ChatGPT,1087,230,1317,Conversation log",
    "118,GPT-4,417,276,693,API log",
    "120,GPT-4,300,0,300,API log",
]


def read(path: Path, keep_failed: bool = False) -> tuple[Batch, Tally]:
    tally = Tally()
    (batch,) = read_burstgpt(path, tally, keep_failed=keep_failed)
    return batch, tally


def test_requests_models_and_failures(tmp_path: Path) -> None:
    batch, tally = read(write_burstgpt(tmp_path / "b.csv", ROWS))
    assert batch.arrival_ms.tolist() == [5000, 45_500, 118_000]
    assert batch.input_tokens.tolist() == [472, 1087, 417]
    assert batch.output_tokens.tolist() == [18, 230, 276]
    assert batch.model is not None
    assert batch.model.tolist() == [0, 0, 1]
    assert list(tally.models) == ["ChatGPT", "GPT-4"]
    assert batch.client is None
    assert (tally.rows, tally.failed, tally.bad) == (4, 1, 0)


def test_failures_can_be_kept(tmp_path: Path) -> None:
    batch, tally = read(write_burstgpt(tmp_path / "b.csv", ROWS), keep_failed=True)
    assert batch.output_tokens.tolist() == [18, 230, 276, 0]
    assert tally.failed == 0


def test_sessions_of_the_third_release(tmp_path: Path) -> None:
    titles = (
        "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,"
        "Log Type"
    )
    rows = [
        "19440110.0,1722ac82,43,GPT-4,906,446,1352,Conversation log",
        "19440161.0,d5983bf9,2,ChatGPT,36,29,65,Conversation log",
        "19440192.0,1722ac82,9,GPT-4,906,446,1352,Conversation log",
        "19440193.0,,9,GPT-4,906,446,1352,API log",
    ]
    batch, _ = read(write_burstgpt(tmp_path / "b.csv.gz", rows, titles))
    assert batch.client is not None
    first, second, third, fourth = batch.client.tolist()
    assert first == third
    assert len({first, second, fourth}) == 3
    assert batch.arrival_ms[0] == 19_440_110_000


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("-1,ChatGPT,1,1,2,x", "Timestamp '-1.0' is negative"),
        ("inf,ChatGPT,1,1,2,x", "Timestamp 'inf' is not a number"),
        ("noon,ChatGPT,1,1,2,x", "Timestamp 'noon' is not a number"),
        ("1e12,ChatGPT,1,1,2,x", "Timestamp '1000000000000.0' is more than"),
        ("1,ChatGPT,1,-1,2,x", "Response tokens '-1' is negative"),
        ("1,ChatGPT,1,1", "has 4 fields, expected 6"),
    ],
)
def test_bad_rows(tmp_path: Path, row: str, reason: str) -> None:
    batch, tally = read(write_burstgpt(tmp_path / "b.csv", [ROWS[0], row]))
    assert batch.arrival_ms.tolist() == [5000]
    assert tally.bad_rows[0].line == 3
    assert reason in tally.bad_rows[0].reason


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = write(tmp_path / "b.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n")
    with pytest.raises(InvalidInput, match=r"line 1: .* this looks like an Azure trace"):
        read(path)


def test_many_models_come_in_order_of_appearance(tmp_path: Path) -> None:
    rows = [f"{i},model-{i % 7},1,1,2,x" for i in range(50)]
    batch, tally = read(write_burstgpt(tmp_path / "b.csv", rows))
    assert batch.model is not None
    assert np.array_equal(batch.model, np.arange(50) % 7)
    assert list(tally.models) == [f"model-{i}" for i in range(7)]

"""BLIS TraceV2: microseconds, models and clients by name."""

from __future__ import annotations

from pathlib import Path

from support.real_data import real_data

from torta_opt.allocation.instance.imports.parameters import ImportParameters
from torta_opt.allocation.instance.imports.readers import open_trace

TITLES = "request_id,client_id,input_tokens,output_tokens,model,arrival_time_us,status"


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([TITLES, *rows]) + "\n")
    return path


def test_fields(tmp_path: Path) -> None:
    rows = ("0,a,10,5,x,0,ok", "1,b,20,6,y,1500000,ok", "2,a,30,7,x,3000999,error")
    path = write(tmp_path / "t.csv", *rows)
    with open_trace("blis", path, ImportParameters.of(), seed=0) as trace:
        (batch,) = trace.spool.batches()
        assert batch.arrival_ms.tolist() == [0, 1500]
        assert batch.input_tokens.tolist() == [10, 20]
        assert batch.model is not None
        assert [trace.models[m] for m in batch.model] == ["x", "y"]
        assert trace.has_clients
        assert trace.tally.failed == 1


def test_failures_are_kept_where_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "0,a,10,5,x,0,error", "1,a,10,5,x,9,ok")
    with open_trace("blis", path, ImportParameters.of(keep_failed=True), seed=0) as trace:
        assert trace.requests == 2


def test_real_rows() -> None:
    path = real_data("blis/tracev2_toy_real.csv")
    with open_trace("blis", path, ImportParameters.of(), seed=0) as trace:
        (batch,) = trace.spool.batches()
        assert batch.arrival_ms.tolist() == [0, 100, 200]
        assert batch.input_tokens.tolist() == [10, 10, 10]
        assert batch.output_tokens.tolist() == [5, 5, 5]

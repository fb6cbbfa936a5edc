"""Origins from a column of the trace: each request arises in the region that its row names."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support.traces import mooncake_entry, qwen_entry, write, write_servegen_tables

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.imports import ImportReport, import_trace
from torta_opt.io import InvalidInput

NODES = ("ATLAng", "CHINng", "WASHng")
NAMES = [NODES[(i * i + i // 7) % 3] for i in range(240)]  # of a request every 2.5 s
SLOT_S = 15


def rows_of(kind: str, names: list[str], column: str = "region") -> str:
    """A trace of ``kind`` with a request every 2.5 s, from the regions ``names``."""
    if kind in ("mooncake", "qwen"):
        made = [mooncake_entry(2500 * i) if kind == "mooncake" else qwen_entry(2.5 * i)
                for i in range(len(names))]  # fmt: skip
        rows = [{**entry, column: name} for entry, name in zip(made, names, strict=True)]
        return "".join(json.dumps(row) + "\n" for row in rows)
    titles, row = {
        "azure": ("TIMESTAMP,{},ContextTokens,GeneratedTokens", "2023-11-16 18:{}:{},{},900,60"),
        "burstgpt": (
            "Timestamp,Model,Request tokens,Response tokens,{}",
            "{2},ChatGPT,900,60,{3}",
        ),
        "blis": (
            "request_id,arrival_time_us,input_tokens,output_tokens,status,{}",
            "r,{4},900,60,ok,{3}",
        ),
    }[kind]
    lines = [titles.format(column)]
    for i, name in enumerate(names):
        minutes, seconds = divmod(2.5 * i, 60)
        if kind == "azure":
            lines.append(row.format(f"{int(minutes):02d}", f"{seconds:06.3f}", name))
        else:
            lines.append(row.format("", "", 2.5 * i, name, int(2_500_000 * i)))
    return "\n".join(lines) + "\n"


def imported(path: Path, kind: str, **parameters: object) -> tuple[Instance, ImportReport]:
    given = {"topology": "abilene", "regions": NODES, "demand_factor": 1, **parameters}
    return import_trace(kind, path, **given)


@pytest.mark.parametrize("kind", ["azure", "burstgpt", "mooncake", "qwen", "blis"])
def test_each_request_arises_where_its_row_says(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "t", rows_of(kind, NAMES))
    instance, report = imported(path, kind, origin="region")
    expected = np.zeros((instance.slots, len(NODES)), int)
    for (slot, name), count in Counter(
        (int(2.5 * i // SLOT_S), name) for i, name in enumerate(NAMES)
    ).items():
        expected[slot, NODES.index(name)] = count
    assert instance.system.regions == NODES
    assert np.array_equal(instance.arrivals.sum(axis=2), expected)
    assert report.origins == "origins from the column region"
    assert "region" not in report.unused_columns


def test_without_origin_the_column_is_named_as_not_used(tmp_path: Path) -> None:
    path = write(tmp_path / "t", rows_of("azure", NAMES))
    assert imported(path, "azure")[1].unused_columns == ("region",)


@pytest.mark.parametrize("kind", ["azure", "mooncake"])
def test_names_that_are_no_region_give_one_line(tmp_path: Path, kind: str) -> None:
    names = ["ATLAng", "Mars", "Venus", *NAMES]
    path = write(tmp_path / "t", rows_of(kind, names))
    with pytest.raises(InvalidInput) as refused:
        imported(path, kind, origin="region")
    assert str(refused.value) == (
        f"{path}: origin: the column region has 'Mars', 'Venus', which are no regions of the "
        "instance; its regions (by topology, latency and regions): ATLAng, CHINng, WASHng"
    )


@pytest.mark.parametrize("kind", ["azure", "mooncake"])
def test_a_row_without_its_region_is_bad(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "t", rows_of(kind, [*NAMES[:100], " ", *NAMES[:100]]))
    _, report = imported(path, kind, origin="region")
    assert (report.rows, report.bad_rows, report.requests_used) == (201, 1, 200)


def test_the_column_may_hold_clients(tmp_path: Path) -> None:
    """One column may be both the client and the place; the place is what counts."""
    path = write(tmp_path / "t", rows_of("blis", NAMES, column="client_id"))
    instance, _ = imported(path, "blis", origin="client_id")
    counted = Counter(NAMES)
    assert instance.arrivals.sum(axis=(0, 2)).tolist() == [counted[name] for name in NODES]


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"origin": "place"}, "line 1: lacks the column place"),
        ({"origin": "ContextTokens"}, "origin: the column ContextTokens holds times or numbers"),
        ({"origin": ""}, "origin: must be the title of a column"),
        ({"origin": "region", "origins": "uniform"}, "origins: is given with origin"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, parameters: dict[str, str], complaint: str
) -> None:
    path = write(tmp_path / "t", rows_of("azure", NAMES))
    with pytest.raises(InvalidInput, match=complaint):
        imported(path, "azure", **parameters)


def test_a_trace_of_rates_has_no_such_column(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="origin: is for azure, burstgpt, mooncake, qwen, blis"):
        import_trace("servegen", write_servegen_tables(tmp_path / "t"), origin="region")

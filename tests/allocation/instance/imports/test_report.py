"""The account of an import, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.traces import azure_rows, write_azure

from torta_opt.allocation.instance.imports import ImportReport, import_trace


@pytest.fixture
def report(tmp_path: Path) -> ImportReport:
    path = write_azure(tmp_path / "t.csv", [*azure_rows(80), "x,1,1"])
    return import_trace("azure", path)[1]


def test_it_survives_json(report: ImportReport) -> None:
    document = json.loads(json.dumps(report.to_document(), allow_nan=False))
    assert document["bad_row_examples"] == [
        {"line": 82, "reason": "TIMESTAMP 'x' is not an ISO 8601 date and time"}
    ]
    assert document["requests_in_trace"] == 80
    assert [kind["requests"] for kind in document["classes"]] == [
        kind.requests for kind in report.classes
    ]


def test_its_text_tells_every_class_every_note_and_the_totals(report: ImportReport) -> None:
    text = "\n".join(report.lines())
    for kind in report.classes:
        assert f"{kind.name}: {kind.requests} requests" in text
    for note in report.notes:
        assert note in text
    assert f"{report.slots} slots of 15 s, the last 6 to drain; 12 regions" in text
    assert f"{report.servers} servers" in text
    assert f"{report.requests} in all" in text

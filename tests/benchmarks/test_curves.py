"""Files of growth curves: what benchmarks write can be drawn, and is made size by size."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from torta_opt.report.figures import draw

FILE = Path(__file__).parents[2] / "benchmarks" / "curves.py"


@pytest.fixture(scope="module")
def curves() -> Any:
    spec = importlib.util.spec_from_file_location("curves", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measured(curves: Any, folder: Path, **seconds: tuple[int, float]) -> dict[str, Any]:
    run = curves.Curves("growth_slots", "a program", "slots")
    for way, (size, value) in seconds.items():
        run.add(way, size, value)
    run.save(folder)
    found: dict[str, Any] = json.loads((folder / "growth_slots.json").read_text())
    return found


def test_sizes_are_added_and_measured_anew(curves: Any, tmp_path: Path) -> None:
    measured(curves, tmp_path, ours=(20, 2.0), theirs=(20, 3.0))
    measured(curves, tmp_path, ours=(10, 1.0))
    found = measured(curves, tmp_path, ours=(20, 2.5))
    assert found["curves"] == [
        {"name": "ours", "sizes": [10, 20], "seconds": [1.0, 2.5]},
        {"name": "theirs", "sizes": [20], "seconds": [3.0]},
    ]
    lines = draw("growth", growth=found).lines
    assert [list(line.get_ydata()) for line in lines[:-1]] == [[1.0, 2.5], [3.0]]


def test_another_machine_begins_anew(curves: Any, tmp_path: Path) -> None:
    found = measured(curves, tmp_path, ours=(20, 2.0))
    found["machine"]["platform"] = "elsewhere"
    (tmp_path / "growth_slots.json").write_text(json.dumps(found))
    assert measured(curves, tmp_path, ours=(10, 1.0))["curves"][0]["sizes"] == [10]


def test_nothing_is_written_where_no_folder_is_named(curves: Any) -> None:
    run = curves.Curves("x", "a program", "slots")
    run.add("ours", 1, 1.0)
    run.save(None)

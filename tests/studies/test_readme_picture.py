"""The picture of the README shows a report as it is, and the one in docs is that of the README."""

from __future__ import annotations

import importlib.util
import math
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "studies" / "readme_picture.py"
PICTURE = ROOT / "docs" / "images" / "gap_abilene.svg"
ROW = re.compile(r"^ (\w+) +[0-9.,]+ +[0-9.]+ % +([0-9.]+) %", re.MULTILINE)


@pytest.fixture(scope="module")
def pictures() -> Any:
    spec = importlib.util.spec_from_file_location("readme_picture", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def a_report(**gaps: float | None) -> dict[str, Any]:
    results = [
        {"policy": name, "feasible": gap is not None, "gap": gap, "cost": gap and 50 / (1 - gap)}
        for name, gap in gaps.items()
    ]
    return {"floor": 20.0, "bound": {"value": 50.0}, "results": results}


def test_bars_end_at_the_costs_and_gaps_are_rounded_up(pictures: Any, tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    try:
        pictures.draw(a_report(worse=0.5, better=0.2001), ax)
        ends = sorted({round(bar.get_x() + bar.get_width(), 9) for bar in ax.patches})
        assert ends == pytest.approx([20.0, 50.0, 50 / 0.7999, 100.0])
        shown = {text.get_text().strip() for text in ax.texts}
        assert shown == {"gap ≤ 50.0 %", "gap ≤ 20.1 %", "bound 50 $"}
        assert [label.get_text() for label in ax.get_yticklabels()] == ["better", "worse"]
    finally:
        plt.close(figure)


def test_schedules_that_break_a_rule_have_no_bar(pictures: Any, tmp_path: Path) -> None:
    path = tmp_path / "picture.svg"
    pictures.save(a_report(fine=0.5, broken=None), path)
    assert "fine" in path.read_text()
    assert "broken" not in path.read_text()


def test_the_same_report_gives_the_same_file(pictures: Any, tmp_path: Path) -> None:
    paths = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for path in paths:
        pictures.save(a_report(one=0.5), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_picture_in_docs_has_the_figures_of_the_readme() -> None:
    picture = PICTURE.read_text()
    rows = ROW.findall((ROOT / "README.md").read_text())
    assert len(rows) == 7
    for policy, gap in rows:
        assert f">{policy}<" in picture
        # The table rounds to hundredths; the picture rounds the exact gap up to tenths.
        tenths = {math.ceil(round(10 * (float(gap) + half), 6)) / 10 for half in (-0.005, 0.005)}
        assert any(f"gap ≤ {each:.1f} %" in picture for each in tenths)

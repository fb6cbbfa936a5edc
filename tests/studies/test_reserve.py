"""The study of reserve: its seeds, and the tables that it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import online
import online_page
import pytest
import reserve

from torta_opt.allocation.policies.registry import check


def test_tuning_and_judging_share_no_seed() -> None:
    tuned = {seed for seed, _ in reserve.TUNED_ON}
    assert not tuned & set(range(online.FIRST_SEED, online.FIRST_SEED + 10))
    assert set(reserve.CHECKED_ON) <= set(reserve.TUNED_ON)
    for point in (*reserve.GRID, *reserve.CANDIDATES, reserve.CHOSEN):
        check(f"torta_plus:{point}")
    assert reserve.CHOSEN in reserve.CANDIDATES


def row(spec: str, sha256: str, cost: float, p95: float = 30.0) -> dict[str, Any]:
    metrics = dict.fromkeys(reserve.FIGURES, 0.5) | {"response_p95_s": p95}
    return {
        **{"instance": sha256, "sha256": sha256, "policy": spec, "seed": 0, "version": "0"},
        **{"cost": cost, "costs": {}, "metrics": metrics},
        **{"seconds": 1.0, "decision_p50_s": 0.1, "decision_p99_s": 0.2},
    }


def test_the_page_pairs_by_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (reserve, online):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(reserve, "PAGE", tmp_path / "page.md")
    chosen, before = f"torta_plus:{reserve.CHOSEN}", online.AGAINST
    tables = {
        "reserve-tuned": [row(f"open_loop:{point}", "t", 5) for point in reserve.GRID],
        "reserve-checked": [row(f"torta_plus:{reserve.BEFORE}", "t", 5)],
        "reserve-judged": [row(chosen, "a", 110, 20.0), row(chosen, "b", 100, 40.0)],
        # an instance without the chosen point is no part of any figure
        "online": [row(before, "a", 100), row(before, "b", 100), row(before, "c", 1)],
    }
    for name, rows in tables.items():
        text = "".join(json.dumps(each) + "\n" for each in rows)
        (tmp_path / f"{name}.jsonl").write_text(text)
    known = {name: {"family": "surge", "number": 0, "regions": 12} for name in "abc"}
    (tmp_path / "online-instances.json").write_text(json.dumps(known))
    (tmp_path / "page.md").write_text("<!-- reserve -->\nstale\n<!-- end of reserve -->\n")
    reserve.page()
    page = (tmp_path / "page.md").read_text()
    assert "stale" not in page
    # mean of 1.1 and 1, and Student's t for two: 12.706 · 0.05
    assert f"| `{chosen}` | 2 | 1.050 (0.415 to 1.685) | 0.5 | 30.0 | 50.00 | 0.5 |" in page
    assert f"| `{before}` | 2 | 1 |" in page
    assert len(online_page.read_rows()) == 3

"""The study of replanning: seeds, and the tables that it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import online
import pytest
import replanning

from torta_opt.allocation.policies.registry import check


def row(spec: str, instance: str, cost: float) -> dict[str, Any]:
    return {
        **{"instance": instance, "sha256": instance, "policy": spec, "seed": 0, "version": "0"},
        **{"cost": cost, "costs": {"waiting": 2.0}, "metrics": {"expired_share": 0.01}},
        **{"seconds": 1.0, "decision_p50_s": 0.1, "decision_p99_s": 0.2},
    }


def test_tuning_and_judging_share_no_seed_with_each_other_or_with_the_other_study() -> None:
    judged = {
        first + number
        for _, first, slots in replanning.JUDGED.values()
        for number in range(replanning.MOST[slots])
    }
    assert not judged & {seed for _, seed in replanning.TUNED_ON}
    assert not judged & {*online.TUNING_SEEDS, *online.ABLATED_SEEDS}
    assert not judged & set(range(online.FIRST_SEED, online.FIRST_SEED + 10))
    for point in (*replanning.GRID, replanning.CANDIDATE):
        check(f"open_loop:{point}")


def test_the_page_pairs_by_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replanning, "RESULTS", tmp_path)
    monkeypatch.setattr(replanning, "PAGE", tmp_path / "page.md")
    before, after = f"open_loop:{replanning.GRID[0]}", f"open_loop:{replanning.CANDIDATE}"
    tuned = [row(f"open_loop:{point}", "paper/abilene@101", 50) for point in replanning.GRID]
    judged = [
        *(row(before, "paper/abilene@3400", 100), row(after, "paper/abilene@3400", 90)),
        *(row(before, "paper/abilene@3401", 100), row(after, "paper/abilene@3401", 110)),
        row(before, "paper/cost2@3400", 100),  # without its pair: no part of any figure
        *(row(before, "paper/abilene@3450", 100), row(after, "paper/abilene@3450", 99)),
    ]
    for name, rows in (("tuned", tuned), ("judged", judged)):
        text = "".join(json.dumps(each) + "\n" for each in rows)
        (tmp_path / f"replanning-{name}.jsonl").write_text(text)
    (tmp_path / "page.md").write_text(
        "<!-- replanning -->\nstale text\n<!-- end of replanning -->\n"
    )
    replanning.page()
    page = (tmp_path / "page.md").read_text()
    assert "stale text" not in page
    (line,) = [line for line in page.splitlines() if line.startswith("| `open_loop` |")]
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    assert cells[0].startswith("1.000 (")
    assert cells[0].endswith("1 of 2")
    assert cells[1:4] == ["", "", ""]
    assert cells[4] == "0.990, 1 of 1"
    assert cells[5].endswith("2 of 3")

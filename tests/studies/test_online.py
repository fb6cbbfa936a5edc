"""The study of online policies: grids, seeds, its pairing, and the page that it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import online
import online_page
import pytest

from torta_opt.allocation.policies.registry import check


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, with results and page of its own."""
    monkeypatch.setattr(online, "RESULTS", tmp_path)
    monkeypatch.setattr(online_page, "PAGE", tmp_path / "page.md")
    best = {policy: online.specs(policy)[0] for policy in online.GRIDS}
    tuned = {"seeds": [1], "best": best, "cost": {}}
    (tmp_path / "online-tuned.json").write_text(json.dumps(tuned))
    return online


def test_every_policy_of_the_study_can_be_made(study: Any) -> None:
    points = [spec for policy in study.GRIDS for spec in study.specs(policy)]
    assert len(points) == len(set(points))
    for spec in (*points, *study.policies(), *study.ABLATIONS, *study.TIMED_POLICIES):
        check(spec)


def test_tuning_judging_and_ablations_share_no_seed(study: Any) -> None:
    most = max(family.most for family in study.FAMILIES.values())
    judged = set(range(study.FIRST_SEED, study.FIRST_SEED + most))
    assert not judged & set(study.TUNING_SEEDS)
    assert not judged & set(study.ABLATED_SEEDS)


def row(policy: str, sha256: str, cost: float) -> dict[str, Any]:
    return {
        **{"instance": sha256, "sha256": sha256, "policy": policy, "seed": 0, "version": "0"},
        **{"cost": cost, "costs": {"waiting": 1.0}, "metrics": {"response_mean_s": 2.0}},
        **{"seconds": 1.0, "decision_p50_s": 0.1, "decision_p99_s": 0.2},
    }


def test_the_page_pairs_by_instance_and_says_how_many(study: Any, tmp_path: Path) -> None:
    ours, other = study.AGAINST, "open_loop"
    rows = [row(ours, "a", 90), row(other, "a", 100), row(ours, "b", 110), row(other, "b", 100)]
    rows.append(row(other, "c", 1))  # ours has not run on it: no part of any figure
    (tmp_path / "online.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    known = {name: {"family": "abilene", "number": 0, "regions": 12} for name in "abc"}
    (tmp_path / "online-instances.json").write_text(json.dumps(known))
    markers = "".join(
        f"<!-- online {what} -->\nold\n<!-- end of online {what} -->\n"
        for what in ("tables", "parts", "ablations", "speed")
    )
    (tmp_path / "page.md").write_text("before\n" + markers + "after\n")
    online_page.page()
    text = (tmp_path / "page.md").read_text()
    assert "1.000 (-0.271 to 2.271), 1 of 2" in text  # mean of 0.9 and 1.1 ± 12.7·0.1
    assert f"| `{other}` | 2 | 100.0 |" in text
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "Not measured yet." in text


def test_rows_of_a_policy_can_be_forgotten(study: Any, tmp_path: Path) -> None:
    rows = [row("open_loop", "a", 1), row("skylb", "a", 2), row("skylb", "b", 3)]
    (tmp_path / "online.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    known = {"a": {"family": "abilene"}, "b": {"family": "azure"}}
    (tmp_path / "online-instances.json").write_text(json.dumps(known))
    study.forget("skylb", "azure,polska")
    assert [json.loads(line) for line in (tmp_path / "online.jsonl").open()] == rows[:2]
    study.forget("skylb")
    assert [json.loads(line) for line in (tmp_path / "online.jsonl").open()] == rows[:1]

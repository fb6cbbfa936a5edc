"""The study of what operators run: grids, the point that is chosen, and the page that it writes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from torta_opt.allocation.policies.registry import check

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "studies" / "operators.py"


@pytest.fixture(scope="module")
def study() -> Any:
    spec = importlib.util.spec_from_file_location("operators", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_point_of_every_grid_is_a_policy(study):
    points = [spec for policy in study.GRIDS for spec in study.specs(policy)]
    assert len(points) == len(set(points))
    for spec in points:
        check(spec)


def test_tuning_and_judging_share_no_instance(study):
    seeds = study.ABILENE_SEEDS
    assert not set(seeds["tune"]) & set(seeds["judge"])
    end = (study.TUNED_ON + study.JUDGED_ON) * study.WINDOW_S
    assert study.WINDOW_SLOTS * 15 <= study.WINDOW_S
    assert end <= 3600  # s of either trace


def test_the_point_with_the_least_mean_ratio_is_chosen(study):
    """Ratios on the same instance count, not costs: the dear instance does not decide alone."""
    base = study.specs(study.AGAINST)[0]
    one, two = study.specs("hpa")[:2]
    rows = []
    for policy in study.GRIDS:
        for spec in study.specs(policy):
            costs = {base: (100.0, 1.0), one: (101.0, 2.0), two: (140.0, 1.1)}
            costs = costs.get(spec, (200.0, 3.0))
            rows += [
                {"policy": spec, "sha256": f"i{n}", "cost": cost} for n, cost in enumerate(costs)
            ]
    chosen = study.best(rows)
    assert chosen["hpa"] == two
    assert chosen[study.AGAINST] == base
    assert set(chosen) == set(study.GRIDS)


def test_the_page_has_a_row_for_each_policy(study):
    text = study.DOCS.read_text()
    begin, _, rest = text.partition("<!-- tables -->")
    tables, _, _ = rest.partition("<!-- end of tables -->")
    assert begin
    for title in study.FAMILIES.values():
        assert title in tables
    combined = [f"{fleet}:routing={r}" for fleet in study.COMBINED for r in study.ROUTINGS]
    for policy in [*study.GRIDS, *combined]:
        assert tables.count(f"| `{policy}` |") == len(study.FAMILIES)

"""The study of loading times: the table and the page that it writes."""

from __future__ import annotations

import json
from pathlib import Path

import loading
import pytest


def found(topology: str) -> dict[str, object]:
    """Two draws; every policy twice as dear as the first one, and in the second preset dearer."""
    cost = {policy: [20.0, 40.0] for policy in loading.POLICIES} | {loading.AGAINST: [10.0, 20.0]}
    dearer = {policy: [1.5 * usd for usd in costs] for policy, costs in cost.items()}
    switches = {policy: [1.0, 2.0] for policy in loading.POLICIES}
    return {
        "topology": topology,
        "cost": dict(zip(loading.PRESETS, (cost, dearer), strict=True)),
        "switches": dict.fromkeys(loading.PRESETS, switches),
        "bound": dict(zip(loading.PRESETS, ([9.0, 18.0], [12.0, 24.0]), strict=True)),
    }


def test_the_page_has_a_table_of_each_topology(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- tables -->\nold\n<!-- end of tables -->\nafter\n")
    monkeypatch.setattr(loading, "DOCS", page)
    for topology in loading.TOPOLOGIES:
        (tmp_path / f"{topology}.json").write_text(json.dumps(found(topology)))
    loading.page(tmp_path)
    text = page.read_text()
    assert text.startswith("before\n<!-- tables -->\n\n### Abilene, 96 slots of 45 s, 2 draws\n")
    assert text.endswith("|\n\n<!-- end of tables -->\nafter\n")
    assert "old" not in text
    assert text.count("\n### ") == len(loading.TOPOLOGIES)
    first, other = loading.POLICIES[:2]
    own = "1.500 (1.500 to 1.500)"
    twice = "2.000 (2.000 to 2.000)"
    for row in (
        f"| `{first}` | 1 | 1 | {own} | 10.0 %, 20.0 % | 1.5, 1.5 |",
        f"| `{other}` | {twice} | {twice} | {own} | 55.0 %, 60.0 % | 1.5, 1.5 |",
        "| bound (`merged`, certified) | | | 1.333 (1.333 to 1.333) | | |",
    ):
        assert text.count(row) == len(loading.TOPOLOGIES)
    assert text.index(f"| `{first}`") < text.index(f"| `{other}`")  # the cheapest first


def test_both_presets_of_a_draw_have_the_same_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SLOTS", 6)
    one, two = (loading.instance("abilene", preset, 1) for preset in loading.PRESETS)
    assert (one.arrivals == two.arrivals).all()
    assert one.system.models == two.system.models
    assert (one.system.start_ms != two.system.start_ms).any()

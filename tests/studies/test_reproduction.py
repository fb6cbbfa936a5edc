"""docs/reproduction.md: its ratios are paired by instance, whichever study the runs stand in."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from torta_opt.allocation.policies.experiment import interval

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(STUDIES)
    for name in ("reproduction_page", "reproduction_runs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("reproduction_page")


def results_of(page: ModuleType, **studies: dict[str, dict[int, float]]):
    """Study → policy → seed → response, all on Abilene."""
    found = page.Results.__new__(page.Results)
    found.rows = {
        (study, "abilene", policy): {
            seed: {"metrics": {"response_mean_s": value}} for seed, value in by_seed.items()
        }
        for study, policies in studies.items()
        for policy, by_seed in policies.items()
    }
    return found


def test_runs_of_two_studies_are_paired_by_instance(page):
    """Instances 1 and 2 have both; the third of the main study says nothing about the ratio."""
    results = results_of(
        page, main={"skylb": {1: 10.0, 2: 20.0, 3: 90.0}}, ablation={"turn": {1: 11.0, 2: 21.0}}
    )
    found = results.ratio("ablation", "abilene", "turn", "skylb", "response_mean_s", base="main")
    assert found == interval([1.1, 1.05])
    assert results.ratio("ablation", "abilene", "turn", "skylb", "response_mean_s").count == 0


def test_the_page_says_what_its_intervals_are_over():
    text = " ".join((STUDIES.parent / "docs" / "reproduction.md").read_text().split())
    assert "brackets are 95 % intervals over these instances" in text

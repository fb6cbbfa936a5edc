"""The page of the foresight study, from results as a run leaves them."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import foreseeing
import foresight
import pytest

import torta_opt
from torta_opt.allocation.foresight.nonanticipative import Options, estimate
from torta_opt.allocation.policies.experiment import interval
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.io import InvalidInput

SMALL = {"slots": 10, "gpu_counts": {"A100": 3, "T4": 3}, "load": 0.5}


def test_the_page_names_sizes_bounds_and_every_policy() -> None:
    instance = torta_opt.generate("paper/abilene", seed=3, **SMALL)
    found = asdict(estimate(instance, Options(3), ["lcp", "skylb"]))
    result = {
        "none": found,
        "tree": found,
        "foreseen": {"0": asdict(interval([2.0, 4.0])), "10000": asdict(interval([1.0, 2.0]))},
        "name": "paper/abilene",
        "regions": 12,
        "servers": 6,
        "slots": 10,
        "law": "generated",
    }
    given = argparse.Namespace(slots=10, futures=3, foreseen=2, trees=3, long=20, long_futures=4)
    other = {**result, "no_tree": "way: tree needs futures with the same outages"}
    del other["tree"]
    text = foresight.page({"Abilene": result, "Abilene, outage": other}, given)
    assert "No trees: tree needs futures with the same outages." in text
    assert "Not computed yet at this size: Polska" in text
    assert "An imported trace: not computed" in text
    assert "10 slots of 45 s" in text
    assert "3 futures" in text
    assert f"{found['cost']['lcp']['mean']:.2f}" in text
    assert text.index("| `lcp` |") < text.index("| `skylb` |")  # the cheapest first
    assert "| slots of perfect foresight | 0 | all |" in text
    assert "| mean cost $ | 3.00 | 1.50 |" in text


def test_the_long_horizon_has_its_own_sizes_and_is_computed_again_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = torta_opt.generate("paper/abilene", seed=3, **SMALL)
    monkeypatch.setattr(foresight, "case", lambda name, slots, trace: small.cut(0, slots))
    sizes = {"slots": 8, "futures": 9, "trees": 2, "foreseen": 1, "long": 3, "long_futures": 2}
    given = argparse.Namespace(**sizes, jobs=1, trace=None)
    found = foresight.computed(foresight.LONG, given, tmp_path, write_only=False)
    assert found is not None
    assert found["none"]["scenarios"] == 2
    assert found["slots"] == 3
    assert set(found["none"]["cost"]) == set(foresight.LONG_POLICIES)
    assert foresight.computed(foresight.LONG, given, tmp_path, write_only=True) == found
    text = foresight.page({foresight.LONG: found}, given)
    assert "3 slots and 2 futures" in text
    assert "slots of perfect foresight |" not in text
    given.long_futures = 3
    assert foresight.computed(foresight.LONG, given, tmp_path, write_only=True) is None


def test_cases_are_refused_in_plain_words(tmp_path: Path) -> None:
    instance = torta_opt.generate("paper/abilene", seed=3, **SMALL)
    path = tmp_path / "trace.json"
    torta_opt.save_instance(instance, path)
    given = argparse.Namespace(
        slots=8, futures=2, trees=2, foreseen=1, jobs=1, trace=str(path), write=False
    )
    assert foresight.computed(foresight.TRACE, given, tmp_path / "a", write_only=True) is None
    given.futures = 1
    with pytest.raises(InvalidInput, match="scenarios: must be a whole number, at least 2"):
        foresight.computed(foresight.TRACE, given, tmp_path / "a", write_only=False)
    with pytest.raises(InvalidInput, match="--trace: is missing"):
        foresight.case(foresight.TRACE, 8, None)
    assert foresight.case(foresight.TRACE, 8, str(path)).slots == 8


def test_a_policy_that_sees_ahead_makes_legal_schedules() -> None:
    instance = torta_opt.generate("paper/abilene", seed=3, **SMALL)
    costs = {}
    for ahead in (0, 10_000):
        schedule = run(foreseeing.Foreseeing(instance, ahead), instance).schedule
        assert verify(instance, schedule).ok
        costs[ahead] = evaluate(instance, schedule).cost
    assert costs[0] != costs[10_000]  # it uses what it sees

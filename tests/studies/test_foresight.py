"""The page of the foresight study, from results as a run leaves them."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

import foreseeing
import foresight

import torta_opt
from torta_opt.allocation.foresight.nonanticipative import Options, estimate
from torta_opt.allocation.policies.experiment import interval
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify

SMALL = {"slots": 10, "gpu_counts": {"A100": 3, "T4": 3}, "load": 0.5}


def test_the_page_names_sizes_bounds_and_every_policy() -> None:
    instance = torta_opt.generate("paper/abilene", seed=3, **SMALL)
    found = asdict(estimate(instance, Options(3), ["lcp", "skylb"]))
    result = {
        "none": found,
        "penalty": found,
        "foreseen": {"0": asdict(interval([2.0, 4.0])), "10000": asdict(interval([1.0, 2.0]))},
        "regions": 12,
        "servers": 6,
    }
    given = argparse.Namespace(slots=10, futures=3, foreseen=2)
    text = foresight.page({"Abilene": result}, given)
    assert "10 slots of 45 s" in text
    assert "3 futures" in text
    assert f"{found['cost']['lcp']['mean']:.2f}" in text
    assert text.index("| `lcp` |") < text.index("| `skylb` |")  # the cheapest first
    assert "| slots of perfect foresight | 0 | all |" in text
    assert "| mean cost $ | 3.00 | 1.50 |" in text


def test_a_policy_that_sees_ahead_makes_legal_schedules() -> None:
    instance = torta_opt.generate("paper/abilene", seed=3, **SMALL)
    costs = {}
    for ahead in (0, 10_000):
        schedule = run(foreseeing.Foreseeing(instance, ahead), instance).schedule
        assert verify(instance, schedule).ok
        costs[ahead] = evaluate(instance, schedule).cost
    assert costs[0] != costs[10_000]  # it uses what it sees

"""The full policy and its ablations: legal on anything, equal where they must be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.tiny import random_tiny_instance

from torta_opt.allocation.policies.macro_state import feature_count, request_scale
from torta_opt.allocation.policies.neural.files import new_networks, save_networks
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.torta import Torta
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.io import InvalidInput

ABLATIONS = (
    "torta:plan=smoothed",
    "torta:plan=target",
    "torta:plan=smoothed:micro=round_robin",
    "torta:plan=smoothed:forecaster=none",
    "torta:plan=smoothed:forecaster=last",
    "torta:plan=smoothed:forecaster=seasonal:season=2",
    "torta:plan=smoothed:forecaster=perfect",
    "torta:plan=smoothed:forecaster=corrupted:accuracy=0.3",
)


def tiny(seed: int):
    return random_tiny_instance(np.random.default_rng(seed), regions=3, servers=4, slots=7)


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Makes untrained weights for a system; ``tiny(0)`` has some from the start."""
    monkeypatch.setenv("TORTA_MODELS", str(tmp_path))

    def make(system):
        size = feature_count(len(system.regions), len(system.classes), len(system.models))
        networks = new_networks(system.regions, size, "beta", 1.0, request_scale(system), 0)
        save_networks(networks, tmp_path / "tiny")

    make(tiny(0).system)
    return make


def some(count: int) -> list[Any]:
    """Seeds: three of them in ``make test``."""
    return [n if n < 3 else pytest.param(n, marks=pytest.mark.slow) for n in range(count)]


@pytest.mark.parametrize("seed", some(8))
@pytest.mark.parametrize("spec", ABLATIONS)
def test_ablations_break_no_rule(spec, seed):
    instance, policy = tiny(seed), create(spec)
    policy.show(instance)
    found = verify(instance, run(policy, instance).schedule)
    assert found.ok, found.violations


@pytest.mark.parametrize("seed", some(6))
def test_learned_break_no_rule(models, seed):
    instance = tiny(seed)
    models(instance.system)
    for spec in ("torta", "torta:forecaster=mlp", "torta:weights=tiny:split=sample"):
        assert verify(instance, run(create(spec), instance).schedule).ok


def test_target_is_torta_ot():
    for seed in range(10):
        instance = tiny(seed)
        one, two = (run(create(p), instance).schedule for p in ("torta:plan=target", "torta_ot"))
        assert evaluate(instance, one).cost == evaluate(instance, two).cost


def test_no_shrinking_is_the_target():
    instance = tiny(3)
    one, two = (
        run(create(p), instance).schedule for p in ("torta:plan=smoothed:shrink=0", "torta_ot")
    )
    assert np.array_equal(one.routing, two.routing)


def test_without_weights_for_the_topology(tmp_path, monkeypatch):
    monkeypatch.setenv("TORTA_MODELS", str(tmp_path))
    with pytest.raises(InvalidInput, match=r"no weights fit this topology.*torta_ot"):
        run(create("torta"), tiny(0))


def test_weights_of_another_topology(models):
    instance = random_tiny_instance(np.random.default_rng(0), regions=2, servers=3, slots=3)
    with pytest.raises(InvalidInput, match="fits a topology of 3 regions"):
        run(create("torta:weights=tiny"), instance)


def test_a_look_into_the_future_must_be_granted():
    with pytest.raises(InvalidInput, match="must be given the instance"):
        run(Torta(plan="target", forecaster="perfect"), tiny(0))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("torta:plan=best", "plan: must be one of"),
        ("torta:micro=macro", "micro: must be one of"),
        ("torta:forecaster=oracle", "forecaster: must be one of"),
        ("torta:accuracy=0", "accuracy: must be a number"),
        ("torta:colour=red", "colour: is not a parameter"),
    ],
)
def test_parameters_are_checked(spec, message):
    with pytest.raises(InvalidInput, match=message):
        create(spec)

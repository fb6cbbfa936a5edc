"""open_loop and torta_plus: no future, always an answer, and a broken value does no harm."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest

import torta_opt
from torta_opt.allocation.formulations.server_value import Cuts, Layer, Network
from torta_opt.allocation.policies.fleet_values import (
    from_tensors,
    load_value,
    to_tensors,
    value_features,
)
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule.data import Command
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.verify import verify
from torta_opt.io import InvalidInput

BUDGET = "budget=1000"  # seconds: a slow machine must not change what a test sees


@cache
def paper(seed: int = 5, slots: int = 20):
    return torta_opt.generate(
        "paper/abilene",
        seed=seed,
        slots=slots,
        gpu_counts={"A100": 10, "H100": 6, "RTX4090": 10, "V100": 14, "T4": 10},
    )


@cache
def schedule(spec: str, seed: int = 5):
    return run(create(spec), paper(seed)).schedule


def broken(kind: str) -> Network | Cuts:
    """Values that say nothing true."""
    system = paper().system
    kinds = int(system.holds.sum())
    features = len(value_features(np.zeros(len(system.classes)), 1.0))
    rng = np.random.default_rng(3)

    def layer(new: int, old: int, size: float) -> Layer:
        hidden = np.abs(rng.normal(size=(new, old)))
        servers, given = rng.normal(size=(new, kinds)), rng.normal(size=(new, features))
        return Layer(hidden, size * servers, size * given, np.zeros(new))

    if kind == "nan":
        return Cuts(np.full((2, kinds), np.nan), np.zeros((2, features)), np.zeros(2))
    if kind == "random":
        return Network((layer(6, 0, 1.0), layer(1, 6, 1.0)))
    worth = {"adversarial": -50.0, "stops everything": 50.0}[kind]  # $ a server
    return Cuts(np.full((1, kinds), worth), np.zeros((1, features)), np.zeros(1))


@pytest.mark.parametrize(
    "spec", ["open_loop", "torta_plus", "torta_plus:value=network", "torta_plus:value=cuts"]
)
def test_runs_and_passes_the_referee(spec):
    instance = paper()
    answer = schedule(f"{spec}:{BUDGET}")
    assert verify(instance, answer).ok
    assert np.isfinite(evaluate(instance, answer).cost)


@pytest.mark.parametrize("spec", ["open_loop", "torta_plus:value=network"])
def test_decisions_do_not_depend_on_the_future(spec):
    instance, at = paper(), 9
    arrivals = instance.arrivals.copy()
    arrivals[at:] = arrivals[at:][::-1] * 3
    up = instance.up.copy()
    up[at:, ::2] = False
    other = dataclasses.replace(instance, arrivals=arrivals, up=up)
    a, b = schedule(f"{spec}:{BUDGET}"), run(create(f"{spec}:{BUDGET}"), other).schedule
    for field in ("routing", "command", "command_model", "processing"):
        assert np.array_equal(getattr(a, field)[:at], getattr(b, field)[:at])
    assert not np.array_equal(a.processing[at:], b.processing[at:])


def test_without_a_value_it_is_open_loop():
    a, b = schedule(f"open_loop:{BUDGET}"), schedule(f"torta_plus:micro=greedy:{BUDGET}")
    assert np.array_equal(a.command, b.command)
    assert np.array_equal(a.processing, b.processing)


def test_programs_below_the_plan_are_those_of_open_loop() -> None:
    a, b = schedule(f"open_loop:micro=routed:{BUDGET}"), schedule(f"torta_plus:{BUDGET}")
    assert np.array_equal(a.command, b.command)
    assert np.array_equal(a.processing, b.processing)
    greedy = schedule(f"open_loop:{BUDGET}")
    assert not np.array_equal(a.processing, greedy.processing)


def test_without_time_it_is_greedy_forecast():
    a, b = schedule("greedy_forecast"), schedule("open_loop:budget=0:replan_slots=1")
    assert np.array_equal(a.command, b.command)
    assert np.array_equal(a.routing, b.routing)


@pytest.mark.parametrize("kind", ["nan", "random", "adversarial", "stops everything"])
def test_a_broken_value_does_next_to_no_harm(kind):
    policy = create(f"torta_plus:value=network:micro=greedy:{BUDGET}")
    policy.learned = broken(kind)
    cost = evaluate(paper(), run(policy, paper()).schedule).cost
    plain = evaluate(paper(), schedule(f"open_loop:{BUDGET}")).cost
    assert cost <= 1.005 * plain
    assert policy.used <= policy.proposed
    if kind == "nan":
        assert policy.proposed == 0


def test_starts_where_demand_has_no_server():
    instance = paper()
    off = dataclasses.replace(instance.initial, model=np.full_like(instance.initial.model, -1))
    answer = run(create(f"open_loop:{BUDGET}"), dataclasses.replace(instance, initial=off)).schedule
    assert (answer.command[0] == Command.START).sum() > 0
    assert answer.processing[-8:].sum() > 0


def test_servers_that_are_down_get_no_command():
    instance = paper()
    up = instance.up.copy()
    up[4:12, : up.shape[1] // 2] = False
    answer = run(create(f"open_loop:{BUDGET}"), dataclasses.replace(instance, up=up)).schedule
    assert not answer.command[~up].any()


@pytest.mark.parametrize("kind", ["cuts", "network"])
def test_weights_in_models_fit_the_paper_fleet(kind):
    system = paper().system
    value = load_value(kind, system)
    features = value_features(np.full(len(system.classes), 100.0), 200.0)
    few, many = np.full(11, 1.0), np.full(11, 20.0)
    assert value(few, features) > value(many, features)  # servers are worth something
    again = from_tensors(kind, to_tensors(value))
    assert again(few, features) == pytest.approx(value(few, features), rel=1e-5)


def test_weights_for_another_fleet_are_refused():
    with pytest.raises(InvalidInput, match="is for other types than those of this system"):
        load_value("network", torta_opt.generate("small/loading").system)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("open_loop:load=0", "load: must be above 0"),
        ("open_loop:replan_slots=1.5", "replan_slots: must be a whole number"),
        ("torta_plus:value=guess", "value: must be one of none, cuts, network"),
    ],
)
def test_wrong_parameters(spec, message):
    with pytest.raises(InvalidInput, match=message):
        create(spec)

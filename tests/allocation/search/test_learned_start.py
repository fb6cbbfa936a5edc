"""A start from any network is a legal schedule, and ``optimal`` begins with it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torta_opt import api, generate, save_instance
from torta_opt.allocation.policies.weight_files import fitted
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.verify import verify
from torta_opt.allocation.search import learned_start
from torta_opt.allocation.search.learned_start import covering_schedule, learned_schedule
from torta_opt.allocation.search.start_network import (
    PARTS,
    StartNetwork,
    load_start_network,
    plan_features,
    to_tensors,
    unit_of,
)
from torta_opt.cli import app as cli
from torta_opt.family import Request
from torta_opt.io import InvalidInput, LimitReached
from torta_opt.solvers import Limits

SMALL = {"gpu_counts": {"A100": 4, "H100": 3, "RTX4090": 4, "V100": 4, "T4": 4}}
HELD = {  # what says that a type can hold a model, and the value that says that it cannot
    "service_s": np.nan,
    "hot_service_s": np.nan,
    "server_ms": 0,
    "start_ms": -1,
    "switch_ms": -1,
}
NAMES = {covering_schedule: "covering", learned_schedule: "learned"}
PRESETS = ("small/loading", "small/outage", "small/switch", "small/residency", "small/expiry")


def network(instance, seed: int, size: float) -> StartNetwork:
    features, kinds = plan_features(instance).shape[1], int(instance.system.holds.sum())
    rng = np.random.default_rng(seed)
    shapes = (
        (6, features),
        (6,),
        (6, 6),
        (6,),
        (2 * kinds, 6),
        (2 * kinds, features),
        (2 * kinds,),
    )
    return StartNetwork(*(size * rng.normal(size=shape) for shape in shapes))


@settings(max_examples=8, deadline=None)
@given(
    st.sampled_from(PRESETS),
    st.integers(0, 2**16),
    st.sampled_from([0.0, 1.0, 1e3, 1e200, np.nan, np.inf]),
)
def test_any_network_gives_a_legal_schedule(preset, seed, size):
    instance = generate(preset)
    schedule = learned_schedule(instance, Request(), network(instance, seed, size))
    assert verify(instance, schedule).ok
    assert np.isfinite(evaluate(instance, schedule).cost)


def test_the_network_of_models_starts_within_some_per_cent_of_covering():
    instance = generate("paper/polska", 9001, slots=10)
    learned, plain = (
        evaluate(instance, make(instance, Request())).cost
        for make in (learned_schedule, covering_schedule)
    )
    assert learned == pytest.approx(plain, rel=0.1)


def test_plans_hold_only_models_that_a_type_can_hold():
    instance = generate("paper/abilene", 1, slots=5)
    network = load_start_network(instance.system)
    plan = network.plan(instance)
    assert plan.wanted.shape == plan.gain.shape == (5, *instance.system.holds.shape)
    assert unit_of(instance.system) == 2.5
    assert (plan.wanted[:, ~instance.system.holds] == 0).all()


def test_weights_for_another_fleet_are_refused():
    with pytest.raises(InvalidInput, match="is for other types than those of this system"):
        load_start_network(generate("small/loading").system)


BROKEN = {
    "last": lambda weights: weights[:, :3].copy(),
    "straight": lambda weights: weights.ravel().copy(),
}


@pytest.mark.parametrize("broken", ["missing", *BROKEN])
def test_weights_that_are_not_what_the_card_says_are_refused(broken, tmp_path):
    from safetensors.numpy import save

    system = generate("paper/abilene", 1, slots=6).system
    tensors = to_tensors(load_start_network(system))
    if broken == "missing":
        tensors.pop(PARTS[0])
    else:
        tensors[broken] = BROKEN[broken](tensors[broken])
    card = {"format": "torta-opt/start-network", "version": 1, **fitted(system)}
    (tmp_path / "mine.json").write_text(json.dumps(card))
    (tmp_path / "mine.safetensors").write_bytes(save(tensors))
    with pytest.raises(InvalidInput, match="does not hold the weights that its card describes"):
        load_start_network(system, tmp_path / "mine")


def test_weights_for_other_pairs_of_type_and_model_are_refused():
    """The names are the same, but one type cannot hold a model: the features are others."""
    system = generate("paper/abilene", 1, slots=5).system
    k, m = np.argwhere(system.holds)[0]
    changed = {name: getattr(system, name).copy() for name in HELD}
    for name, never in HELD.items():
        cells = m if name.startswith(("start", "switch")) else system.class_model == m
        changed[name][k, cells] = never
    other = dataclasses.replace(system, **changed)
    assert other.holds.sum() == system.holds.sum() - 1
    with pytest.raises(InvalidInput, match="is for other pairs of type and model") as caught:
        load_start_network(other)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [covering_schedule, learned_schedule])
@pytest.mark.parametrize("late", ["covered", "whole_servers"])
def test_every_step_of_a_start_has_the_time_that_is_left(make, late, monkeypatch):
    given = []
    step = getattr(learned_start, late)

    def recorded(*arguments):
        given.append(arguments[-1].seconds)
        return step(*arguments[:-1], Limits(seconds=1e-6))

    monkeypatch.setattr(learned_start, late, recorded)
    instance = generate("paper/abilene", 1, slots=6, **SMALL)
    request = Request(limits=Limits(seconds=600.0))
    if late == "whole_servers":
        with pytest.raises(LimitReached, match="start was not ready within the limits"):
            make(instance, request)
    else:  # the proposal stands as it is
        assert verify(instance, make(instance, request)).ok
    assert 0 < given[0] < 600.0


def test_what_the_start_took_is_no_longer_there(tmp_path, monkeypatch):
    path, given = tmp_path / "instance.json", []
    save_instance(generate("small/loading"), path)

    def solve(*arguments: object, limits: Limits, **further: object) -> None:
        given.append(limits)
        raise InvalidInput("that is enough")

    monkeypatch.setattr(api, "solve", solve)
    arguments = ["solve", str(path), "--method", "optimal", "--start", "covering"]
    assert cli.run([*arguments, "--time-limit", "600"]) == 2
    assert 0 < given[0].seconds < 600
    assert cli.run(arguments) == 2
    assert given[1] is None


def test_without_time_there_is_no_start():
    instance = generate("paper/abilene", 1, slots=6, **SMALL)
    with pytest.raises(LimitReached, match="start was not ready within the limits"):
        learned_schedule(instance, Request(limits=Limits(seconds=0)))


@pytest.mark.parametrize("make", [covering_schedule, learned_schedule])
def test_solve_takes_it_by_name(make, tmp_path, monkeypatch):
    instance = generate("paper/abilene", 3, slots=5, **SMALL)
    path, given = tmp_path / "instance.json", []
    save_instance(instance, path)

    def solve(*arguments: object, start: object, **further: object) -> None:
        given.append(start)
        raise InvalidInput("that is enough")

    monkeypatch.setattr(api, "solve", solve)
    arguments = ["solve", str(path), "--method", "optimal", "--start", NAMES[make]]
    assert cli.run(arguments) == 2
    assert verify(instance, given[0]).ok
    assert np.array_equal(given[0].command, make(instance, Request()).command)


def test_optimal_is_no_dearer_than_its_start():
    instance = generate("small/loading")
    start = covering_schedule(instance, Request())
    cost = evaluate(instance, start).cost
    assert api.solve(instance, "optimal", start=start).cost <= cost * (1 + 1e-9)


@pytest.mark.parametrize(
    ("method", "start", "message"),
    [("skylb", "learned", "takes no --gap and no --start"), ("optimal", "lerned", "lerned")],
)
def test_a_start_that_cannot_be_used_is_one_line(method, start, message, tmp_path, capsys):
    path = tmp_path / "instance.json"
    save_instance(generate("small/loading"), path)
    assert cli.run(["solve", str(path), "--method", method, "--start", start]) == 2
    assert message in capsys.readouterr().err

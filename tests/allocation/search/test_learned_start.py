"""A start from any network is a legal schedule, and ``optimal`` begins with it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torta_opt import generate, save_instance
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.verify import verify
from torta_opt.allocation.search.learned_start import learned_schedule
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


@settings(max_examples=12, deadline=None)
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


def test_the_network_of_models_is_worth_more_than_a_random_one():
    instance = generate("paper/polska", 9001, slots=10)
    cost, random = (
        evaluate(instance, learned_schedule(instance, Request(), which)).cost
        for which in (None, network(instance, 0, 1.0))
    )
    assert cost < 0.95 * random


def test_plans_hold_only_models_that_a_type_can_hold():
    instance = generate("paper/abilene", 1, slots=5)
    network = load_start_network(instance.system)
    plan = network.plan(instance)
    assert plan.wanted.shape == plan.gain.shape == (5, *instance.system.holds.shape)
    assert unit_of(instance.system) == 2.5
    assert (plan.wanted[:, ~instance.system.holds] == 0).all()


def test_weights_for_another_fleet_are_refused():
    with pytest.raises(InvalidInput, match="is for other types than this system"):
        load_start_network(generate("small/loading").system)


@pytest.mark.parametrize("broken", ["missing", "shape"])
def test_weights_that_are_not_what_the_card_says_are_refused(broken, tmp_path):
    from safetensors.numpy import save

    system = generate("paper/abilene", 1, slots=6).system
    tensors = to_tensors(load_start_network(system))
    if broken == "missing":
        tensors.pop(PARTS[0])
    else:
        tensors["last"] = tensors["last"][:, :3].copy()
    fields = {name: list(getattr(system, name)) for name in ("types", "models", "classes")}
    card = {"format": "torta-opt/start-network", "version": 1, **fields}
    (tmp_path / "mine.json").write_text(json.dumps(card))
    (tmp_path / "mine.safetensors").write_bytes(save(tensors))
    with pytest.raises(InvalidInput, match="does not hold the weights its card describes"):
        load_start_network(system, tmp_path / "mine")


def test_without_time_there_is_no_start():
    instance = generate("paper/abilene", 1, slots=6, **SMALL)
    with pytest.raises(LimitReached, match="not ready within the limits"):
        learned_schedule(instance, Request(limits=Limits(seconds=0)))


def test_solve_takes_it_by_name(tmp_path, capsys):
    instance = generate("paper/abilene", 3, slots=5, **SMALL)
    path = tmp_path / "instance.json"
    save_instance(instance, path)
    arguments = ["solve", str(path), "--method", "optimal", "--start", "learned", "--json"]
    assert cli.run([*arguments, "--gap", "0.5"]) == 0
    found = json.loads(capsys.readouterr().out)
    start = evaluate(instance, learned_schedule(instance, Request())).cost
    assert found["cost"] <= start * (1 + 1e-9)
    first = next(sample["cost"] for sample in found["trace"] if sample["cost"] is not None)
    assert first == pytest.approx(start)  # the first schedule that there was


@pytest.mark.parametrize(
    ("method", "start", "message"),
    [("skylb", "learned", "takes no --gap and no --start"), ("optimal", "lerned", "lerned")],
)
def test_a_start_that_cannot_be_used_is_one_line(method, start, message, tmp_path, capsys):
    path = tmp_path / "instance.json"
    save_instance(generate("small/loading"), path)
    assert cli.run(["solve", str(path), "--method", method, "--start", start]) == 2
    assert message in capsys.readouterr().err

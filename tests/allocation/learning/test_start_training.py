"""Examples continue where they ended, and the same examples give the same weights."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from torta_opt import generate
from torta_opt.allocation.learning import start_examples
from torta_opt.allocation.learning.start_examples import (
    Examples,
    disturbed,
    examples,
    solved_plan,
    window,
    windows,
)
from torta_opt.allocation.learning.start_training import fit_network, quality
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule.step import initial_state
from torta_opt.allocation.search.start_network import PARTS

DRAWS = [("paper/abilene", 1), ("paper/polska", 2)]


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_examples, "SLOTS", 8)
    monkeypatch.setattr(start_examples, "WINDOWS", (3, 4))


@cache
def learned() -> Examples:
    return examples(DRAWS, None, lambda so_far: None)


def test_examples_continue_where_they_ended():
    parts = []
    examples(DRAWS[:1], None, parts.append)
    again = examples(DRAWS, parts[-1], parts.append)
    for name, array in vars(learned()).items():
        assert np.array_equal(array, getattr(again, name)), name
    fewer = examples(DRAWS[:1], again, parts.append)  # a file may hold more than is asked for
    assert np.array_equal(fewer.features, parts[0].features)


def test_the_same_examples_give_the_same_bytes():
    first, second = (fit_network(learned(), 5, seed=3) for _ in range(2))
    other = fit_network(learned(), 5, seed=4)
    assert all(getattr(first, p).tobytes() == getattr(second, p).tobytes() for p in PARTS)
    assert first.first.tobytes() != other.first.tobytes()


def test_training_comes_closer_to_what_it_has_seen():
    before, after = (quality(fit_network(learned(), n, 0), learned()) for n in (0, 80))
    assert after["servers_percent"] < 0.5 * before["servers_percent"]


def test_a_window_begins_where_the_schedule_has_got():
    instance = generate("paper/abilene", 1, slots=6)
    schedule = run(create("greedy_forecast"), instance).schedule
    whole = window(instance, schedule, 0, 6)
    assert np.array_equal(initial_state(whole).model, initial_state(instance).model)
    later = window(instance, schedule, 3, 3)
    assert np.array_equal(later.arrivals, instance.arrivals[3:])
    assert (later.initial.model != whole.initial.model).any()


def test_disturbed_windows_are_instances_that_can_be_solved():
    instance = windows("paper/abilene", 5)[0]
    other = disturbed(instance, np.random.default_rng(1))
    assert not np.array_equal(other.initial.model, instance.initial.model)
    plan = solved_plan(other)
    assert plan.wanted.shape == plan.gain.shape == (other.slots, *other.system.holds.shape)
    assert (plan.wanted >= -1e-6).all()
    assert (plan.gain >= 0).all()
    assert plan.wanted.sum() > 0

"""Plans of the merged program become legal schedules, good ones where the horizon is long."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
import pytest
from support.optima import slack, tiniest
from support.sizes import examples
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds.merged import merged_bound
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.search import merged_plan as merged
from torta_opt.allocation.search.merged_plan import plan_merged
from torta_opt.allocation.search.slot_routing import Router
from torta_opt.solvers import Limits, Result, Status, solve_lp


def test_plans_are_legal_and_often_best() -> None:
    best_found, count = 0, examples(40)
    for instance, best in tiniest(count):
        schedule = plan_merged(instance)
        assert schedule is not None
        verify(instance, schedule).raise_if_broken("merged")
        cost = evaluate(instance, schedule).cost
        assert cost >= best - slack(best)
        best_found += cost <= best + slack(best)
    assert best_found > count // 2


@pytest.mark.slow
def test_plans_of_thousands_are_legal() -> None:
    rng = np.random.default_rng(32)
    for _ in range(2000):
        instance = random_tiny_instance(rng)
        schedule = plan_merged(instance)
        assert schedule is not None
        verify(instance, schedule).raise_if_broken("merged")


@pytest.mark.parametrize(
    "preset",
    [
        "paper/polska",
        "paper/abilene+outage",
        pytest.param("paper/gabriel", marks=pytest.mark.slow),  # the largest
    ],
)
@pytest.mark.parametrize("slots", [10, pytest.param(24, marks=pytest.mark.slow)])
def test_a_long_horizon_is_planned_well(preset: str, slots: int) -> None:
    instance = generate(preset, seed=5, slots=slots)
    found = merged_bound(instance)
    schedule = plan_merged(instance, found)
    assert schedule is not None
    verify(instance, schedule).raise_if_broken("merged")
    assert evaluate(instance, schedule).cost < 1.12 * found.value


@pytest.mark.parametrize("answers_before", [0, 1])
def test_ctrl_c_leaves_the_best_plan_so_far(
    answers_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever program of the plan is ended: the rest is not begun, what there is is kept."""
    instance = generate("paper/polska", slots=6)
    found = merged_bound(instance)
    calls: list[bool] = []

    def interrupted_later(*arguments: Any, **options: Any) -> Result:
        calls.append(True)
        answer = solve_lp(*arguments, **options)
        if len(calls) != answers_before + 1:
            return answer
        return dataclasses.replace(answer, status=Status.INTERRUPTED, x=None)

    monkeypatch.setattr(merged, "solve_lp", interrupted_later)
    with pytest.raises(merged.PlanInterrupted) as stopped:
        plan_merged(instance, found)
    assert (stopped.value.schedule is not None) == (answers_before > 0)
    if stopped.value.schedule is not None:
        verify(instance, stopped.value.schedule).raise_if_broken("merged")


def test_ctrl_c_in_the_bound_leaves_no_plan() -> None:
    instance = generate("paper/polska", slots=6)
    found = dataclasses.replace(merged_bound(instance), interrupted=True, x=None)
    with pytest.raises(KeyboardInterrupt):
        plan_merged(instance, found)


def test_nothing_within_the_limit_is_nothing() -> None:
    assert plan_merged(generate("paper/polska", slots=64), limits=Limits(seconds=0)) is None


def test_once_time_is_up_no_program_is_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time ends with the first answer: it becomes a legal schedule without further programs."""
    instance = generate("paper/polska", slots=6)
    found = merged_bound(instance)
    limit, told, solved = Limits(seconds=1000), [], []

    def slow(*arguments: Any, **options: Any) -> Result:
        solved.append(True)
        monkeypatch.setattr(time, "perf_counter", lambda: began + 2000)
        return solve_lp(*arguments, **options)

    def never(*arguments: Any) -> None:
        raise AssertionError("a program after the end of time")

    began = time.perf_counter()
    monkeypatch.setattr(merged, "solve_lp", slow)
    monkeypatch.setattr(Router, "slot", never)
    schedule = plan_merged(instance, found, limit, lambda: told.append(True))
    assert solved == [True]
    assert told
    assert schedule is not None
    verify(instance, schedule).raise_if_broken("merged")

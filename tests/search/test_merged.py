"""Plans of the merged program become legal schedules, good ones where the horizon is long."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from support.optima import slack, tiniest
from support.tiny import random_tiny_instance

from torta_opt.bounds.merged import merged_bound
from torta_opt.instance.generate import generate
from torta_opt.schedule import evaluate, verify
from torta_opt.search import merged, routing
from torta_opt.search.merged import plan_merged
from torta_opt.search.routing import route
from torta_opt.solvers import Limits, Result, Status, solve_lp


def test_plans_are_legal_and_often_best() -> None:
    best_found = 0
    for instance, best in tiniest(seed=31, count=80):
        schedule = plan_merged(instance)
        assert schedule is not None
        verify(instance, schedule).raise_if_broken("merged")
        cost = evaluate(instance, schedule).cost
        assert cost >= best - slack(best)
        best_found += cost <= best + slack(best)
    assert best_found > 40


@pytest.mark.slow
def test_plans_of_thousands_are_legal() -> None:
    rng = np.random.default_rng(32)
    for _ in range(2000):
        instance = random_tiny_instance(rng)
        schedule = plan_merged(instance)
        assert schedule is not None
        verify(instance, schedule).raise_if_broken("merged")


@pytest.mark.parametrize("preset", ["paper/polska", "paper/abilene+outage", "paper/gabriel"])
def test_a_long_horizon_is_planned_well(preset: str) -> None:
    instance = generate(preset, seed=5, slots=24)
    found = merged_bound(instance)
    schedule = plan_merged(instance, found)
    assert schedule is not None
    verify(instance, schedule).raise_if_broken("merged")
    assert evaluate(instance, schedule).cost < 1.12 * found.value


def test_routing_delivers_what_was_planned() -> None:
    """Rows add up to arrivals, columns to what each region is to get; whole and where allowed."""
    rng = np.random.default_rng(33)
    for _ in range(60):
        instance = random_tiny_instance(rng)
        allowed = instance.system.allowed
        inflow = np.zeros_like(instance.arrivals)
        for t, i, c in np.argwhere(instance.arrivals):
            there = np.flatnonzero(allowed[i])
            share = rng.multinomial(instance.arrivals[t, i, c], np.full(len(there), 1 / len(there)))
            inflow[t, there, c] += share
        for branch in (False, True):
            routed = route(instance, inflow, branch=branch)
            assert (routed.sum(axis=2) == instance.arrivals).all()
            assert (routed.sum(axis=1) == inflow).all()
            assert not routed[:, ~allowed].any()


def test_branching_reroutes_less() -> None:
    instance = generate("paper/polska", seed=4, slots=8)
    schedule = plan_merged(instance)
    assert schedule is not None
    inflow = schedule.routing.sum(axis=1)
    branched = dataclasses.replace(schedule, routing=route(instance, inflow, branch=True))
    assert evaluate(instance, branched).cost < evaluate(instance, schedule).cost


@pytest.mark.parametrize("answers_before", [0, 1])
def test_ctrl_c_leaves_the_best_plan_so_far(
    answers_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever program of the plan is ended: the rest is not begun, what there is is kept."""
    instance = generate("paper/polska", slots=12)
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


def test_ctrl_c_while_requests_are_routed(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = generate("paper/polska", slots=12)

    def interrupted(*arguments: Any, **options: Any) -> Result:
        return dataclasses.replace(
            solve_lp(*arguments, **options), status=Status.INTERRUPTED, x=None
        )

    monkeypatch.setattr(routing, "solve_lp", interrupted)
    with pytest.raises(KeyboardInterrupt):
        route(instance, instance.arrivals)


def test_ctrl_c_in_the_bound_leaves_no_plan() -> None:
    instance = generate("paper/polska", slots=12)
    found = dataclasses.replace(merged_bound(instance), interrupted=True, x=None)
    with pytest.raises(KeyboardInterrupt):
        plan_merged(instance, found)


def test_nothing_within_the_limit_is_nothing() -> None:
    assert plan_merged(generate("paper/polska", slots=24), limits=Limits(seconds=0)) is None

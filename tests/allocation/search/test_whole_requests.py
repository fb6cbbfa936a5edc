"""Requests planned anew on given servers: legal, cheaper where regions differ."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from support.optima import slack, tiniest
from support.tiny import random_tiny_instance

from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.merged import MergedProgram, build_merged_program
from torta_opt.allocation.instance.data import OFF, Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.search import request_plan, whole_requests
from torta_opt.allocation.search.merged_plan import PlanInterrupted, plan_merged
from torta_opt.allocation.search.request_window import Window, WindowData
from torta_opt.allocation.search.whole_cells import WholeSlot, whole_cells, whole_program
from torta_opt.allocation.search.whole_requests import replanned, waiting_usd
from torta_opt.solvers import Limits, Problem, solve_lp


def merged_of(instance: Instance) -> MergedProgram:
    merged = build_merged_program(instance)
    return dataclasses.replace(merged, program=with_knapsack_rows(merged.program))


@pytest.fixture(scope="module")
def planned() -> tuple[Instance, Schedule]:
    instance = generate("paper/polska", seed=3, slots=24).cut(0, 2)
    schedule = plan_merged(instance)
    assert schedule is not None
    return instance, schedule


def test_less_is_rerouted_on_the_same_servers(planned: tuple[Instance, Schedule]) -> None:
    instance, before = planned
    told: list[int] = []
    after = replanned(instance, before, merged_of(instance), on_slot=told.append)
    verify(instance, after).raise_if_broken("replanned")
    was, now = evaluate(instance, before), evaluate(instance, after)
    assert now.costs["rerouting"] < 0.9 * was.costs["rerouting"]
    assert now.cost < was.cost
    assert (after.command == before.command).all()
    assert (after.command_model == before.command_model).all()
    assert told == [1, 2]


def test_without_time_the_schedule_stays(
    planned: tuple[Instance, Schedule], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No program is solved for longer than there is time, not even that of the prices."""
    instance, before = planned
    told: list[float] = []

    def noted(problem: Problem, method: str, limits: Limits | None = None, **options: Any) -> Any:
        told.append((limits or Limits()).seconds)
        return solve_lp(problem, method, limits, **options)

    monkeypatch.setattr(whole_requests, "solve_lp", noted)
    after = replanned(instance, before, merged_of(instance), Limits(seconds=0))
    assert (after.routing == before.routing).all()
    assert (after.processing == before.processing).all()
    assert set(told) <= {0.0}


def test_interrupted_it_keeps_what_is_planned(
    planned: tuple[Instance, Schedule], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the integer program gives to the cells of that slot is all divided among servers."""
    instance, before = planned
    asked: list[float] = []

    def noted(*arguments: Any) -> WholeSlot:
        assert whole_program(*arguments).is_boxed  # HiGHS may not end where it is not
        whole = whole_cells(*arguments)
        asked.append(whole.z.sum())
        return whole

    def stop(done: int) -> None:
        assert done == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(request_plan, "whole_cells", noted)
    monkeypatch.setattr(whole_requests, "cheaper_parts", lambda _, planned, before: planned)
    with pytest.raises(PlanInterrupted) as caught:
        replanned(instance, before, merged_of(instance), on_slot=stop)
    kept = caught.value.schedule
    assert kept is not None
    verify(instance, kept).raise_if_broken("interrupted")
    assert (kept.routing[0] != before.routing[0]).any()
    assert (kept.routing[1] == before.routing[1]).all()
    assert asked == [kept.processing[0].sum()]
    assert asked[0] > 0.9 * before.processing[0].sum()


def test_answers_a_little_below_zero_are_zero(
    planned: tuple[Instance, Schedule], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Solvers keep bounds to within a tolerance; what follows from an answer has to be feasible."""
    instance, before = planned

    def slack_everywhere(
        window: Window, data: WindowData, x: np.ndarray, dual: np.ndarray
    ) -> WholeSlot:
        problem = whole_program(window, data, x - 1e-5, dual)
        assert (problem.col_upper >= 0).all()
        return whole_cells(window, data, np.where(x > 0, x, -1e-12), dual)

    monkeypatch.setattr(request_plan, "whole_cells", slack_everywhere)
    after = replanned(instance, before, merged_of(instance))
    verify(instance, after).raise_if_broken("replanned")


def test_a_waiting_request_costs_what_one_more_costs(planned: tuple[Instance, Schedule]) -> None:
    """Nobody may serve it: then it expires, and waits until then."""
    instance, _ = planned
    idle = Schedule(
        np.zeros((*instance.arrivals.shape[:2], *instance.arrivals.shape[1:]), np.int64),
        np.zeros(instance.up.shape, np.int64),
        np.full(instance.up.shape, -1),
        np.zeros((*instance.up.shape, instance.arrivals.shape[2]), np.int64),
    )
    off = np.full(instance.up.shape[1], OFF)
    initial = dataclasses.replace(instance.initial, model=off)
    nobody = dataclasses.replace(instance, initial=initial)
    usd = waiting_usd(merged_of(nobody), idle)
    assert usd is not None
    system = instance.system
    wait = system.weights.time_usd_per_s * system.slot_s
    assert usd.shape == (instance.slots, len(system.classes))
    assert usd[instance.slots - 2] == pytest.approx(system.weights.expiry_usd)
    far = system.deadline_slots.max() + 1
    assert (usd[0] >= system.weights.expiry_usd - 1e-9).all()
    assert (usd[0] <= system.weights.expiry_usd + far * wait + 1e-9).all()


def test_legal_whatever_the_instance() -> None:
    """Outages, residency, backlogs, loading servers: legal, and never below the optimum."""
    for instance, best in tiniest(count=12):
        schedule = plan_merged(instance)
        assert schedule is not None
        after = replanned(instance, schedule, merged_of(instance))
        verify(instance, after).raise_if_broken("replanned")
        assert evaluate(instance, after).cost >= best - slack(best)


@pytest.mark.slow
def test_thousands_are_legal() -> None:
    rng = np.random.default_rng(43)
    for _ in range(1000):
        instance = random_tiny_instance(rng)
        schedule = plan_merged(instance)
        assert schedule is not None
        after = replanned(instance, schedule, merged_of(instance))
        verify(instance, after).raise_if_broken("replanned")

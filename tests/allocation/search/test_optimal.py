"""``solve_optimal``: a legal schedule, a bound below it, and an optimum where it says so."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from functools import cache
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from support.optima import slack, tiniest
from support.sizes import examples
from support.tiny import random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.bounds.merged import merged_bound
from torta_opt.allocation.formulations.user_constraint import UserConstraint
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import Schedule, evaluate, verify
from torta_opt.allocation.search import incumbent, optimal
from torta_opt.allocation.search.incumbent import Incumbent
from torta_opt.allocation.search.optimal import solve_optimal
from torta_opt.allocation.search.start import STARTERS
from torta_opt.io import Infeasible, LimitReached, VerificationFailed
from torta_opt.results import Found
from torta_opt.solvers import Limits, Progress


def assert_sound(instance: Instance, found: Found, best: float) -> None:
    assert verify(instance, found.schedule).ok
    assert found.cost == evaluate(instance, found.schedule).cost
    assert found.bound <= best + slack(best)
    assert found.cost >= best - slack(best)


def assert_optimal_where_claimed(instance: Instance, best: float) -> bool:
    found = solve_optimal(instance, Limits(gap=1e-6))
    assert_sound(instance, found, best)
    proved = found.cost - found.bound <= 1e-6 * abs(found.cost)
    if proved:
        assert abs(found.cost - best) <= 2e-6 * (1 + abs(best))
    return proved


@cache
def switch() -> tuple[Instance, Found]:
    """small/switch and its optimum, which several tests begin with."""
    instance = generate("small/switch")
    return instance, solve_optimal(instance)


def test_optimal_is_the_cheapest_of_all_schedules_where_it_claims_so() -> None:
    cases = tiniest(count=examples(25))
    assert sum(itertools.starmap(assert_optimal_where_claimed, cases)) > 0.56 * len(cases)


def test_programs_too_large_to_be_solved_whole_are_bounded_by_windows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(optimal, "WHOLE_COLUMNS", 0)
    better = 0
    for instance, best in tiniest(count=examples(15)):
        found = solve_optimal(instance, Limits(gap=1e-6, threads=1))
        assert_sound(instance, found, best)
        better += found.bound > merged_bound(instance).value + 1e-6 * (1 + abs(best))
    assert better > 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_optimal_is_the_cheapest_of_all_schedules_on_thousands(seed: int) -> None:
    cases = tiniest(250, seed=4100 + seed)
    assert sum(itertools.starmap(assert_optimal_where_claimed, cases)) > 150


def test_tiny_instances_are_solved_to_their_end() -> None:
    assert_solved_to_their_end(examples(20))


def assert_solved_to_their_end(count: int) -> None:
    """Three servers, waits of three slots, squares: whatever separates pools from schedules."""
    cases = tiniest(count, servers=3, deadline_slots=3, frobenius=0.6)
    for instance, best in cases:
        found = solve_optimal(instance)
        assert_sound(instance, found, best)
        assert found.reached
        assert found.stopped in (incumbent.REACHED, incumbent.SOLVED)
        assert found.cost == pytest.approx(best, rel=1e-6, abs=slack(best))


@pytest.mark.slow
def test_hundreds_of_tiny_instances_are_solved_to_their_end() -> None:
    assert_solved_to_their_end(400)


def test_a_rule_that_keeps_the_gap_open_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimal, "NAMED_COLUMNS", 0)
    stopped = {
        found.stopped
        for found in (solve_optimal(instance) for instance, _ in tiniest(count=examples(15)))
        if not found.reached
    }
    assert stopped
    assert all("more than the 0 columns" in reason for reason in stopped)


# --- what it begins with ------------------------------------------------------------------------


def test_never_dearer_than_a_policy_it_begins_with() -> None:
    rng = np.random.default_rng(45)
    for _ in range(6):
        instance = random_tiny_instance(rng)
        found = solve_optimal(instance, Limits(work=0))
        for name in STARTERS:
            schedule = run(create(name), instance).schedule
            cost = evaluate(instance, schedule).cost
            assert found.cost <= cost + slack(cost)


def test_ctrl_c_before_the_first_schedule_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(optimal, "policy_schedules", interrupted)
    with pytest.raises(KeyboardInterrupt):
        solve_optimal(generate("small/switch"))


def test_progress_tells_costs_of_verified_schedules_and_proved_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples: list[Progress] = []
    costs = {float("inf")}
    honest = Incumbent.offer

    def offer(best: Any, schedule: Schedule | None) -> None:
        if schedule is not None:
            costs.add(evaluate(best.instance, schedule).cost)
        honest(best, schedule)

    monkeypatch.setattr(Incumbent, "offer", offer)
    instance = generate("small/switch")
    found = solve_optimal(instance, Limits(gap=0.0, work=1), on_progress=samples.append)
    assert {sample.phase for sample in samples} >= {"policies", "branch and bound"}
    assert all(sample.incumbent in costs for sample in samples)
    assert all(sample.bound <= found.cost for sample in samples)
    assert samples[-1].bound <= found.bound + slack(found.bound)
    seconds = [sample.seconds for sample in samples]
    assert seconds == sorted(seconds)
    assert (found.reached, found.stopped) == (False, "the work limit came first")


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("work", [0, 1, 3])
def test_a_work_limit_leaves_a_sound_answer_or_none(work: int) -> None:
    for instance, best in tiniest(count=10):
        with contextlib.suppress(LimitReached):
            found = solve_optimal(instance, Limits(work=work))
            assert_sound(instance, found, best)


def test_no_time_leaves_the_schedule_of_a_policy() -> None:
    instance = generate("small/loading")
    found = solve_optimal(instance, Limits(seconds=0.0))
    first = run(create(STARTERS[0]), instance).schedule
    assert found.cost == evaluate(instance, first).cost
    assert found.bound == floor(instance).value
    assert (found.reached, found.stopped) == (False, "the time limit came first")


def test_a_start_is_what_no_time_returns() -> None:
    instance = generate("small/loading")
    start = random_feasible_schedule(instance, np.random.default_rng(3))
    found = solve_optimal(instance, Limits(seconds=0.0), start=start)
    assert found.schedule is start
    assert found.bound <= found.cost


def test_no_answer_is_dearer_than_its_start() -> None:
    rng = np.random.default_rng(44)
    for _ in range(12):
        instance = random_tiny_instance(rng)
        start = random_feasible_schedule(instance, rng)
        found = solve_optimal(instance, Limits(gap=0.5, work=1), start=start)
        assert found.cost <= evaluate(instance, start).cost


def test_an_illegal_start_is_no_start() -> None:
    instance = generate("small/loading")
    legal = random_feasible_schedule(instance, np.random.default_rng(3))
    empty = np.zeros_like(legal.routing)
    broken = Schedule(empty, legal.command, legal.command_model, legal.processing)
    found = solve_optimal(instance, start=broken)
    assert verify(instance, found.schedule).ok


def test_a_gap_stops_the_search() -> None:
    instance = generate("small/switch")
    loose, tight = (solve_optimal(instance, Limits(gap=gap)) for gap in (0.9, 0.0))
    assert loose.gap <= 0.9
    assert tight.cost <= loose.cost
    assert tight.bound >= loose.bound - slack(loose.bound)


# --- Ctrl-C -------------------------------------------------------------------------------------


def test_ctrl_c_in_branch_and_bound_returns_the_best_so_far() -> None:
    instance = generate("paper/abilene").cut(0, 2)

    def stop(sample: Progress) -> None:
        raise KeyboardInterrupt

    found = solve_optimal(instance, Limits(gap=0.0, seconds=120), on_progress=stop)
    assert found.interrupted
    assert verify(instance, found.schedule).ok
    assert found.bound <= found.cost


@pytest.mark.parametrize("calls_before", [0, 1, 2, 3])
def test_ctrl_c_anywhere_returns_the_best_so_far(
    calls_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes while a schedule is rounded: then there are those of policies at the least."""
    instance, rounded = generate("small/switch"), []
    honest = optimal.round_relaxation

    def interrupted(*arguments: Any) -> Schedule | None:
        if len(rounded) >= calls_before:
            raise KeyboardInterrupt
        rounded.append(honest(*arguments))
        return rounded[-1]

    monkeypatch.setattr(optimal._Steps, "merge", lambda steps: None)
    monkeypatch.setattr(optimal, "round_relaxation", interrupted)
    found = solve_optimal(instance, Limits(gap=0.0))
    assert verify(instance, found.schedule).ok
    for schedule in rounded:
        assert found.cost <= evaluate(instance, schedule).cost
    assert found.interrupted == (calls_before < len(optimal.DISCOUNTS))


# --- a user's constraints -----------------------------------------------------------------------


def at_most_starts(most: float) -> UserConstraint:
    """At most so many starts over the horizon."""

    def add(model: pyo.ConcreteModel, instance: Instance) -> None:
        model.few_starts = pyo.Constraint(expr=sum(model.start.values()) <= most)

    def check(instance: Instance, schedule: Schedule) -> float:
        return float((schedule.command == 1).sum()) - most

    return UserConstraint("few starts", add, check)


def test_a_schedule_keeps_the_constraints() -> None:
    instance, free = switch()
    starts = int((free.schedule.command == 1).sum())
    assert starts > 0
    found = solve_optimal(instance, constraints=[at_most_starts(starts - 1)])
    assert int((found.schedule.command == 1).sum()) < starts
    assert found.bound >= free.bound - slack(free.bound)
    assert found.cost >= found.bound


def test_a_start_that_breaks_a_constraint_is_no_start() -> None:
    instance, free = switch()
    with pytest.raises(LimitReached):
        solve_optimal(
            instance,
            Limits(seconds=0.0),
            start=free.schedule,
            constraints=[at_most_starts(0)],
        )


def test_constraints_that_leave_no_schedule_are_infeasible() -> None:
    with pytest.raises(Infeasible, match="no schedule satisfies"):
        solve_optimal(generate("small/switch"), constraints=[at_most_starts(-1)])


def test_a_check_that_no_schedule_passes_is_no_proof_of_infeasibility() -> None:
    """The rows allow what the check forbids: nothing was proved, nothing was found."""
    never = UserConstraint("never", at_most_starts(99).add, lambda instance, schedule: 1.0)
    with pytest.raises(LimitReached, match="no schedule found that keeps"):
        solve_optimal(generate("small/switch"), constraints=[never])


def test_a_bound_that_the_schedule_refutes_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not cut down to the cost: one of the two is wrong, and nobody knows which."""
    instance, free = switch()
    cost = free.cost
    sound = optimal.branch_bound

    def overclaims(*arguments: Any, **options: Any) -> Any:
        found = sound(*arguments, **options)
        return dataclasses.replace(found, value=1.001 * cost)

    monkeypatch.setattr(optimal, "branch_bound", overclaims)
    with pytest.raises(VerificationFailed, match="less than the optimal bound"):
        solve_optimal(instance, Limits(gap=0.0))


def test_rows_that_cut_off_a_schedule_that_keeps_the_constraint_are_noticed() -> None:
    """Rows ask for no start at all, the check for no more than a thousand."""
    instance, free = switch()
    start = free.schedule
    assert (start.command == 1).any()
    wrong = dataclasses.replace(at_most_starts(0.0), check=at_most_starts(1000.0).check)
    with pytest.raises(VerificationFailed):
        solve_optimal(instance, start=start, constraints=[wrong])

"""The fast path against trying everything, and against the named program."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from support.assignments import brute_force, random_assignment
from support.sizes import examples

from torta_opt.allocation.assignment import solve
from torta_opt.allocation.assignment.solve import solve_assignment, value_of
from torta_opt.allocation.formulations.assignment import Assignment, build_assignment_program
from torta_opt.solvers import Limits, solve_milp

CLOSE = 1e-6


def check(seed: int, **sizes: int) -> None:
    data = random_assignment(np.random.default_rng(seed), must_serve=0.1, **sizes)
    expected, found = brute_force(data), solve_assignment(data)
    if math.isinf(expected):
        assert not found.found
        return
    assert found.objective == pytest.approx(expected, abs=CLOSE), seed
    assert found.is_optimal


def test_the_fast_path_finds_what_trying_everything_finds() -> None:
    for seed in range(examples(40)):
        check(seed)
        check(seed, options=1, slots=1, servers=3, requests=3)


@pytest.mark.slow
def test_the_fast_path_finds_what_trying_everything_finds_on_thousands() -> None:
    for seed in range(80, 1500):
        check(seed)
        check(seed, options=1, slots=1, servers=3, requests=3)


def alike(seed: int, groups: int | None = None) -> Assignment:
    """One model, many servers of two kinds, a look-ahead of real numbers."""
    rng = np.random.default_rng(seed)
    servers, drawn, slots = (int(n) for n in rng.integers((3, 1, 1), (6, 3, 4)))
    groups = groups or drawn
    kind = rng.integers(0, 2, servers)
    work = rng.integers(50, 400, (2, groups))
    return Assignment(
        group_model=np.zeros(groups, int),
        arrivals=rng.integers(0, 25, (slots, groups)).astype(float),
        waiting=rng.integers(0, 6, (groups, 2)),
        deadline_slots=rng.integers(0, 4, groups),
        work_ms=work[kind],
        serve_usd=np.repeat(rng.uniform(0, 1, (1, 2, groups)), slots, axis=0)[:, kind],
        hot_usd=rng.uniform(0, 0.05, (2, groups))[kind],
        hot_permille=370,
        quota=rng.integers(0, 3, (servers, groups)),
        count=np.ones(servers, int),
        usable_ms=np.full((servers, 1, slots, 1), 1000),
        option_usd=np.zeros((servers, 1)),
        wait_usd=2.0,
        expiry_usd=rng.uniform(4, 8, groups),
        left_usd=rng.uniform(0, 3, groups),
    )


@pytest.mark.parametrize("seed", range(12))
def test_counting_finds_the_optimum_of_the_named_program(seed: int) -> None:
    data = alike(seed)
    found = solve_assignment(data)
    direct = solve_milp(build_assignment_program(data).problem, Limits(gap=1e-7))
    assert found.objective == pytest.approx(direct.objective, rel=1e-5)
    assert found.bound <= direct.objective + CLOSE
    assert value_of(data, found.z) == pytest.approx(found.objective, rel=1e-5)


def test_no_time_leaves_the_start() -> None:
    for seed in range(5):
        data = alike(seed)
        start = np.zeros(data.work_ms.shape, int)
        found = solve_assignment(data, Limits(seconds=0.0), start)
        assert found.objective <= value_of(data, start) + CLOSE
        assert found.bound <= found.objective


def test_a_start_is_never_made_worse() -> None:
    for seed in range(5):
        data = alike(seed)
        best = solve_assignment(data)
        again = solve_assignment(data, Limits(work=0), best.z)
        assert again.objective <= best.objective + 1e-5 * abs(best.objective)


@pytest.mark.parametrize("seed", range(8))
def test_without_integer_programs_the_answer_is_legal_and_costs_what_it_says(seed: int) -> None:
    """The rounded relaxation alone: above the optimum, below what is said, never above a start."""
    data = alike(seed)
    found = solve_assignment(data, programs=0)
    best = solve_assignment(data)
    true = value_of(data, found.z)
    assert found.found
    assert best.bound - CLOSE <= true <= found.objective + CLOSE
    assert found.bound <= best.objective + CLOSE
    again = solve_assignment(data, start=best.z, programs=0)
    assert value_of(data, again.z) <= max(true, best.objective) + CLOSE
    assert again.objective <= found.objective + CLOSE


@pytest.mark.parametrize("groups", [3, 4])
@pytest.mark.parametrize("programs", [0, 3])
def test_any_number_of_groups_is_handed_to_servers(groups: int, programs: int) -> None:
    """With limits: legal, never cheaper than said or than the bound, and near the optimum."""
    above, usd = 0.0, 0.0
    for seed in (1, 2, 5):
        data = alike(seed, groups)
        found = solve_assignment(data, Limits(gap=1e-4, work=20), programs=programs)
        true, direct = value_of(data, found.z), value_of_optimum(data)
        assert found.found
        assert found.bound - CLOSE <= direct <= true + CLOSE <= found.objective + 2 * CLOSE
        above, usd = above + true - direct, usd + direct
    assert above <= 0.02 * usd


def value_of_optimum(data: Assignment) -> float:
    return solve_milp(build_assignment_program(data).problem, Limits(gap=1e-7)).objective


def test_of_many_groups_the_optimum_is_proven_without_limits() -> None:
    for seed in (1, 2):
        data = alike(seed, 3)
        found = solve_assignment(data)
        assert found.objective == pytest.approx(value_of_optimum(data), rel=1e-5)
        assert found.is_optimal


def test_with_limits_no_named_program_of_many_groups_is_solved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its root alone would take a second for twenty servers."""

    def refuse(*_: object) -> None:
        raise AssertionError("a named program was solved")

    monkeypatch.setattr(solve, "_by_name", refuse)
    for seed in range(6):
        assert solve_assignment(alike(seed, 4), Limits(gap=1e-9, work=20), programs=3).found
    with pytest.raises(AssertionError, match="named"):
        solve_assignment(alike(2, 4), Limits(gap=1e-9, work=20))


def test_one_server_cannot_start_with_what_two_can_do() -> None:
    data = alike(1)
    servers = np.flatnonzero((data.work_ms == data.work_ms[0]).all(axis=1))[:2]
    start = np.zeros(data.work_ms.shape, int)
    start[servers[0], 0] = data.room[0, servers[0], 0, 0] + 1
    assert len(servers) == 2
    found = solve_assignment(data, start=start, programs=0)
    assert not np.array_equal(found.z, start)
    assert math.isfinite(value_of(data, found.z))


def test_a_start_that_is_illegal_counts_for_nothing() -> None:
    data = alike(1)
    assert math.isinf(value_of(data, np.full(data.work_ms.shape, 10**6)))
    whole = dataclasses.replace(data, whole_slots=1)
    assert solve_assignment(whole, start=np.full(data.work_ms.shape, 10**6)).found

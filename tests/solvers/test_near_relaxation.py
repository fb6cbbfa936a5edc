"""Integer programs solved near their relaxation: the optimum of the whole program."""

from __future__ import annotations

import dataclasses
from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sparse
from support.random_problems import solvable
from support.sizes import examples

from torta_opt.solvers import Limits, Problem, Result, Status, checks, solve_lp, solve_milp
from torta_opt.solvers import near_relaxation as near
from torta_opt.solvers.near_relaxation import fixed_by_reduced_costs, solve_near_relaxation

EXACT = Limits(gap=1e-9)


def _whole(problem: Problem, scale: int) -> Problem:
    """All columns integer, and counts ``scale`` times as large."""
    return dataclasses.replace(
        problem,
        row_lower=problem.row_lower * scale,
        row_upper=problem.row_upper * scale,
        col_lower=problem.col_lower * scale,
        col_upper=problem.col_upper * scale,
        integrality=np.ones(problem.columns, bool),
    )


@pytest.mark.parametrize("scale", [1, 7, 1000])
def test_it_finds_the_optimum(scale: int) -> None:
    for seed in range(examples(25)):
        problem = _whole(solvable(seed), scale)
        found, plain = solve_near_relaxation(problem, EXACT), solve_milp(problem, EXACT)
        assert found.status is plain.status is Status.OPTIMAL
        assert found.x is not None
        assert checks.is_feasible(problem, found.x)
        assert found.objective == pytest.approx(plain.objective, rel=1e-8, abs=1e-8)
        assert found.bound <= found.objective


def test_reduced_costs_fix_no_point_that_is_as_good() -> None:
    """Every whole point that costs no more lies within the bounds: all of them are looked at."""
    narrowed, count = 0, examples(40)
    for seed in range(count):
        problem = _whole(solvable(seed, rows=3, columns=4), 1)
        relaxed, best = solve_lp(problem, "simplex"), solve_milp(problem, EXACT)
        for cost in (best.objective, best.objective + 0.3 * abs(best.objective) + 0.1):
            lower, upper = fixed_by_reduced_costs(problem, relaxed, cost)
            narrowed += int(((lower > problem.col_lower) | (upper < problem.col_upper)).sum())
            ends = zip(problem.col_lower, problem.col_upper, strict=True)
            for point in product(*(np.arange(low, high + 1) for low, high in ends)):
                x = np.array(point)
                if checks.is_feasible(problem, x) and checks.objective(problem, x) <= cost:
                    assert (x >= lower).all()
                    assert (x <= upper).all()
    assert narrowed > count


def test_columns_that_are_free_of_charge_are_not_fixed() -> None:
    """At an optimum of 0 there is no room: 0/0 of a column without a reduced cost is no number."""
    problem = _whole(solvable(0, rows=3, columns=3), 1)
    duals = np.array([0.0, 1e-320, 1.0])
    relaxed = dataclasses.replace(solve_lp(problem, "simplex"), bound=0.0, col_dual=duals)
    with np.errstate(all="raise"):
        for cost in (0.0, 1.0):
            lower, upper = fixed_by_reduced_costs(problem, relaxed, cost)
            assert lower[0] == problem.col_lower[0]
            assert upper[0] == problem.col_upper[0]


def test_an_optimum_far_from_the_relaxation(monkeypatch: pytest.MonkeyPatch) -> None:
    """2x = 3y: the relaxation is near whole points that break the parity; the box has none."""
    monkeypatch.setattr(near, "BOX", 1)
    matrix = sparse.csr_array(np.array([[2.0, -97.0]]))
    size = np.array([1000.0, 1000.0])
    problem = Problem(
        matrix,
        np.zeros(1),
        np.zeros(1),
        np.array([30.0, 0.0]),
        size,
        np.ones(2),
        integrality=np.ones(2, bool),
    )
    found = solve_near_relaxation(problem, EXACT)
    assert found.x is not None
    assert found.x.tolist() == [97.0, 2.0]


def test_no_point_at_all() -> None:
    matrix = sparse.csr_array(np.array([[2.0]]))
    problem = Problem(
        matrix,
        np.ones(1),
        np.ones(1),
        np.zeros(1),
        np.ones(1),
        np.ones(1),
        integrality=np.ones(1, bool),
    )
    assert solve_near_relaxation(problem).status is Status.INFEASIBLE


def test_ctrl_c_in_the_first_search_proves_no_more_than_the_relaxation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = _whole(solvable(3), 7)

    def interrupted(*arguments: Any, **options: Any) -> Result:
        return dataclasses.replace(solve_milp(*arguments, **options), status=Status.INTERRUPTED)

    monkeypatch.setattr(near, "solve_milp", interrupted)
    found = solve_near_relaxation(problem, EXACT)
    assert found.status is Status.INTERRUPTED
    assert found.bound <= solve_lp(problem, "simplex").objective + 1e-9

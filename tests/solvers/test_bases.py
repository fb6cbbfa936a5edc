"""A basis carried over: to the same program nothing is left to do, to another the optimum stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sparse
from support.random_problems import solvable

from torta_opt.io.errors import InvalidInput
from torta_opt.solvers import LinearSolver, Problem, solve_lp
from torta_opt.solvers.bases import carried


def part(problem: Problem, columns: np.ndarray) -> Problem:
    """The problem with these columns alone, in this order."""
    return Problem(
        matrix=sparse.csc_array(problem.matrix)[:, columns],
        row_lower=np.full(problem.rows, -np.inf),
        row_upper=problem.row_upper,
        col_lower=problem.col_lower[columns],
        col_upper=problem.col_upper[columns],
        cost=problem.cost[columns],
    )


@pytest.mark.parametrize("seed", range(8))
def test_a_carried_basis_finds_the_optimum(seed: int) -> None:
    problem = solvable(seed).relaxed()
    rows, columns = np.arange(problem.rows), np.arange(problem.columns)
    found = solve_lp(problem, "simplex")
    order = np.random.default_rng(seed).permutation(problem.columns)
    turned = replace(
        problem,
        matrix=sparse.csc_array(problem.matrix)[:, order],
        col_lower=problem.col_lower[order],
        col_upper=problem.col_upper[order],
        cost=problem.cost[order],
        col_names=None,
    )
    basis = carried(found.basis, (columns, rows), (order, rows))
    again = solve_lp(turned, "simplex", warm=basis)
    assert again.objective == pytest.approx(found.objective, rel=1e-6, abs=1e-6)
    assert again.iterations == 0
    some = order[: max(1, problem.columns - 2)]  # columns that are gone leave no basis behind
    less = part(problem, some)
    basis = carried(found.basis, (columns, rows), (some, rows))
    warm, cold = solve_lp(less, "simplex", warm=basis), solve_lp(less, "simplex")
    assert warm.status == cold.status
    if cold.x is not None:
        assert warm.objective == pytest.approx(cold.objective, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_other_numbers_are_those_of_a_new_program(seed: int) -> None:
    problem, rng = solvable(seed).relaxed(), np.random.default_rng(seed)
    solver = LinearSolver(problem, scaled=False)
    first = solver.solve("simplex")
    other = problem.with_numbers(
        cost=problem.cost + rng.integers(0, 3, problem.columns),
        col_upper=problem.col_upper + rng.integers(0, 2, problem.columns),
    )
    solver.change_numbers(other)
    changed, anew = solver.solve("simplex"), solve_lp(other, "simplex")
    assert changed.status == anew.status
    assert changed.objective == pytest.approx(anew.objective, rel=1e-6, abs=1e-6)
    solver.change_numbers(problem)
    solver.set_basis(first.basis)
    assert solver.solve("simplex").objective == pytest.approx(first.objective, rel=1e-6, abs=1e-6)
    with pytest.raises(InvalidInput):
        solver.change_numbers(replace(problem, matrix=problem.matrix.copy()))

"""What vectors prove, against definitions written out with plain loops."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sparse
from support.random_problems import anything, solvable
from support.second_opinion import by_scipy
from support.sizes import examples

from torta_opt.solvers import Problem, checks


def plain_bound(problem: Problem, dual: np.ndarray) -> float:
    """Neumaier and Shcherbina in exact fractions; −∞ without any licence."""
    dense = problem.matrix.toarray()
    value = Fraction(problem.offset)
    reduced = [Fraction(cost) for cost in problem.cost.tolist()]
    for i, y in enumerate(dual.tolist()):
        for j in range(problem.columns):
            reduced[j] -= Fraction(y) * Fraction(dense[i, j])
    parts = [
        (Fraction(y), *sides)
        for y, *sides in zip(
            dual.tolist(), problem.row_lower.tolist(), problem.row_upper.tolist(), strict=True
        )
    ]
    parts += list(zip(reduced, problem.col_lower.tolist(), problem.col_upper.tolist(), strict=True))
    for slope, low, high in parts:
        end = low if slope > 0 else high
        if slope == 0:
            continue
        if math.isinf(end):
            return -math.inf
        value += slope * Fraction(end)
    return float(value)


@pytest.mark.parametrize("seed", range(examples(30)))
def test_dual_bound_is_the_formula(seed: int):
    problem = solvable(seed)
    dual = checks.usable_dual(problem, np.random.default_rng(seed).normal(size=problem.rows))
    found = checks.dual_bound(problem, dual)
    assert found == pytest.approx(plain_bound(problem, dual), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("seed", range(examples(30)))
def test_no_dual_proves_more_than_the_optimum(seed: int):
    problem = solvable(seed)
    least = by_scipy(problem).objective
    rng = np.random.default_rng(seed)
    for size in (1e-3, 1.0, 1e3):
        dual = checks.usable_dual(problem, size * rng.normal(size=problem.rows))
        assert checks.dual_bound(problem, dual) <= least + 1e-9 * (1 + abs(least))


def test_duals_on_absent_sides_or_not_numbers_are_dropped():
    matrix = sparse.csr_array(np.ones((4, 1)))
    lower, upper = [-math.inf, 0.0, 0.0, 0.0], [1.0, math.inf, 1.0, 1.0]
    problem = Problem(matrix, lower, upper, [0.0], [1.0], [1.0])
    usable = checks.usable_dual(problem, np.array([1.0, -1.0, math.nan, -math.inf]))
    assert usable.tolist() == [0.0, 0.0, 0.0, 0.0]
    usable = checks.usable_dual(problem, np.array([-1.0, 1.0, -2.0, 2.0]))
    assert usable.tolist() == [-1.0, 1.0, -2.0, 2.0]


def test_a_reduced_cost_against_no_bound_proves_nothing_unless_it_is_rounding():
    matrix = sparse.csr_array([[1.0]])
    problem = Problem(matrix, [1.0], [math.inf], [-math.inf], [math.inf], [1.0])
    assert checks.dual_bound(problem, np.array([1.0])) == 1.0
    assert checks.dual_bound(problem, np.array([1.0 + 1e-12])) == pytest.approx(1.0)
    assert checks.dual_bound(problem, np.array([0.5])) == -math.inf


def test_duals_that_overflow_prove_nothing():
    problem = Problem(sparse.csr_array([[1.0]]), [1.0], [1.0], [0.0], [1.0], [1.0])
    assert checks.dual_bound(problem, np.array([1e308 * 10])) == -math.inf


def test_violation_counts_rows_by_their_size_and_bounds_as_they_are():
    matrix = sparse.csr_array([[10.0, 0.0], [0.0, 0.5]])
    problem = Problem(matrix, [-math.inf] * 2, [0.0, 0.0], [0.0] * 2, [9.0] * 2, [0.0] * 2)
    assert checks.violation(problem, np.array([0.3, 0.0])) == pytest.approx(0.3)
    assert checks.violation(problem, np.array([0.0, 0.4])) == pytest.approx(0.2)
    assert checks.violation(problem, np.array([-0.7, 0.0])) == pytest.approx(0.7)
    assert checks.violation(problem, np.array([0.0, 0.0])) == 0.0


def test_fraction_looks_at_integer_columns_only():
    matrix = sparse.csr_array((0, 2))
    problem = Problem(matrix, [], [], [0, 0], [9, 9], [0, 0], integrality=[True, False])
    assert checks.fraction(problem, np.array([1.75, 0.5])) == pytest.approx(0.25)
    assert not checks.is_feasible(problem, np.array([1.75, 0.5]))
    assert checks.is_feasible(problem, np.array([2.0, 0.5]))


@pytest.mark.parametrize("x", [[math.nan], [math.inf], [0.0, 0.0]])
def test_no_point_at_all_is_not_feasible(x: list[float]):
    problem = Problem(sparse.csr_array((0, 1)), [], [], [-math.inf], [math.inf], [0.0])
    assert not checks.is_feasible(problem, np.array(x))


def test_a_ray_proves_infeasibility_only_if_the_sum_contradicts():
    matrix = sparse.csr_array([[1.0, 1.0], [1.0, 1.0]])
    sides = ([3.0, -math.inf], [math.inf, 2.0])
    problem = Problem(matrix, *sides, [0.0, 0.0], [9.0, 9.0], [0.0, 0.0])
    assert checks.proves_infeasible(problem, np.array([1.0, -1.0]))
    assert checks.proves_infeasible(problem, np.array([1e-8, -1e-8]))  # its size says nothing
    assert not checks.proves_infeasible(problem, np.array([-1.0, 1.0]))
    assert not checks.proves_infeasible(problem, np.array([1.0, 0.0]))
    assert not checks.proves_infeasible(problem, np.zeros(2))
    assert not checks.proves_infeasible(problem, np.array([math.nan, 1.0]))


@pytest.mark.parametrize("seed", range(examples(40)))
def test_no_random_ray_proves_a_feasible_problem_infeasible(seed: int):
    problem = solvable(seed)
    for ray in np.random.default_rng(seed).normal(size=(20, problem.rows)):
        assert not checks.proves_infeasible(problem, ray)


def test_a_ray_proves_unboundedness_only_if_it_stays_and_pays():
    matrix = sparse.csr_array([[1.0, -1.0]])
    problem = Problem(matrix, [-math.inf], [1.0], [0.0, 0.0], [math.inf] * 2, [-1.0, 0.5])
    assert checks.proves_unbounded(problem, np.array([1.0, 1.0]))
    assert not checks.proves_unbounded(problem, np.array([1.0, 0.0]))  # leaves the row
    assert not checks.proves_unbounded(problem, np.array([-1.0, 0.0]))  # leaves the bound
    assert not checks.proves_unbounded(problem, np.array([1.0, 2.0]))  # costs nothing
    assert not checks.proves_unbounded(problem, np.zeros(2))


@pytest.mark.parametrize("seed", range(examples(60)))
def test_rays_of_random_directions_never_contradict_a_second_solver(seed: int):
    problem = anything(seed)
    status = by_scipy(problem).status
    rng = np.random.default_rng(seed)
    for _ in range(examples(20)):
        if checks.proves_infeasible(problem, rng.integers(-2, 3, problem.rows).astype(float)):
            assert status == "infeasible"
        if checks.proves_unbounded(problem, rng.integers(-2, 3, problem.columns).astype(float)):
            assert status != "optimal"

"""A problem inside HiGHS: the same numbers, and refusals that are heard."""

from __future__ import annotations

import highspy
import numpy as np
import pytest
import scipy.sparse as sparse
from support.random_problems import solvable

from torta_opt.solvers import Problem, SolverFailed
from torta_opt.solvers.loading import check, cost_scale, load, set_option


@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_highs_holds_what_the_problem_says(kind: str):
    given = solvable(3, integers=0.5)
    problem = Problem(
        given.matrix.asformat(kind),
        given.row_lower,
        given.row_upper,
        given.col_lower,
        given.col_upper,
        given.cost,
        given.offset,
        given.integrality,
    )
    solver = load(problem, 4.0)
    lp = solver.getLp()
    shape = (problem.rows, problem.columns)
    entries = (lp.a_matrix_.value_, lp.a_matrix_.index_, lp.a_matrix_.start_)
    row_wise = lp.a_matrix_.format_ == highspy.MatrixFormat.kRowwise
    held = (sparse.csr_array if row_wise else sparse.csc_array)(entries, shape=shape)
    assert (held.toarray() == problem.matrix.toarray()).all()
    assert (np.array(lp.col_cost_) == 4.0 * problem.cost).all()
    assert lp.offset_ == 4.0 * problem.offset
    assert (np.array(lp.row_lower_) == problem.row_lower).all()
    assert (np.array(lp.row_upper_) == problem.row_upper).all()
    assert (np.array(lp.col_lower_) == problem.col_lower).all()
    assert (np.array(lp.col_upper_) == problem.col_upper).all()
    integer = [kind == highspy.HighsVarType.kInteger for kind in lp.integrality_]
    assert integer == problem.integrality.tolist()


def test_small_entries_are_not_dropped():
    problem = Problem(sparse.csr_array([[1e-10]]), [0.0], [1.0], [0.0], [1.0], [1.0])
    assert load(problem, 1.0).getNumNz() == 1


def with_costs(*cost: float) -> Problem:
    n = len(cost)
    return Problem(sparse.csr_array((0, n)), [], [], np.zeros(n), np.ones(n), cost)


@pytest.mark.parametrize("size", [1e-9, 1e-5, 0.3, 1.0, 7.0, 1e4])
def test_the_scale_is_a_power_of_two_that_brings_a_typical_cost_near_one(size: float):
    scale = cost_scale(with_costs(size, 2 * size, size / 2))
    assert np.frexp(scale)[0] == 0.5
    assert 0.5 < size * scale <= 1.0


def test_the_scale_keeps_the_largest_cost_in_range():
    problem = with_costs(1e-6, 1e-6, 1e4)
    assert 1e4 * cost_scale(problem) <= 1e6
    assert cost_scale(with_costs(0.0)) == 1.0


def test_refusals_are_raised():
    highs = highspy.Highs()
    set_option(highs, "log_to_console", False)
    set_option(highs, "output_flag", False)
    with pytest.raises(SolverFailed, match="no_such_option"):
        set_option(highs, "no_such_option", 1)
    with pytest.raises(SolverFailed, match="time_limit = -1"):
        set_option(highs, "time_limit", -1.0)
    with pytest.raises(SolverFailed, match="some call"):
        check(highspy.HighsStatus.kError, "some call")
    check(highspy.HighsStatus.kWarning, "some call")

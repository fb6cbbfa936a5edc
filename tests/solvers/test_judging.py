"""A solver that lies, stops early or contradicts itself, and what is made of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sparse

from torta_opt.solvers import Limits, Problem, Status
from torta_opt.solvers.judging import Claim, judged, judged_integer, without_solver


def one() -> Problem:
    """minimise x + y, x + y ≥ 2, 0 ≤ x, y ≤ 3: the optimum is 2, its dual 1."""
    matrix = sparse.csr_array([[1.0, 1.0]])
    return Problem(matrix, [2.0], [math.inf], [0.0] * 2, [3.0] * 2, [1.0, 1.0])


def integer() -> Problem:
    """The same with integers."""
    matrix = sparse.csr_array([[1.0, 1.0]])
    ones = np.ones(2, bool)
    return Problem(matrix, [2.0], [math.inf], [0.0] * 2, [3.0] * 2, [1.0, 1.0], integrality=ones)


BEST, OTHER, OUTSIDE = np.array([1.0, 1.0]), np.array([3.0, 1.0]), np.array([0.0, 1.0])
PROOF, NO_PROOF = np.array([1.0]), np.array([0.5])


def test_optimal_needs_a_point_and_a_proof():
    found = judged(one(), Claim("kOptimal", BEST, PROOF))
    assert (found.status, found.objective, found.bound) == (Status.OPTIMAL, 2.0, 2.0)
    assert found.col_dual.tolist() == [0.0, 0.0]
    assert found.message == ""


def test_a_point_that_is_nearly_feasible_is_a_hint():
    """Only where the solver ended there, and then within its bounds."""
    almost = np.array([-1e-5, 2.0])
    found = judged(one(), Claim("kOptimal", almost, PROOF))
    assert found.status is Status.BOUND_ONLY
    assert found.x is None
    assert found.near.tolist() == [0.0, 2.0]
    assert (found.objective, found.bound) == (math.inf, 2.0)
    assert judged(one(), Claim("kTimeLimit", almost, PROOF)).near is None
    assert judged(one(), Claim("kOptimal", OUTSIDE, PROOF)).near is None
    assert judged(one(), Claim("kOptimal", np.array([math.nan, 2.0]), PROOF)).near is None
    assert judged(one(), Claim("kOptimal", BEST, PROOF)).near is None


def test_optimal_by_word_alone_is_not_believed():
    found = judged(one(), Claim("kOptimal", BEST, NO_PROOF))
    assert (found.status, found.objective, found.bound) == (Status.FEASIBLE, 2.0, 1.0)
    assert "do not prove" in found.message


def test_a_worse_point_called_optimal_is_feasible_only():
    found = judged(one(), Claim("kOptimal", OTHER, PROOF))
    assert (found.status, found.objective, found.bound) == (Status.FEASIBLE, 4.0, 2.0)


def test_a_point_outside_is_dropped_and_its_bound_kept():
    found = judged(one(), Claim("kOptimal", OUTSIDE, PROOF))
    assert (found.status, found.x, found.bound) == (Status.BOUND_ONLY, None, 2.0)
    assert found.objective == math.inf
    assert "violates" in found.message


@pytest.mark.parametrize("wrong", [np.array([math.nan, 1.0]), np.zeros(3), None])
def test_no_point_at_all(wrong: np.ndarray | None):
    assert judged(one(), Claim("kOptimal", wrong, PROOF)).status == Status.BOUND_ONLY


def test_wrong_duals_prove_no_less_than_none():
    """−5 stands on a side the row does not have; none at all prove 0 here."""
    for dual in (np.array([-5.0]), np.array([math.nan]), np.zeros(2), None, np.array([1e6])):
        found = judged(one(), Claim("kTimeLimit", BEST, dual))
        assert (found.status, found.bound) == (Status.FEASIBLE, 0.0)


def test_a_proof_counts_however_the_run_ended():
    for word in ("kTimeLimit", "kUnknown", "kSolveError"):
        assert judged(one(), Claim(word, BEST, PROOF)).status == Status.OPTIMAL


def test_an_optimum_does_not_hide_that_ctrl_c_came():
    found = judged(one(), Claim("kInterrupt", BEST, PROOF))
    proved = judged(one(), Claim("kOptimal", BEST, PROOF))
    assert found.status == Status.INTERRUPTED
    assert (found.objective, found.bound) == (proved.objective, proved.bound)


@pytest.mark.parametrize(
    ("word", "with_point", "without"),
    [
        ("kTimeLimit", Status.FEASIBLE, Status.BOUND_ONLY),
        ("kIterationLimit", Status.FEASIBLE, Status.BOUND_ONLY),
        ("kUnknown", Status.FEASIBLE, Status.BOUND_ONLY),
        ("kInterrupt", Status.INTERRUPTED, Status.INTERRUPTED),
        ("kSolveError", Status.ERROR, Status.ERROR),
        ("kNotset", Status.ERROR, Status.ERROR),
    ],
)
def test_statuses_without_proof(word: str, with_point: Status, without: Status):
    assert judged(one(), Claim(word, BEST, NO_PROOF)).status == with_point
    assert judged(one(), Claim(word, OUTSIDE, NO_PROOF)).status == without
    assert judged_integer(integer(), word, [BEST], 0.0, Limits()).status == with_point
    assert judged_integer(integer(), word, [OUTSIDE], 0.0, Limits()).status == without


def test_the_best_feasible_point_counts():
    points = [None, OTHER, BEST, OUTSIDE, np.array([0.5, 1.5])]
    found = judged_integer(integer(), "kOptimal", points, 2.0, Limits())
    assert (found.status, found.objective) == (Status.OPTIMAL, 2.0)
    assert found.x.tolist() == [1.0, 1.0]


def test_fractions_are_no_integers():
    found = judged_integer(integer(), "kOptimal", [np.array([0.5, 1.5])], 2.0, Limits())
    assert (found.status, found.x) == (Status.BOUND_ONLY, None)


def test_a_bound_above_a_feasible_point_is_a_contradiction():
    found = judged_integer(integer(), "kOptimal", [BEST], 3.0, Limits())
    assert (found.status, found.bound) == (Status.ERROR, -math.inf)
    assert "feasible point costs" in found.message


def test_infeasible_with_a_feasible_point_is_a_contradiction():
    found = judged_integer(integer(), "kInfeasible", [BEST], math.inf, Limits())
    assert (found.status, found.bound, found.objective) == (Status.ERROR, -math.inf, 2.0)
    found = judged_integer(integer(), "kInfeasible", [None], math.inf, Limits())
    assert (found.status, found.bound) == (Status.INFEASIBLE, math.inf)


def test_a_bound_after_an_error_is_no_bound():
    found = judged_integer(integer(), "kSolveError", [BEST], 2.0, Limits())
    assert (found.status, found.bound) == (Status.ERROR, -math.inf)


@pytest.mark.parametrize("bound", [math.nan, math.inf])
@pytest.mark.parametrize("points", [[BEST], [OUTSIDE], [None]])
def test_what_is_no_number_is_no_bound(bound: float, points: list[np.ndarray | None]):
    found = judged_integer(integer(), "kOptimal", points, bound, Limits())
    assert found.bound == -math.inf
    assert found.status is not Status.OPTIMAL


def test_the_gap_limit_decides_what_is_solved():
    loose, tight = Limits(gap=0.5), Limits(gap=0.1)
    assert judged_integer(integer(), "kOptimal", [OTHER], 3.0, loose).status == Status.OPTIMAL
    assert judged_integer(integer(), "kOptimal", [OTHER], 3.0, tight).status == Status.FEASIBLE


# --- what needs no solver -----------------------------------------------------------------------


def columns_only(**changes: object) -> Problem:
    fields = {
        "matrix": sparse.csr_array((0, 3)),
        "row_lower": [],
        "row_upper": [],
        "col_lower": [-1.0, -2.5, 3.0],
        "col_upper": [2.0, 2.5, 4.0],
        "cost": [2.0, -1.0, 0.0],
        "offset": 10.0,
    }
    return Problem(**{**fields, **changes})


def test_without_rows_every_column_goes_to_its_cheaper_end():
    found = without_solver(columns_only())
    assert (found.status, found.objective, found.bound) == (Status.OPTIMAL, 5.5, 5.5)
    assert found.x.tolist() == [-1.0, 2.5, 3.0]
    found = without_solver(columns_only(integrality=[True, True, False]))
    assert found.x.tolist() == [-1.0, 2.0, 3.0]


def test_without_rows_unbounded_or_without_an_integer():
    found = without_solver(columns_only(col_upper=[2.0, math.inf, 4.0]))
    assert (found.status, found.bound) == (Status.UNBOUNDED, -math.inf)
    sides = {"col_lower": [0.2, 0.0, 0.0], "col_upper": [0.8, 1.0, 1.0]}
    found = without_solver(columns_only(integrality=[True, False, False], **sides))
    assert found.status == Status.INFEASIBLE


def test_crossed_sides_are_infeasible():
    found = without_solver(columns_only(col_upper=[-1.5, 2.5, 4.0]))
    assert (found.status, found.bound) == (Status.INFEASIBLE, math.inf)
    assert "col 0" in found.message
    matrix = sparse.csr_array([[1.0]])
    crossed = Problem(matrix, [2.0], [1.0], [0.0], [9.0], [1.0])
    assert "row 0" in without_solver(crossed).message


def test_without_columns():
    empty = sparse.csr_array((1, 0))
    assert without_solver(Problem(empty, [0.0], [1.0], [], [], [])).status == Status.OPTIMAL
    assert without_solver(Problem(empty, [1.0], [2.0], [], [], [])).status == Status.INFEASIBLE
    nothing = Problem(sparse.csr_array((0, 0)), [], [], [], [], [], offset=3.0)
    assert without_solver(nothing).objective == 3.0


def test_an_ordinary_problem_needs_a_solver():
    assert without_solver(one()) is None

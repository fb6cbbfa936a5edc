"""What may go into a solver, and what a result says of itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sparse

from torta_opt.io.errors import InvalidInput
from torta_opt.solvers import Limits, Problem, Result, Status

ONE = {
    "matrix": sparse.csr_array([[1.0, 2.0]]),
    "row_lower": [0.0],
    "row_upper": [4.0],
    "col_lower": [0.0, 0.0],
    "col_upper": [3.0, 3.0],
    "cost": [1.0, -1.0],
}


def one(**changes: object) -> Problem:
    return Problem(**{**ONE, **changes})


def test_sizes_and_defaults():
    problem = one()
    assert (problem.rows, problem.columns) == (1, 2)
    assert problem.integrality.tolist() == [False, False]
    assert problem.is_boxed
    assert not one(col_upper=[3.0, math.inf]).is_boxed
    assert problem.row_size.tolist() == [2.0]
    assert one(matrix=sparse.csr_array([[0.1, 0.2]])).row_size.tolist() == [1.0]


def test_typical_cost_is_the_median_of_the_costs_that_are_not_zero():
    assert one(cost=[0.0, -4.0]).typical_cost == 4.0
    assert one(cost=[0.0, 0.0]).typical_cost == 1.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("matrix", sparse.csr_array([[math.nan, 2.0]])),
        ("matrix", sparse.csr_array([[math.inf, 2.0]])),
        ("cost", [math.nan, 0.0]),
        ("cost", [math.inf, 0.0]),
        ("offset", math.nan),
        ("offset", -math.inf),
        ("row_lower", [math.nan]),
        ("row_upper", [math.nan]),
        ("col_lower", [math.nan, 0.0]),
        ("col_upper", [math.nan, 0.0]),
        ("row_lower", [math.inf]),
        ("col_lower", [math.inf, 0.0]),
        ("row_upper", [-math.inf]),
        ("col_upper", [-math.inf, 0.0]),
        ("cost", [1.0]),
        ("row_lower", [0.0, 0.0]),
        ("col_upper", [[3.0, 3.0]]),
        ("integrality", [True]),
        ("row_names", ["a", "b"]),
        ("col_names", ["a"]),
    ],
)
def test_refuses(field: str, value: object):
    with pytest.raises(InvalidInput):
        one(**{field: value})


def test_repeated_entries_are_summed_and_the_callers_matrix_stays():
    entries = ([1.0, 1.0, 5.0], [0, 0, 1], [0, 3])
    given = sparse.csr_array(entries, shape=(1, 2))
    problem = one(matrix=given)
    assert problem.matrix.nnz == 2
    assert problem.matrix.toarray().tolist() == [[2.0, 5.0]]
    assert given.nnz == 3


def test_other_kinds_of_matrix_become_sparse_float_arrays():
    problem = one(matrix=sparse.coo_array(np.array([[1, 2]])))
    assert problem.matrix.format in ("csr", "csc")
    assert problem.matrix.dtype == np.float64


def test_relaxed_drops_integrality_and_nothing_else():
    problem = one(integrality=[True, False], offset=2.0)
    relaxed = problem.relaxed()
    assert not relaxed.integrality.any()
    assert relaxed.offset == 2.0
    assert problem.integrality.tolist() == [True, False]


@pytest.mark.parametrize(
    "limits",
    [
        {"seconds": -1.0},
        {"seconds": math.nan},
        {"gap": -0.1},
        {"gap": math.inf},
        {"gap": math.nan},
        {"work": -1},
        {"work": 2**31},
        {"threads": -1},
        {"seed": -1},
        {"seed": 2**31},
    ],
)
def test_limits_refuse(limits: dict[str, float]):
    with pytest.raises(InvalidInput):
        Limits(**limits)


def test_gap_of_a_result():
    x = np.zeros(1)
    assert Result(Status.FEASIBLE, 10.0, 9.0, x).gap == pytest.approx(0.1)
    assert Result(Status.FEASIBLE, -10.0, -11.0, x).gap == pytest.approx(0.1)
    assert Result(Status.FEASIBLE, 0.0, -1.0, x).gap is None
    assert Result(Status.BOUND_ONLY, bound=1.0).gap is None


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"seconds": "x"}, "seconds: must be a number, found 'x'"),
        ({"gap": None}, "gap: must be a number, found None"),
        ({"work": 1.5}, "work: must be a whole number, or None, found 1.5"),
        ({"threads": True}, "threads: must be a whole number, found True"),
        ({"seed": "3"}, "seed: must be a whole number, found '3'"),
    ],
)
def test_limits_of_another_kind_are_refused(given, text):
    with pytest.raises(InvalidInput) as error:
        Limits(**given)
    assert str(error.value) == text


def test_other_numbers_leave_the_matrix_and_what_hangs_on_it() -> None:
    one = sparse.csr_array(np.array([[2.0, 0.0], [1.0, -3.0]]))
    problem = Problem(one, np.zeros(2), np.ones(2), np.zeros(2), np.ones(2), np.array([1.0, 4.0]))
    assert problem.typical_cost == 2.5
    assert problem.row_size.tolist() == [2.0, 3.0]
    assert problem.is_boxed
    other = problem.with_numbers(cost=np.array([8.0, 8.0]), col_upper=np.array([1.0, np.inf]))
    assert other.matrix is problem.matrix
    assert other.typical_cost == 8.0
    assert not other.is_boxed
    assert other.row_size.tolist() == [2.0, 3.0]
    assert problem.cost.tolist() == [1.0, 4.0]
    for name, wrong in (
        ("cost", np.ones(3)),
        ("cost", np.array([1.0, np.inf])),
        ("row_lower", np.array([0.0, np.nan])),
        ("col_lower", np.array([0.0, np.inf])),
        ("integrality", np.ones(2, bool)),
    ):
        with pytest.raises(InvalidInput):
            problem.with_numbers(**{name: wrong})

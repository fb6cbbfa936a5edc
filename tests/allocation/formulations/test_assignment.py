"""The assignment program: both texts are one, and its optimum is that of trying everything."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.assignments import brute_force, random_assignment
from support.programs import Arrays, of_model, optimum
from support.sizes import examples

from torta_opt.allocation.formulations.assignment import (
    Assignment,
    AssignmentProgram,
    build_assignment_program,
)
from torta_opt.allocation.formulations.assignment_model import build_assignment_model
from torta_opt.io import InvalidInput

CLOSE = 1e-6  # of a MILP solver


def arrays_of(program: AssignmentProgram) -> Arrays:
    problem = program.problem
    return Arrays(
        columns=program.column_names,
        rows=program.row_names,
        cost=problem.cost,
        constant=problem.offset,
        lower=problem.col_lower,
        upper=problem.col_upper,
        integer=problem.is_integer,
        matrix=problem.matrix,
        row_lower=problem.row_lower,
        row_upper=problem.row_upper,
    )


def rows_of(arrays: Arrays) -> dict[str, tuple[dict[str, float], float, float]]:
    """Rows by name; where all coefficients have changed sign the row is turned around."""
    found = {}
    for n, name in enumerate(arrays.rows):
        cells = slice(arrays.matrix.indptr[n], arrays.matrix.indptr[n + 1])
        entries = zip(arrays.matrix.indices[cells], arrays.matrix.data[cells], strict=True)
        row = {arrays.columns[c]: value for c, value in sorted(entries) if value}
        found[name] = row, arrays.row_lower[n], arrays.row_upper[n]
    return found


def assert_same(data: Assignment) -> None:
    matrix, model = (
        arrays_of(build_assignment_program(data)),
        of_model(build_assignment_model(data)),
    )
    mine, theirs = rows_of(matrix), rows_of(model)
    assert set(theirs) <= set(mine)
    for name, (row, low, high) in mine.items():
        if name not in theirs:  # Pyomo leaves out rows without variables
            assert not row
            assert low <= 0 <= high
            continue
        other, other_low, other_high = theirs[name]
        assert row == pytest.approx(other, rel=1e-12), name
        assert (low, high) == pytest.approx((other_low, other_high), rel=1e-12), name
    place = {name: n for n, name in enumerate(matrix.columns)}
    same = np.array([place[name] for name in model.columns], int)
    for field in ("cost", "lower", "upper", "integer"):
        one, other = getattr(matrix, field), getattr(model, field)
        np.testing.assert_allclose(one[same].astype(float), other.astype(float), rtol=1e-12)
    unused = np.setdiff1d(np.arange(len(matrix.columns)), same)
    assert not matrix.cost[unused].any()
    assert not matrix.matrix[:, unused].nnz


@pytest.mark.parametrize("seed", range(examples(60)))
def test_both_texts_are_the_same_program(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = {"slots": 1 + seed % 3, "servers": 4, "groups": 4, "options": 3, "requests": 4}
    data = random_assignment(rng, whole_slots=1 + seed % 2, must_serve=0.1, **sizes)
    assert_same(data)


def check_against_brute_force(seed: int, **sizes: int) -> None:
    rng = np.random.default_rng(seed)
    data = random_assignment(rng, must_serve=0.1, **sizes)
    expected = brute_force(data)
    arrays = arrays_of(build_assignment_program(data))
    if math.isinf(expected):
        with pytest.raises(AssertionError, match="infeasible"):
            optimum(arrays)
    else:
        assert optimum(arrays) == pytest.approx(expected, abs=CLOSE), seed


def test_the_optimum_is_that_of_trying_everything() -> None:
    for seed in range(60):
        check_against_brute_force(seed)


@pytest.mark.slow
def test_the_optimum_is_that_of_trying_everything_on_thousands() -> None:
    for seed in range(60, 3000):
        check_against_brute_force(seed)
    for seed in range(100):
        check_against_brute_force(seed, slots=3, requests=2)


def test_every_part_is_in_play() -> None:
    """The random tasks have columns and rows of every family, and some nothing can serve."""
    seen: set[str] = set()
    for seed in range(120):
        program = build_assignment_program(random_assignment(np.random.default_rng(seed)))
        families = program.columns | program.rows
        seen |= {name for name, family in families.items() if len(family)}
    assert seen == {"pick", "z", "hot", "q", "expired"} | {
        *("choose", "queue", "expire", "capacity", "fit", "hull", "hot_served", "reuse")
    }


def test_hull_rows_cut_off_nothing_whole_and_tighten() -> None:
    """Without (hull) the relaxation is weaker, the optimum the same."""
    tighter = 0
    for seed in range(examples(40)):
        data = random_assignment(np.random.default_rng(seed), slots=1, requests=3)
        arrays = arrays_of(build_assignment_program(data))
        loose = arrays.without_rows("hull")
        assert optimum(arrays) == pytest.approx(optimum(loose), abs=CLOSE)
        tighter += optimum(arrays, relaxed=True) > optimum(loose, relaxed=True) + 1e-6
    assert tighter


def test_values_and_vector_are_each_other_s_way_back() -> None:
    program = build_assignment_program(random_assignment(np.random.default_rng(5)))
    x = np.arange(program.problem.columns, dtype=float)
    np.testing.assert_array_equal(program.vector(program.values(x)), x)


def test_wrong_data_is_refused() -> None:
    data = random_assignment(np.random.default_rng(1))
    fields = dict(vars(data))
    for name, value in (
        ("left_usd", np.zeros(9)),
        ("option_usd", np.full_like(data.option_usd, math.inf)),
        ("arrivals", data.arrivals + 0.5),
    ):
        with pytest.raises(InvalidInput):
            Assignment(**{**fields, name: value})

"""A dual vector proves a bound, whatever it is."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog
from support.programs import of_program, optimum
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds.dual import dual_bound
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.program import AllocationProgram


def bound_of(program: AllocationProgram, dual: np.ndarray) -> float:
    return dual_bound(
        cost=program.cost,
        constant=program.constant,
        matrix=program.matrix,
        row_lower=program.row_lower,
        row_upper=program.row_upper,
        lower=np.zeros_like(program.upper),
        upper=program.upper,
        dual=dual,
    )


def programs(seed: int, count: int) -> list[AllocationProgram]:
    rng = np.random.default_rng(seed)
    found = (build_allocation_program(random_tiny_instance(rng)) for _ in range(10 * count))
    return list(itertools.islice((program for program in found if program.row_names), count))


def optimal_dual(program: AllocationProgram) -> np.ndarray:
    """Row duals by SciPy, which wants equations and ≤ rows apart."""
    equal = program.row_lower == program.row_upper
    result = linprog(
        program.cost,
        A_eq=program.matrix[equal],
        b_eq=program.row_upper[equal],
        A_ub=program.matrix[~equal],
        b_ub=program.row_upper[~equal],
        bounds=np.stack([np.zeros_like(program.upper), program.upper], axis=1),
    )
    dual = np.zeros(len(equal))
    dual[equal], dual[~equal] = result.eqlin.marginals, result.ineqlin.marginals
    return dual


def exact_bound(program: AllocationProgram, dual: np.ndarray) -> Fraction:
    """The same sum in rational arithmetic, duals on missing sides dropped."""
    matrix = program.matrix.tocoo()
    reduced = [Fraction(c) for c in program.cost.tolist()]
    total = Fraction(program.constant)
    kept = []
    for y, low, high in zip(dual.tolist(), program.row_lower, program.row_upper, strict=True):
        side = low if y > 0 else high
        kept.append(Fraction(y) if math.isfinite(side) and math.isfinite(y) else Fraction(0))
        total += kept[-1] * Fraction(side) if math.isfinite(side) else 0
    for r, c, value in zip(matrix.row, matrix.col, matrix.data.tolist(), strict=True):
        reduced[c] -= kept[r] * Fraction(value)
    for price, most in zip(reduced, program.upper.tolist(), strict=True):
        total += min(Fraction(0), price * Fraction(most))
    return total


def test_optimal_duals_prove_the_optimum() -> None:
    for program in programs(seed=1, count=25):
        value = bound_of(program, optimal_dual(program))
        best = optimum(of_program(program), relaxed=True)
        assert value == pytest.approx(best, rel=1e-7, abs=1e-7)
        assert value <= best + 1e-9 * (1 + abs(best))


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-3, 1.0, 1e6])
def test_no_vector_proves_too_much(size: float) -> None:
    """Below the exact sum, and below the optimum, for noise of any size on good duals."""
    rng = np.random.default_rng(2)
    for program in programs(seed=3, count=8):
        dual = optimal_dual(program) + size * rng.normal(size=len(program.row_lower))
        value = bound_of(program, dual)
        exact = exact_bound(program, dual)
        assert value <= exact
        assert float(exact) - value <= 1e-9 * (1 + size) * (1 + np.abs(dual).sum()) * 100
        assert value <= optimum(of_program(program), relaxed=True) + 1e-9 * (1 + abs(value))


def test_duals_on_missing_sides_and_no_numbers_count_for_nothing() -> None:
    for program in programs(seed=4, count=10):
        dual = optimal_dual(program)
        spoiled = np.where(np.isfinite(program.row_lower), dual, np.abs(dual) + 1)
        dropped = np.where(np.isfinite(program.row_lower), dual, 0.0)
        assert bound_of(program, spoiled) == bound_of(program, dropped)
        dropped[0] = 0.0
        for odd in (np.nan, np.inf, -np.inf):
            spoiled = dropped.copy()
            spoiled[0] = odd
            assert bound_of(program, spoiled) == bound_of(program, dropped)


def test_columns_without_bounds_prove_nothing() -> None:
    program = programs(seed=5, count=1)[0]
    program.upper[0] = np.inf
    assert bound_of(program, optimal_dual(programs(seed=5, count=1)[0])) == -math.inf


def test_duals_beyond_float64_prove_nothing() -> None:
    program = programs(seed=6, count=1)[0]
    with np.errstate(over="ignore", invalid="ignore"):
        assert bound_of(program, np.full(len(program.row_lower), 1e308)) == -math.inf

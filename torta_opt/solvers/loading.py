"""A ``Problem`` inside HiGHS."""

from __future__ import annotations

import math
from typing import Any

import highspy
import numpy as np

from torta_opt.solvers.problem import Problem, SolverFailed

_LARGEST_COST = 1e6  # inside HiGHS, where small costs can be lifted without passing it
_COLUMN_WISE, _ROW_WISE, _MINIMISE = 1, 2, 1


def cost_scale(problem: Problem, size: float = 1.0) -> float:
    """Power of two that brings a typical cost near ``size``.

    HiGHS measures reduced costs against an absolute 1e-7. Costs of 1e-5 (a request-second in $) are
    then known to a per cent only. Multiplying by a power of two loses nothing.
    """
    largest = np.abs(problem.cost).max(initial=0.0)
    if largest == 0:
        return 1.0
    exponent = math.log2(size / problem.typical_cost)
    return 2.0 ** math.floor(min(exponent, math.log2(_LARGEST_COST / largest)))


def load(problem: Problem, scale: float) -> highspy.Highs:
    """HiGHS, silent, holding the problem with costs times ``scale``; names stay outside."""
    highs = highspy.Highs()
    set_option(highs, "log_to_console", False)
    set_option(highs, "small_matrix_value", 1e-12)  # entries below it are dropped
    matrix = problem.matrix
    check(
        highs.passModel(
            problem.columns,
            problem.rows,
            matrix.nnz,
            _ROW_WISE if matrix.format == "csr" else _COLUMN_WISE,
            _MINIMISE,
            problem.offset * scale,
            problem.cost * scale,
            problem.col_lower,
            problem.col_upper,
            problem.row_lower,
            problem.row_upper,
            matrix.indptr,
            matrix.indices,
            matrix.data,
            problem.is_integer.astype(np.int32),
        ),
        "passModel",
    )
    return highs


def set_option(highs: highspy.Highs, name: str, value: Any) -> None:
    check(highs.setOptionValue(name, value), f"option {name} = {value}")


def check(status: highspy.HighsStatus, call: str) -> None:
    """Raise unless HiGHS took the call."""
    if status == highspy.HighsStatus.kError:
        raise SolverFailed(f"HiGHS refused: {call}")

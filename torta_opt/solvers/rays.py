"""Programs that always have an optimum, whose vectors prove that another one has none.

HiGHS does not have a ray for every program that it calls infeasible or unbounded: its shortcuts for
programs with a single row leave none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sparse

from torta_opt.solvers.problem import Problem


def least_violation(problem: Problem) -> Problem:
    """minimise Σ (s⁺ + s⁻), row_lower ≤ matrix·x + s⁺ − s⁻ ≤ row_upper, x within its bounds.

    If nothing satisfies the rows, its row duals are a ray that says so (Farkas).
    """
    one = sparse.eye_array(problem.rows)
    slacks = 2 * problem.rows
    return Problem(
        matrix=sparse.hstack([problem.matrix, one, -one], format="csc"),
        row_lower=problem.row_lower,
        row_upper=problem.row_upper,
        col_lower=np.append(problem.col_lower, np.zeros(slacks)),
        col_upper=np.append(problem.col_upper, np.full(slacks, np.inf)),
        cost=np.append(np.zeros(problem.columns), np.ones(slacks)),
    )


def cheapest_direction(problem: Problem) -> Problem:
    """minimise cost·d over directions −1 ≤ d ≤ 1 that no row or bound ever stops."""
    return replace(
        problem,
        row_lower=np.where(np.isfinite(problem.row_lower), 0.0, -np.inf),
        row_upper=np.where(np.isfinite(problem.row_upper), 0.0, np.inf),
        col_lower=np.where(np.isfinite(problem.col_lower), 0.0, -1.0),
        col_upper=np.where(np.isfinite(problem.col_upper), 0.0, 1.0),
        offset=0.0,
        integrality=None,
    )

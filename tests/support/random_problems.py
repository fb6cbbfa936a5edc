"""Small random problems: feasible and bounded ones, and ones of which nothing is known."""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse as sparse

from torta_opt.solvers.problem import Problem


def solvable(seed: int, *, rows: int = 6, columns: int = 8, integers: float = 0.0) -> Problem:
    """A problem with an optimum: rows hold at an integer point, columns have bounds.

    Some columns are free where the cost is 0, so that not every problem is boxed.
    """
    rng = np.random.default_rng(seed)
    dense = rng.integers(-4, 5, (rows, columns)) * (rng.random((rows, columns)) < 0.6)
    point = rng.integers(-3, 4, columns)
    activity = dense @ point
    slack = rng.integers(0, 4, (2, rows)) + rng.choice([0.0, 0.5], (2, rows))
    kind = rng.integers(0, 4, rows)  # ≤, ≥, both, =
    slack[:, kind == 3] = 0.0
    lower = np.where(kind == 0, -math.inf, activity - slack[0])
    upper = np.where(kind == 1, math.inf, activity + slack[1])
    return Problem(
        sparse.csr_array(dense.astype(float)),
        lower,
        upper,
        point - rng.integers(0, 4, columns),
        point + rng.integers(0, 4, columns),
        np.round(rng.normal(size=columns) * 10.0 ** rng.integers(-5, 3), 8),
        offset=float(rng.integers(-5, 6)),
        integrality=rng.random(columns) < integers,
    )


def anything(seed: int, *, integers: float = 0.0) -> Problem:
    """Rows and bounds at random: optimal, infeasible and unbounded ones all occur."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 6, 2)
    dense = rng.integers(-3, 4, (rows, columns)) * (rng.random((rows, columns)) < 0.7)
    lower = np.where(rng.random(rows) < 0.4, -math.inf, rng.integers(-6, 4, rows))
    upper = np.where(rng.random(rows) < 0.4, math.inf, lower + rng.integers(0, 5, rows))
    upper = np.where(np.isneginf(upper), rng.integers(-4, 6, rows), upper)
    low = np.where(rng.random(columns) < 0.3, -math.inf, rng.integers(-3, 1, columns))
    high = np.where(rng.random(columns) < 0.4, math.inf, rng.integers(0, 4, columns))
    return Problem(
        sparse.csc_array(dense.astype(float)),
        lower,
        upper,
        low,
        high,
        rng.integers(-3, 4, columns).astype(float),
        integrality=rng.random(columns) < integers,
    )


def hard_knapsack(columns: int = 40, rows: int = 12, seed: int = 5) -> Problem:
    """Market-split-like knapsacks: a point is easy to find, a proof takes very long."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(1, 100, (rows, columns)).astype(float)
    return Problem(
        sparse.csr_array(dense),
        np.full(rows, -math.inf),
        np.floor(dense.sum(axis=1) / 2),
        np.zeros(columns),
        np.ones(columns),
        -(dense.mean(axis=0) + rng.integers(0, 5, columns)),
        integrality=np.ones(columns, bool),
    )

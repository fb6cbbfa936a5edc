"""What a vector proves, recomputed in NumPy: no solver's word is taken for it.

For every vector y of row duals, with r = cost − matrixᵀ·y, any feasible x costs at least

    offset + Σ_i min{y_i·a : row_lower_i ≤ a ≤ row_upper_i}
           + Σ_j min{r_j·v : col_lower_j ≤ v ≤ col_upper_j}

(Neumaier and Shcherbina, Safe bounds in linear and mixed-integer linear programming, Mathematical
Programming 99, 2004). These are float64 numbers; directed rounding is the business of certificates.
With cost 0 and offset 0 a positive value proves that nothing is feasible.
"""

from __future__ import annotations

import math

import numpy as np

from torta_opt.solvers.problem import Problem

FEASIBILITY = 1e-6  # tolerance for rows (see ``violation``), bounds and integrality
ZERO = 1e-7  # share of a typical cost below which a reduced cost against no bound counts as 0
ROUNDING = 1e-9  # tolerance for rays, whose largest entry is 1


def objective(problem: Problem, x: np.ndarray) -> float:
    """Summed by NumPy: BLAS would give other last digits on other processors."""
    return float((problem.cost * x).sum()) + problem.offset


def violation(problem: Problem, x: np.ndarray) -> float:
    """Largest violation of a bound, or of a row divided by its largest coefficient if above 1."""
    activity = problem.matrix @ x
    beyond = np.maximum(problem.row_lower - activity, activity - problem.row_upper)
    outside = np.maximum(problem.col_lower - x, x - problem.col_upper)
    return float(max((beyond / problem.row_size).max(initial=0.0), outside.max(initial=0.0)))


def fraction(problem: Problem, x: np.ndarray) -> float:
    """Largest distance of an integer column from an integer."""
    integers = x[problem.integrality]
    return float(np.abs(integers - np.round(integers)).max(initial=0.0))


def violation_of(problem: Problem, x: np.ndarray | None) -> float:
    """``violation``, with integrality; ∞ for what is no point."""
    if x is None or x.shape != (problem.columns,) or not np.isfinite(x).all():
        return math.inf
    return max(violation(problem, x), fraction(problem, x))


def is_feasible(problem: Problem, x: np.ndarray) -> bool:
    return violation_of(problem, x) <= FEASIBILITY


def usable_dual(problem: Problem, dual: np.ndarray) -> np.ndarray:
    """Duals without those that are no number or stand on a side the row does not have."""
    dual = np.where(np.isfinite(dual), dual, 0.0)
    dual = np.where((dual > 0) & (problem.row_lower == -math.inf), 0.0, dual)
    return np.where((dual < 0) & (problem.row_upper == math.inf), 0.0, dual)


def dual_bound(problem: Problem, dual: np.ndarray) -> float:
    """The bound that usable duals prove; −∞ if a reduced cost points to where no bound is.

    A reduced cost within ``ZERO`` typical costs of 0 counts as 0 there: with a free column no float
    would be exact. Where every column is boxed no such licence is taken.
    """
    return bound_of(problem, dual, reduced_costs(problem, dual))


def reduced_costs(problem: Problem, dual: np.ndarray) -> np.ndarray:
    """(n,) cost − matrixᵀ·dual; duals too large make numbers that are not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        reduced: np.ndarray = problem.cost - problem.transposed @ dual
    return reduced


def bound_of(problem: Problem, dual: np.ndarray, reduced: np.ndarray) -> float:
    """``dual_bound``, given the reduced costs."""
    with np.errstate(over="ignore", invalid="ignore"):
        zero = ZERO * problem.typical_cost
        value = problem.offset + _lowest(dual, problem.row_lower, problem.row_upper)
        value += _lowest(reduced, problem.col_lower, problem.col_upper, zero)
    return value if math.isfinite(value) else -math.inf  # duals too large prove nothing


def proves_infeasible(problem: Problem, ray: np.ndarray) -> bool:
    """Whether the rows, summed with multipliers ``ray``, contradict the bounds of the columns."""
    size = np.abs(ray).max(initial=0.0)
    if not 0 < size < math.inf:
        return False
    ray = usable_dual(problem, ray / size)
    reduced = -(problem.matrix.T @ ray)
    zero = ROUNDING * (abs(problem.matrix).T @ np.abs(ray))
    value = _lowest(ray, problem.row_lower, problem.row_upper)
    return value + _lowest(reduced, problem.col_lower, problem.col_upper, zero) > FEASIBILITY


def proves_unbounded(problem: Problem, ray: np.ndarray) -> bool:
    """Whether going along ``ray`` from a feasible point stays feasible and always pays."""
    size = np.abs(ray).max(initial=0.0)
    if not 0 < size < math.inf:
        return False
    ray = ray / size
    along = problem.matrix @ ray / problem.row_size
    stays = (
        (along >= -ROUNDING) | (problem.row_lower == -math.inf),
        (along <= ROUNDING) | (problem.row_upper == math.inf),
        (ray >= -ROUNDING) | (problem.col_lower == -math.inf),
        (ray <= ROUNDING) | (problem.col_upper == math.inf),
    )
    pays = float(problem.cost @ ray) < -ROUNDING * float(np.abs(problem.cost) @ np.abs(ray))
    return all(part.all() for part in stays) and pays


def _lowest(
    slope: np.ndarray, lower: np.ndarray, upper: np.ndarray, zero: float | np.ndarray = 0.0
) -> float:
    """Σ_j min{slope_j·v : lower_j ≤ v ≤ upper_j}; a slope within ``zero`` of 0 needs no bound."""
    end = np.where(slope > 0, lower, upper)
    ignored = (slope == 0) | (~np.isfinite(end) & (np.abs(slope) <= zero))
    return float((np.where(ignored, 0.0, slope) * np.where(ignored, 0.0, end)).sum())

"""What a dual vector proves, however it was computed and however bad it is.

For a program  min c·v + k,  l_r ≤ A·v ≤ u_r,  l ≤ v ≤ u  with finite l and u, every vector y of row
duals gives, with r = c − Aᵀy,

    c·v + k  ≥  k + Σ_i min(y_i·l_r, y_i·u_r) + Σ_j min(r_j·l_j, r_j·u_j)

where y_i < 0 counts with u_r and y_i > 0 with l_r (Neumaier and Shcherbina, Safe bounds in linear
and mixed-integer linear programming, Mathematical Programming 99, 2004). A y_i on a side that a row
does not have proves nothing and is set to 0. No property of y is assumed: a solver that stops
early, or lies, gives a weaker number, never a wrong one.

The number is safe against rounding too: reduced costs are widened by a bound on the error of their
float64 sums (γ_n = n·ε/(1 − n·ε), ε = 2⁻⁵³), products by ε each, and the last sum is taken exactly.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse as sparse

EPSILON = 2.0**-53


def dual_bound(
    *,
    cost: np.ndarray,
    constant: float,
    matrix: sparse.csr_array,
    row_lower: np.ndarray,
    row_upper: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    dual: np.ndarray,
) -> float:
    """A lower bound on the program from row duals (positive: the lower side binds).

    −inf where a column has no finite bounds, or duals are too large for float64.
    """
    if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
        return -math.inf
    dual = _usable(dual, row_lower, row_upper)
    side = np.where(dual > 0, row_lower, row_upper)
    side = np.where(dual == 0, 0.0, side)
    reduced, error = _reduced_costs(cost, matrix, dual)
    terms = np.concatenate([[constant], dual * side, np.minimum(reduced * lower, reduced * upper)])
    if not np.isfinite(terms).all():
        return -math.inf  # duals so large that products overflow
    doubt = np.concatenate(
        [EPSILON * np.abs(terms), error * np.maximum(np.abs(lower), np.abs(upper))]
    )
    slack = math.nextafter(math.fsum(doubt) * (1 + 4 * EPSILON), math.inf)
    return math.nextafter(math.fsum(terms) - slack, -math.inf)


def _usable(dual: np.ndarray, row_lower: np.ndarray, row_upper: np.ndarray) -> np.ndarray:
    """Duals without those that are no number or stand on a side the row does not have."""
    dual = np.where(np.isfinite(dual), dual, 0.0)
    dual = np.where((dual > 0) & ~np.isfinite(row_lower), 0.0, dual)
    return np.where((dual < 0) & ~np.isfinite(row_upper), 0.0, dual)


def _reduced_costs(
    cost: np.ndarray, matrix: sparse.csr_array, dual: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """c − Aᵀy, and a bound on its error."""
    columns = matrix.T.tocsr()
    reduced = cost - columns @ dual
    size = abs(columns) @ np.abs(dual) + np.abs(cost)
    terms = np.diff(columns.indptr) + 3  # products, sum and difference; and those of ``size``
    gamma = terms * EPSILON / (1 - terms * EPSILON)
    return reduced, gamma * size * (1 + 2 * gamma)

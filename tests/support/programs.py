"""Programs as plain arrays, solved by SciPy: apart from every solver module of the package.

``of_model``     a Pyomo model through Pyomo's own standard form
``of_program``   the matrix text
``optimum``      least objective of either, integers or not
``same_to_the_bit``   whether two programs of the matrix text are one
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sparse
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler
from scipy.optimize import Bounds, LinearConstraint, milp

from torta_opt.allocation.formulations.program import AllocationProgram, Family


@dataclass(frozen=True, eq=False)
class Arrays:
    """minimise cost·v + constant, row_lower ≤ matrix·v ≤ row_upper, lower ≤ v ≤ upper."""

    columns: list[str]
    rows: list[str]
    cost: np.ndarray
    constant: float
    lower: np.ndarray
    upper: np.ndarray
    integer: np.ndarray
    matrix: sparse.csr_array
    row_lower: np.ndarray
    row_upper: np.ndarray

    def family(self, name: str) -> np.ndarray:
        """Numbers of the rows of one family."""
        return np.array([n for n, row in enumerate(self.rows) if row.startswith(f"{name}[")], int)

    def without_rows(self, family: str) -> Arrays:
        low, high = self.row_lower.copy(), self.row_upper.copy()
        low[self.family(family)], high[self.family(family)] = -np.inf, np.inf
        return replace(self, row_lower=low, row_upper=high)

    def shifted_rows(self, family: str, by: float) -> Arrays:
        """Right-hand sides moved inwards by ``by``; the sides of equations both up."""
        chosen = self.family(family)
        low, high = self.row_lower.copy(), self.row_upper.copy()
        equations = low[chosen] == high[chosen]
        low[chosen] += by
        high[chosen] += np.where(equations, by, -by)
        return replace(self, row_lower=low, row_upper=high)

    def scaled_rows(self, family: str, column: str, factor: float) -> Arrays:
        """Coefficients of one column family in one row family times ``factor``."""
        entries = self.matrix.tocoo()
        in_row = np.isin(entries.row, self.family(family))
        of_column = np.array([name.startswith(f"{column}[") for name in self.columns], bool)
        scale = np.where(in_row & of_column[entries.col], factor, 1.0)
        cells = (entries.data * scale, (entries.row, entries.col))
        return replace(self, matrix=sparse.csr_array(cells, shape=entries.shape))

    def violation(self, vector: np.ndarray) -> float:
        row = self.matrix @ vector
        parts = (self.row_lower - row, row - self.row_upper)
        parts += (self.lower - vector, vector - self.upper)
        return max((float(part.max(initial=0.0)) for part in parts), default=0.0)

    def objective(self, vector: np.ndarray) -> float:
        return float(self.cost @ vector) + self.constant


def of_model(model: pyo.ConcreteModel) -> Arrays:
    form = LinearStandardFormCompiler().write(model, mixed_form=True)
    sense = np.array([row.bound_type for row in form.rows])  # −1 ≥, 0 =, 1 ≤
    side = np.array(form.rhs, float)
    return Arrays(
        columns=[column.name for column in form.columns],
        rows=[row.constraint.name for row in form.rows],
        cost=form.c.toarray().ravel(),
        constant=float(form.c_offset[0]),
        lower=np.array([column.lb for column in form.columns], float),
        upper=np.array([column.ub for column in form.columns], float),
        integer=np.array([column.is_integer() for column in form.columns], bool),
        matrix=sparse.csr_array(form.A),
        row_lower=np.where(sense <= 0, side, -np.inf),
        row_upper=np.where(sense >= 0, side, np.inf),
    )


def of_program(program: AllocationProgram) -> Arrays:
    return Arrays(
        columns=program.column_names,
        rows=program.row_names,
        cost=program.cost,
        constant=program.constant,
        lower=np.zeros_like(program.upper),
        upper=program.upper,
        integer=program.integer,
        matrix=program.matrix,
        row_lower=program.row_lower,
        row_upper=program.row_upper,
    )


def solve(arrays: Arrays, *, relaxed: bool = False) -> np.ndarray:
    """An optimal vector; integers dropped if ``relaxed``."""
    if not len(arrays.cost):
        return np.zeros(0)
    rows = LinearConstraint(arrays.matrix, arrays.row_lower, arrays.row_upper)
    result = milp(
        arrays.cost,
        constraints=rows if arrays.rows else (),
        bounds=Bounds(arrays.lower, arrays.upper),
        integrality=None if relaxed else arrays.integer.astype(int),
        options={"mip_rel_gap": 0.0},
    )
    assert result.status == 0, result.message
    return result.x


def optimum(arrays: Arrays, *, relaxed: bool = False) -> float:
    return arrays.objective(solve(arrays, relaxed=relaxed))


def at_most(low: float, high: float) -> bool:
    """low ≤ high up to the tolerance of a solver."""
    return low <= high + 1e-6 * (1 + abs(high))


def equal(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)


def same_to_the_bit(one: AllocationProgram, other: AllocationProgram) -> bool:
    """Same columns, rows and numbers, kinds of arrays included."""
    vectors = ("cost", "upper", "integer", "row_lower", "row_upper")
    parts = ("data", "indices", "indptr")
    return (
        all(_same_array(getattr(one, name), getattr(other, name)) for name in vectors)
        and all(_same_array(getattr(one.matrix, n), getattr(other.matrix, n)) for n in parts)
        and one.matrix.shape == other.matrix.shape
        and one.matrix.has_canonical_format == other.matrix.has_canonical_format
        and (one.constant, one.tangents) == (other.constant, other.tangents)
        and one.pools.loading == other.pools.loading
        and _same_families(one.columns, other.columns)
        and _same_families(one.rows, other.rows)
    )


def _same_array(one: np.ndarray, other: np.ndarray) -> bool:
    same = one.dtype == other.dtype and one.shape == other.shape
    return same and one.tobytes() == other.tobytes()


def _same_families(one: dict[str, Family], other: dict[str, Family]) -> bool:
    return list(one) == list(other) and all(
        mine.first == yours.first
        and _same_array(mine.index, yours.index)
        and _same_array(mine.number, yours.number)
        for mine, yours in zip(one.values(), other.values(), strict=True)
    )

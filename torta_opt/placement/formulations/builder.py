"""Writing a program row by row, for the programs of this package."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sparse

from torta_opt.solvers.problem import Problem

Term = tuple[int, float]  # column, coefficient


class Builder:
    """Columns and rows in the order in which they are added; rows by name of their equation."""

    def __init__(self) -> None:
        self._columns: list[tuple[float, float, float, bool]] = []
        self._sides: list[tuple[float, float]] = []
        self._entries: tuple[list[int], list[int], list[float]] = ([], [], [])
        self.row_names: list[str] = []
        self.col_names: list[str] = []

    def column(
        self, name: str, lower: float, upper: float, cost: float = 0.0, whole: bool = True
    ) -> int:
        """A new column; its position."""
        self._columns.append((lower, upper, cost, whole))
        self.col_names.append(name)
        return len(self._columns) - 1

    def row(
        self,
        name: str,
        terms: Sequence[Term],
        lower: float = -math.inf,
        upper: float = math.inf,
    ) -> None:
        """lower ≤ Σ coefficient · column ≤ upper; terms of one column add up."""
        position = len(self._sides)
        self._sides.append((lower, upper))
        self.row_names.append(name)
        rows, columns, values = self._entries
        rows += [position] * len(terms)
        columns += [column for column, _ in terms]
        values += [value for _, value in terms]

    def problem(self, offset: float = 0.0) -> Problem:
        rows, columns, values = self._entries
        shape = (len(self._sides), len(self._columns))
        sides = np.array(self._sides, float).reshape(-1, 2)
        lower, upper, cost, whole = np.array(self._columns, float).reshape(-1, 4).T
        matrix = sparse.csr_array((values, (rows, columns)), shape=shape)
        return Problem(
            matrix=matrix,
            row_lower=sides[:, 0],
            row_upper=sides[:, 1],
            col_lower=lower,
            col_upper=upper,
            cost=cost,
            offset=offset,
            integrality=whole.astype(bool),
            row_names=self.row_names,
            col_names=self.col_names,
        )

"""A linear program whose rows couple only some of its columns, as several smaller programs."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.csgraph import connected_components

from torta_opt.solvers import Problem


def independent_parts(problem: Problem, size: int) -> list[tuple[np.ndarray, Problem]]:
    """Columns and program of every part; answers of all parts together are one of the whole.

    No row has columns of two parts. A part has at least ``size`` columns, as far as there are as
    many: each program that is solved takes some milliseconds however small it is. Offsets and names
    are left out.
    """
    matrix = sparse.csr_array(problem.matrix)
    count, label = connected_components(
        sparse.block_array([[None, matrix], [matrix.T, None]], format="csr"), directed=False
    )
    of_row, of_column = label[: problem.rows], label[problem.rows :]
    before = np.bincount(of_column, minlength=count).cumsum()
    part = np.concatenate([[0], before[:-1]]) // size
    names = np.unique(part[of_column])
    # A row without columns goes with the first part, where it is checked.
    row_part = np.where(np.diff(matrix.indptr) > 0, part[of_row], names[:1])
    return [
        _restricted(problem, matrix, row_part == name, part[of_column] == name) for name in names
    ]


def _restricted(
    problem: Problem, matrix: sparse.csr_array, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, Problem]:
    chosen = np.flatnonzero(columns)
    return chosen, dataclasses.replace(
        problem,
        matrix=matrix[rows][:, chosen],
        row_lower=problem.row_lower[rows],
        row_upper=problem.row_upper[rows],
        col_lower=problem.col_lower[chosen],
        col_upper=problem.col_upper[chosen],
        cost=problem.cost[chosen],
        offset=0.0,
        integrality=problem.is_integer[chosen],
        row_names=None,
        col_names=None,
    )

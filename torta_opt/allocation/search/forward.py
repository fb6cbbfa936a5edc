"""A linear program over a long horizon, solved window after window, forward in time.

Every row and column has a slot. The window of slots a … b−1 is solved together with ``AHEAD`` slots
after it; columns of slots before a keep the values that they have by then, and columns of slots
a … b−1 are kept. A row counts in a window if it has a column of slot a or later and none beyond the
slots ahead. So the point satisfies all rows if every window has a solution, and the time it takes
grows with the number of slots. What a decision is worth beyond the slots ahead is lost. That is
next to nothing for requests, which wait for a few slots at most. It would be much for servers: one
that is on now may be worth it by a peak that is hours away.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import scipy.sparse as sparse

from torta_opt.solvers import Problem, Result, Status

WINDOW, AHEAD = 120, 30  # slots

Solve = Callable[[Problem], Result]


def windows_of(slots: int, reach: int) -> list[tuple[int, int, int]]:
    """(first slot, slot after the last kept, slot after the last solved) of every window.

    reach   slots between the columns of a row at most
    """
    ahead = max(AHEAD, 2 * reach)
    if slots <= WINDOW + ahead:
        return [(0, slots, slots)]
    ends = [*range(0, slots - ahead, WINDOW), slots]
    return [(a, b, min(b + ahead, slots)) for a, b in pairwise(ends)]


def solve_forward(
    problem: Problem, row_slot: np.ndarray, column_slot: np.ndarray, solve: Solve
) -> Result:
    """The result of the last window, with the point and its cost over the whole horizon.

    row_slot, column_slot   (rows,), (columns,) slots, from 0 without gaps. A row's columns may be
                            of any slots
    solve                   what solves one window

    Where a window has no point, its result is returned as it is.
    """
    first, last = _span_of_rows(problem.matrix, column_slot)
    reach = int((last - first).max(initial=0))
    windows = windows_of(int(column_slot.max(initial=0)) + 1, reach)
    if len(windows) == 1:
        return solve(problem)
    x = np.zeros(problem.columns)
    matrix = sparse.csr_array(problem.matrix)
    result: Result | None = None
    for a, b, until in windows:
        rows = np.flatnonzero((row_slot < until) & (last < until) & (last >= a))
        columns = np.flatnonzero((column_slot >= a) & (column_slot < until))
        result = solve(_window(problem, matrix, rows, columns, x))
        if result.x is None:
            return result
        kept = column_slot[columns] < b
        x[columns[kept]] = result.x[kept]
        if result.status is not Status.OPTIMAL:
            break
    assert result is not None
    total = float((problem.cost * x).sum()) + problem.offset
    done = result.status is Status.OPTIMAL
    return dataclasses.replace(
        result,
        x=x if done else None,
        objective=total if done else math.inf,
        bound=-math.inf,
        row_dual=None,
        col_dual=None,
        basis=None,
    )


def _span_of_rows(
    matrix: sparse.csr_array | sparse.csc_array, column_slot: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) first and last slot of the columns of each row, −1 where it has none."""
    entries = matrix.tocoo()
    first = np.full(matrix.shape[0], np.iinfo(np.int64).max)
    last = np.full(matrix.shape[0], -1)
    np.minimum.at(first, entries.row, column_slot[entries.col])
    np.maximum.at(last, entries.row, column_slot[entries.col])
    return np.where(last < 0, -1, first), last


def _window(
    problem: Problem,
    matrix: sparse.csr_array,
    rows: np.ndarray,
    columns: np.ndarray,
    x: np.ndarray,
) -> Problem:
    """Some rows over some columns; all others are as in ``x``, or 0."""
    own = matrix[rows]
    known = own @ x
    return Problem(
        matrix=own[:, columns],
        row_lower=problem.row_lower[rows] - known,
        row_upper=problem.row_upper[rows] - known,
        col_lower=problem.col_lower[columns],
        col_upper=problem.col_upper[columns],
        cost=problem.cost[columns],
    )

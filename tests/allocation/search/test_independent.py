"""Parts of a program: together they are the program, and their optima are its optimum."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sparse
from support.random_problems import solvable

from torta_opt.allocation.search.independent import independent_parts
from torta_opt.solvers import Problem, solve_lp


def mixed(problems: list[Problem], rng: np.random.Generator) -> Problem:
    """One program of several, its rows and columns in random order, and a row without columns."""
    matrix = sparse.csr_array(sparse.block_diag([each.matrix for each in problems]))
    matrix = sparse.vstack([matrix, sparse.csr_array((1, matrix.shape[1]))], format="csr")
    rows, columns = rng.permutation(matrix.shape[0]), rng.permutation(matrix.shape[1])

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(each, name) for each in problems])

    return Problem(
        matrix=matrix[rows][:, columns],
        row_lower=np.append(joined("row_lower"), -1.0)[rows],
        row_upper=np.append(joined("row_upper"), 1.0)[rows],
        col_lower=joined("col_lower")[columns],
        col_upper=joined("col_upper")[columns],
        cost=joined("cost")[columns],
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [1, 12, 10_000])
def test_optima_of_the_parts_are_the_optimum(seed: int, size: int) -> None:
    problem = mixed([solvable(4 * seed + k) for k in range(4)], np.random.default_rng(seed))
    parts = independent_parts(problem, size)
    assert sorted(np.concatenate([columns for columns, _ in parts])) == [*range(problem.columns)]
    assert sum(part.rows for _, part in parts) == problem.rows
    assert sum(part.matrix.nnz for _, part in parts) == problem.matrix.nnz
    assert len(parts) >= 4 if size == 1 else len(parts) == 1 or size == 12
    x = np.zeros(problem.columns)
    for columns, part in parts:
        found = solve_lp(part)
        assert found.x is not None
        x[columns] = found.x
    whole = solve_lp(problem)
    assert float(problem.cost @ x) == pytest.approx(whole.objective, rel=1e-6, abs=1e-6)


def test_a_row_without_columns_stays() -> None:
    """It can make the program infeasible, so it is not dropped."""
    problem = mixed([solvable(0), solvable(1)], np.random.default_rng(0))
    empty = int(np.flatnonzero(np.diff(sparse.csr_array(problem.matrix).indptr) == 0)[0])
    problem.row_lower[empty] = 0.5
    found = [solve_lp(part).x for _, part in independent_parts(problem, 1)]
    assert sum(x is None for x in found) == 1

"""Parts of an assignment program that share no row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.csgraph import connected_components

from torta_opt.allocation.formulations.assignment import AssignmentProgram
from torta_opt.solvers.problem import Problem


@dataclass(frozen=True, eq=False)
class Block:
    """Servers (rows of the task), groups, columns and rows of one part, by number."""

    servers: np.ndarray
    groups: np.ndarray
    columns: np.ndarray
    rows: np.ndarray


def blocks_of(program: AssignmentProgram) -> list[Block]:
    """Every server, group, column and row in one block; two blocks have no row in common."""
    _, servers, groups = program.data.sizes
    t, s, g = np.nonzero(program.columns["z"].mask)
    size = servers + groups
    pairs = sparse.coo_array((np.ones(len(s)), (s, servers + g)), shape=(size, size))
    number, label = connected_components(sparse.csr_array(pairs), directed=False)
    of_server, of_group = label[:servers], label[servers:]
    column = np.concatenate(
        [
            (of_server if name == "pick" else of_group)[family.index[:, 0 if name == "pick" else -1]]
            for name, family in program.columns.items()
        ]
    )
    entries = program.problem.matrix.tocoo()
    row = np.full(program.problem.rows, -1)
    row[entries.row] = column[entries.col]
    found = []
    for n in range(number):
        members = (of_server, of_group, column, row)
        found.append(Block(*(np.flatnonzero(each == n) for each in members)))
    return found


def restricted(problem: Problem, block: Block) -> Problem:
    """The problem of one block alone."""
    matrix = sparse.csr_array(problem.matrix)[block.rows][:, block.columns]
    return Problem(
        matrix=matrix,
        row_lower=problem.row_lower[block.rows],
        row_upper=problem.row_upper[block.rows],
        col_lower=problem.col_lower[block.columns],
        col_upper=problem.col_upper[block.columns],
        cost=problem.cost[block.columns],
        integrality=problem.is_integer[block.columns],
    )

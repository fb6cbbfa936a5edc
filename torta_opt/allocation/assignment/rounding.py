"""Whole answers of the counted program: its relaxation rounded, and answers priced block by block.

Rounding. Requests of slot 0 are rounded down, which obeys every row. Then single requests are put
back where (capacity), (fit) and (hull) leave room, the largest fractions first, until as many of a
group are served as in the relaxation. What lies on the hull can be shared out to named servers.

Pricing. With slot 0 fixed the later slots are a linear program, which goes on from the basis of the
relaxation. One run prices an answer on all blocks at once, so that the best of several answers is
known block by block.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from torta_opt.allocation.formulations.assignment import AssignmentProgram
from torta_opt.solvers import Limits, LinearSolver, Status

WHOLE = 1e-6  # distance from a whole number that is a rounding error
SERVER_ROWS = ("capacity", "fit", "hull")


def rounded(
    program: AssignmentProgram, x: np.ndarray, alike: np.ndarray | None = None
) -> np.ndarray:
    """(rows, G) whole requests of slot 0 near the point ``x`` (n,) of the relaxation.

    What rounding down took from a group is put back to it, or to any group with the same label in
    ``alike`` (G,). Obeys every row of servers; sums of groups are rounded up at most.
    """
    problem, data, family = program.problem, program.data, program.columns["z"]
    mask, number = family.mask[0], family.number[0][family.mask[0]]
    row, group = np.nonzero(mask)
    label = group if alike is None else alike[group]
    wanted = x[number]
    z = np.floor(wanted + WHOLE)
    served = np.bincount(label, wanted, label.max(initial=0) + 1)
    missing = np.ceil(served - WHOLE) - np.bincount(label, z, len(served))
    point = np.zeros(problem.columns)
    pick = program.columns["pick"].numbers
    point[pick], point[number] = x[pick], z
    slack = (problem.row_upper - problem.matrix @ point).tolist()
    matrix, bound = problem.by_column, [False] * problem.rows
    for name in SERVER_ROWS:
        numbers = program.rows[name].numbers
        bound[numbers] = [True] * (numbers.stop - numbers.start)
    order = np.lexsort((data.serve_usd[0][row, group], z - wanted))
    for place in order[missing[label[order]] > 0].tolist():
        column, one = number[place], label[place]
        entries = slice(matrix.indptr[column], matrix.indptr[column + 1])
        rows, take = matrix.indices[entries].tolist(), matrix.data[entries].tolist()
        held = [(r, each) for r, each in zip(rows, take, strict=True) if bound[r]]
        room = min(missing[one], problem.col_upper[column] - z[place])
        more = math.floor(min((room, *(slack[r] / each for r, each in held))) + 1e-9)
        if more > 0:
            z[place] += more
            missing[one] -= more
            for r, each in held:
                slack[r] -= more * each
    total = np.zeros(mask.shape, np.int64)
    total[mask] = z.astype(np.int64)
    return total


class Solver(Protocol):
    """A counted program without integrality in a solver: ``FreshProgram``, ``kept.KeptProgram``."""

    @property
    def program(self) -> AssignmentProgram: ...

    def solve(self, limits: Limits) -> np.ndarray | None:
        """(n,) the optimum; None where there is none or a limit came first."""

    def priced(self, total: np.ndarray, limits: Limits) -> np.ndarray | None:
        """(n,) the cheapest point with slot 0 as in ``total`` (rows, G); None where it is illegal,
        or a limit came first."""


class FreshProgram:
    """A program that comes once."""

    def __init__(self, program: AssignmentProgram):
        self.program = program
        self._solver = LinearSolver(program.problem.relaxed())
        family = program.columns["z"]
        self._mask = family.mask[0]
        self._first: np.ndarray = family.number[0][self._mask]

    def solve(self, limits: Limits) -> np.ndarray | None:
        result = self._solver.solve("simplex", limits).raise_if_interrupted()
        return result.x if result.status is Status.OPTIMAL else None

    def priced(self, total: np.ndarray, limits: Limits) -> np.ndarray | None:
        problem, number, fixed = self.program.problem, self._first, total[self._mask].astype(float)
        if total[~self._mask].any() or (fixed > problem.col_upper[number]).any():
            return None
        self._solver.change_col_bounds(number, fixed, fixed)
        x = self._solver.solve("simplex", limits).raise_if_interrupted().x
        self._solver.change_col_bounds(number, problem.col_lower[number], problem.col_upper[number])
        return x


class Relaxation:
    """The optimum ``x`` (n,) of the counted program without integrality, None where there is none
    or a limit came first; and answers priced."""

    def __init__(self, solver: Solver, limits: Limits):
        self.program, self.priced = solver.program, solver.priced
        x = solver.solve(limits)
        self.x = None if x is None else x[: self.program.problem.columns]

    def is_whole(self, columns: np.ndarray) -> bool:
        """Whether the optimum is whole in those of the columns that have to be."""
        assert self.x is not None
        x = self.x[columns][self.program.problem.is_integer[columns]]
        return bool((np.abs(x - np.rint(x)) <= WHOLE).all())

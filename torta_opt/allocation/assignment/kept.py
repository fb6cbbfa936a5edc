"""The counted program in the solver from slot to slot: its columns and rows stay, numbers change.

Which columns and rows the program has depends on the servers counted and the groups that they can
serve; requests, prices, what is hot and how many servers there are change sides, bounds and costs
alone (``AssignmentProgram.with_data``). Every row stands for servers with one option each, so that

    pick = n                    is no column: its terms are in the sides of (capacity) and (hull)
    z ≤ ⌊U/u⌋·n        (fit)    is the upper bound of z

*Columns beside* those of the program, with rows of their own, may bring requests to its queues
(``program_routing``): −x in (queue). The simplex method goes on from the last basis; where servers
or groups come or go, from the statuses of the columns and rows that are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.assignment.blocks import blocks_of
from torta_opt.allocation.formulations.assignment import Assignment, AssignmentProgram
from torta_opt.solvers import Limits, LinearSolver, Problem, Status
from torta_opt.solvers.bases import Keys, carried

CONSTANT_ROWS = ("choose", "fit")  # with one option a server; with them goes the column pick


@dataclass(frozen=True, eq=False)
class Beside:
    """Columns beside those of the program, (n,), and their rows, (m,).

    queue      (n,) number of the row (queue) that each brings a request to; −1: none
    matrix     (m, n) coefficients in their own rows
    keys       (n,), (m,) whole numbers that tell them apart from slot to slot (``key_of``)
    """

    queue: np.ndarray
    matrix: sparse.csr_array
    keys: Keys

    @classmethod
    def nothing(cls) -> Beside:
        none = np.zeros(0, np.int64)
        return cls(none, sparse.csr_array((0, 0)), (none, none))


@dataclass(frozen=True, eq=False)
class Sides:
    """Numbers of the columns beside: $ and upper bound (n,), sides of their rows (m,)."""

    cost: np.ndarray
    upper: np.ndarray
    row_lower: np.ndarray
    row_upper: np.ndarray

    def closed(self) -> Sides:
        """No request comes by them. What they cost stays, so that the basis stays dual feasible."""
        nothing = np.zeros(len(self.row_upper))
        return Sides(self.cost, np.zeros(len(self.upper)), nothing, nothing)


class KeptProgram:
    """See the module.

    program   with the numbers that ``change`` set last
    blocks    of the program
    """

    def __init__(
        self,
        program: AssignmentProgram,
        kinds: np.ndarray,
        groups: np.ndarray,
        beside: Beside,
        before: KeptProgram | None = None,
    ):
        """
        program        ``for_any_demand``
        kinds, groups  (K,), (G,) whole numbers that tell its servers and groups apart, the same for
                       the same ones in every program
        before         the program whose basis this one goes on from
        """
        self.program, self.beside, self.blocks = program, beside, blocks_of(program)
        inner, rows = program.problem, np.ones(program.problem.rows, bool)
        for name in CONSTANT_ROWS:
            rows[program.rows[name].numbers] = False
        pick = program.columns["pick"].numbers
        self._rows, self._columns = np.flatnonzero(rows), np.arange(pick.stop, inner.columns)
        kept = sparse.csr_array(inner.matrix)[self._rows]
        self._pick = kept[:, pick]
        self._queues = np.cumsum(rows)[program.rows["queue"].numbers] - 1
        self._matrix = self._stacked(kept[:, pick.stop :])
        self.keys = (
            np.concatenate([_keys(program.columns, kinds, groups)[self._columns], beside.keys[0]]),
            np.concatenate([_keys(program.rows, kinds, groups)[self._rows], beside.keys[1]]),
        )
        self.sides = Sides(*(np.zeros(n) for n in beside.matrix.shape[::-1] for _ in range(2)))
        self._basis: Any = None
        if before is not None and before._basis is not None:
            self._basis = carried(before._basis, before.keys, self.keys)
        self._solver: LinearSolver | None = None
        self._is_first = True  # whether the program that stands now is the first of its slot

    def _stacked(self, kept: sparse.csr_array) -> sparse.csr_array:
        """The columns of the program and those beside, the rows of the program above the others."""
        brings = np.flatnonzero(self.beside.queue >= 0)
        first = self.program.rows["queue"].first
        row = self._queues[self.beside.queue[brings] - first]
        shape = len(self._rows), self.beside.matrix.shape[1]
        on_queue = sparse.csr_array((np.full(len(brings), -1.0), (row, brings)), shape=shape)
        below = [sparse.csr_array((self.beside.matrix.shape[0], kept.shape[1])), self.beside.matrix]
        return sparse.csr_array(sparse.block_array([[kept, on_queue], below]))

    def change(self, data: Assignment, sides: Sides, come: np.ndarray | None = None) -> None:
        """Other numbers; ``come`` (H, G) requests that (queue) is given, those of ``data`` if left
        out: where columns beside bring them, ``data`` says how many can come at most."""
        self.program = program = self.program.with_data(data)
        self.sides = sides
        inner = program.problem
        lower, upper = inner.row_lower, inner.row_upper
        if come is not None:
            queue = program.rows["queue"]
            lower, upper = lower.copy(), upper.copy()
            lower[queue.numbers] = upper[queue.numbers] = come[queue.mask]
        self._is_first = come is not None or not len(self.beside.queue)
        fixed = self._pick @ data.count.astype(float)
        numbers = {
            "row_lower": np.concatenate([lower[self._rows] - fixed, sides.row_lower]),
            "row_upper": np.concatenate([upper[self._rows] - fixed, sides.row_upper]),
            "col_upper": np.concatenate([inner.col_upper[self._columns], sides.upper]),
            "cost": np.concatenate([inner.cost[self._columns], sides.cost]),
        }
        if self._basis is None:  # nothing to go on from: no slot before, or no basis in it
            self._solver = None
        if self._solver is None:
            problem = Problem(
                matrix=self._matrix,
                row_lower=numbers["row_lower"],
                row_upper=numbers["row_upper"],
                col_lower=np.zeros(self._matrix.shape[1]),
                col_upper=numbers["col_upper"],
                cost=numbers["cost"],
            )
            self._solver = LinearSolver(problem, warm=self._basis, scaled=False)
        else:
            self._solver.change_numbers(self._solver.problem.with_numbers(**numbers))

    @property
    def problem(self) -> Problem:
        """What stands in the solver."""
        assert self._solver is not None
        return self._solver.problem

    def solve(self, limits: Limits) -> np.ndarray | None:
        """(n,) the optimum of what stands now, columns of the program and then those beside; None
        where there is none or a limit came first.

        The first program of a slot goes on from the first one of the slot before, what follows in
        the slot from there.
        """
        assert self._solver is not None
        if self._is_first and self._basis is not None:
            self._solver.set_basis(self._basis)
        result = self._solver.solve("simplex", limits).raise_if_interrupted()
        if self._is_first:
            self._basis = result.basis
        if result.x is None or result.status is not Status.OPTIMAL:
            return None
        return np.concatenate([self.program.data.count, result.x])

    def priced(self, total: np.ndarray, limits: Limits) -> np.ndarray | None:
        """(n,) the cheapest point of the program with slot 0 as in ``total`` (K, G); None where
        that is illegal, or a limit came first."""
        assert self._solver is not None
        problem, family = self.program.problem, self.program.columns["z"]
        mask = family.mask[0]
        number, fixed = family.number[0][mask], total[mask].astype(float)
        if total[~mask].any() or (fixed > problem.col_upper[number]).any():
            return None
        own = number - self._columns[0]
        self._solver.change_col_bounds(own, fixed, fixed)
        self._is_first = False
        x = self.solve(limits)
        self._solver.change_col_bounds(own, problem.col_lower[number], problem.col_upper[number])
        return None if x is None else x[: problem.columns]


# --- what is the same from slot to slot -----------------------------------------------------------

_AXES = {  # k: kinds of servers, g: groups; others as they are
    "pick": "k.",
    "z": ".kg",
    "hot": ".kg",
    "q": ".g",
    "expired": ".g",
    "choose": "k",
    "queue": ".g",
    "expire": ".g",
    "capacity": ".k.",
    "fit": ".kg",
    "hull": ".k..",
    "hot_served": ".kg",
    "reuse": ".kg",
}
_WIDE, _NARROW = 16, 8  # bits of a kind or a group; of any other number of a cell


def key_of(family: int, narrow: list[Any], wide: list[Any]) -> np.ndarray:
    """Whole numbers for cells (n,) of a family: up to three small numbers, up to two larger ones.

    Should two cells ever share a number, a basis is carried over worse than it could be.
    """
    key = np.full(1, family, np.int64)
    for n in range(3):
        key = (key << _NARROW) + (narrow[n] if n < len(narrow) else 0)
    for n in range(2):
        key = (key << _WIDE) + (wide[n] if n < len(wide) else 0)
    return key


def _keys(families: dict[str, Any], kinds: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """A whole number for each column or row that is the same in every program."""
    found = []
    for n, (name, family) in enumerate(families.items()):
        named = {"k": kinds, "g": groups}
        axes = list(zip(_AXES[name], family.index.T, strict=True))
        narrow = [cell for axis, cell in axes if axis == "."]
        wide = [named[axis][cell] for axis, cell in axes if axis != "."]
        found.append(key_of(n, narrow, wide))
    return np.concatenate(found)

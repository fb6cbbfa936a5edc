"""Scenario trees: futures that share their decisions until they part, as one linear program.

A tree has L leaves. Every leaf is a whole future of the same system; leaves with the same node in
slot t have the same demand up to the end of the block that holds t, and take the same decisions in
slot t. With w_l the weights of the leaves, c_l·v_l + k_l the program of leaf l, the tree's program
is

    minimise    Σ_l w_l·(c_l·v_l + k_l)
    subject to  the rows of every leaf
                v_l[j] = v_l'[j]   for every column j of slot t, where l and l' share a node in t

Shared columns are one column; a row is kept once for all leaves that share every column of it.

If every leaf on its own has the law of demand, the expected optimum of the tree is at most the
expected cost of any policy that cannot see ahead (docs/bounds/nonanticipative.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.bounds.dual import dual_bound
from torta_opt.allocation.bounds.windows import Split
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.instance.data import Instance
from torta_opt.io.errors import InvalidInput, LimitReached
from torta_opt.solvers import Limits, Problem, Status, solve_lp

OTHER_OUTAGES = (
    "tree needs futures with the same outages: a program counts servers together if their outages "
    "fall in the same slots, so futures with different outages share no decisions; use none or "
    "penalty"
)

Draw = Callable[[Instance, int, int], Instance]  # future, seed, first slot that is drawn anew


@dataclass(frozen=True, eq=False)
class ScenarioTree:
    """Futures and where they part.

    leaves   L instances of the same system
    node     (L, T) leaves with the same number in slot t share their decisions of slot t
    weight   (L,) they add up to 1
    """

    leaves: tuple[Instance, ...]
    node: np.ndarray
    weight: np.ndarray

    @cached_property
    def first(self) -> np.ndarray:
        """(L, T) the first leaf of the node of each leaf and slot."""
        same = self.node[:, None, :] == self.node[None, :, :]
        first: np.ndarray = same.argmax(axis=1)
        return first


def sample_tree(
    future: Instance, draw: Draw, branches: Sequence[int], children: int, seed: int
) -> ScenarioTree:
    """A tree whose first leaf is ``future``; it parts at the slots ``branches``, each node there
    into ``children``.

    ``draw(leaf, seed, start)`` draws the slots from ``start`` on anew, given those before. Demand
    of a block, from one branch to the next, is known when the block begins.
    """
    rng = np.random.default_rng([seed, 7])
    leaves, node = [future], np.zeros((1, future.slots), np.int64)
    for start in sorted(set(branches)):
        grown, numbers = [], []
        for number, leaf in enumerate(leaves):
            for child in range(children):
                fresh = int(rng.integers(2**62))  # drawn for every child: sizes change no seed
                grown.append(leaf if child == 0 else draw(leaf, fresh, start))
                path = node[number].copy()
                path[start:] = len(grown) - 1
                numbers.append(path)
        leaves, node = grown, np.array(numbers)
    return ScenarioTree(tuple(leaves), node, np.full(len(leaves), 1 / len(leaves)))


def raise_if_outages_differ(leaves: Sequence[Instance]) -> None:
    """Raise InvalidInput if the servers of futures cannot be counted together."""
    if any((leaf.up != leaves[0].up).any() for leaf in leaves):
        raise InvalidInput(OTHER_OUTAGES, field="way")


@dataclass(frozen=True, eq=False)
class TreeProgram:
    """The program of a tree; ``column`` has for every leaf the numbers of its columns in it."""

    cost: np.ndarray
    constant: float
    matrix: sparse.csr_array
    row_lower: np.ndarray
    row_upper: np.ndarray
    upper: np.ndarray
    column: tuple[np.ndarray, ...]

    def problem(self) -> Problem:
        return Problem(
            matrix=self.matrix,
            row_lower=self.row_lower,
            row_upper=self.row_upper,
            col_lower=np.zeros(len(self.cost)),
            col_upper=self.upper,
            cost=self.cost,
            offset=self.constant,
        )

    def prove(self, dual: np.ndarray) -> float:
        """What a dual vector proves of the tree's optimum, safe against rounding."""
        return dual_bound(
            cost=self.cost,
            constant=self.constant,
            matrix=self.matrix,
            row_lower=self.row_lower,
            row_upper=self.row_upper,
            lower=np.zeros(len(self.cost)),
            upper=self.upper,
            dual=dual,
        )

    def bound(self, limits: Limits | None = None) -> float:
        """The optimum from below. Raises LimitReached, KeyboardInterrupt."""
        result = solve_lp(self.problem(), limits=limits, crossover=False)
        if result.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        value = -np.inf if result.row_dual is None else self.prove(result.row_dual)
        if result.status is not Status.OPTIMAL or not np.isfinite(value):
            raise LimitReached("no bound of a scenario tree found within the limits")
        return value


def tree_program(tree: ScenarioTree, programs: Sequence[AllocationProgram]) -> TreeProgram:
    """The programs of the leaves as one.

    Raises ValueError if leaves that share a node have different columns there.
    """
    constant = math.fsum(
        weight * program.constant for weight, program in zip(tree.weight, programs, strict=True)
    )
    return joined(tree, [Piece.whole(program) for program in programs], constant)


@dataclass(frozen=True, eq=False)
class Piece:
    """What a tree takes of the program of a leaf.

    rows, columns   (rows,), (columns,) bool; every column of a row that is taken is taken
    cost            (columns,) dollars
    further         rows below them, and their sides: equations
    """

    program: AllocationProgram
    rows: np.ndarray
    columns: np.ndarray
    cost: np.ndarray
    further: tuple[sparse.csr_array, np.ndarray] | None = None

    @classmethod
    def whole(cls, program: AllocationProgram) -> Piece:
        rows, columns = (np.ones(size, bool) for size in program.matrix.shape)
        return cls(program, rows, columns, program.cost)


def joined(tree: ScenarioTree, pieces: Sequence[Piece], constant: float = 0.0) -> TreeProgram:
    """Pieces of the programs of the leaves as one program. Raises ValueError as above."""
    parts = _Parts()
    columns: list[np.ndarray] = []
    for leaf, piece in enumerate(pieces):
        program = piece.program
        column_slot, row_slot = slots_of(program)
        first = tree.first[leaf, column_slot]
        own = piece.columns & (first == leaf)
        number = np.full(len(own), -1, np.int64)
        number[own] = parts.columns + np.arange(np.count_nonzero(own))
        for owner in np.unique(first[piece.columns & ~own]).tolist():
            shared = np.flatnonzero(piece.columns & (first == owner))
            twin = _twins(program, pieces[owner].program, shared)
            number[shared] = columns[owner][twin]
        if (number[piece.columns] < 0).any():
            raise ValueError("leaves that share a node take different columns")
        kept = piece.rows & (tree.first[leaf, last_slots(program, row_slot, column_slot)] == leaf)
        parts.add(program.matrix[kept], (program.row_lower[kept], program.row_upper[kept]), number)
        parts.add_columns(program.upper[own])
        if piece.further is not None:
            matrix, side = piece.further
            parts.add(matrix, (side, side), number)
        columns.append(number)
    cost = np.zeros(parts.columns)
    for leaf, piece in enumerate(pieces):
        taken = piece.columns
        np.add.at(cost, columns[leaf][taken], tree.weight[leaf] * piece.cost[taken])
    return parts.program(cost, constant, tuple(columns))


def slots_of(program: AllocationProgram) -> tuple[np.ndarray, np.ndarray]:
    """Slots of all columns and of all rows of a program."""
    split = Split.of(program)
    return split.column_slot, split.row_slot


class _Parts:
    """Columns and rows collected leaf by leaf."""

    def __init__(self) -> None:
        self.columns = self.rows = 0
        self.entries: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.sides: list[tuple[np.ndarray, np.ndarray]] = []
        self.upper: list[np.ndarray] = []

    def add_columns(self, upper: np.ndarray) -> None:
        self.upper.append(upper)
        self.columns += len(upper)

    def add(
        self,
        matrix: sparse.csr_array,
        sides: tuple[np.ndarray, np.ndarray],
        number: np.ndarray,
    ) -> None:
        """Rows of a leaf whose columns have the given numbers, −1 where they are not taken."""
        entries = matrix.tocoo()
        if (number[entries.col] < 0).any():
            raise ValueError("a row is taken without one of its columns")
        self.entries.append((entries.data, entries.row + self.rows, number[entries.col]))
        self.sides.append(sides)
        self.rows += matrix.shape[0]

    def program(
        self, cost: np.ndarray, constant: float, columns: tuple[np.ndarray, ...]
    ) -> TreeProgram:
        value, row, column = map(np.concatenate, zip(*self.entries, strict=True))
        lower, upper = map(np.concatenate, zip(*self.sides, strict=True))
        matrix = sparse.csr_array((value, (row, column)), shape=(self.rows, self.columns))
        most = np.concatenate(self.upper)
        return TreeProgram(cost, constant, matrix, lower, upper, most, columns)


def _twins(one: AllocationProgram, other: AllocationProgram, shared: np.ndarray) -> np.ndarray:
    """The columns of ``other`` of the same family and cell as the ``shared`` ones of ``one``."""
    twin = np.full(len(shared), -1, np.int64)
    for name, family in one.columns.items():
        here = (shared >= family.first) & (shared < family.first + len(family))
        cells = family.index[shared[here] - family.first]
        number = other.columns[name].number
        if (cells.max(axis=0, initial=-1) >= number.shape).any():
            raise ValueError(f"leaves that share a node have different columns {name}")
        twin[here] = number[tuple(cells.T)]
    if (twin < 0).any() or (one.upper[shared] != other.upper[twin]).any():
        raise ValueError("leaves that share a node have different columns")
    return twin


def last_slots(
    program: AllocationProgram, row_slot: np.ndarray, column_slot: np.ndarray
) -> np.ndarray:
    """(rows,) the last slot that a row or one of its columns belongs to."""
    last = row_slot.copy()
    entries = program.matrix.tocoo()
    np.maximum.at(last, entries.row, column_slot[entries.col])
    return last

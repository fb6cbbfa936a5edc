"""Scenario trees in windows: the horizon cut, what couples the windows priced by what is known.

With windows [b_k, b_{k+1}) of slots, every row belongs to the window of the last slot that it or
one of its columns has. A column j of slot t_j < b_k that is in rows of window k is there as a copy,
at a price p_k[j] that may depend on the history before b_k, H_k, and on random numbers of its own;
its own window takes the price back. Window k is one tree of futures that share H_k:

    B_k = min Σ_l w_l·( Σ_{j of the window} (c_j − Σ_{k'>k} p_{k'}[j](leaf l))·v_l[j]
                        + Σ_{j before b_k} p_k[j]·v_l[j] )
          subject to the rows of the window on every leaf, and decisions shared as in ``tree.py``

For a policy that cannot see ahead, the prices cancel on average, so E[Σ_k B_k] + E[constant] is at
most what it costs on average, whatever the prices (docs/bounds/nonanticipative.md). Good prices are
duals: of a tree whose futures part at b_k, everything before as it came.

The state at b_k is free within the rows of the window; those that count the servers of each pool
are added. What a window loses by that depends on how good the prices are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.bounds.windows import Split
from torta_opt.allocation.foresight.tree import (
    Piece,
    ScenarioTree,
    TreeProgram,
    joined,
    last_slots,
    slots_of,
    tree_program,
)
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.solvers import Limits, solve_lp

Prices = dict[str, np.ndarray]  # dollars by family of columns, dense over its cells


@dataclass(frozen=True)
class Span:
    """Slots ``first`` to ``end`` − 1 of a window, and how many before it its rows may reach."""

    first: int
    end: int
    reach: int


def spans(slots: int, window: int, program: AllocationProgram) -> list[Span]:
    """Windows of ``window`` slots; the last may be shorter."""
    reach = reach_of(program)
    return [
        Span(first, min(first + window, slots), min(reach, first))
        for first in range(0, slots, window)
    ]


def reach_of(program: AllocationProgram) -> int:
    """The most slots that a column of a row can lie before the last one of the row, in the program
    of any future: what waits does so until its deadline, what loads until it is loaded."""
    pools, deadlines = program.pools, program.instance.system.deadline_slots
    loading = max(pools.start_slots.max(initial=0), pools.switch_slots.max(initial=0))
    return max(1, int(deadlines.max(initial=0)), int(loading))


# --- prices -------------------------------------------------------------------------------------


def prices_at(
    span: Span,
    tree: ScenarioTree,
    programs: Sequence[AllocationProgram],
    limits: Limits | None = None,
) -> Prices:
    """What the columns before a window are worth to its rows, from the duals of a tree.

    The futures of the tree share all slots before the window. Nothing of this decides whether the
    bound holds; where there is no dual vector, the prices are 0.
    """
    program = programs[0]
    whole = tree_program(tree, programs)
    result = solve_lp(whole.problem(), limits=limits, crossover=False).raise_if_interrupted()
    if result.row_dual is None:
        return {name: np.zeros(family.mask.shape) for name, family in program.columns.items()}
    slot = np.zeros(len(whole.cost), np.int64)
    for each, number in zip(programs, whole.column, strict=True):
        slot[number] = slots_of(each)[0]
    entries = whole.matrix.tocoo()
    last = np.zeros(whole.matrix.shape[0], np.int64)
    np.maximum.at(last, entries.row, slot[entries.col])
    of_window = (last >= span.first) & (last < span.end)
    usd = (whole.matrix.T @ np.where(of_window, result.row_dual, 0.0))[whole.column[0]]
    before = slots_of(program)[0] < span.first
    found = {}
    for name, family in program.columns.items():
        found[name] = np.zeros(family.mask.shape)
        found[name][family.mask] = (usd * before)[family.numbers]
    return found


def charged_at(program: AllocationProgram, prices: Prices) -> np.ndarray:
    """(columns,) the prices of the columns of a program; 0 for cells without one."""
    usd = np.zeros(len(program.cost))
    for name, family in program.columns.items():
        given, cells = prices[name], family.index
        known = (cells < np.array(given.shape)).all(axis=1)
        usd[family.first + np.flatnonzero(known)] = given[tuple(cells[known].T)]
    return usd


# --- windows ------------------------------------------------------------------------------------


def window_costs(
    span: Span, program: AllocationProgram, now: Prices | None, later: Sequence[Prices]
) -> np.ndarray:
    """(columns,) what columns cost in a window: own ones less later prices, earlier ones as priced.

    now     prices at the beginning of the window; None: there is nothing before it
    later   prices at the beginnings of the windows after it, as the leaf's own history gives them
    """
    slot = slots_of(program)[0]
    own = (slot >= span.first) & (slot < span.end)
    cost = np.where(own, program.cost, 0.0)
    for each in later:
        cost -= np.where(own, charged_at(program, each), 0.0)
    if now is not None:
        cost += np.where(slot < span.first, charged_at(program, now), 0.0)
    return cost


def window_program(
    span: Span,
    tree: ScenarioTree,
    programs: Sequence[AllocationProgram],
    now: Prices | None,
    later: Sequence[Sequence[Prices]],
) -> TreeProgram:
    """The program of one window over the leaves of a tree; ``later`` are the prices by leaf."""
    pieces = []
    for leaf, program in enumerate(programs):
        column_slot, row_slot = slots_of(program)
        last = last_slots(program, row_slot, column_slot)
        rows = (last >= span.first) & (last < span.end)
        columns = (column_slot >= span.first - span.reach) & (column_slot < span.end)
        cost = window_costs(span, program, now, later[leaf])
        further = _counted(program, span.first) if leaf == 0 and span.first > 0 else None
        pieces.append(Piece(program, rows, columns, cost, further))
    return joined(tree, pieces)


def _counted(program: AllocationProgram, slot: int) -> tuple[sparse.csr_array, np.ndarray]:
    """Rows that count the servers of each pool at the start of a slot: sums of earlier rows."""
    implied = Split.of(program).pool_sums(slot)
    matrix = sparse.csr_array(implied @ program.matrix)
    matrix.eliminate_zeros()
    side: np.ndarray = implied @ np.where(np.isfinite(program.row_lower), program.row_lower, 0.0)
    return matrix, side

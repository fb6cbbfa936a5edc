"""A policy without foresight inside the merged program: fractions of servers, all regions as one.

In every slot it knows the demand so far, draws ``leaves`` futures from the law given that, and
solves the merged program of all of them at once, decisions of this slot and of those before common
to all (``foresight/tree.py``). What it decides for this slot is carried out. The future that comes
is not among those drawn, so nothing is decided from it before it has come. Its decisions satisfy
the rows of the merged program of that future, so

    clairvoyant bound  ≤  best that no policy without foresight beats in this program  ≤  its cost,

the second on average. No bound that is made of the merged program can show more to be foresight
than what lies between the first and the last.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torta_opt.allocation.foresight.inner import merged_of
from torta_opt.allocation.foresight.tree import (
    Draw,
    Piece,
    ScenarioTree,
    TreeProgram,
    joined,
    last_slots,
    slots_of,
)
from torta_opt.allocation.foresight.windows import reach_of
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.instance import Instance
from torta_opt.io import VerificationFailed
from torta_opt.solvers import Problem, solve_lp

OUTSIDE = 1e-4  # requests or servers by which decisions may miss a row: the solver's tolerance

Values = dict[str, np.ndarray]  # decisions by family of columns, dense over its cells


def relaxed_cost(future: Instance, draw: Draw, leaves: int, seed: int) -> float:
    """Dollars of the policy of the module on one future; arguments as of ``decisions``.

    Raises VerificationFailed if its decisions violate the merged program of the future.
    """
    program = merged_of(future, 1).program
    return _priced(program, decisions(future, draw, leaves, seed))


def decisions(future: Instance, draw: Draw, leaves: int, seed: int) -> Values:
    """What the policy decides, slot by slot.

    draw   as in ``sample_tree``: the slots from some slot on anew, given those before
    """
    own = merged_of(future, 1).program
    done = {name: np.zeros(family.mask.shape) for name, family in own.columns.items()}
    for slot in range(future.slots):
        rng = np.random.default_rng([seed, 13, slot])
        drawn = [future]
        if slot + 1 < future.slots:
            drawn = [draw(future, int(rng.integers(2**62)), slot + 1) for _ in range(leaves)]
        for name, values in _decided(drawn, slot, done).items():
            done[name][slot] = values[slot]
    return done


def _decided(drawn: Sequence[Instance], slot: int, done: Values) -> Values:
    """The plan from ``slot`` on, common to all drawn futures in this slot, as the first has it."""
    programs = [merged_of(each, 1).program for each in drawn]
    first, earliest = programs[0], max(0, slot - reach_of(programs[0]))
    node = np.zeros((len(drawn), first.instance.slots), np.int64)
    node[:, slot + 1 :] = np.arange(len(drawn))[:, None]
    tree = ScenarioTree(tuple(drawn), node, np.full(len(drawn), 1 / len(drawn)))
    whole = joined(tree, [_piece(each, slot, earliest) for each in programs])
    result = solve_lp(_fixed(whole, first, slot, done), crossover=False).raise_if_interrupted()
    if result.x is None:
        raise RuntimeError(f"slot {slot}: the program of the futures drawn is not solved")
    number = whole.column[0]
    x = np.where(number >= 0, np.maximum(result.x[number], 0.0), 0.0)
    return first.values(x)


def _piece(program: AllocationProgram, slot: int, earliest: int) -> Piece:
    """Rows that this slot or a later one has a part in, and their columns."""
    column_slot, row_slot = slots_of(program)
    rows = last_slots(program, row_slot, column_slot) >= slot
    cost = np.where(column_slot >= slot, program.cost, 0.0)
    return Piece(program, rows, column_slot >= earliest, cost)


def _fixed(whole: TreeProgram, first: AllocationProgram, slot: int, done: Values) -> Problem:
    """The program, columns of earlier slots as they were decided."""
    problem, number = whole.problem(), whole.column[0]
    past = (slots_of(first)[0] < slot) & (number >= 0)
    at = first.vector(done)[past]
    problem.col_lower[number[past]] = problem.col_upper[number[past]] = at
    return problem


def _priced(program: AllocationProgram, done: Values) -> float:
    x = program.vector(done)
    at = program.matrix @ x
    missed = max(float((program.row_lower - at).max()), float((at - program.row_upper).max()))
    if missed > OUTSIDE:
        raise VerificationFailed(f"{program.instance.name}: decisions miss a row by {missed:.2g}")
    return float(program.cost @ x) + program.constant

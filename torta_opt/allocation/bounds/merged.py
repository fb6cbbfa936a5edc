"""The bound of the merged program: all regions as one, servers may be fractions.

Knapsack rows (``knapsack.py``) are added to it.

Weaker than ``lp`` by what differs between regions beyond the cost of servers, and a hundred times
faster: the way to a bound over hundreds of slots. As there, the value is what the dual vector
proves (``dual.py``).
"""

from __future__ import annotations

import dataclasses
import time

from torta_opt.allocation.bounds.lp import ProgramBound, relaxed_bound
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.merged import MergedProgram, build_merged_program
from torta_opt.allocation.instance.data import Instance
from torta_opt.solvers import Limits, solve_lp

MergedBound = ProgramBound[MergedProgram]


def merged_bound(
    instance: Instance, limits: Limits | None = None, *, method: str = "auto"
) -> MergedBound:
    """The bound of an instance's merged program.

    A user's constraints are left out of it: they make schedules dearer, so the bound still holds.
    Raises LimitReached if the solver found no dual vector in time.
    """
    began = time.perf_counter()
    merged = build_merged_program(instance)
    merged = dataclasses.replace(merged, program=with_knapsack_rows(merged.program))
    result = solve_lp(merged.program.problem(), method, limits, crossover=False)
    found = relaxed_bound(merged.program, result, time.perf_counter() - began)
    return MergedBound(
        found.value,
        "merged",
        merged,
        found.dual,
        found.x,
        found.claim,
        found.seconds,
        found.interrupted,
        found.limited,
    )

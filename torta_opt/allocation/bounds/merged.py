"""The bound of the merged program: all regions as one, servers may be fractions.

Knapsack rows (``knapsack.py``) are added to it.

Weaker than ``lp`` by what differs between regions beyond the cost of servers, and a hundred times
faster: the way to a bound over hundreds of slots. As there, the value is what the dual vector
proves (``dual.py``).
"""

from __future__ import annotations

import dataclasses
import time
from functools import partial

from torta_opt.allocation.bounds.certify import merged_certificate
from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.bounds.lp import relaxed_bound
from torta_opt.allocation.bounds.of_program import ProgramBound
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.merged import (
    MergedProgram,
    build_merged_program,
    check_merged,
)
from torta_opt.allocation.instance.data import Instance
from torta_opt.family import Request
from torta_opt.results import BoundResult
from torta_opt.solvers import Limits, available_methods, solve_lp

LONG = 480  # slots from which HiPO is taken: its time grows less

MergedBound = ProgramBound[MergedProgram]


def merged_bound(
    instance: Instance, limits: Limits | None = None, *, method: str = "auto"
) -> MergedBound:
    """The bound of an instance's merged program.

    method   as for ``solve_lp``; auto takes HiPO for long horizons: it factorises a matrix whose
             rows couple few slots, in time that grows with T, where IPX takes time that grows with
             its square. Both prove the same

    A user's constraints are left out of it: they make schedules dearer, so the bound still holds.
    Raises LimitReached if the solver found no dual vector in time.
    """
    began = time.perf_counter()
    merged = build_merged_program(instance)
    merged = dataclasses.replace(merged, program=with_knapsack_rows(merged.program))
    if method == "auto":
        method = merged_method(instance.slots)
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


def merged_method(slots: int) -> str:
    """The method for a linear program over all requests or servers of so many slots."""
    return "hipo" if slots > LONG and "hipo" in available_methods() else "auto"


def compute(instance: Instance, request: Request) -> BoundResult:
    """The bound method ``merged``; it takes no constraints of a user, and holds with them too."""
    found = merged_bound(instance, request.limits)
    assert found.dual is not None
    return BoundResult(
        max(found.value, floor(instance).value),
        "merged",
        holds=partial(check_merged, found.program),
        solved=found,
        interrupted=found.interrupted,
        limited=found.limited,
        certificate=merged_certificate(found.program, found.dual),
    )

"""The bounds of the merged program: all regions as one, servers may be fractions.

Knapsack rows (``knapsack.py``) are added to it, and for the method ``whole`` the rows that count
whole servers (``whole_servers.py``), which pay where servers are few.

Weaker than ``lp`` by what differs between regions beyond the cost of servers, and a hundred times
faster: the way to a bound over hundreds of slots. As there, the value is what the dual vector
proves (``dual.py``).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from torta_opt.allocation.bounds.certify import merged_certificate
from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.bounds.lp import relaxed_bound
from torta_opt.allocation.bounds.milp import branch_from
from torta_opt.allocation.bounds.named_duals import duals_of_program
from torta_opt.allocation.bounds.of_program import ProgramBound
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.merged import (
    MergedProgram,
    build_merged_program,
    check_merged,
)
from torta_opt.allocation.formulations.whole_servers import with_whole_rows
from torta_opt.allocation.instance.data import Instance
from torta_opt.family import Request
from torta_opt.results import BoundResult
from torta_opt.solvers import Limits, Progress, SolverFailed, available_methods, solve_lp

LONG = 480  # slots above which HiPO is taken; at 480 both take the same time

MergedBound = ProgramBound[MergedProgram]


def merged_bound(
    instance: Instance,
    limits: Limits | None = None,
    *,
    method: str = "auto",
    whole: bool = False,
) -> MergedBound:
    """The bound of an instance's merged program.

    whole    with the rows that count whole servers
    method   as for ``solve_lp``; auto takes HiPO for long horizons: it factorises a matrix whose
             rows couple few slots, so its time grows in proportion to T, that of IPX with the
             square of T (docs/formulations/merged.md). Both prove the same

    A user's constraints are left out of it: they make schedules dearer, so the bound still holds.
    Raises LimitReached if the solver found no dual vector in time.
    """
    began = time.perf_counter()
    merged = build_merged_program(instance)
    program = with_knapsack_rows(merged.program)
    merged = dataclasses.replace(merged, program=with_whole_rows(program) if whole else program)
    if method == "auto":
        method = merged_method(instance.slots)
    # Presolve saves HiPO nothing here, and the point that it restores violates rows.
    presolve = method != "hipo"
    result = solve_lp(merged.program.problem(), method, limits, crossover=False, presolve=presolve)
    found = relaxed_bound(merged.program, result, time.perf_counter() - began)
    return found.stated_of(merged, "whole" if whole else "merged")


def merged_method(slots: int) -> str:
    """The method for a linear program over all requests or servers of so many slots."""
    return "hipo" if slots > LONG and "hipo" in available_methods() else "auto"


def compute(instance: Instance, request: Request) -> BoundResult:
    """The bound method ``merged``; it takes no constraints of a user, and holds with them too."""
    return _result(instance, merged_bound(instance, request.limits))


def compute_whole(instance: Instance, request: Request) -> BoundResult:
    """The bound method ``whole``; as for ``merged``."""
    return _result(instance, merged_bound(instance, request.limits, whole=True))


def branched(
    found: MergedBound,
    limits: Limits,
    *,
    began: float,
    watch: Callable[[Progress], Any] | None = None,
) -> MergedBound:
    """Branch and bound on a merged program whose linear relaxation is solved; as ``milp_bound``.

    The merged program is small however many regions there are, and with the rows that count whole
    servers its root often ends at the optimum.
    """
    inner = found.stated_of(found.program.program, found.source)
    best = branch_from(inner, limits, began=began, watch=watch)
    return best.stated_of(found.program, "merged_milp", found if best.dual is None else None)


def compute_branched(instance: Instance, request: Request) -> BoundResult:
    """The bound method ``merged_milp``; the linear relaxation it began with stays beside."""
    began, limits = time.perf_counter(), request.limits or Limits()
    found = merged_bound(instance, limits, whole=True)
    if found.interrupted:
        return _result(instance, found)
    spent = time.perf_counter() - began
    left = dataclasses.replace(limits, seconds=max(0.0, limits.seconds - spent))
    try:
        best = branched(found, left, began=time.perf_counter(), watch=request.solver_watch)
    except SolverFailed as error:  # what the relaxation proved stands
        why = f"merged_milp: the solver failed: {error}"
        return dataclasses.replace(_result(instance, found), limited=True, stopped=why, why=why)
    return result_of_merged(instance, best)


def result_of_merged(instance: Instance, found: MergedBound) -> BoundResult:
    """The result of ``branched``, with what the linear relaxation proves beside it."""
    beside = None if found.relaxed is None else _result(instance, found.relaxed)
    return dataclasses.replace(_result(instance, found), beside=beside)


def _result(instance: Instance, found: MergedBound) -> BoundResult:
    return BoundResult(
        max(found.value, floor(instance).value),
        found.source,
        holds=partial(check_merged, found.program),
        solved=found,
        interrupted=found.interrupted,
        limited=found.limited,
        certificate=None if found.dual is None else merged_certificate(found.program, found.dual),
        duals=None
        if found.dual is None
        else partial(duals_of_program, found.program.program, found.dual),
    )

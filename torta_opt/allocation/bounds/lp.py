"""The bound of the linear relaxation: servers may be fractions.

Knapsack rows (``knapsack.py``) are added to it. Its value is not what the solver says but what its
dual vector proves (``dual.py``), so it holds however early the solver stopped.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from torta_opt.allocation.bounds.dual import dual_bound
from torta_opt.allocation.bounds.of_program import ProgramBound, found_infeasible, result_of
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.formulations.user_constraint import UserConstraint, with_user_constraints
from torta_opt.allocation.instance.data import Instance
from torta_opt.family import Request
from torta_opt.io.errors import LimitReached
from torta_opt.results import BoundResult
from torta_opt.solvers import Limits, Result, Status, solve_lp

# Share of the money up to which the point and the duals of an interior point method agree. The
# point may violate rows by as much (``solvers.judging``), so its cost is no better known.
MET = 1e-3


def lp_bound(
    instance: Instance,
    limits: Limits | None = None,
    *,
    constraints: Sequence[UserConstraint] = (),
    method: str = "auto",
) -> ProgramBound[AllocationProgram]:
    """The bound of the linear relaxation of an instance's program.

    Raises LimitReached if the solver found no dual vector in time, KeyboardInterrupt if Ctrl-C came
    before there was one, and Infeasible if the user's constraints leave no answer.
    """
    began = time.perf_counter()
    program = with_knapsack_rows(build_allocation_program(instance))
    program = with_user_constraints(program, constraints)
    result = solve_lp(program.problem(), method, limits, crossover=False)
    return relaxed_bound(program, result, time.perf_counter() - began)


def relaxed_bound(
    program: AllocationProgram, result: Result, seconds: float
) -> ProgramBound[AllocationProgram]:
    """What the result of a linear relaxation proves."""
    if result.status is Status.INFEASIBLE:
        raise found_infeasible(program)
    value = -np.inf if result.row_dual is None else prove(program, result.row_dual)
    is_stopped = result.status is Status.INTERRUPTED
    has_ended = result.status is Status.OPTIMAL or _is_met(program, result.near, value)
    if not np.isfinite(value):
        if is_stopped:
            raise KeyboardInterrupt
        raise LimitReached(f"{program.instance.name}: no bound found within the limits")
    return ProgramBound(
        value,
        "lp",
        program,
        result.row_dual,
        result.near if result.x is None else result.x,
        result.bound,
        seconds,
        interrupted=is_stopped,
        limited=not is_stopped and not has_ended,
    )


def _is_met(program: AllocationProgram, near: np.ndarray | None, value: float) -> bool:
    """Whether an interior point method that ended beside the rows has proved what its point costs.

    It may end there with duals that prove little: then more of its work would raise the bound.
    """
    if near is None:
        return False
    paid = float(np.abs(program.cost * near).sum())
    return program.objective(near) - value <= MET * max(abs(value), paid)


def prove(program: AllocationProgram, dual: np.ndarray) -> float:
    """The bound that a dual vector of the program proves; −inf if it proves none."""
    return dual_bound(
        cost=program.cost,
        constant=program.constant,
        matrix=program.matrix,
        row_lower=program.row_lower,
        row_upper=program.row_upper,
        lower=np.zeros_like(program.upper),
        upper=program.upper,
        dual=dual,
    )


def compute(instance: Instance, request: Request) -> BoundResult:
    """The bound method ``lp``."""
    return result_of(instance, lp_bound(instance, request.limits, constraints=request.constraints))

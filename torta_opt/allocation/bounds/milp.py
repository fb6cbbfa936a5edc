"""The bound of branch and bound: servers are whole.

Nothing proves this bound again: it is the solver's own, less its tolerances, and never below that
of the linear relaxation, which is proved (``lp.py``). Where costs differ so much that the solver's
tolerances exceed what is at stake (10⁶ $ for an expired request, 10⁻⁵ $ for one that is served),
nothing of its claim is left and the linear relaxation stands.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from torta_opt.allocation.bounds.lp import relaxed_bound
from torta_opt.allocation.bounds.of_program import ProgramBound, found_infeasible, result_of
from torta_opt.allocation.formulations.exact import point
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.formulations.user_constraint import UserConstraint, with_user_constraints
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.family import Request
from torta_opt.results import BoundResult
from torta_opt.solvers import Limits, Problem, Progress, Status, solve_lp, solve_milp
from torta_opt.solvers.loading import cost_scale

TOLERANCE = 1e-7  # share of the money that moves: about how well a solver's answers satisfy rows
DUAL_TOLERANCE = 1e-7  # a reduced cost this far below 0 counts as 0 inside HiGHS
CUTOFF = 1e-6  # nodes no more than this below the best answer are dropped inside HiGHS


def milp_bound(
    instance: Instance,
    limits: Limits | None = None,
    *,
    constraints: Sequence[UserConstraint] = (),
    integer: bool = False,
    named: bool = False,
    start: Schedule | None = None,
    on_progress: Callable[[Progress], Any] | None = None,
) -> ProgramBound[AllocationProgram]:
    """The bound of an instance's program with whole servers.

    integer, named   as for ``build_allocation_program``: requests whole too, servers not counted
    start            a legal schedule to start from

    Raises LimitReached if not even the linear relaxation was solved in time, and Infeasible if the
    user's constraints leave no answer.
    """
    began = time.perf_counter()
    program = with_knapsack_rows(build_allocation_program(instance, integer=integer, named=named))
    program = with_user_constraints(program, constraints)
    return branch_bound(program, limits or Limits(), began=began, start=start, watch=on_progress)


def branch_bound(
    program: AllocationProgram,
    limits: Limits,
    *,
    began: float,
    start: Schedule | None = None,
    watch: Callable[[Progress], Any] | None = None,
    cost_size: float = 1.0,
) -> ProgramBound[AllocationProgram]:
    """Branch and bound of a program; ``began`` is when its time started to run.

    ``watch`` is called with the bound that is proved so far. The solver's incumbents are solutions
    of a relaxation and not schedules, so their costs are not shown. ``cost_size`` is that of
    ``solve_milp``.
    """
    problem = program.problem()
    relaxed = relaxed_bound(
        program, solve_lp(problem, limits=_left(limits, began), crossover=False), 0.0
    )
    if relaxed.interrupted:
        return dataclasses.replace(relaxed, source="milp")
    return branch_from(relaxed, limits, began=began, start=start, watch=watch, cost_size=cost_size)


def branch_from(
    relaxed: ProgramBound[AllocationProgram],
    limits: Limits,
    *,
    began: float,
    start: Schedule | None = None,
    watch: Callable[[Progress], Any] | None = None,
    cost_size: float = 1.0,
) -> ProgramBound[AllocationProgram]:
    """The same once the linear relaxation is solved."""
    program = relaxed.program
    problem = program.problem()
    paid = money(program, relaxed.x)

    def tell(sample: Progress) -> None:
        assert watch is not None
        safe = less_tolerance(problem, sample.bound, paid, cost_size)
        seconds = time.perf_counter() - began
        bound = max(relaxed.value, safe)
        watch(Progress(seconds, math.inf, bound, sample.nodes, "branch and bound"))

    result = solve_milp(
        problem,
        _left(limits, began),
        start=None if start is None else point(program, start),
        on_progress=None if watch is None else tell,
        cost_size=cost_size,
    )
    if result.status is Status.INFEASIBLE:
        raise found_infeasible(program)
    safe = less_tolerance(problem, result.bound, paid, cost_size)
    better = bool(np.isfinite(result.bound)) and safe > relaxed.value
    return dataclasses.replace(
        relaxed,
        value=safe if better else relaxed.value,
        source="milp",
        dual=None if better else relaxed.dual,
        x=result.x,
        claim=result.bound,
        seconds=time.perf_counter() - began,
        interrupted=result.status is Status.INTERRUPTED,
        relaxed=relaxed if better else None,
        limited=result.status not in (Status.INTERRUPTED, Status.OPTIMAL),
    )


def less_tolerance(problem: Problem, claim: float, paid: float, cost_size: float = 1.0) -> float:
    """What is left of the bound that a solver claims of a program with boxed columns.

    paid        dollars that an answer of the program pays and earns, the two added up
    cost_size   what the solver was given

    With reduced costs r_j ≥ −ε, as HiGHS sees them, a node is dearer than its own optimum by no
    more than ε·Σ_j (upper_j − lower_j): no column moves further. ε and the cutoff are absolute and
    stand for costs as they are inside HiGHS, which are those of the problem times ``cost_scale``.
    """
    room = float((problem.col_upper - problem.col_lower).sum())
    inside = DUAL_TOLERANCE * room + CUTOFF
    return claim - TOLERANCE * (abs(claim) + paid) - inside / cost_scale(problem, cost_size)


def money(program: AllocationProgram, x: np.ndarray | None) -> float:
    """Dollars that an answer of a program pays and earns, the two added up."""
    answer = program.upper if x is None else x
    return float(np.abs(program.cost) @ answer) + abs(program.constant)


def _left(limits: Limits, began: float) -> Limits:
    """The limits less the time that has passed."""
    spent = time.perf_counter() - began
    return dataclasses.replace(limits, seconds=max(0.0, limits.seconds - spent))


def compute(instance: Instance, request: Request) -> BoundResult:
    """The bound method ``milp``; the linear relaxation it began with stays beside."""
    found = milp_bound(
        instance,
        request.limits,
        constraints=request.constraints,
        on_progress=request.solver_watch,
    )
    beside = None if found.relaxed is None else result_of(instance, found.relaxed)
    return dataclasses.replace(result_of(instance, found), beside=beside)

"""What the outcome of a run is worth: statuses from recomputed numbers, not from the solver's word.

    OPTIMAL      x is feasible and the bound meets its cost
    INFEASIBLE   of a linear program: confirmed by a dual ray, or the message says that it is not;
                 of an integer program: HiGHS's word, unless a feasible point is known
    UNBOUNDED    confirmed by a feasible point and a primal ray

The bound of a linear program is proved by the duals it comes with, however early the run stopped.
The bound of an integer program is HiGHS's own, and −∞ if the run ended in an error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from torta_opt.solvers import checks
from torta_opt.solvers.problem import Limits, Problem, Result, Status

NEARLY = 1e-3  # violation up to which a point is still a hint
OPTIMALITY = 1e-6  # between cost and bound, relative
STOPPED = {"kTimeLimit", "kIterationLimit", "kSolutionLimit", "kMemoryLimit", "kObjectiveBound"}
INTERRUPTS = {"kInterrupt", "kHighsInterrupt"}
SOUND = {"kOptimal", "kObjectiveTarget", *STOPPED, *INTERRUPTS}  # a bound by branching holds then
NO_OPTIMUM = {"kInfeasible", "kUnbounded", "kUnboundedOrInfeasible"}


@dataclass(frozen=True, eq=False)
class Claim:
    """What HiGHS says at the end of a run; row duals of the costs as they are in the problem."""

    status: str
    x: np.ndarray | None = None
    row_dual: np.ndarray | None = None
    basis: Any = None
    iterations: int = 0


def judged(problem: Problem, claim: Claim) -> Result:
    """What the vectors of a claim about a linear program are worth."""
    worst = checks.violation_of(problem, claim.x)
    x = claim.x if worst <= checks.FEASIBILITY else None
    feasible = x is not None
    dual, bound, reduced = _best_dual(problem, claim.row_dual)
    cost = math.inf if x is None else checks.objective(problem, x)
    size = 0.0 if x is None else float(np.abs(problem.cost * x).sum())
    meets = cost - bound <= OPTIMALITY * (size + problem.typical_cost)
    return Result(
        _status(claim.status, feasible, meets),
        objective=cost,
        bound=min(bound, cost) if meets else bound,
        x=x,
        near=None if feasible else _near(problem, claim),
        row_dual=dual,
        col_dual=reduced,
        basis=claim.basis,
        violation=math.nan if x is None else worst,
        iterations=claim.iterations,
        message=_message(problem, claim, feasible, meets),
    )


def _near(problem: Problem, claim: Claim) -> np.ndarray | None:
    """The point moved into its bounds, if the solver ended there and it violates rows by little:
    interior point methods of long programs do.
    """
    x = claim.x
    if x is None or claim.status not in ("kOptimal", "kUnknown"):
        return None
    if x.shape != (problem.columns,) or not np.isfinite(x).all():
        return None
    inside = np.clip(x, problem.col_lower, problem.col_upper)
    return inside if checks.violation(problem, inside) <= NEARLY else None


def _best_dual(problem: Problem, dual: np.ndarray | None) -> tuple[np.ndarray, float, np.ndarray]:
    """The given duals, or duals of 0 if these prove more, what they prove, and reduced costs."""
    nothing = np.zeros(problem.rows)
    floor = checks.bound_of(problem, nothing, problem.cost)
    if dual is None or dual.shape != nothing.shape:
        return nothing, floor, problem.cost.copy()
    dual = checks.usable_dual(problem, dual)
    reduced = checks.reduced_costs(problem, dual)
    bound = checks.bound_of(problem, dual, reduced)
    return (dual, bound, reduced) if bound >= floor else (nothing, floor, problem.cost.copy())


def _status(claimed: str, feasible: bool, meets: bool) -> Status:
    if claimed in INTERRUPTS:  # first: an optimum must not hide that Ctrl-C came
        return Status.INTERRUPTED
    if feasible and meets:
        return Status.OPTIMAL
    if claimed in STOPPED or claimed in ("kOptimal", "kUnknown", "kObjectiveTarget"):
        return Status.FEASIBLE if feasible else Status.BOUND_ONLY
    return Status.ERROR


def _message(problem: Problem, claim: Claim, feasible: bool, meets: bool) -> str:
    if feasible and meets:
        return ""
    said = f"HiGHS says {claim.status}"
    if claim.status not in ("kOptimal", "kUnknown"):
        return said
    if not feasible:
        worst = math.inf
        if claim.x is not None and claim.x.shape == (problem.columns,):
            worst = checks.violation(problem, claim.x)
        return f"{said}, but its point violates a row or bound by {worst:.1e}"
    return f"{said}, but its duals do not prove that"


def without_solver(problem: Problem) -> Result | None:
    """What HiGHS does not answer well and needs no solver: crossed bounds, no rows, no columns."""
    for name in ("row", "col"):
        crossed = getattr(problem, f"{name}_lower") > getattr(problem, f"{name}_upper")
        if crossed.any():
            return _infeasible(f"{name} {int(np.argmax(crossed))}: lower side above upper side")
    if not problem.columns and not checks.is_feasible(problem, np.zeros(0)):
        return _infeasible("a row without entries is violated")
    return None if problem.rows and problem.columns else _without_rows(problem)


def _without_rows(problem: Problem) -> Result:
    """Every column at its cheaper end; at a finite end, or 0, where it costs nothing."""
    cost, low, high = problem.cost, problem.col_lower, problem.col_upper
    low = np.where(problem.is_integer, np.ceil(low), low)
    high = np.where(problem.is_integer, np.floor(high), high)
    if (low > high).any():
        return _infeasible(f"col {int(np.argmax(low > high))}: no integer between its bounds")
    x = np.where(cost > 0, low, np.where(cost < 0, high, np.clip(0.0, low, high)))
    if not np.isfinite(x).all():
        return Result(Status.UNBOUNDED, message=f"col {int(np.argmax(np.isinf(x)))} is unbounded")
    value, nothing = checks.objective(problem, x), np.zeros(problem.rows)
    return Result(Status.OPTIMAL, value, value, x, row_dual=nothing, col_dual=cost)


def _infeasible(message: str) -> Result:
    return Result(Status.INFEASIBLE, bound=math.inf, message=message)


def judged_integer(
    problem: Problem,
    status: str,
    points: list[np.ndarray | None],
    bound: float,
    limits: Limits,
) -> Result:
    """The best of the points that are feasible, and the bound if the run makes it valid."""
    feasible = [x for x in points if x is not None and checks.is_feasible(problem, x)]
    x = min(feasible, key=lambda point: checks.objective(problem, point), default=None)
    cost = math.inf if x is None else checks.objective(problem, x)
    bound = bound if status in SOUND and bound < math.inf else -math.inf  # nor is NaN a bound
    slack = OPTIMALITY * (abs(cost) + problem.typical_cost) if x is not None else 0.0
    found = Result(
        _status(status, x is not None, cost - bound <= limits.gap * abs(cost) + slack),
        objective=cost,
        bound=min(bound, cost),
        x=x,
        violation=math.nan if x is None else checks.violation(problem, x),
        fraction=math.nan if x is None else checks.fraction(problem, x),
    )
    if status == "kInfeasible" and x is None:
        return _infeasible("so says HiGHS")
    if bound > cost + slack or status == "kInfeasible":
        wrong = f"HiGHS says {status} with bound {bound}, but a feasible point costs {cost}"
        return replace(found, status=Status.ERROR, bound=-math.inf, message=wrong)
    if found.status == Status.OPTIMAL:
        return found
    return replace(found, message=f"HiGHS says {status}")

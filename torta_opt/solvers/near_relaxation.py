"""Integer programs with large counts and a close relaxation: solved near its point, then proved.

1. Every column is counted from the point of the linear relaxation, rounded down, and kept within
   ``BOX`` of it. Branch and bound on small numbers takes a fraction of the time.
2. With r the reduced costs and L the bound of the relaxation's duals, every point has
   cost ≥ L + Σ_j |r_j|·(distance of x_j from the end that r_j prices). So a point that costs no
   more than the U just found has x_j within (U − L)/|r_j| of that end (reduced-cost fixing). Within
   these bounds, and without the box, the program is solved again, from U on. All points up to U are
   among them, so its optimum is that of the whole program.
"""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np

from torta_opt.solvers.highs import solve_lp, solve_milp
from torta_opt.solvers.problem import Limits, Problem, Result, Status

BOX = 2  # how far a column is first looked for, above and below
ROUGH = 1e-5  # relative gap at which the first search ends
SLACK = 1e-9  # share of U by which it counts as higher: costs are sums of floats


def solve_near_relaxation(problem: Problem, limits: Limits | None = None) -> Result:
    """The result of ``solve_milp``, sooner. All columns are integer and have two finite bounds.

    Where the relaxation has no optimum, or there is no point near it, ``solve_milp`` solves the
    program as it is.
    """
    limits = limits or Limits()
    ends = time.perf_counter() + limits.seconds

    def left() -> Limits:
        return dataclasses.replace(limits, seconds=max(0.0, ends - time.perf_counter()))

    relaxed = solve_lp(problem, "simplex", dataclasses.replace(left(), work=None))
    if relaxed.status is not Status.OPTIMAL or relaxed.x is None:
        return solve_milp(problem, left()) if relaxed.status is not Status.INTERRUPTED else relaxed
    base = np.clip(np.floor(relaxed.x + 1e-6), problem.col_lower, problem.col_upper)
    lower = np.maximum(problem.col_lower, base - BOX)
    upper = np.minimum(problem.col_upper, base + BOX + 1)
    rough = dataclasses.replace(left(), gap=max(limits.gap, ROUGH))
    near = solve_milp(_counted_from(problem, base, lower, upper), rough)
    if near.x is None:
        return near if near.status is Status.INTERRUPTED else solve_milp(problem, left())
    cost = float((problem.cost * (base + near.x)).sum()) + problem.offset
    if near.status is Status.INTERRUPTED:
        near = dataclasses.replace(near, bound=-math.inf)  # that of the box proves nothing
        return _moved_back(problem, base, near, relaxed.bound)
    lower, upper = fixed_by_reduced_costs(problem, relaxed, cost)
    start = np.clip(base + near.x, lower, upper) - base
    proved = solve_milp(_counted_from(problem, base, lower, upper), left(), start=start)
    return _moved_back(problem, base, proved, relaxed.bound)


def fixed_by_reduced_costs(
    problem: Problem, relaxed: Result, cost: float
) -> tuple[np.ndarray, np.ndarray]:
    """Whole bounds of the columns of all whole points that cost no more than ``cost``."""
    reduced = relaxed.col_dual
    assert reduced is not None  # a solved linear program has duals
    room = max(cost - relaxed.bound, 0.0) + SLACK * abs(cost)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # r = 0 prices no end
        most = np.floor(np.minimum(room / np.abs(reduced), 2.0**52) + 1e-6)
    upper = np.where(reduced > 0, problem.col_lower + most, problem.col_upper)
    lower = np.where(reduced < 0, problem.col_upper - most, problem.col_lower)
    return np.maximum(lower, problem.col_lower), np.minimum(upper, problem.col_upper)


def _counted_from(
    problem: Problem, base: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> Problem:
    """The program in x − base, between bounds on x; its cost is that of x."""
    activity = problem.matrix @ base
    return dataclasses.replace(
        problem,
        row_lower=problem.row_lower - activity,
        row_upper=problem.row_upper - activity,
        col_lower=lower - base,
        col_upper=upper - base,
        offset=problem.offset + float((problem.cost * base).sum()),
    )


def _moved_back(problem: Problem, base: np.ndarray, found: Result, least: float) -> Result:
    """A result of a program counted from ``base`` as one of the whole program."""
    x = None if found.x is None else base + found.x
    cost = found.objective if x is None else float((problem.cost * x).sum()) + problem.offset
    bound = min(max(found.bound, least), cost)
    return dataclasses.replace(found, x=x, objective=cost, bound=bound)

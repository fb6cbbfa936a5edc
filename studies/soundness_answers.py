"""Answers of two solvers and of brute force, compared: what every step of soundness uses."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from support.second_opinion import by_scip
from support.tiny import TINIEST, brute_force_optimum, random_tiny_instance

from torta_opt.allocation.instance import Instance
from torta_opt.solvers import Limits, Problem, Result, Status, solve_lp, solve_milp

SAME = 1e-6  # relative difference of optima: the solvers' tolerance of feasibility
MOST_STATES = 5_000  # of brute force, about a second
# What separates pools from schedules: three servers, waits of three slots, squares.
WAITING = {"servers": 3, "deadline_slots": 3, "frobenius": 0.6}


class Disagreement(Exception):
    """Two answers to one question, and the program where there is one."""

    def __init__(self, message: str, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.problem = problem


def agreed(problem: Problem, name: str, *, relaxed: bool = False) -> float:
    """The optimum in which HiGHS and SCIP agree; ∞ where both find nothing feasible."""
    found = solve_lp(problem) if relaxed else solve_milp(problem, Limits(gap=0.0))
    other = by_scip(problem, relaxed=relaxed)
    ours = _optimum(found)
    theirs = {"optimal": other.objective, "infeasible": math.inf}.get(other.status)
    if ours is None or theirs is None or not close(ours, theirs):
        told = f"HiGHS {found.status.value} {found.objective!r}, SCIP {other.status}"
        raise Disagreement(f"{name}: {told} {other.objective!r}", problem)
    if found.bound > ours + SAME * (1 + abs(ours)):
        raise Disagreement(f"{name}: HiGHS claims a bound of {found.bound!r}", problem)
    return ours


def equal(value: float, best: float, name: str, problem: Problem) -> None:
    """An exact program has the optimum of brute force."""
    if not close(value, best):
        raise Disagreement(f"{name}: both solvers {value!r}, brute force {best!r}", problem)


def at_most(value: float, best: float, name: str, problem: Problem | None = None) -> None:
    """A relaxation is never above it."""
    if value > best + SAME * (1 + abs(best)):
        raise Disagreement(f"{name}: both solvers {value!r}, above brute force {best!r}", problem)


def _optimum(found: Result) -> float | None:
    return {Status.OPTIMAL: found.objective, Status.INFEASIBLE: math.inf}.get(found.status)


def close(one: float, other: float) -> bool:
    return one == other or abs(one - other) <= SAME * (1 + abs(other))


def solved(rng: np.random.Generator, **changes: float) -> tuple[Instance, float]:
    """A tiny instance and the cost of the cheapest of all its schedules; ``changes`` of limits."""
    instance = random_tiny_instance(rng, dataclasses.replace(TINIEST, **changes))
    return instance, float(brute_force_optimum(instance, max_states=MOST_STATES).cost)

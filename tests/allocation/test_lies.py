"""A solver that gives wrong answers: none becomes a bound, a schedule or a verdict.

The lies are told at the door of the solver, to everything behind it. Bounds with a certificate and
costs of schedules must be right whatever it says. The bound of branch and bound is its word alone:
it must be refused where a cheaper schedule is known, or where it is no number.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
from support.optima import slack
from support.tiny import TINIEST, brute_force_optimum, random_tiny_instance

from torta_opt import gaps
from torta_opt.allocation.family import FAMILY
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.search.optimal import solve_optimal
from torta_opt.family import Request
from torta_opt.io import LimitReached, VerificationFailed
from torta_opt.solvers import SolverFailed, highs
from torta_opt.solvers.judging import Claim

BOUNDS = ("lp", "windows", "milp")
Points = list[np.ndarray | None]


@dataclasses.dataclass(frozen=True)
class Lie:
    """What is made of a claim about a linear program, and of status, points and bound."""

    linear: Callable[[Claim], Claim]
    integer: Callable[[str, Points, float], tuple[str, Points, float]]


def moved(x: np.ndarray | None, by: float) -> np.ndarray | None:
    return None if x is None else x + by


def scaled(y: np.ndarray | None, by: float) -> np.ndarray | None:
    with np.errstate(invalid="ignore"):  # 0 · ∞
        return None if y is None else y * by


def status(word: str) -> Lie:
    return Lie(
        lambda claim: dataclasses.replace(claim, status=word),
        lambda _, points, bound: (word, points, bound),
    )


def points_only(change: Callable[[np.ndarray | None], np.ndarray | None]) -> Lie:
    return Lie(
        lambda claim: dataclasses.replace(claim, x=change(claim.x)),
        lambda word, points, bound: (word, [change(x) for x in points], bound),
    )


def bounds_only(dual: float, bound: Callable[[float], float]) -> Lie:
    return Lie(
        lambda claim: dataclasses.replace(claim, row_dual=scaled(claim.row_dual, dual)),
        lambda word, points, value: (word, points, bound(value)),
    )


LIES = {
    "rows violated upwards": points_only(lambda x: moved(x, 1.0)),
    "rows violated downwards": points_only(lambda x: moved(x, -0.4)),
    "points that are no numbers": points_only(lambda x: scaled(x, math.nan)),
    "points of another size": points_only(lambda x: None if x is None else x[:-1]),
    "no point at all": points_only(lambda x: None),
    "bound above the optimum": bounds_only(3.0, lambda b: b + 1 + abs(b)),
    "bound far above the optimum": bounds_only(1e9, lambda b: 1e30),
    "bound that is no number": bounds_only(math.nan, lambda b: math.nan),
    "infinite bound": bounds_only(math.inf, lambda b: math.inf),
    "signs swapped": bounds_only(-1.0, lambda b: -b),
    "always optimal": Lie(
        lambda claim: Claim("kOptimal", scaled(claim.x, 0.0), scaled(claim.row_dual, 0.0)),
        lambda _, points, bound: ("kOptimal", [None], bound + 1 + abs(bound)),
    ),
    "always infeasible": status("kInfeasible"),
    "infeasible, without points": Lie(
        lambda claim: Claim("kInfeasible"), lambda *_: ("kInfeasible", [None], math.inf)
    ),
    "always unbounded": status("kUnbounded"),
    "unbounded, without points": Lie(
        lambda claim: Claim("kUnbounded"), lambda *_: ("kUnbounded", [None], -math.inf)
    ),
    "a limit": status("kTimeLimit"),
    "an error": status("kSolveError"),
    "a word that nobody knows": status("kNonsense"),
}


@pytest.fixture(scope="module")
def known() -> tuple[Instance, Schedule, float]:
    """An instance, its best schedule, and what this costs."""
    limits = dataclasses.replace(TINIEST, frobenius=0.0)
    sizes = {"regions": 2, "servers": 2, "slots": 2, "classes": 2}
    instance = random_tiny_instance(np.random.default_rng(3), limits, **sizes)
    best = brute_force_optimum(instance, max_states=20_000)
    return instance, best.schedule, float(best.cost)


@pytest.fixture(params=LIES)
def lying(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    lie, tell, judge = LIES[request.param], highs.LinearSolver._run, highs.judged_integer
    monkeypatch.setattr(
        highs.LinearSolver, "_run", lambda self, *limits: lie.linear(tell(self, *limits))
    )
    monkeypatch.setattr(
        highs,
        "judged_integer",
        lambda problem, word, points, bound, limits: judge(
            problem, *lie.integer(word, points, bound), limits
        ),
    )
    return request.param


def test_no_bound_is_above_the_best_schedule(
    known: tuple[Instance, Schedule, float], lying: str
) -> None:
    instance, schedule, best = known
    for method in BOUNDS:
        with contextlib.suppress(SolverFailed, LimitReached):  # never Infeasible
            found = FAMILY.bound(instance, method, Request())
            assert math.isfinite(found.value), method
            if found.certified:
                assert found.value <= best + slack(best), method
        with contextlib.suppress(VerificationFailed, SolverFailed, LimitReached):
            report = gaps.gap(instance, [], schedules={"best": schedule}, bound_method=method)
            assert report.bound.value <= best + slack(best), method
            (row,) = report.results
            assert row.cost == pytest.approx(best)


def test_every_schedule_is_legal_and_costs_what_it_says(
    known: tuple[Instance, Schedule, float], lying: str
) -> None:
    """And whatever the solver says, there is one: that of a policy, if no better."""
    instance, _, best = known
    found = solve_optimal(instance)
    verify(instance, found.schedule).raise_if_broken(lying)
    assert found.cost == evaluate(instance, found.schedule).cost >= best - slack(best)
    assert found.bound <= found.cost

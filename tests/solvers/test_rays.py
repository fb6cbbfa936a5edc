"""Proofs that a problem has no optimum, against a second solver's word."""

from __future__ import annotations

import pytest
from support.random_problems import anything, solvable
from support.second_opinion import by_scipy
from support.sizes import examples

from torta_opt.solvers import Status, checks, solve_lp
from torta_opt.solvers.rays import cheapest_direction, least_violation


@pytest.mark.parametrize("seed", range(examples(60)))
def test_rays_exist_exactly_where_there_is_no_optimum(seed: int):
    problem = anything(seed)
    status = by_scipy(problem).status
    nearest = solve_lp(least_violation(problem), "simplex")
    assert nearest.status == Status.OPTIMAL
    assert checks.proves_infeasible(problem, nearest.row_dual) == (status == "infeasible")
    assert (nearest.objective > 1e-6) == (status == "infeasible")
    direction = solve_lp(cheapest_direction(problem), "simplex")
    assert direction.status == Status.OPTIMAL
    if status != "infeasible":
        assert checks.proves_unbounded(problem, direction.x) == (status == "unbounded")


def test_what_has_an_optimum_has_no_rays():
    problem = solvable(0)
    assert solve_lp(least_violation(problem)).objective == pytest.approx(0.0, abs=1e-9)
    assert solve_lp(cheapest_direction(problem)).objective == 0.0

"""Windows forward in time: the point keeps all rows, and costs what the whole program's does."""

from __future__ import annotations

import numpy as np
import pytest
from support.optima import slack
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds.merged import merged_bound
from torta_opt.allocation.formulations import merged
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.search import forward
from torta_opt.allocation.search.forward import solve_forward, windows_of
from torta_opt.allocation.search.merged_plan import plan_merged
from torta_opt.allocation.search.rounding import DISCOUNTS, round_servers, shortened, with_servers
from torta_opt.solvers import Limits, Problem, Result, Status, checks, solve_lp


def _solved(problem: Problem) -> Result:
    return solve_lp(problem, "simplex")


def _short(monkeypatch: pytest.MonkeyPatch, window: int, ahead: int) -> None:
    for name, value in (("WINDOW", window), ("AHEAD", ahead)):
        monkeypatch.setattr(forward, name, value)


@pytest.mark.parametrize("slots", [1, 150, 151, 480, 1920, 1921])
@pytest.mark.parametrize("reach", [1, 20, 300])
def test_windows_cover_every_slot_once(slots: int, reach: int) -> None:
    windows = windows_of(slots, reach)
    assert [slot for a, b, _ in windows for slot in range(a, b)] == list(range(slots))
    for _, b, until in windows:
        assert until == slots or until - b >= 2 * reach


@pytest.mark.parametrize("ahead", [0, 3])
def test_points_of_tiny_programs_keep_every_row(
    ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And cost no less than the whole program's, whatever the windows."""
    rng, cut = np.random.default_rng(61), 0
    for _ in range(12):
        instance = random_tiny_instance(rng, slots=14)
        program = merged_bound(instance).program.program
        problem = program.problem().relaxed()
        whole = _solved(problem)
        with monkeypatch.context() as patch:
            _short(patch, 1, ahead)
            found = solve_forward(problem, program.row_slot, program.column_slot, _solved)
        assert found.x is not None
        assert checks.violation(problem, found.x) < 1e-6
        assert found.objective == pytest.approx(checks.objective(problem, found.x), abs=1e-9)
        assert found.objective >= whole.objective - slack(whole.objective)
        cut += found.row_dual is None
    assert cut > 6  # programs that were solved in several windows, and have no duals


def test_requests_cost_what_they_do_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged, "COLUMNS", 1)
    found = merged_bound(generate("paper/polska", seed=2, slots=12))
    program = found.program.program
    assert found.x is not None
    assert found.dual is not None
    servers = round_servers(program, found.x, found.dual, DISCOUNTS[0])
    assert servers is not None
    problem = with_servers(program, servers, shortened(program))
    whole = _solved(problem)
    _short(monkeypatch, 4, 3)
    cut = solve_forward(problem, program.row_slot, program.column_slot, _solved)
    assert cut.x is not None
    assert checks.violation(problem, cut.x) < 1e-6
    assert cut.objective == pytest.approx(whole.objective, rel=1e-4)  # waits end within few slots


def test_plans_of_many_windows_are_legal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged, "COLUMNS", 1)
    instance = generate("paper/abilene", seed=3, slots=10)
    whole = plan_merged(instance)
    _short(monkeypatch, 3, 3)
    cut = plan_merged(instance)
    assert whole is not None
    assert cut is not None
    verify(instance, cut).raise_if_broken("merged")
    costs = [evaluate(instance, schedule).cost for schedule in (whole, cut)]
    assert costs[1] <= 1.01 * costs[0]


def test_a_limit_in_a_window_leaves_no_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged, "COLUMNS", 1)
    program = merged_bound(generate("paper/polska", slots=6)).program.program
    _short(monkeypatch, 3, 1)
    late = solve_forward(
        program.problem().relaxed(),
        program.row_slot,
        program.column_slot,
        lambda window: solve_lp(window, "simplex", Limits(work=0)),
    )
    assert late.x is None
    assert late.status is not Status.OPTIMAL

"""PDLP in its own process: silent, bounded, and believed only as far as its duals prove."""

from __future__ import annotations

import math

import pytest
from support.random_problems import solvable
from support.second_opinion import by_scipy

from torta_opt.solvers import Limits, SolverFailed, Status, checks, pdlp, solve_lp


def test_it_agrees_and_prints_nothing(capfd):
    problem = solvable(2, rows=12, columns=20)
    found = solve_lp(problem, "pdlp")
    least = by_scipy(problem).objective
    assert found.method == "pdlp"
    assert found.iterations > 0
    assert found.bound <= least + 1e-9
    assert found.bound == pytest.approx(least, rel=1e-3, abs=1e-3)
    assert found.x is None or checks.is_feasible(problem, found.x)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_a_work_limit_leaves_a_valid_bound():
    problem = solvable(2, rows=12, columns=20)
    found = solve_lp(problem, "pdlp", Limits(work=3))
    assert found.bound <= by_scipy(problem).objective + 1e-9
    assert found.status in (Status.FEASIBLE, Status.BOUND_ONLY)


def test_ctrl_c_ends_it(monkeypatch):
    class Interrupted(pdlp.subprocess.Popen):
        def communicate(self, *_):
            raise KeyboardInterrupt

    monkeypatch.setattr(pdlp.subprocess, "Popen", Interrupted)
    found = solve_lp(solvable(0), "pdlp")
    assert found.status == Status.INTERRUPTED
    assert found.x is None
    assert math.isfinite(found.bound)  # what the bounds of the columns prove


def test_a_process_that_fails_is_said(monkeypatch):
    monkeypatch.setattr(pdlp.sys, "executable", "/bin/false")
    with pytest.raises(SolverFailed, match="PDLP failed"):
        solve_lp(solvable(0), "pdlp")

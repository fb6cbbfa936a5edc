"""PDLP in its own process: silent, bounded, and believed only as far as its duals prove."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from support.random_problems import solvable
from support.second_opinion import by_scipy

from torta_opt.solvers import Limits, SolverFailed, Status, checks, pdlp, solve_lp


@pytest.mark.parametrize("method", ["pdlp", "hipdlp"])
def test_it_agrees_and_prints_nothing(method, capfd):
    problem = solvable(2, rows=12, columns=20)
    found = solve_lp(problem, method)
    least = by_scipy(problem).objective
    assert found.method == method
    assert found.iterations > 0
    assert found.bound <= least + 1e-9
    assert found.bound == pytest.approx(least, rel=1e-3, abs=1e-3)
    assert found.x is None or checks.is_feasible(problem, found.x)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


@pytest.mark.parametrize("method", ["pdlp", "hipdlp"])
def test_a_work_limit_leaves_a_valid_bound(method):
    problem = solvable(2, rows=12, columns=20)
    found = solve_lp(problem, method, Limits(work=3))
    assert found.bound <= by_scipy(problem).objective + 1e-9
    assert found.status in (Status.FEASIBLE, Status.BOUND_ONLY)


def test_at_a_work_limit_pdlp_hands_back_its_vector():
    """Of a presolved program HiGHS would keep it to itself."""
    problem = solvable(2, rows=12, columns=20)
    found = pdlp.run_pdlp(problem, 1.0, Limits(work=200), "pdlp")
    assert found["status"] == "kIterationLimit"
    assert checks.dual_bound(problem, checks.usable_dual(problem, found["row_dual"])) > (
        checks.dual_bound(problem, np.zeros(problem.rows))
    )


@pytest.mark.parametrize("method", ["pdlp", "hipdlp"])
def test_an_infeasible_program_is_proved_so(method):
    problem = replace(solvable(2, rows=12, columns=20), row_lower=np.full(12, 1e6))
    problem = replace(problem, row_upper=np.full(12, np.inf))
    found = solve_lp(problem, method, Limits(seconds=20.0))
    assert found.status == Status.INFEASIBLE
    assert found.message == "proved by a dual ray"


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

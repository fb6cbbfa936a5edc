"""Ctrl-C, in a process of its own: the best so far is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.random_problems import hard_knapsack, solvable

from torta_opt.solvers import SolverFailed, Status, solve_lp
from torta_opt.solvers.loading import load
from torta_opt.solvers.running import Run

SUPPORT = Path(__file__).parents[1]

MILP = """
import json, os, signal
from support.random_problems import hard_knapsack, solvable
from torta_opt.solvers import Limits, checks, solve_milp

problem, sent = hard_knapsack(columns=60, rows=30), []

def press(sample):
    if sample.incumbent < 0 and not sent:
        sent.append(sample.incumbent)
        os.kill(os.getpid(), signal.SIGINT)

found = solve_milp(problem, Limits(seconds=120, gap=0.0), on_progress=press)
print(json.dumps({
    "status": found.status, "sent": sent[0], "objective": found.objective, "bound": found.bound,
    "feasible": found.x is not None and checks.is_feasible(problem, found.x),
    "seconds": found.seconds,
}))
"""

TWICE = """
import json, os, signal
from support.random_problems import hard_knapsack, solvable
from torta_opt.solvers import Limits, running, solve_milp

def press(sample):
    os.kill(os.getpid(), signal.SIGINT)

class Deaf(running.Run):
    def _sample(self, event):
        self._report(event.data_out)

from torta_opt.solvers import highs
highs.Run = Deaf
try:
    solve_milp(hard_knapsack(60, 30), Limits(seconds=120, gap=0.0), on_progress=press)
except KeyboardInterrupt:
    print(json.dumps({"raised": True}), flush=True)
    os._exit(0)
"""

LEFT_BEHIND = """
import json, os, signal
from support.random_problems import hard_knapsack, solvable
from torta_opt.solvers import Limits, checks, highs, running, solve_milp

running.PATIENCE = 0.3
sent = []

def press(sample):
    if sample.incumbent < 0 and not sent:
        sent.append(True)
        os.kill(os.getpid(), signal.SIGINT)

class Deaf(running.Run):
    def _sample(self, event):
        self._report(event.data_out)

highs.Run = Deaf
problem = hard_knapsack(60, 30)
found = solve_milp(problem, Limits(seconds=120, gap=0.0), on_progress=press)
print(json.dumps({
    "status": found.status, "feasible": checks.is_feasible(problem, found.x),
    "bound": found.bound, "objective": found.objective, "seconds": found.seconds,
}), flush=True)
os._exit(0)
"""


def output_of(script: str) -> dict:
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_ctrl_c_keeps_the_best_point_and_a_bound():
    found = output_of(MILP)
    assert found["status"] == "interrupted"
    assert found["feasible"]
    assert found["objective"] <= found["sent"] + 1e-6
    assert found["bound"] <= found["objective"]


def test_a_run_that_does_not_listen_is_left_behind_with_its_best_point():
    found = output_of(LEFT_BEHIND)
    assert found["status"] == "interrupted"
    assert found["feasible"]
    assert found["bound"] <= found["objective"]


def test_the_second_ctrl_c_is_raised():
    assert output_of(TWICE) == {"raised": True}


def test_outside_a_run_ctrl_c_is_pythons():
    """Nothing is left installed after a run."""
    before = signal.getsignal(signal.SIGINT)
    Run().watch(load(hard_knapsack(8, 2), 1.0))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_failure_of_highs_is_said(monkeypatch):
    solver = load(hard_knapsack(8, 2), 1.0)

    class Broken:
        def __getattr__(self, name):
            return getattr(solver, name)

        def run(self):
            raise RuntimeError("out of luck")

    with pytest.raises(SolverFailed, match="out of luck"):
        Run().watch(Broken())


def test_a_run_sees_every_improvement_in_unscaled_costs():
    problem, scale = hard_knapsack(20, 5), 4.0
    run = Run(scale=scale)
    status = run.watch(load(problem, scale))
    assert status == "kOptimal"
    assert run.ended
    assert not run.interrupted
    assert run.trace
    assert run.trace[-1].incumbent == pytest.approx(float(problem.cost @ run.incumbent))


def test_ctrl_c_as_a_run_ends_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """HiGHS no longer asks then; what it found is kept, and whoever called it knows."""
    follow = Run._follow

    def pressed(self: Run, on_progress: object) -> None:
        follow(self, on_progress)
        self._stop.set()

    monkeypatch.setattr(Run, "_follow", pressed)
    found = solve_lp(solvable(1))
    assert found.status is Status.INTERRUPTED
    assert found.x is not None
    with pytest.raises(KeyboardInterrupt):
        found.raise_if_interrupted()

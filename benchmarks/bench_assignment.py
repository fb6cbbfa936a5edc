"""The assignment program: counting servers alike against branch and bound on the named program.

    python benchmarks/bench_assignment.py [--tasks 200] [--peers 10] [--servers 25]
                                          [--requests 500] [--look-ahead 2] [--cap 20]

A task is one region: servers of the five types of paper/abilene, each ready with a model that its
type holds or still loading it; requests of six classes, some of which wait already; a forecast of
as many in every later slot. All solvers get the same named program and stop at a relative gap of
1e-6; HiGHS and SCIP see the first ``--peers`` tasks. Times are processor time, of one thread, and
include building the program. The ratio is that of the medians over the same tasks.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from torta_opt.allocation.assignment.solve import GAP, solve_assignment
from torta_opt.allocation.formulations.assignment import Assignment, build_assignment_program
from torta_opt.allocation.instance.data import System
from torta_opt.allocation.instance.generate import generate
from torta_opt.solvers import Limits, solve_milp

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
HEAD = "solver                tasks   median ms      p99 ms    ratio   worst gap"


def random_task(
    system: System, seed: int, servers: int, requests: int, look_ahead: int
) -> Assignment:
    """One region's servers and requests."""
    rng, slots = np.random.default_rng(seed), look_ahead + 1
    kind = rng.integers(0, len(system.types), servers)
    held = [np.flatnonzero(system.holds[k]) for k in kind]
    model = np.array([rng.choice(each) for each in held])
    loading = np.where(rng.random(servers) < 0.15, rng.integers(0, 80_000, servers), 0)
    left = loading[:, None] - np.arange(slots) * system.slot_ms
    usable = system.slot_ms - np.clip(left, 0, system.slot_ms)
    work = np.where(system.usable_by[kind], system.server_ms[kind], 0)
    work = np.where(system.class_model == model[:, None], work, 0)
    share = rng.dirichlet(np.ones(len(system.classes)), servers)
    last = np.where(work > 0, share * system.slot_ms // np.maximum(work, 1), 0).astype(np.int64)
    mix = rng.dirichlet(np.full(len(system.classes), 3.0))
    late = int(rng.integers(0, requests // 4))
    waiting = np.zeros((len(mix), int(system.deadline_slots.max())), np.int64)
    waiting[:, 0] = rng.multinomial(late, mix)
    first = rng.multinomial(requests - late, mix)
    time_usd, price = system.weights.time_usd_per_s, rng.uniform(0.05, 0.15)
    kwh = (system.peak_kw - system.idle_kw)[kind, None] * work / 3.6e6
    serve = time_usd * np.nan_to_num(system.service_s)[kind] + price * kwh
    serve = np.where(work > 0, serve, np.inf)
    saved = time_usd * np.nan_to_num(system.service_s - system.hot_service_s)[kind]
    least = np.where(np.isfinite(serve), serve, np.inf).min(axis=0)
    wait = time_usd * system.slot_s
    return Assignment(
        group_model=system.class_model,
        arrivals=np.concatenate([first[None], np.repeat(mix[None] * requests, look_ahead, axis=0)]),
        waiting=waiting,
        deadline_slots=system.deadline_slots,
        work_ms=work,
        serve_usd=np.repeat(serve[None], slots, axis=0),
        hot_usd=np.where(work > 0, saved, 0.0),
        hot_permille=system.hot_permille,
        quota=system.hot_permille * last // 1000,
        count=np.ones(servers, np.int64),
        usable_ms=(usable[:, :, None] * (np.arange(len(system.models)) == model[:, None, None]))[:, None],
        option_usd=np.zeros((servers, 1)),
        wait_usd=wait,
        expiry_usd=system.weights.expiry_usd,
        left_usd=np.where(np.isfinite(least), least + wait, 0.0),
    )


def by_counting(task: Assignment, cap: float) -> tuple[float, float]:
    found = solve_assignment(task, Limits(gap=GAP, seconds=cap))
    return found.objective, found.bound


def by_highs(task: Assignment, cap: float) -> tuple[float, float]:
    found = solve_milp(build_assignment_program(task).problem, Limits(gap=GAP, seconds=cap))
    return found.objective, found.bound


def by_scip(task: Assignment, cap: float) -> tuple[float, float]:
    from support import second_opinion

    problem = build_assignment_program(task).problem
    scale = 1e3  # costs of 1e-5 are below SCIP's tolerances
    found = second_opinion.by_scip(replace(problem, cost=problem.cost * scale), seconds=cap)
    return found.objective / scale, found.objective / scale


def timed(
    solve: Callable[[Assignment, float], tuple[float, float]], tasks: list[Assignment], cap: float
) -> tuple[np.ndarray, np.ndarray]:
    """(tasks, 2) objective and bound, and (tasks,) seconds."""
    answers, seconds = [], []
    for task in tasks:
        began = time.process_time()
        answers.append(solve(task, cap))
        seconds.append(time.process_time() - began)
    return np.array(answers), np.array(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--peers", type=int, default=10)
    parser.add_argument("--servers", type=int, default=25)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--look-ahead", type=int, default=2)
    parser.add_argument("--cap", type=float, default=20.0)
    chosen = parser.parse_args()
    system = generate("paper/abilene", slots=5).system
    sizes = chosen.servers, chosen.requests, chosen.look_ahead
    tasks = [random_task(system, seed, *sizes) for seed in range(chosen.tasks)]
    solve_assignment(tasks[0])  # loads HiGHS
    print(HEAD)
    mine, seconds = timed(by_counting, tasks, chosen.cap)
    print(line("counting", mine, seconds, 1.0), flush=True)
    few = tasks[: chosen.peers]
    for name, solve in (("HiGHS, named", by_highs), ("SCIP, named", by_scip)):
        answers, taken = timed(solve, few, chosen.cap)
        print(line(name, answers, taken, np.median(taken) / np.median(seconds[: len(few)])))
        solved = answers[:, 0] - answers[:, 1] <= 1e-5 * answers[:, 0]
        np.testing.assert_allclose(answers[solved, 0], mine[: len(few)][solved, 0], rtol=1e-5)


def line(name: str, answers: np.ndarray, seconds: np.ndarray, ratio: float) -> str:
    middle, late = 1000 * np.median(seconds), 1000 * np.quantile(seconds, 0.99)
    gap = ((answers[:, 0] - answers[:, 1]) / np.abs(answers[:, 0])).max()
    return f"{name:20s} {len(seconds):6d} {middle:11.1f} {late:11.1f} {ratio:8.1f} {gap:11.1e}"


if __name__ == "__main__":
    main()

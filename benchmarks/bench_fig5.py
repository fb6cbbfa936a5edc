"""The paper's Fig. 5: the naive program against the counted one.

    python benchmarks/bench_fig5.py [--cap 60] [--naive 200 500 ...] [--threads 1]
                                    [--tasks 200 500 1000 2000 5000 100000 1000000] [--repeat 3]

The naive program has one binary variable for each task and server; the counted (grouped) one
counts identical tasks and servers. Columns: tasks N; binaries of the naive program; seconds in the
figure, on the authors' machine; processor seconds, cost and gap of the naive program when it ends
or is stopped after ``--cap`` seconds (> marks a stopped run, whose optimum is not proven);
processor seconds, cost and gap of the counted program, from the instance to the counts of a
verified schedule (best of ``--repeat``); ratio of the seconds. The second table is for tasks that
all differ.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.single_slot.by_task import Tasks, tasks_of
from torta_opt.allocation.single_slot.solve import (
    PROVEN,
    Answer,
    is_assignment,
    solve_grouped,
    solve_naive,
    solve_tasks,
)
from torta_opt.solvers import Limits, Status

FIGURE_S = {200: 0.5, 500: 1.8, 1000: 6.0, 2000: 22.0, 5000: 130.2}
HEAD = (
    "      N  binaries  figure s    naive s      naive cost   gap %  grouped s    grouped cost"
    "   gap %     ratio"
)


def timed_grouped(instance: Instance, limits: Limits, repeat: int) -> tuple[float, Answer]:
    best, found = np.inf, None
    for _ in range(repeat):
        began = time.process_time()
        found = solve_grouped(instance, limits)
        best = min(best, time.process_time() - began)
    verify(instance, found.schedule).raise_if_broken("schedule")
    assert np.isclose(evaluate(instance, found.schedule).cost, found.result.objective)
    return best, found


def line(tasks: int, naive: bool, cap: float, threads: int, repeat: int) -> str:
    instance = generate(f"fig5/{tasks}")
    servers = len(instance.system.servers)
    seconds, found = timed_grouped(instance, Limits(gap=PROVEN, threads=threads), repeat)
    figure = f"{FIGURE_S[tasks]:8.1f}" if tasks in FIGURE_S else "       -"
    slow, cost, gap, ratio = ["-"] * 4
    if naive:
        began = time.process_time()
        peer = solve_naive(instance, Limits(seconds=cap, gap=1e-6, threads=threads)).result
        taken = time.process_time() - began
        mark = "" if peer.status == Status.OPTIMAL else ">"
        slow, ratio = f"{mark}{taken:.1f}", f"{mark}{taken / seconds:.0f}"
        cost = f"{peer.objective:.6f}"
        gap = "-" if peer.gap is None else f"{100 * peer.gap:.3f}"
    result = found.result
    return (
        f"{tasks:7d} {tasks * servers:9d}  {figure} {slow:>10} {cost:>15} {gap:>7}"
        f" {seconds:10.3f} {result.objective:15.6f} {100 * result.gap:7.4f} {ratio:>9}"
    )


def all_different(tasks: Tasks, seed: int = 0) -> Tasks:
    """Every task with a size of its own (× 0.6 to 1.4) and costs of its own (± 10 %)."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.6, 1.4, (len(tasks.cost), 1))
    cost = tasks.cost * size * rng.uniform(0.9, 1.1, tasks.cost.shape)
    load = np.where(tasks.load_ms >= 0, np.maximum(1, tasks.load_ms * size), tasks.load_ms)
    return replace(tasks, cost=cost, load_ms=load.astype(int))


def different(tasks: int, threads: int) -> str:
    every = all_different(tasks_of(generate(f"fig5/{tasks}"))[0])
    began = time.process_time()
    found = solve_tasks(every, Limits(gap=5e-5, threads=threads))
    seconds = time.process_time() - began
    assert is_assignment(every, found.servers)
    gap = 100 * (found.cost - found.bound) / found.cost
    return f"{tasks:7d} {seconds:9.2f} {found.cost:12.6f} {found.bound:12.6f} {gap:8.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = [*FIGURE_S, 100_000, 1_000_000]
    parser.add_argument("--tasks", type=int, nargs="*", default=sizes)
    parser.add_argument("--naive", type=int, nargs="*", default=list(FIGURE_S))
    parser.add_argument("--different", type=int, nargs="*", default=[5000])
    parser.add_argument("--cap", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    print(HEAD)
    for tasks in chosen.tasks:
        naive = tasks in chosen.naive
        print(line(tasks, naive, chosen.cap, chosen.threads, chosen.repeat), flush=True)
    if chosen.different:
        print("\nall different:\n      N         s         cost        bound    gap %")
    for tasks in chosen.different:
        print(different(tasks, chosen.threads), flush=True)


if __name__ == "__main__":
    main()

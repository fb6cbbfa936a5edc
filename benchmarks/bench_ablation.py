"""What each part of a strong bound contributes, on the first slots of paper/abilene.

    python benchmarks/bench_ablation.py [--slots 12] [--load 1.0] [--seconds 20] [--threads 1]

The first table solves linear relaxations: without some families of rows, with regions merged, and
by windows. It shows the number of rows, processor seconds, the proven bound, the gap of the best
schedule, and the closed share of the distance between the program without any of these rows and
that schedule. The second table runs branch and bound on the merged program, with and without
knapsack rows (hull), and stops after ``--seconds``.

``--load`` multiplies arrivals: the rows matter most if servers are scarce.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from torta_opt.allocation.bounds.lp import prove
from torta_opt.allocation.bounds.merged import merged_bound
from torta_opt.allocation.bounds.windows import windows_bound
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.merged import build_merged_program
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.instance import Instance, load_instance
from torta_opt.allocation.schedule import evaluate
from torta_opt.allocation.search.merged_plan import plan_merged
from torta_opt.solvers import Limits, solve_lp, solve_milp

ABILENE = Path(__file__).parents[1] / "instances" / "paper" / "abilene.json.gz"
DEVICES = ("deadline", "aging", "fit", "reuse", "hull")


def without(program: AllocationProgram, names: tuple[str, ...]) -> AllocationProgram:
    """The program with the rows of some families free."""
    lower, upper = program.row_lower.copy(), program.row_upper.copy()
    for name in names:
        numbers = program.rows[name].numbers
        lower[numbers], upper[numbers] = -np.inf, np.inf
    return dataclasses.replace(program, row_lower=lower, row_upper=upper)


def relaxed(program: AllocationProgram, limits: Limits) -> tuple[int, float]:
    """Rows that bind, and what the duals of the relaxation prove."""
    result = solve_lp(program.problem(), limits=limits, crossover=False)
    rows = np.isfinite(program.row_lower) | np.isfinite(program.row_upper)
    return int(rows.sum()), prove(program, result.row_dual)


def merged(instance: Instance, limits: Limits, tiers: int, hull: bool) -> tuple[int, float]:
    program = build_merged_program(instance, tiers=tiers).program
    return relaxed(with_knapsack_rows(program) if hull else program, limits)


def windows(instance: Instance, limits: Limits, passes: int) -> tuple[int, float]:
    found = windows_bound(instance, limits, passes=passes)
    return len(found.program.row_lower), found.value


def linear(instance: Instance, limits: Limits) -> list[tuple[str, Callable[[], tuple[int, float]]]]:
    program = with_knapsack_rows(build_allocation_program(instance))
    regions = len(instance.system.regions)
    return [
        ("without any of these", lambda: relaxed(without(program, DEVICES), limits)),
        *[
            (f"without {name}", lambda name=name: relaxed(without(program, (name,)), limits))
            for name in DEVICES
        ],
        ("with all of them", lambda: relaxed(program, limits)),
        ("merged, without hull", lambda: merged(instance, limits, 1, False)),
        ("merged, with hull", lambda: merged(instance, limits, 1, True)),
        ("requests merged, servers not", lambda: merged(instance, limits, regions, True)),
        ("windows, initial duals", lambda: windows(instance, limits, 0)),
        ("windows, 2 passes", lambda: windows(instance, limits, 2)),
    ]


def print_relaxations(instance: Instance, limits: Limits) -> None:
    plan = plan_merged(instance, merged_bound(instance, limits), limits)
    cost = evaluate(instance, plan).cost
    print(f"{instance.name}: best schedule {cost:.4f}")
    print(f"{'rows':32s} {'number':>8s} {'s':>8s} {'bound':>11s} {'gap %':>7s} {'closed %':>9s}")
    weakest = None
    for name, device in linear(instance, limits):
        began = time.process_time()
        rows, value = device()
        seconds = time.process_time() - began
        weakest = value if weakest is None else weakest
        closed = 100 * (value - weakest) / (cost - weakest)
        gap = 100 * (cost - value) / cost
        print(
            f"{name:32s} {rows:8d} {seconds:8.2f} {value:11.5f} {gap:7.3f} {closed:9.1f}",
            flush=True,
        )


def print_branching(instance: Instance, limits: Limits) -> None:
    print(f"\nbranch and bound, merged program, at most {limits.seconds:g} s")
    print(f"{'rows':32s} {'nodes':>8s} {'s':>8s} {'bound':>11s} {'best':>11s} {'status':>10s}")
    for name, hull in (("without hull", False), ("with hull", True)):
        program = build_merged_program(instance, tiers=1).program
        program = with_knapsack_rows(program) if hull else program
        program = dataclasses.replace(program, integer=_servers(program))
        began = time.process_time()
        result = solve_milp(program.problem(), limits)
        seconds = time.process_time() - began
        print(
            f"{name:32s} {result.nodes:8d} {seconds:8.2f} {result.bound:11.5f} "
            f"{result.objective:11.5f} {result.status.value:>10s}",
            flush=True,
        )


def _servers(program: AllocationProgram) -> np.ndarray:
    integer = np.zeros(len(program.cost), bool)
    for name in ("off", "ready", "start", "stop", "leave", "enter"):
        integer[program.columns[name].numbers] = True
    return integer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instance", type=Path, default=ABILENE)
    parser.add_argument("--slots", type=int, default=12)
    parser.add_argument("--load", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    instance = load_instance(chosen.instance).cut(0, chosen.slots)
    arrivals = np.rint(instance.arrivals * chosen.load).astype(np.int64)
    instance = dataclasses.replace(instance, arrivals=arrivals)
    print_relaxations(instance, Limits(threads=chosen.threads))
    print_branching(instance, Limits(threads=chosen.threads, seconds=chosen.seconds, gap=1e-6))


if __name__ == "__main__":
    main()

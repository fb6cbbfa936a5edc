"""Dual vectors of first-order and interior-point methods, and what each of them proves.

    python benchmarks/bench_first_order.py [--slots 12] [--work 1000 10000] [--threads 1]

The linear relaxation of the first slots of paper/abilene with knapsack rows by IPX, HiPO (where
highspy-extras is installed), simplex with a limit of seconds, and PDLP stopped after a number of
iterations. Printed: wall seconds (PDLP runs in a process of its own), what the method claims, what
its dual vector proves (``bounds/dual.py``), and how far that is below the best, in per cent. Only
the proven number counts: a first-order dual vector is never exactly feasible.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from torta_opt.bounds.lp import prove
from torta_opt.formulations.allocation_matrix import build_allocation_program
from torta_opt.formulations.knapsack import with_knapsack_rows
from torta_opt.instance import load_instance
from torta_opt.solvers import Limits, solve_lp
from torta_opt.solvers.highs import available_methods

ABILENE = Path(__file__).parents[1] / "instances" / "paper" / "abilene.json.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instance", type=Path, default=ABILENE)
    parser.add_argument("--slots", type=int, default=12)
    parser.add_argument("--work", type=int, nargs="+", default=[1_000, 5_000, 20_000])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    instance = load_instance(chosen.instance).cut(0, chosen.slots)
    program = with_knapsack_rows(build_allocation_program(instance))
    limits = Limits(threads=chosen.threads, seconds=chosen.seconds)
    runs = [(name, limits) for name in available_methods() if name in ("ipm", "hipo", "simplex")]
    for work in chosen.work:
        runs.append(("pdlp", Limits(threads=chosen.threads, seconds=chosen.seconds, work=work)))
    found = []
    for method, limit in runs:
        began = time.perf_counter()
        result = solve_lp(program.problem(), method, limit, crossover=False)
        seconds = time.perf_counter() - began
        value = float("nan") if result.row_dual is None else prove(program, result.row_dual)
        name = method if limit.work is None else f"{method}, {limit.work} iterations"
        found.append((name, seconds, result.status.value, result.objective, value))
    best = max(value for *_, value in found if value == value)
    print(f"{instance.name}: {program.matrix.shape[0]} rows, {program.matrix.shape[1]} columns")
    print(
        f"{'method':26s} {'s':>8s} {'status':>12s} {'claims':>11s} {'proves':>11s} {'less %':>9s}"
    )
    for name, seconds, status, claim, value in found:
        less = 100 * (best - value) / abs(best)
        print(f"{name:26s} {seconds:8.2f} {status:>12s} {claim:11.5f} {value:11.5f} {less:9.4f}")


if __name__ == "__main__":
    main()

"""Dual vectors of first-order and interior-point methods, and what each of them proves.

    python benchmarks/bench_first_order.py [--slots 12] [--work 1000 10000] [--threads 1]

The linear relaxation of the first slots of paper/abilene with knapsack rows by IPX, HiPO (where
highspy-extras is installed), simplex with a limit of seconds, PDLP (cuPDLP-C) stopped after a
number of iterations, and HiPDLP run to its tolerance of 1e-7. Printed: wall seconds (both PDLP run
in a process of its own), what the method claims, what its dual vector proves (``bounds/dual.py``),
and how far that is below the best, in per cent. Only the proven number counts: a first-order dual
vector is never exactly feasible.

HiPDLP, as HiGHS 1.15.1 has it, runs and converges on a processor, though "performance may be
disappointing", it says. Two slots (2692 rows, 4147 columns, optimum 3.842995), iterations:

    as it is                                         133,520  proves 3.842941
    without presolve                                 237,680  proves 3.842994
    tolerance 1e-4                                    19,640  proves 3.767
    50 rounds of Ruiz scaling instead of 10          134,560  proves 3.842943
    all scalings (mode 7; Ruiz and PC are usual)     209,760  proves 3.842962
    Ruiz scaling alone (1)                           275,360  proves 3.842938
    PC scaling alone (4)                             455,760  proves 3.842908
    L2 scaling alone (2), none (0)                   not through after 600,000
    fixed steps                                      not through after 900,000
    cuPDLP-C, as it is, twice the time of each       238,560  proves 3.842993

It knows Halpern restarts only and says that it ignores ``pdlp_restart_strategy``; of the step sizes
it knows fixed and PID, and takes PID for the default. So nothing helps beyond what it does already.
Twelve slots take it 554,920 iterations, and about twenty times the seconds of IPX.
Stopped at a limit it hands back zeros, presolved or not, which prove no more than the boxes of the
columns do: hence no row of it with a number of iterations.
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
    parser.add_argument("--hipdlp-seconds", type=float, default=300.0)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    instance = load_instance(chosen.instance).cut(0, chosen.slots)
    program = with_knapsack_rows(build_allocation_program(instance))
    limits = Limits(threads=chosen.threads, seconds=chosen.seconds)
    runs = [(name, limits) for name in available_methods() if name in ("ipm", "hipo", "simplex")]
    for work in chosen.work:
        runs.append(("pdlp", Limits(threads=chosen.threads, seconds=chosen.seconds, work=work)))
    runs.append(("hipdlp", Limits(threads=chosen.threads, seconds=chosen.hipdlp_seconds)))
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

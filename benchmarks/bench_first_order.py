"""What the dual vectors of first-order and interior-point methods prove.

    python benchmarks/bench_first_order.py [--slots 12] [--work 1000 10000] [--threads 1]

Each method solves the linear relaxation of the first slots of paper/abilene with knapsack rows:
IPX (ipm), HiPO (if highspy-extras is installed) and simplex with a limit on seconds, PDLP
(cuPDLP-C) stopped after a number of iterations, and HiPDLP at its tolerance of 1e-7. Columns:
processor seconds, which other programs on the machine hardly change; wall seconds; the value that
the method reports; the bound that its dual vector proves (``bounds/dual.py``); how far this is
below the best one, in per cent. Only the proven bound counts: a first-order dual vector is never
exactly feasible. Limits are wall seconds: 60, and 900 for HiPDLP.

HiPDLP in HiGHS 1.15.1 runs and converges on a CPU, although it warns that "performance may be
disappointing". Iterations for two slots (2692 rows, 4147 columns, optimum 3.842995):

    default                                          133,520  proves 3.842941
    without presolve                                 237,680  proves 3.842994
    tolerance 1e-4                                    19,640  proves 3.767
    50 rounds of Ruiz scaling instead of 10          134,560  proves 3.842943
    all scalings (mode 7; Ruiz and PC are usual)     209,760  proves 3.842962
    Ruiz scaling alone (1)                           275,360  proves 3.842938
    PC scaling alone (4)                             455,760  proves 3.842908
    L2 scaling alone (2), none (0)                   not converged after 600,000
    fixed steps                                      not converged after 900,000
    cuPDLP-C, default, twice the time of each        238,560  proves 3.842993

It supports only Halpern restarts and reports that it ignores ``pdlp_restart_strategy``. It
supports fixed and PID step sizes, and PID is the default. So no option helps. Twelve slots take
554,920 iterations, about twenty times the seconds of IPX. If HiPDLP stops at a limit, it returns
zeros, presolved or not, which prove no more than the column bounds alone. Therefore no row shows
HiPDLP with a number of iterations.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from torta_opt.allocation.bounds.lp import prove
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.instance import load_instance
from torta_opt.solvers import Limits, solve_lp
from torta_opt.solvers.highs import available_methods

ABILENE = Path(__file__).parents[1] / "instances" / "paper" / "abilene.json.gz"


def processor_seconds() -> float:
    """Of this process and those that it has ended: first-order methods run in their own."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instance", type=Path, default=ABILENE)
    parser.add_argument("--slots", type=int, default=12)
    parser.add_argument("--work", type=int, nargs="+", default=[1_000, 5_000, 20_000])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--hipdlp-seconds", type=float, default=900.0)
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
        wall, busy = time.perf_counter(), processor_seconds()
        result = solve_lp(program.problem(), method, limit, crossover=False)
        seconds = processor_seconds() - busy, time.perf_counter() - wall
        value = float("nan") if result.row_dual is None else prove(program, result.row_dual)
        name = method if limit.work is None else f"{method}, {limit.work} iterations"
        found.append((name, seconds, result.status.value, result.objective, value))
    best = max(value for *_, value in found if value == value)
    print(f"{instance.name}: {program.matrix.shape[0]} rows, {program.matrix.shape[1]} columns")
    print(
        f"{'method':26s} {'cpu s':>8s} {'wall s':>8s} {'status':>12s} {'claims':>11s}"
        f" {'proves':>11s} {'less %':>9s}"
    )
    for name, (busy, wall), status, claim, value in found:
        less = 100 * (best - value) / abs(best)
        print(
            f"{name:26s} {busy:8.2f} {wall:8.2f} {status:>12s} {claim:11.5f}"
            f" {value:11.5f} {less:9.4f}"
        )


if __name__ == "__main__":
    main()

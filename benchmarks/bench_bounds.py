"""How good and how fast bounds and schedules are: the first slots of paper/abilene.

    python benchmarks/bench_bounds.py [--slots 12 24] [--threads 1] [--instance FILE]

Columns: slots; rows and columns of the program; seconds to build it; seconds and bound of the
linear relaxation; seconds and bound of the merged program; the floor; cost and seconds of the best
schedule from rounding and from the merged plan; its gap and avoidable gap. Seconds are processor
seconds, so other load hardly affects the table.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path

from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.bounds.lp import relaxed_bound
from torta_opt.allocation.bounds.merged import merged_bound
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.instance import Instance, load_instance
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.search.merged_plan import plan_merged
from torta_opt.allocation.search.rounding import DISCOUNTS, round_relaxation
from torta_opt.solvers import Limits, solve_lp

ABILENE = Path(__file__).parents[1] / "instances" / "paper" / "abilene.json.gz"
HEAD = (
    "slots    rows  columns  build s    LP s    LP bound  merged s      merged       floor"
    "        cost  cost s   gap %  avoidable %"
)


def measure(instance: Instance, limits: Limits) -> str:
    clock = [time.process_time()]
    program = with_knapsack_rows(build_allocation_program(instance))
    clock.append(time.process_time())
    result = solve_lp(program.problem(), limits=limits, crossover=False)
    found = relaxed_bound(program, result, 0.0)
    clock.append(time.process_time())
    merged = merged_bound(instance, limits)
    clock.append(time.process_time())
    schedules = [plan_merged(instance, merged, limits)]
    for discount in DISCOUNTS:
        rounded = round_relaxation(program, found.x, found.dual, discount, limits)
        schedules.append(rounded)
    for schedule in schedules:
        verify(instance, schedule).raise_if_broken("schedule")
    cost = min(evaluate(instance, schedule).cost for schedule in schedules)
    clock.append(time.process_time())
    build, lp, merging, rounding = (after - before for before, after in pairwise(clock))
    least = floor(instance).value
    rows, columns = program.matrix.shape
    gap, avoidable = (cost - found.value) / abs(cost), (cost - found.value) / (cost - least)
    return (
        f"{instance.slots:5d} {rows:7d} {columns:8d} {build:8.2f} {lp:7.1f} {found.value:11.5f}"
        f" {merging:9.1f} {merged.value:11.5f} {least:11.5f} {cost:11.5f} {rounding:7.1f}"
        f" {100 * gap:7.2f} {100 * avoidable:12.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instance", type=Path, default=ABILENE)
    parser.add_argument("--slots", type=int, nargs="+", default=[12, 24])
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    instance = load_instance(chosen.instance)
    print(HEAD)
    for slots in chosen.slots:
        print(measure(instance.cut(0, slots), Limits(threads=chosen.threads)), flush=True)


if __name__ == "__main__":
    main()

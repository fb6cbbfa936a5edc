"""How close `optimal` comes, and what each of its steps gains: whole instances of the paper.

    python benchmarks/bench_optimal.py [--gap 0.01] [--threads 1] [--slots 480] [NAME ...]

Columns: topology; merged bound; cost and seconds of the merged plan; cost and seconds after its
requests are planned anew; bound, cost, gap and avoidable gap of ``optimal``; its seconds, which
repeats all steps; peak memory. Seconds are processor seconds of one process.

With --threads 2, windows run in two processes, whose seconds are not counted. --slots takes the
first slots of each instance.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from itertools import pairwise
from pathlib import Path

from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.bounds.merged import merged_bound
from torta_opt.allocation.instance import load_instance
from torta_opt.allocation.schedule import evaluate
from torta_opt.allocation.search.merged_plan import plan_merged
from torta_opt.allocation.search.optimal import solve_optimal
from torta_opt.allocation.search.whole_requests import replanned
from torta_opt.solvers import Limits

PAPER = Path(__file__).parents[1] / "instances" / "paper"
TOPOLOGIES = ("abilene", "polska", "gabriel", "cost2")
HEAD = (
    "topology   merged     plan  s    replanned    s     bound     best  gap %  avoidable %"
    "    optimal s    MB"
)


def measure(name: str, gap: float, threads: int, slots: int | None) -> str:
    instance = load_instance(PAPER / f"{name}.json.gz")
    instance = instance.cut(0, slots or instance.slots)
    limits = Limits(gap=gap, threads=threads)
    clock = [time.process_time()]
    merged = merged_bound(instance, limits)
    plan = plan_merged(instance, merged, limits)
    assert plan is not None
    clock.append(time.process_time())
    anew = replanned(instance, plan, merged.program, limits)
    clock.append(time.process_time())
    found = solve_optimal(instance, limits)
    clock.append(time.process_time())
    costs = [evaluate(instance, schedule).cost for schedule in (plan, anew)]
    avoidable = (found.cost - found.bound) / (found.cost - floor(instance).value)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    planning, replanning, whole = (after - before for before, after in pairwise(clock))
    return (
        f"{name:8s} {merged.value:8.2f} {costs[0]:8.2f} {planning:3.0f} {costs[1]:9.2f}"
        f" {replanning:4.0f} {found.bound:9.2f} {found.cost:8.2f} {100 * (found.gap or 0):6.2f}"
        f" {100 * avoidable:12.2f} {whole:12.0f} {memory:4.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=TOPOLOGIES, metavar="NAME")
    parser.add_argument("--gap", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--slots", type=int)
    chosen = parser.parse_args()
    print(HEAD)
    for name in chosen.names:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply(measure, (name, chosen.gap, chosen.threads, chosen.slots)), flush=True)


if __name__ == "__main__":
    main()

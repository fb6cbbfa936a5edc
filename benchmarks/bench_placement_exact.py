"""Proven optima of block placement: the authors' program against ours.

    python benchmarks/bench_placement_exact.py [--published 15] [--exact 30] [--only clustered ...]

Columns: servers J and requests R; the floor and the combinatorial bound as shares of the bound
reached; cost, gap and seconds of ``solve_exact``; the second at which its gap was within 1 %; what
proved its bound; the gap of the authors' program (``response``, HiGHS, no start) after
``--published`` seconds, or "-" if it was not run or found none. Mixes draw servers, memory and
lengths at random and have little more memory than all blocks and caches need, so a request cannot
have what it would take alone.
"""

from __future__ import annotations

import argparse
import math

from torta_opt.placement.bounds.combinatorial import lower_bound
from torta_opt.placement.bounds.floor import floor_s
from torta_opt.placement.formulations.published import published_program
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.instance.presets import clustered, large, mix
from torta_opt.placement.search.optimal import solve_exact
from torta_opt.solvers import Limits, solve_milp

HEAD = (
    "instance            J   R  floor %  comb %        cost   gap %  exact s  1 % at s  proved by"
    "      published gap %"
)


def instances() -> dict[str, PlacementInstance]:
    named = {"clustered": clustered(), "clustered-test": clustered(memory="test")}
    named |= {f"clustered-{c}": clustered(c) for c in (1, 2)}
    named["large"] = large()
    named["large-1-fast"] = large(fast_share=0.04)
    return named | {f"mix-{seed}": mix(seed) for seed in range(6)}


def measure(name: str, instance: PlacementInstance, exact_s: float, published_s: float) -> str:
    found = solve_exact(instance, Limits(seconds=exact_s, threads=2))
    gap = "-"
    if published_s:
        problem = published_program(instance, "response").problem
        theirs = solve_milp(problem, Limits(seconds=published_s, threads=2))
        gap = "none found" if theirs.gap is None else f"{100 * theirs.gap:.1f}"
    within = [
        sample.seconds
        for sample in found.trace
        if math.isfinite(sample.incumbent)
        and sample.incumbent - sample.bound <= 0.01 * sample.incumbent
    ]
    near = within[0] if within else math.nan
    shares = [100 * value / found.bound for value in (floor_s(instance), lower_bound(instance))]
    ours = "inf" if found.gap is None else f"{100 * found.gap:.4f}"
    return (
        f"{name:18s} {len(instance.servers):2d} {instance.requests:3d} {shares[0]:8.2f}"
        f" {shares[1]:7.2f} {found.cost:11.4f} {ours:>7s} {found.seconds:8.2f} {near:9.2f}"
        f"  {found.source:13s} {gap:>16s}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", type=float, default=0.0, help="seconds")
    parser.add_argument("--exact", type=float, default=15.0, help="seconds")
    parser.add_argument("--only", nargs="*", help="names of instances")
    options = parser.parse_args()
    print(HEAD)
    for name, instance in instances().items():
        if not options.only or name in options.only:
            print(measure(name, instance, options.exact, options.published), flush=True)


if __name__ == "__main__":
    main()

"""Multi-slot entropic transport with switching costs: time against T, gaps, and CVXPY.

    python benchmarks/bench_multi_slot.py [--regions 32] [--slots 60 120 240 480]
        [--switching frobenius kl l1] [--epsilon 0.05] [--weight 0.02] [--curves FOLDER]

Costs are distances in a square, at most 1; demand drifts from slot to slot; the mass of every slot
is 1. Columns: switching cost; slots T; regions R; wall and processor seconds; microseconds per
slot and pair; steps of Newton and of conjugate gradients; the duality gap; how far the bound at ε
= 0 is below the cost of the plan. l1 must reach marginals within 1e-5 before rounding, the others
within 1e-9. The second table compares with CVXPY and Clarabel on the first slots of similar data.

`--curves` writes the processor seconds as a file that `torta-opt plot growth` draws.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from curves import Curves

from torta_opt.transport.many_slots import SWITCHING, solve_multi_slot
from torta_opt.transport.many_slots_cvxpy import solve_multi_slot_program
from torta_opt.transport.switching import switching_cost

PEER_SLOTS, PEER_REGIONS = 12, 12
HEAD = "switching    T   R  seconds  cpu s  µs/slot/pair  Newton   CG  duality gap  gap at ε=0"


def drifting(slots: int, regions: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    place = rng.random((regions, 2))
    cost = np.linalg.norm(place[:, None] - place, axis=2)
    drift = np.cumsum(rng.normal(scale=0.03, size=(slots, regions)), axis=0)
    supply = (rng.gamma(1.0, size=regions) + 0.05) * np.exp(drift)
    noise = np.exp(0.2 * rng.normal(size=(slots, regions)))
    demand = (rng.gamma(1.0, size=regions) + 0.05) * noise
    supply /= supply.sum(axis=1, keepdims=True)
    return cost / cost.max(), supply, demand / demand.sum(axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--regions", type=int, default=32)
    parser.add_argument("--slots", type=int, nargs="+", default=[60, 120, 240, 480])
    parser.add_argument("--switching", nargs="+", default=["frobenius", "kl"], choices=SWITCHING)
    parser.add_argument("--epsilon", type=float, default=0.05)
    parser.add_argument("--weight", type=float, default=0.02)
    parser.add_argument("--curves", type=Path, metavar="FOLDER", help="write the seconds here")
    chosen = parser.parse_args()
    title = f"entropic transport with switching costs, {chosen.regions} regions"
    curves = Curves("multi_slot", title, "slots")
    data = drifting(max(*chosen.slots, PEER_SLOTS), chosen.regions)
    solve_multi_slot(data[0], *(table[:2] for table in data[1:]), 0.1, 0.1)  # imports
    print(HEAD)
    for switching in chosen.switching:
        for slots in chosen.slots:
            problem = data[0], data[1][:slots], data[2][:slots]
            start, cpu = time.perf_counter(), time.process_time()
            tolerance = 1e-5 if switching == "l1" else 1e-9
            options = chosen.epsilon, chosen.weight, switching, tolerance
            found = solve_multi_slot(*problem, *options)
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
            curves.add(switching, slots, cpu)
            each = 1e6 * seconds / (slots * chosen.regions**2)
            linear_gap = (found.linear - found.linear_bound) / found.linear
            print(
                f"{switching:<9} {slots:4d} {chosen.regions:3d} {seconds:8.2f} {cpu:6.2f} "
                f"{each:13.1f} {found.newton_steps:7d} {found.cg_steps:4d} {found.gap:12.1e} "
                f"{100 * linear_gap:9.1f} %",
                flush=True,
            )
    curves.save(chosen.curves)
    print(f"\nCVXPY + Clarabel, {PEER_SLOTS} slots, {PEER_REGIONS} regions")
    warnings.simplefilter("ignore")  # "may be inaccurate": the difference below says how much
    data = drifting(PEER_SLOTS, PEER_REGIONS)
    for switching in chosen.switching:
        options = chosen.epsilon, chosen.weight, switching
        start = time.perf_counter()
        found = solve_multi_slot(*data, *options)
        middle = time.perf_counter()
        peer = solve_multi_slot_program(*data, *options)
        end = time.perf_counter()
        entropy = float((peer * (np.log(np.where(peer > 0, peer, 1.0)) - 1)).sum())
        value = float((peer * data[0]).sum()) + chosen.epsilon * entropy
        value += switching_cost(peer, data[1], chosen.weight, switching)
        print(
            f"{switching:<9} ours {middle - start:7.3f} s   CVXPY {end - middle:7.2f} s"
            f"   ratio {(end - middle) / (middle - start):6.0f}"
            f"   difference of objectives {abs(value - found.objective):.1e}"
        )


if __name__ == "__main__":
    main()

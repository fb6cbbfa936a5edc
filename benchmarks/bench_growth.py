"""How time and memory grow with slots and with regions, beside plain HiGHS on the same matrix.

    python benchmarks/bench_growth.py [--slots 60 120 240 480] [--regions 25 50 100] [--no-plan]
        [--curves FOLDER]

The first table grows the horizon of paper/abilene (seed 5): rows of the merged program with
knapsack rows (regions and server costs merged); processor seconds of HiGHS's interior point method
IPX and of HiPO, without crossover, on that matrix; what both prove, which must agree; the seconds
of the merged bound and its clairvoyant plan, and the gap between them. The second table
grows the regions (TopoHub's Gabriel graphs, ten servers a region): columns of the transport program
of one slot over all pairs of regions; processor seconds a slot of the whole program and of column
generation ("priced"); cost of both, which must agree; peak memory of the process so far in MB.

`--slots 480 960 1920` takes half an hour. `--curves` writes the seconds as files that
`torta-opt plot growth` draws.
"""

from __future__ import annotations

import argparse
import math
import resource
import sys
import tempfile
import time
from pathlib import Path

import networkx as nx
import numpy as np
import topohub
from curves import Curves

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.all_pairs import over_all_pairs

from torta_opt.allocation.bounds.lp import prove
from torta_opt.allocation.bounds.merged import merged_bound
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.merged import build_merged_program
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate, generate_from_topology
from torta_opt.allocation.search.clairvoyant import solve_clairvoyant
from torta_opt.allocation.search.slot_routing import Router
from torta_opt.solvers import available_methods, solve_lp

METHODS = {"ipm": "HiGHS, IPX", "hipo": "HiGHS, HiPO"}
GPUS = {"A100": 2, "H100": 1, "RTX4090": 2, "V100": 3, "T4": 2}  # of ten servers


def in_time(slots: int, plan: bool, curves: Curves) -> str:
    instance = generate("paper/abilene", seed=5, slots=slots)
    program = with_knapsack_rows(build_merged_program(instance, tiers=1).program)
    seconds, proved = [], []
    for method in METHODS:
        if method not in available_methods():
            seconds.append(math.nan)
            continue
        began = time.process_time()
        found = solve_lp(program.problem(), method, crossover=False)
        seconds.append(time.process_time() - began)
        curves.add(METHODS[method], slots, seconds[-1])
        proved.append(prove(program, found.row_dual))
    assert np.allclose(proved, proved[0], rtol=1e-6)
    line = f"{slots:5d} {len(program.row_lower):8d} {seconds[0]:8.1f} {seconds[1]:8.1f}"
    line += f" {proved[0]:12.5f}"
    if plan:
        began = time.process_time()
        bound = merged_bound(instance)
        middle = time.process_time()
        cost = solve_clairvoyant(instance, solved=bound).cost
        ended = time.process_time()
        curves.add("merged bound", slots, middle - began)
        curves.add("clairvoyant plan", slots, ended - middle)
        line += f" {middle - began:8.1f} {ended - middle:8.1f}"
        line += f" {100 * (1 - bound.value / cost):7.3f}"
    return line


def gabriel(regions: int, slots: int) -> Instance:
    graph = nx.node_link_graph(topohub.get(f"gabriel/{regions}/0"), edges="edges")
    plain = nx.Graph()
    for node, data in graph.nodes(data=True):
        plain.add_node(str(node), x=float(data["pos"][0]), y=float(data["pos"][1]))
    plain.add_edges_from((str(a), str(b)) for a, b in graph.edges())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"gabriel{regions}.gml"
        nx.write_gml(plain, file)
        counts = {name: share * regions for name, share in GPUS.items()}
        return generate_from_topology(file, 1, slots=slots, gpu_counts=counts)


def in_regions(regions: int, curves: Curves, slots: int = 6) -> str:
    """Every slot sends a third of its requests where the slot before sent none."""
    instance = gabriel(regions, slots)
    rng = np.random.default_rng(0)
    router = Router(instance)
    before = instance.initial.routing
    seconds, costs = np.zeros(2), np.zeros(2)
    columns = len(router.cost)
    for arrivals in instance.arrivals[: slots - 4]:
        inflow = arrivals - arrivals // 3
        inflow += rng.permutation(arrivals // 3, axis=0)
        began = time.process_time()
        whole = solve_lp(over_all_pairs(router, arrivals, inflow, before), "simplex")
        middle = time.process_time()
        program, x = router._cheapest(arrivals, inflow, before)
        seconds += middle - began, time.process_time() - middle
        costs += whole.objective, float(program.problem.cost @ x)
        before = router.slot(arrivals, inflow, before, False).sum(axis=2)
    assert np.isclose(*costs, rtol=1e-6)
    each = seconds / (slots - 4)
    curves.add("HiGHS, all pairs of regions", regions, each[0])
    curves.add("column generation", regions, each[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return f"{regions:7d} {columns:8d} {each[0]:10.3f} {each[1]:10.3f} {costs[0]:12.5f} {peak:7d}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", type=int, nargs="*", default=[60, 120, 240, 480])
    parser.add_argument("--regions", type=int, nargs="*", default=[25, 50, 100])
    parser.add_argument(
        "--plan", action=argparse.BooleanOptionalAction, default=True, help="bound and plan too"
    )
    parser.add_argument("--curves", type=Path, metavar="FOLDER", help="write the seconds here")
    chosen = parser.parse_args()
    in_slots = Curves("growth_slots", "merged program of paper/abilene, more slots", "slots")
    of_regions = Curves("growth_regions", "routing of one slot, more regions", "regions")
    more = "  bound s   plan s   gap %" if chosen.plan else ""
    print(f"slots     rows    IPX s   HiPO s       proved{more}")
    for slots in chosen.slots:
        print(in_time(slots, chosen.plan, in_slots), flush=True)
        in_slots.save(chosen.curves)
    print("\nregions  columns   whole s/slot  priced s/slot      cost      MB")
    for regions in chosen.regions:
        print(in_regions(regions, of_regions), flush=True)
        of_regions.save(chosen.curves)


if __name__ == "__main__":
    main()

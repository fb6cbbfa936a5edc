"""480 entropic transport problems of 32 regions with one cost matrix: our solvers against POT.

    python benchmarks/bench_transport.py [--problems 480] [--regions 32] [--seed 0]

Each row solves all problems to marginals within 1e-9 of the mass, with ε = 0.1 and 0.02 of the
largest cost. Columns: ε relative to the largest cost; solver; seconds; seconds relative to the
first row; largest error of a marginal before and after rounding; largest difference of a cost from
that of the first row. POT's logarithmic loop and its batch are timed on every tenth problem, and
the time is scaled. The last rows are exact transport.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np

from torta_opt.transport.batch import solve_batch, solve_logarithmic
from torta_opt.transport.one_slot import load_pot, round_to_marginals, transport

TOLERANCE = 1e-9
SAMPLE = 10
HEAD = "  ε/max C  solver                       seconds    ratio   error before   after    Δcost"


def problems(count: int, regions: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Regions in a square, cost their distance; masses vary twentyfold and sum to 1."""
    rng = np.random.default_rng(seed)
    place = rng.random((regions, 2))
    cost = np.linalg.norm(place[:, None] - place, axis=2)
    supply, demand = (rng.gamma(1.0, size=(2, count, regions)) + 0.05)[:]
    supply /= supply.sum(axis=1, keepdims=True)
    demand /= demand.sum(axis=1, keepdims=True)
    return cost, supply, demand


def worst(plan: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> float:
    rows = np.abs(plan.sum(axis=2) - supply).max()
    return float(max(rows, np.abs(plan.sum(axis=1) - demand).max()))


def pot_loop(method: str, cost: np.ndarray, supply: np.ndarray, demand: np.ndarray, epsilon: float):
    ot = load_pot()
    options = {"method": method, "numItermax": 100_000, "stopThr": TOLERANCE}
    pairs = zip(supply, demand, strict=True)
    return np.array([ot.sinkhorn(a, b, cost, epsilon, **options) for a, b in pairs])


def pot_batch(cost: np.ndarray, supply: np.ndarray, demand: np.ndarray, epsilon: float):
    wide = np.broadcast_to(cost, (len(supply), *cost.shape))
    found = load_pot().solve_batch(
        wide, epsilon, supply, demand, max_iter=100_000, tol=TOLERANCE, reg_type="entropy"
    )
    return np.asarray(found.plan)


def measure(solve: Callable[[], np.ndarray], repeat: int) -> tuple[np.ndarray, float]:
    """The plans, and the least of some times."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        plans = solve()
        times.append(time.perf_counter() - start)
    return plans, min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=480)
    parser.add_argument("--regions", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    cost, supply, demand = problems(chosen.problems, chosen.regions, chosen.seed)
    some = slice(None, None, SAMPLE)
    warnings.simplefilter("ignore")  # that POT stopped early shows in the errors
    load_pot()
    print(HEAD)
    for share in (0.1, 0.02):
        eps = share * cost.max()
        data = cost, supply, demand, eps
        part = cost, supply[some], demand[some], eps
        part_factor = chosen.problems / len(supply[some])
        rows = [
            ("ours, shared kernel + Newton", lambda d=data: solve_batch(*d), 3, 1.0),
            ("ours, no Newton", lambda d=data: solve_batch(*d, newton=False), 3, 1.0),
            ("ours, logarithmic", lambda d=data: solve_logarithmic(*d), 1, 1.0),
            ("POT loop, sinkhorn", lambda d=data: pot_loop("sinkhorn", *d), 1, 1.0),
            (
                "POT loop, log (tenth, scaled)",
                lambda d=part: pot_loop("sinkhorn_log", *d),
                1,
                part_factor,
            ),
            ("POT solve_batch", lambda d=part: pot_batch(*d), 1, part_factor),
        ]
        base_seconds, base_cost = None, None
        for label, solve, repeat, factor in rows:
            found, seconds = measure(solve, repeat)
            seconds *= factor
            of = some if factor > 1 else slice(None)
            before = getattr(found, "marginal_error", None)
            plan = found if isinstance(found, np.ndarray) else found.plan
            error = worst(plan, supply[of], demand[of]) if before is None else before.max()
            plan = round_to_marginals(plan, supply[of], demand[of])
            after = worst(plan, supply[of], demand[of])
            costs = (plan * cost).sum(axis=(1, 2))
            if base_cost is None:
                base_seconds, base_cost = seconds, costs
            away = np.abs(costs - base_cost[of]).max()
            ratio = seconds / base_seconds
            print(
                f"  {share:7.2f}  {label:<30} {seconds:7.3f} {ratio:8.1f}   {error:12.1e}"
                f" {after:7.0e} {away:8.0e}",
                flush=True,
            )
    start = time.perf_counter()
    for a, b in zip(supply, demand, strict=True):
        transport(cost, a, b)
    print(f"  exact    ours (POT emd, checked)         {time.perf_counter() - start:7.3f}")
    start = time.perf_counter()
    for a, b in zip(supply, demand, strict=True):
        load_pot().emd(a, b, cost)
    print(f"  exact    POT emd                         {time.perf_counter() - start:7.3f}")


if __name__ == "__main__":
    main()

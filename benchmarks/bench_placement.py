"""How long block placement takes: the event-driven simulator, CG-BPRR, PETALS and the floor.

    python benchmarks/bench_placement.py

There are 26 servers on BellCanada. The first table shows milliseconds per method. The second shows
runs of 100,000 requests, from a light load to one with queues: arrival rate, mean wait, share of
requests served, wall seconds, and seconds relative to the first row.
"""

from __future__ import annotations

import time

import numpy as np

from torta_opt.placement.bounds.floor import floor_s
from torta_opt.placement.instance.presets import placement_preset
from torta_opt.placement.online.contenders import contender
from torta_opt.placement.online.events import simulate
from torta_opt.placement.online.in_turn import poisson_arrivals
from torta_opt.placement.policies.cg_bprr import cg_bprr
from torta_opt.placement.policies.petals import petals_schedule

REQUESTS = 100_000
RATES = (0.5, 1.5, 2.5)


def main() -> None:
    instance = placement_preset("large", clients=4)
    print(f"{'26 servers, 4 clients, 70 blocks':<34}{'ms':>9}")
    for label, action in (
        ("cg_bprr", lambda: cg_bprr(instance)),
        ("petals", lambda: petals_schedule(instance)),
        ("floor", lambda: floor_s(instance)),
    ):
        start = time.perf_counter()
        for _ in range(10):
            action()
        print(f"{label:<34}{(time.perf_counter() - start) * 100:9.2f}")
    print(
        f"\n{REQUESTS:,} requests{'rate/s':>14}{'mean wait s':>13}{'served':>9}{'s':>8}{'ratio':>8}"
    )
    reference = None
    for rate in RATES:
        loaded = instance.with_rate(rate)
        arrivals = poisson_arrivals(loaded, REQUESTS, seed=0)
        for name in ("proposed", "petals"):
            chosen = contender(loaded, name)
            start = time.perf_counter()
            result = simulate(loaded, chosen, arrivals, give_up_s=600)
            seconds = time.perf_counter() - start
            reference = reference or seconds
            wait = np.nanmean(result.wait_ms) / 1000
            served = result.completed / REQUESTS
            print(
                f"{name:<16}{rate:>14.1f}{wait:>13.2f}{served:>9.1%}{seconds:>8.1f}"
                f"{seconds / reference:>8.2f}"
            )


if __name__ == "__main__":
    main()

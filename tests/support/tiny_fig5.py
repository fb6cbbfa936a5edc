"""Random single-slot instances of a few tasks, and their optimum by trying everything."""

from __future__ import annotations

import itertools
import math

import numpy as np

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.data import Initial, System, Weights
from torta_opt.allocation.single_slot.by_task import Tasks, region_limits


def random_instance(
    seed: int, *, tasks: int, regions: int = 2, types: int = 2, servers: int = 4
) -> Instance:
    """One slot of 100 ms, two classes; some pairs are forbidden, some incompatible."""
    rng = np.random.default_rng(seed)
    load = rng.integers(15, 70, (types, 2)) * (rng.random((types, 2)) > 0.15)
    load[0] = np.maximum(load[0], 15)
    service = np.where(load > 0, rng.uniform(1, 30, (types, 2)), np.nan)
    latency = rng.uniform(0, 5, (regions, regions))
    latency[(rng.random((regions, regions)) < 0.15) & ~np.eye(regions, dtype=bool)] = np.nan
    kinds = rng.integers(0, types, servers)
    kinds[:regions] = 0
    place = np.arange(servers) % regions
    arrivals = np.zeros((1, regions, 2), int)
    np.add.at(arrivals[0], (rng.integers(0, regions, tasks), rng.integers(0, 2, tasks)), 1)
    off = Initial.all_off(servers, regions, 2)
    table = np.zeros((types, 1))
    system = System(
        slot_ms=100,
        hot_permille=0,
        regions=tuple(f"r{i}" for i in range(regions)),
        models=("m",),
        types=tuple(f"k{i}" for i in range(types)),
        classes=("a", "b"),
        servers=tuple(f"s{i}" for i in range(servers)),
        class_model=[0, 0],
        deadline_slots=[0, 0],
        slo_s=[1.0, 1.0],
        server_region=place,
        server_type=kinds,
        latency_s=latency,
        transfer_usd=rng.uniform(0, 2, (regions, regions, 2)),
        service_s=service,
        hot_service_s=service,
        server_ms=load,
        rent_usd_per_hour=rng.uniform(0, 2, (regions, types)),
        idle_kw=np.full(types, 0.1),
        peak_kw=rng.uniform(0.2, 900.0, types),
        start_ms=table.astype(int),
        switch_ms=table.astype(int),
        start_usd=table,
        switch_usd=table,
        weights=Weights(0.1, 0.0, np.array([1e4, 1e4])),
    )
    return Instance(
        name=f"tiny/{seed}",
        system=system,
        initial=Initial(
            np.zeros(servers, int), off.loading_ms, off.backlog, off.processing, off.routing
        ),
        arrivals=arrivals,
        price_usd_per_kwh=rng.uniform(-1, 3, (1, regions)),
        up=np.ones((1, servers), bool),
    )


def by_trying(tasks: Tasks, share: float) -> float:
    """Least cost over all assignments; ∞ if none is allowed."""
    number, servers = tasks.cost.shape
    limits = region_limits(tasks.region, tasks.slot_ms, share)
    best = math.inf
    for choice in itertools.product(range(servers), repeat=number):
        busy = [0] * servers
        allowed = all(tasks.load_ms[n, s] >= 0 for n, s in enumerate(choice))
        if not allowed:
            continue
        for n, s in enumerate(choice):
            busy[s] += int(tasks.load_ms[n, s])
        if max(busy) > tasks.slot_ms:
            continue
        used = [
            sum(busy[s] for s in range(servers) if tasks.region[s] == j) for j in range(len(limits))
        ]
        if all(time <= limit for time, limit in zip(used, limits, strict=True)):
            best = min(best, sum(float(tasks.cost[n, s]) for n, s in enumerate(choice)))
    return best + tasks.idle_usd

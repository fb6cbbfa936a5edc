"""Single-slot instances in the setting of the paper's Fig. 5 (arXiv 2507.10259).

Stated there: 5 regions of 10 servers, 2 task types, 3 to 20 tasks a server, at most 80 % per
region, N from 200 to 5,000. Not stated, and chosen here: in every region two servers of each of the
paper's five GPU types; light and heavy tasks, of which a server takes ``TASKS_PER_SERVER`` a slot;
origins, latencies and prices at random. With N tasks a server takes N/200 times as many, so that
the load, about 55 % of all servers, is the same for every N: 50 servers of at most 20 tasks would
not hold the 2,000 and 5,000 tasks of the figure. Every server is ready, owned and draws nothing
when idle: what is left to decide is which server takes which task.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from torta_opt.allocation.instance.data import Initial, Instance, System, Weights
from torta_opt.allocation.instance.expiry_price import highest_serving_cost_usd
from torta_opt.allocation.instance.generate.hardware import GPUS
from torta_opt.allocation.instance.generate.weights import significant
from torta_opt.io import InvalidInput

SIZES = (200, 500, 1000, 2000, 5000)  # N of the figure
MOST_TASKS = 1_000_000
REGIONS, SERVERS_PER_TYPE = 5, 2
CLASSES = ("light", "heavy")
# Tasks of each class that a server of each type takes in a slot, at N = 200: 3 to 20.
TASKS_PER_SERVER = {"H100": (20, 8), "A100": (16, 7), "RTX4090": (12, 5), "V100": (8, 4)}
TASKS_PER_SERVER["T4"] = (6, 3)
SERVICE_S = {"H100": (6.0, 15.0), "A100": (7.5, 17.0), "RTX4090": (10.0, 24.0)}
SERVICE_S |= {"V100": (15.0, 30.0), "T4": (20.0, 40.0)}
LIGHT_SHARE = 0.6
SLOT_MS = 45_000
TIME_USD_PER_S = 1e-4  # see weights.py
EXPIRY_MARGIN = 10.0


def fig5_instance(tasks: int, name: str, seed: int = 0) -> Instance:
    """``tasks`` tasks that arrive in one slot. Above 5,000 the slot grows with their number, so
    that server times keep their digits in whole milliseconds.
    """
    if isinstance(tasks, bool) or not isinstance(tasks, int) or not 200 <= tasks <= MOST_TASKS:
        raise InvalidInput(f"must be a number from 200 to {MOST_TASKS}", field="tasks")
    rng = np.random.default_rng([seed, 5])
    types = tuple(TASKS_PER_SERVER)
    per_region = len(types) * SERVERS_PER_TYPE
    servers = REGIONS * per_region
    price = np.round(rng.uniform(0.06, 0.32, REGIONS), 3)
    system = _system(types, rng, slot_ms=SLOT_MS * max(1, -(-tasks // SIZES[-1])), tasks=tasks)
    expiry = highest_serving_cost_usd(system, price) * EXPIRY_MARGIN
    weights = Weights(TIME_USD_PER_S, 0.0, np.array([significant(usd, 3) for usd in expiry]))
    system = dataclasses.replace(system, weights=weights)
    origin = rng.dirichlet(np.full(REGIONS, 4.0))
    mix = np.outer(origin, (LIGHT_SHARE, 1 - LIGHT_SHARE))
    arrivals = rng.multinomial(tasks, mix.ravel() / mix.sum()).reshape(1, REGIONS, len(CLASSES))
    initial = Initial.all_off(servers, REGIONS, len(CLASSES))
    return Instance(
        name=name,
        description=f"Fig. 5 of arXiv 2507.10259: {tasks} tasks of two types, {servers} servers",
        system=system,
        initial=dataclasses.replace(initial, model=np.zeros(servers, int)),
        arrivals=arrivals,
        price_usd_per_kwh=price[None],
        up=np.ones((1, servers), bool),
    )


def _system(types: tuple[str, ...], rng: np.random.Generator, slot_ms: int, tasks: int) -> System:
    per_region = len(types) * SERVERS_PER_TYPE
    region = np.repeat(np.arange(REGIONS), per_region)
    kind = np.tile(np.repeat(np.arange(len(types)), SERVERS_PER_TYPE), REGIONS)
    place = rng.uniform(0.0, 1.0, (REGIONS, 2))
    apart = np.sqrt(((place[:, None] - place[None]) ** 2).sum(axis=2))
    held = -(-np.array([TASKS_PER_SERVER[name] for name in types]) * tasks // SIZES[0])
    service = np.array([SERVICE_S[name] for name in types])
    one_model = np.zeros((len(types), 1))
    return System(
        slot_ms=slot_ms,
        hot_permille=0,
        regions=tuple(f"region-{i + 1}" for i in range(REGIONS)),
        models=("llm",),
        types=types,
        classes=CLASSES,
        servers=tuple(
            f"region-{i + 1}/{types[k]}-{n % SERVERS_PER_TYPE + 1}"
            for n, (i, k) in enumerate(zip(region.tolist(), kind.tolist(), strict=True))
        ),
        class_model=np.zeros(len(CLASSES), int),
        deadline_slots=np.zeros(len(CLASSES), int),
        slo_s=np.array([30.0, 60.0]),
        server_region=region,
        server_type=kind,
        latency_s=np.round(0.001 + 0.1 * apart, 4),
        transfer_usd=np.zeros((REGIONS, REGIONS, len(CLASSES))),
        service_s=service,
        hot_service_s=service,
        server_ms=slot_ms // held,
        rent_usd_per_hour=np.zeros((REGIONS, len(types))),
        idle_kw=np.zeros(len(types)),
        peak_kw=np.array([GPUS[name].power_kw[1] for name in types]),
        start_ms=one_model.astype(int),
        switch_ms=one_model.astype(int),
        start_usd=one_model + 0.01,
        switch_usd=one_model + 0.01,
        weights=Weights(TIME_USD_PER_S, 0.0, np.zeros(len(CLASSES))),
    )

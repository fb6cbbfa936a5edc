"""A small instance on which transport is wrong: two servers of one speed, one far from fast.

Both regions have the same capacity, so equal marginals send half of all requests to each. But a
request takes 2 s in the east and 20 s in the west, and the east could do all the work.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate


def uneven(slots: int, seed: int) -> Instance:
    base = generate("small/loading")
    seconds = np.array([[2.0], [20.0]])
    system = dataclasses.replace(
        base.system,
        service_s=seconds,
        hot_service_s=seconds,
        server_ms=np.full((2, 1), 500),
        start_ms=np.zeros((2, 1), np.int64),
        deadline_slots=np.array([2]),
    )
    ready = dataclasses.replace(base.initial, model=np.zeros(2, np.int64))
    return dataclasses.replace(
        base,
        name=f"uneven@{seed}",
        system=system,
        initial=ready,
        arrivals=np.random.default_rng(seed).poisson(12, (slots, 2, 1)),
        price_usd_per_kwh=np.full((slots, 2), 0.1),
        up=np.ones((slots, 2), bool),
    )

"""Tiny instances with the exact cost of the cheapest of all their schedules."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
from support.tiny import TINIEST, TooLarge, brute_force_optimum, random_tiny_instance

from torta_opt.allocation.instance import Instance


@cache
def tiniest(
    seed: int, count: int, max_states: int = 20_000, **changes: float
) -> tuple[tuple[Instance, float], ...]:
    """``count`` random instances and their optima; ``changes`` to ``support.tiny.Limits``."""
    rng, found = np.random.default_rng(seed), []
    limits = dataclasses.replace(TINIEST, **changes)
    while len(found) < count:
        instance = random_tiny_instance(rng, limits)
        try:
            best = brute_force_optimum(instance, max_states=max_states)
        except TooLarge:
            continue
        found.append((instance, float(best.cost)))
    return tuple(found)


def slack(best: float) -> float:
    """What sums of dollars in float64 may be off by."""
    return 1e-9 * (1 + abs(best))

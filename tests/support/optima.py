"""Tiny instances with the exact cost of the cheapest of all their schedules."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from support.tiny import TINIEST, TooLarge, brute_force_optimum, random_tiny_instance
from support.tiny import Limits as TinyLimits

from torta_opt.allocation.instance import Instance

SHARED = 11  # instances that most tests share, so that they are solved once


def tiniest(
    count: int, seed: int = SHARED, max_states: int = 20_000, **changes: float
) -> tuple[tuple[Instance, float], ...]:
    """``count`` random instances and their optima; ``changes`` to ``support.tiny.Limits``.

    Trying all schedules takes longer than most that is tested with the answer: what has been solved
    is kept, and more of the same seed goes on from there.
    """
    bank = _bank(seed, max_states, tuple(sorted(changes.items())))
    while len(bank.found) < count:
        bank.add()
    return tuple(bank.found[:count])


@dataclass(eq=False)
class _Bank:
    """Instances of one seed as far as they have been asked for."""

    rng: np.random.Generator
    limits: TinyLimits
    max_states: int
    found: list[tuple[Instance, float]] = field(default_factory=list)

    def add(self) -> None:
        instance = random_tiny_instance(self.rng, self.limits)
        with contextlib.suppress(TooLarge):
            best = brute_force_optimum(instance, max_states=self.max_states)
            self.found.append((instance, float(best.cost)))


@cache
def _bank(seed: int, max_states: int, changes: tuple[tuple[str, float], ...]) -> _Bank:
    limits = dataclasses.replace(TINIEST, **dict(changes))
    return _Bank(np.random.default_rng(seed), limits, max_states)


def slack(best: float) -> float:
    """What sums of dollars in float64 may be off by."""
    return 1e-9 * (1 + abs(best))

"""Bound methods by name: what each proves and how it is computed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from torta_opt.bounds.floor import floor
from torta_opt.instance import Instance
from torta_opt.io import InvalidInput


@dataclass(frozen=True)
class BoundResult:
    """A number that no schedule of an instance can beat.

    value      dollars
    source     the method that proved it
    certified  True if a certificate comes with it, from which a checker that knows no solver
               derives the value again
    seconds    wall-clock time it took
    costs      its parts under the names of the cost components they bound, where they are known
    """

    value: float
    source: str
    certified: bool
    seconds: float
    costs: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class BoundMethod:
    """``compute(instance)`` gives the bound's value and its parts."""

    summary: str
    compute: Callable[[Instance], tuple[float, dict[str, float]]]
    certified: bool = False


def _floor(instance: Instance) -> tuple[float, dict[str, float]]:
    result = floor(instance)
    return result.value, result.costs


METHODS: dict[str, BoundMethod] = {
    "floor": BoundMethod(
        "closed form: every request at the cheaper of expiring and being served at once, hot, "
        "where that is cheapest",
        _floor,
    ),
}


def compute(instance: Instance, method: str) -> BoundResult:
    """The bound that ``method`` proves for ``instance``."""
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise InvalidInput(f"{method!r:.60} is not a bound; known: {known}", field="method")
    chosen = METHODS[method]
    start = time.perf_counter()
    value, costs = chosen.compute(instance)
    return BoundResult(value, method, chosen.certified, time.perf_counter() - start, costs)

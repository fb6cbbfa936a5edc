"""What all results share: the gap of a cost, and how exact sums are."""

from __future__ import annotations

from typing import Any

ROUNDING = 1e-9  # share of a cost; more than the rounding error of a float64 sum of a million terms

Schedule = Any  # each family has its own class


def relative_gap(cost: float | None, bound: float | None) -> float | None:
    """``(cost − bound)/|cost|``; None if one of the two is missing, or the cost is 0."""
    if cost is None or bound is None or cost == 0:
        return None
    return (cost - bound) / abs(cost)

"""A square bounded below by straight lines: how d² enters a linear program.

At points 0 < a_1 < … < a_K ≤ 1 the tangents 2·a_k·|d| − a_k² lie below d², and so does the largest
of them and 0. That function of |d| ≤ 1 is convex and made of straight segments: flat up to
a_1/2, of slope 2·a_k between the midpoints (a_{k−1}+a_k)/2 and (a_k+a_{k+1})/2 (the last ends at
1). With |d| split into pieces, each no longer than its segment and priced at its slope, the
cheapest split has exactly the function's value: no rows are needed, only columns.

Any points give a lower bound; more points give a better one. With points doubling from 1/64 to 1
it is short of d² by at most 1/9 of it beyond |d| = 1/64, and by at most 1/16384 below.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

TANGENTS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)


def segments(tangents: Sequence[float] = TANGENTS) -> list[tuple[float, float]]:
    """(slope, length) of the segments over |d| ≤ 1, by growing slope; lengths add up to 1."""
    points = [0.0, *tangents]
    if len(points) < 2 or any(b <= a for a, b in pairwise(points)):
        raise ValueError("tangent points must be positive and grow")
    if points[-1] > 1:
        raise ValueError("tangent points must not exceed 1, the largest change of a share")
    ends = [(a + b) / 2 for a, b in pairwise(points)] + [1.0]
    lengths = [end - start for start, end in zip([0.0, *ends], ends, strict=False)]
    return [(2 * point, length) for point, length in zip(points, lengths, strict=True) if length]


def below_square(d: float, tangents: Sequence[float] = TANGENTS) -> float:
    """The value of the segments at d: never above d²."""
    return max(0.0, *(2 * a * abs(d) - a * a for a in tangents))

"""Straight lines below a square."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torta_opt.allocation.formulations.segments import TANGENTS, below_square, segments

POINTS = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=6, unique=True).map(sorted)


def filled(d: float, pieces: list[tuple[float, float]]) -> float:
    """Cost of |d| put into the segments, the cheapest first."""
    left, cost = abs(d), 0.0
    for slope, length in pieces:
        part = min(left, length)
        cost, left = cost + slope * part, left - part
    return cost


@given(POINTS, st.floats(-1, 1))
def test_segments_cost_the_largest_tangent(points: list[float], d: float) -> None:
    pieces = segments(points)
    assert sum(length for _, length in pieces) == pytest.approx(1)
    slopes = [slope for slope, _ in pieces]
    assert slopes == sorted(slopes)
    assert filled(d, pieces) == pytest.approx(below_square(d, points), abs=1e-12)


@given(POINTS, st.floats(-1, 1))
def test_segments_never_exceed_the_square(points: list[float], d: float) -> None:
    assert below_square(d, points) <= d * d + 1e-15


@pytest.mark.parametrize("point", TANGENTS)
def test_tangents_touch_the_square(point: float) -> None:
    assert below_square(point) == pytest.approx(point**2)


@given(st.floats(1 / 64, 1))
def test_default_points_miss_at_most_a_ninth(d: float) -> None:
    assert below_square(d) >= d * d * (8 / 9) - 1e-12


@given(st.floats(0, 1 / 64))
def test_default_points_miss_little_of_small_changes(d: float) -> None:
    assert d * d - below_square(d) <= 1 / 16384 + 1e-15


@pytest.mark.parametrize("points", [(), (0.5, 0.5), (0.5, 0.25), (0.0, 1.0), (-0.5,), (0.5, 1.5)])
def test_points_that_are_no_tangent_points_are_refused(points: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="tangent points"):
        segments(points)

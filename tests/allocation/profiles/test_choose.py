"""Which load point a class takes, between token lengths and outside of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sizes import examples

from torta_opt.allocation.profiles.choose import Target, best_point, by_lengths, service_of
from torta_opt.allocation.profiles.data import LoadPoint, Profile
from torta_opt.io import InvalidInput


def point(tokens_in: float, tokens_out: float, rate: float, latency: float) -> LoadPoint:
    return LoadPoint(tokens_in, tokens_out, rate, latency, None, None, None, f"{rate}/s")


def profile(*points: LoadPoint) -> Profile:
    return Profile("m", "H100", 1, "measured", "vllm", "", points)


CURVE = (point(1000, 250, 1, 4), point(1000, 250, 2, 6), point(1000, 250, 3, 12))
GRID = (
    point(100, 100, 8, 2),
    point(300, 100, 4, 4),
    point(100, 300, 4, 6),
    point(300, 300, 2, 8),
)


def test_the_most_requests_that_meet_the_target() -> None:
    assert best_point(CURVE, Target(6)) is CURVE[1]
    assert best_point(CURVE, Target()) is CURVE[2]
    assert best_point(CURVE, Target(3)) is None


def test_a_target_that_no_point_meets_says_how_far_it_is() -> None:
    with pytest.raises(InvalidInput, match="at the fastest, response 4 s > 3 s"):
        service_of(profile(*CURVE), 1000, 250, Target(3))


def test_a_target_for_what_the_profile_lacks_is_not_met() -> None:
    with pytest.raises(InvalidInput, match="time to first token is not in the profile"):
        service_of(profile(*CURVE), 1000, 250, Target(20, ttft_s=1))


def test_lengths_that_scatter_are_one() -> None:
    near = point(1030, 245, 4, 9)
    assert by_lengths((*CURVE, near)) == [[*CURVE, near]]


def test_own_lengths_take_their_figures() -> None:
    found = service_of(profile(*CURVE, *GRID), 1010, 251, Target(6))
    assert (found.requests_per_s, found.latency_s, found.how) == (2, 6, "2/s")


def test_between_two_lengths_on_a_line() -> None:
    found = service_of(profile(GRID[0], GRID[1]), 200, 100, Target())
    assert found.latency_s == pytest.approx(3)
    assert 1 / found.requests_per_s == pytest.approx((1 / 8 + 1 / 4) / 2)
    assert found.how == "between 100/100, 300/100"


def test_only_points_that_meet_the_target_count_between() -> None:
    with pytest.raises(InvalidInput, match="lie outside the lengths"):
        service_of(profile(GRID[0], GRID[1]), 200, 100, Target(3))


@settings(max_examples=examples(40))
@given(st.floats(110, 290), st.floats(110, 290))
def test_linear_figures_are_met_exactly_inside(tokens_in: float, tokens_out: float) -> None:
    """Server time and latency that are linear in the lengths are found at every length."""

    def exact(i: float, o: float) -> tuple[float, float]:
        return 0.001 * i + 0.002 * o, 0.01 * i + 0.03 * o

    grid = [point(i, o, 1 / exact(i, o)[0], exact(i, o)[1]) for i in (100, 300) for o in (100, 300)]
    found = service_of(profile(*grid), tokens_in, tokens_out, Target())
    seconds, latency = exact(tokens_in, tokens_out)
    if found.how.startswith("between"):
        assert 1 / found.requests_per_s == pytest.approx(seconds)
        assert found.latency_s == pytest.approx(latency)


@pytest.mark.parametrize("lengths", [(50, 100), (400, 400), (100, 350), (310, 90)])
def test_outside_nothing_is_known_unless_asked_for(lengths: tuple[float, float]) -> None:
    with pytest.raises(InvalidInput, match="extrapolate = true"):
        service_of(profile(*GRID), *lengths, Target())
    service_of(profile(*GRID), *lengths, Target(), extrapolate=True)


def test_extrapolation_scales_the_nearest_and_never_makes_it_faster() -> None:
    longer = service_of(profile(*GRID), 600, 300, Target(), extrapolate=True)
    assert (longer.requests_per_s, longer.latency_s) == (1, 16)
    shorter = service_of(profile(*GRID), 50, 50, Target(), extrapolate=True)
    assert (shorter.requests_per_s, shorter.latency_s) == (8, 2)
    assert "extrapolated from 100/100" in shorter.how


def test_one_length_alone_has_no_between() -> None:
    with pytest.raises(InvalidInput, match="lie outside"):
        service_of(profile(*CURVE), 2000, 250, Target())

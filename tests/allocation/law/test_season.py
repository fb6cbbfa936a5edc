"""Daily seasons: found where two days are seen, one for all regions unless they differ."""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.law.season import daily_season

HOUR_MS = 3_600_000


def counts(phase: list[float], hours: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """(drawn counts, true factors) of regions whose peaks lie ``phase`` hours apart."""
    hour = np.arange(hours)[:, None] + 0.0
    season = 1 + 0.5 * np.cos((hour - np.array(phase)) * np.pi / 12)
    return np.random.default_rng(0).poisson(400 * season), season


def test_a_shared_season():
    """Seven coefficients, 288 counts of 400: off by √(7/288/400) = 0.8 % of the level, times 5."""
    drawn, season = counts([3, 3, 3])
    found = daily_season(drawn, 120, HOUR_MS)
    assert np.array_equal(found[:, 0], found[:, 2])
    assert abs(found[:96] - season).max() < 0.04
    assert np.allclose(found[96:], found[:24], atol=1e-9)  # goes on beyond the counts


def test_seasons_of_their_own():
    drawn, season = counts([3, 9])
    assert abs(daily_season(drawn, 96, HOUR_MS) - season).max() < 0.07


def test_less_than_two_days_has_none():
    drawn, _ = counts([3], hours=47)
    assert (daily_season(drawn, 50, HOUR_MS) == 1).all()


def test_a_region_without_requests():
    drawn, _ = counts([3, 3])
    drawn[:, 1] = 0
    assert np.isfinite(daily_season(drawn, 96, HOUR_MS)).all()

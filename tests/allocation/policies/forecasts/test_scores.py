"""Scores of forecasts: against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from torta_opt.allocation.policies.forecasts.scores import covered, crps, pit


def test_crps_by_hand():
    """Paths 1 and 3, outcome 2: E|X − y| = 1, E|X − X'| = 2 over the pairs of two paths."""
    assert crps(np.array([[1.0], [3.0]]), np.array([2.0])) == pytest.approx([0.0])
    assert crps(np.array([[1.0], [3.0]]), np.array([5.0])) == pytest.approx([2.0])
    assert crps(np.array([[4.0]]), np.array([7.0])) == pytest.approx([3.0])


def test_crps_of_a_normal():
    """Of N(0, 1) at 0: 2φ(0) − 1/√π = 0.2337; 20,000 paths leave an error of about 0.005."""
    paths = np.random.default_rng(0).standard_normal((20_000, 1))
    assert crps(paths, np.zeros(1))[0] == pytest.approx(0.2337, abs=0.02)


def test_crps_is_least_for_the_truth():
    rng = np.random.default_rng(1)
    outcome = rng.poisson(20, 400)
    right, wide = rng.poisson(20, (100, 400)), rng.poisson(rng.gamma(4, 5, (100, 400)))
    off = rng.poisson(26, (100, 400))
    score = [crps(paths, outcome).mean() for paths in (right, wide, off)]
    assert score[0] < score[1]
    assert score[0] < score[2]


@pytest.mark.parametrize("mean", [0.3, 50.0])
def test_pit_is_uniform_for_draws_of_one_law(mean: float):
    """Also for few counts and paths. 8,000 values: a share is within 5·√(0.25/8000) = 0.028."""
    rng = np.random.default_rng(2)
    u = pit(rng.poisson(mean, (9, 8000)), rng.poisson(mean, 8000), rng)
    for share in (0.2, 0.5, 0.9):
        assert covered(u, share).mean() == pytest.approx(share, abs=0.028)
    assert u.mean() == pytest.approx(0.5, abs=5 * np.sqrt(1 / 12 / 8000))


def test_a_narrow_forecast_covers_too_little():
    rng = np.random.default_rng(3)
    u = pit(rng.normal(0, 0.5, (200, 2000)), rng.normal(0, 1, 2000), rng)
    assert covered(u, 0.9).mean() < 0.7

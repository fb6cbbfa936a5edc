"""Beliefs about hidden states: Laplace's method against integrals on a grid."""

from __future__ import annotations

import numpy as np
import pytest

from torta_opt.allocation.law.gaussian import Gaussian, multinomial, poisson, softmax

GRID = np.linspace(-6, 6, 4001)


def test_poisson_belief_is_near_the_posterior():
    """One state, one count of 30 where 25 are usual: mode, mean and spread of the posterior differ
    by the skewness, 1/√30 of a deviation at most."""
    likelihood = poisson(np.array([30]), np.array([25.0]), np.array([[0.5]]))
    found = Gaussian.stationary(1).given(likelihood)
    log = np.array([likelihood(np.array([x]))[0] - x**2 / 2 for x in GRID])
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    mean = weight @ GRID
    spread = np.sqrt(weight @ (GRID - mean) ** 2)
    assert abs(found.mean[0] - GRID[log.argmax()]) < 2e-3  # the grid's step
    assert abs(found.mean[0] - mean) < spread / np.sqrt(30)
    assert found.covariance[0, 0] ** 0.5 == pytest.approx(spread, rel=1 / np.sqrt(30))


@pytest.mark.parametrize("kind", ["poisson", "multinomial"])
def test_gradient_and_hessian(kind: str):
    rng = np.random.default_rng(0)
    loading = rng.standard_normal((4, 3))
    if kind == "poisson":
        at = poisson(rng.poisson(20, 4), rng.uniform(10, 30, 4), loading)
    else:
        at = multinomial(rng.poisson(20, (5, 4)), rng.standard_normal((5, 4)), loading)
    x, step = rng.standard_normal(3) / 2, 1e-5
    _, gradient, hessian = at(x)
    for k, unit in enumerate(np.eye(3)):
        up, down = at(x + step * unit), at(x - step * unit)
        # central differences: error of order step² in the truncation, 1e-16/step in rounding
        assert gradient[k] == pytest.approx((up[0] - down[0]) / (2 * step), rel=1e-5, abs=1e-4)
        assert hessian[k] == pytest.approx((up[1] - down[1]) / (2 * step), rel=1e-5, abs=1e-4)


def test_far_counts_do_not_break_newton():
    found = Gaussian.stationary(1).given(poisson(np.array([5000]), np.array([1.0]), np.eye(1)))
    x = found.mean[0]
    assert 5000 - np.exp(x) - x == pytest.approx(0, abs=1e-3)  # the derivative at the mode


def test_beliefs_fade_to_the_stationary_one():
    far = Gaussian(np.array([2.0, -1.0]), np.diag([0.1, 0.2])).ahead(0.9, 400)
    assert np.allclose(far.mean, 0, atol=1e-12)
    assert np.allclose(far.covariance, np.eye(2))


def test_softmax_of_impossible_classes():
    share, log_sum = softmax(np.array([[0.0, -np.inf, 0.0]]))
    assert np.allclose(share, [[0.5, 0, 0.5]])
    assert np.allclose(log_sum, np.log(2))

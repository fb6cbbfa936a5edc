"""The likelihood of a fitted law: its gradient, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest

from torta_opt.allocation.law.dynamics import Likelihood, dynamics


@pytest.mark.parametrize("shape", [(3, 2), (1, 2), (3, 1), (1, 1)])
def test_the_gradient_is_that_of_differences(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    base = np.repeat(rng.uniform(5, 20, (1, *shape)), 30, axis=0)
    likelihood = Likelihood.of(rng.poisson(base).astype(float), base)
    theta, step = rng.standard_normal(3 * likelihood.kinds.size), 1e-5
    _, slope = likelihood.loss(theta)
    for k, unit in enumerate(np.eye(theta.size)):
        up, down = likelihood.loss(theta + step * unit)[0], likelihood.loss(theta - step * unit)[0]
        # values of some thousands lose 1e-16·1e3/1e-5 = 1e-8 by rounding
        assert slope[k] == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-4)


def test_cells_that_nothing_is_expected_of_do_not_count() -> None:
    rng = np.random.default_rng(0)
    base = np.full((40, 2, 2), 10.0)
    base[:, 1, 1] = 0
    memory, gain, weight = dynamics(rng.poisson(base).astype(float), base)
    assert np.isfinite([memory, gain, weight]).all()
    assert weight.sum() == pytest.approx(1)

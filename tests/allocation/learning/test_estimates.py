"""The multipliers of Alg. 2 and the condition of Theorem 3."""

from __future__ import annotations

import math

import pytest

from torta_opt.allocation.learning.estimates import Estimates
from torta_opt.allocation.learning.options import Options


def test_multipliers_of_algorithm_2():
    options = Options(alignment=2.0, smoothness=3.0, alignment_growth=4.0)
    estimates = Estimates(1.0, 1e-6, distance=0.25, smoothness=2.0)
    assert estimates.holds()
    gamma, delta = estimates.multipliers(options)
    assert gamma == pytest.approx(2.0 * math.exp(4.0 * 0.1))
    assert delta == pytest.approx(3.0 * math.exp(0.5))
    estimates.lipschitz = 1e6
    assert estimates.multipliers(options)[0] == pytest.approx(1.5 * gamma)

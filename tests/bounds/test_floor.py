"""The floor never exceeds the cost of any schedule, and is exact where nothing else is charged."""

import numpy as np
import pytest
from support.tiny import brute_force_optimum, random_feasible_schedule, random_tiny_instance

from torta_opt.bounds.floor import floor
from torta_opt.schedule import evaluate


@pytest.mark.parametrize("seed", range(300))
def test_floor_is_below_every_random_schedule(seed):
    rng = np.random.default_rng(seed)
    instance = random_tiny_instance(rng)
    bound = floor(instance).value
    for _ in range(5):
        cost = evaluate(instance, random_feasible_schedule(instance, rng)).cost
        assert bound <= cost + 1e-9 * max(1, abs(cost))

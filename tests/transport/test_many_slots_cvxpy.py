"""The scalable scheme and CVXPY solve the same problem: objectives to 1e-6, relative and absolute,
plans to 1e-5."""

from __future__ import annotations

import numpy as np
import pytest

from torta_opt.transport.many_slots import SWITCHING, solve_multi_slot
from torta_opt.transport.many_slots_cvxpy import (
    solve_multi_slot_program,
)
from torta_opt.transport.one_slot import round_to_marginals
from torta_opt.transport.switching import switching_cost


def random_slots(seed: int, zeros: float):
    rng = np.random.default_rng(seed)
    slots, rows, columns = rng.integers(2, 6, 3)
    supply, demand = rng.random((slots, rows)) + 0.1, rng.random((slots, columns)) + 0.1
    supply[rng.random(supply.shape) < zeros] = 0.0
    supply[:, 0] = 0.5
    supply /= supply.sum(axis=1, keepdims=True)
    demand /= demand.sum(axis=1, keepdims=True)
    return rng.random((rows, columns)), supply, demand


@pytest.mark.parametrize("switching", SWITCHING)
@pytest.mark.parametrize(
    ("seed", "epsilon", "weight", "zeros"),
    [(0, 0.1, 0.1, 0), (1, 0.05, 1.0, 0), (2, 0.02, 0.01, 0), (3, 0.1, 5.0, 0), (4, 0.1, 0.3, 0.3)],
)
def test_scheme_meets_cvxpy(switching, seed, epsilon, weight, zeros):
    if switching == "kl":
        zeros = 0.0
    cost, supply, demand = random_slots(seed, zeros)
    found = solve_multi_slot(cost, supply, demand, epsilon, weight, switching)
    reference = solve_multi_slot_program(cost, supply, demand, epsilon, weight, switching)

    def objective(plan):
        entropy = (plan * (np.log(np.where(plan > 0, plan, 1.0)) - 1)).sum()
        change = switching_cost(plan, supply, weight, switching)
        return (plan * cost).sum() + epsilon * entropy + change

    assert found.objective == pytest.approx(objective(reference), abs=1e-6)
    assert found.objective == pytest.approx(objective(found.plan), abs=1e-12)
    assert np.abs(found.plan - reference).max() <= 1e-5


@pytest.mark.parametrize("switching", SWITCHING)
def test_linear_bound_is_below_the_optimum_at_epsilon_0(switching):
    """And close to it: the same problem without entropy, solved by CVXPY."""
    cost, supply, demand = random_slots(6, 0.0)
    plan = solve_multi_slot_program(cost, supply, demand, 0.0, 0.2, switching)
    plan = round_to_marginals(np.maximum(plan, 1e-12), supply, demand)  # KL(x|0) is infinite
    optimum = (plan * cost).sum() + switching_cost(plan, supply, 0.2, switching)
    found = solve_multi_slot(cost, supply, demand, 0.005, 0.2, switching)
    assert found.linear_bound <= optimum + 1e-7
    assert found.linear >= optimum - 1e-6
    assert optimum - found.linear_bound <= 0.05 * abs(optimum)


def test_forbidden_pairs():
    cost, supply, _ = random_slots(7, 0.0)
    size = supply.shape[1]
    cost = np.random.default_rng(0).random((size, size))
    cost[0, -1] = np.nan
    for switching in SWITCHING:
        found = solve_multi_slot(cost, supply, supply, 0.1, 0.3, switching)
        reference = solve_multi_slot_program(cost, supply, supply, 0.1, 0.3, switching)
        assert np.abs(found.plan - reference).max() <= 1e-5

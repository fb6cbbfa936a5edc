"""POT and CVXPY solve the same problems: objectives within 1e-7, plans within 1e-4 of the mass.

Plans are looser: where the objective is flat, Clarabel's 1e-9 of it leaves a plan its square root.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from torta_opt.transport.one_slot import transport, transport_unbalanced
from torta_opt.transport.one_slot_cvxpy import (
    build_transport_program,
    solve_transport_program,
    transport_objective,
)

OBJECTIVE, PLAN = 1e-7, 1e-4


def random_problem(seed: int, spare: float = 0.0, forbidden: bool = False):
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(2, 9, 2)
    cost = rng.normal(size=(rows, columns))
    supply, demand = rng.random(rows), rng.random(columns)
    demand *= (1 + spare) * supply.sum() / demand.sum()
    if forbidden:
        cost[rng.integers(rows), rng.integers(columns)] = np.nan
    return cost, supply, demand


def compare(plan: np.ndarray, problem: tuple, unique: bool = True, **options) -> None:
    reference = solve_transport_program(*problem, **options)
    one = transport_objective(plan, *problem, **options)
    two = transport_objective(reference, *problem, **options)
    assert one == pytest.approx(two, abs=OBJECTIVE)
    if unique:
        assert np.abs(plan - reference).max() <= PLAN * problem[1].sum()


@pytest.mark.parametrize("seed", range(8))
class TestPotAgainstCvxpy:
    @pytest.mark.parametrize("epsilon", [0.0, 0.05, 0.5])
    def test_equal(self, seed: int, epsilon: float):
        problem = random_problem(seed)
        compare(transport(*problem, epsilon=epsilon).plan, problem, epsilon=epsilon)

    @pytest.mark.parametrize("epsilon", [0.0, 0.1])
    def test_at_most(self, seed: int, epsilon: float):
        problem = random_problem(seed, spare=0.5)
        plan = transport(*problem, columns="at_most", epsilon=epsilon).plan
        compare(plan, problem, columns="at_most", epsilon=epsilon)

    @pytest.mark.parametrize("penalties", [(1.0, 1.0), (math.inf, 0.3), (0.5, math.inf)])
    def test_unbalanced(self, seed: int, penalties: tuple[float, float]):
        problem = random_problem(seed, spare=0.5)
        plan = transport_unbalanced(*problem, 0.1, *penalties).plan
        compare(plan, problem, epsilon=0.1, row_penalty=penalties[0], column_penalty=penalties[1])

    @pytest.mark.parametrize("epsilon", [0.0, 0.2])
    def test_forbidden(self, seed: int, epsilon: float):
        problem = random_problem(seed, spare=0.8, forbidden=True)
        try:
            plan = transport(*problem, columns="at_most", epsilon=epsilon).plan
        except Exception:  # a pair too many: the reference must see it too
            program, _ = build_transport_program(*problem, columns="at_most")
            program.solve()
            assert program.status == "infeasible"
            return
        compare(plan, problem, columns="at_most", epsilon=epsilon)


def test_power_term_is_constant_under_equal_marginals():
    """Adding w·p[j] to every column of the cost changes no plan, and every cost by w·p·b."""
    cost, supply, demand = random_problem(3)
    power = np.random.default_rng(0).random(len(demand))
    for epsilon in (0.0, 0.1):
        without = transport(cost, supply, demand, epsilon=epsilon)
        priced = transport(cost + 40 * power, supply, demand, epsilon=epsilon)
        assert np.abs(priced.plan - without.plan).max() <= 1e-6
        assert priced.cost - without.cost == pytest.approx(40 * power @ demand, abs=1e-5)


def test_a_plan_over_a_forbidden_pair_costs_infinity():
    plan = np.array([[1.0, 0.0]])
    assert transport_objective(plan, [[np.nan, 1.0]], [1.0], [1.0, 0.0]) == math.inf

"""POT behind checks: marginals, optimality by duals, forbidden pairs, and what is refused."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sizes import examples

from torta_opt.io.errors import Infeasible, InvalidInput
from torta_opt.solvers import SolverFailed
from torta_opt.transport.one_slot import (
    marginal_error,
    round_to_marginals,
    transport,
    transport_unbalanced,
)

EXACT = 1e-12  # of marginals after the repair, relative to the mass


def random_problem(seed: int, rows: int, columns: int, zeros: float = 0.0, forbidden: float = 0.0):
    """Costs, supplies and demands of equal mass; the identity stays allowed where it can."""
    rng = np.random.default_rng(seed)
    cost = rng.normal(size=(rows, columns))
    supply, demand = rng.random(rows) + 0.01, rng.random(columns) + 0.01
    supply[rng.random(rows) < zeros] = 0.0
    demand[rng.random(columns) < zeros] = 0.0
    supply[0] = demand[0] = 0.3
    demand *= supply.sum() / demand.sum()
    cost[rng.random(cost.shape) < forbidden] = rng.choice([np.inf, np.nan])
    return cost, supply, demand


problems = st.builds(
    random_problem,
    st.integers(0, 2**32 - 1),
    st.integers(1, 8),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.3]),
)


class TestEqual:
    @settings(max_examples=examples(200))
    @given(problem=problems)
    def test_exact_plans_keep_marginals_and_meet_their_dual(self, problem):
        cost, supply, demand = problem
        found = transport(*problem)
        assert marginal_error(found.plan, supply, demand) <= EXACT
        assert (found.plan >= 0).all()
        reduced = cost - found.row_price[:, None] - found.column_price
        assert reduced.min() >= -1e-9
        dual = supply @ found.row_price + demand @ found.column_price
        assert found.cost == pytest.approx(dual, abs=1e-9)

    @settings(max_examples=examples(60))
    @given(problem=problems, epsilon=st.sampled_from([0.05, 0.3, 2.0]))
    def test_entropic_plans_keep_marginals_and_are_the_gibbs_plan(self, problem, epsilon):
        cost, supply, demand = problem
        found = transport(*problem, epsilon=epsilon)
        assert marginal_error(found.plan, supply, demand) <= EXACT
        assert found.marginal_error <= 1e-6
        used = np.ix_(supply > 0, demand > 0)
        prices = (found.row_price[:, None] + found.column_price)[used]
        gibbs = np.exp((prices - cost[used]) / epsilon)
        assert np.abs(gibbs - found.plan[used]).max() <= 1e-6 * supply.sum()
        assert not np.delete(found.plan, np.flatnonzero(supply), axis=0).any()

    def test_plain_and_log_agree(self):
        problem = random_problem(1, 6, 5)
        one = transport(*problem, epsilon=0.2, method="log").plan
        two = transport(*problem, epsilon=0.2, method="plain").plan
        assert np.abs(one - two).max() <= 1e-7

    def test_small_epsilon_approaches_the_exact_cost_from_above(self):
        problem = random_problem(2, 6, 6)
        exact = transport(*problem).cost
        costs = [transport(*problem, epsilon=eps).cost for eps in (1.0, 0.3, 0.1, 0.03)]
        assert np.all(np.diff([*costs, exact]) <= 1e-9)
        assert costs[-1] - exact <= 0.03 * problem[1].sum() * np.log(36)

    def test_no_mass_no_plan(self):
        found = transport(np.ones((2, 3)), np.zeros(2), np.zeros(3))
        assert not found.plan.any()
        assert found.cost == 0

    def test_demand_off_by_rounding_is_taken_as_equal(self):
        found = transport(np.zeros((1, 1)), np.array([3.0]), np.array([3.0 * (1 + 1e-12)]))
        assert found.plan[0, 0] == pytest.approx(3.0, rel=1e-14)


class TestAtMost:
    @settings(max_examples=examples(100))
    @given(problem=problems, spare=st.sampled_from([0.0, 0.2, 3.0]))
    def test_rows_kept_columns_bounded_prices_complementary(self, problem, spare):
        cost, supply, demand = problem
        capacity = demand * (1 + spare)
        found = transport(cost, supply, capacity, "at_most")
        mass = supply.sum()
        assert np.abs(found.plan.sum(axis=1) - supply).max() <= EXACT * mass
        assert (found.plan.sum(axis=0) - capacity).max() <= EXACT * mass
        assert found.column_price[capacity > 0].max() <= 1e-9
        dual = supply @ found.row_price + capacity @ found.column_price
        assert found.cost == pytest.approx(dual, abs=1e-9)

    def test_plenty_of_room_sends_everything_to_the_cheapest(self):
        cost = np.array([[1.0, 0.5], [0.2, 0.5]])
        found = transport(cost, np.array([1.0, 2.0]), np.array([9.0, 9.0]), "at_most")
        assert found.plan == pytest.approx(np.array([[0, 1], [2, 0]]))
        assert found.column_price == pytest.approx(np.zeros(2))

    def test_entropic_columns_are_bounded(self):
        cost, supply, demand = random_problem(3, 5, 4)
        found = transport(cost, supply, 1.3 * demand, "at_most", epsilon=0.1)
        assert np.abs(found.plan.sum(axis=1) - supply).max() <= EXACT
        assert (found.plan.sum(axis=0) <= 1.3 * demand + EXACT).all()

    def test_too_little_capacity(self):
        with pytest.raises(Infeasible, match="supply 2 exceeds total capacity 1"):
            transport(np.zeros((1, 1)), np.array([2.0]), np.array([1.0]), "at_most")


class TestForbidden:
    @settings(max_examples=examples(150))
    @given(seed=st.integers(0, 2**32 - 1), size=st.integers(2, 6))
    def test_never_used_or_infeasible_by_hall(self, seed, size):
        cost, supply, demand = random_problem(seed, size, size, forbidden=0.4)
        allowed = np.isfinite(cost)
        try:
            found = transport(cost, supply, demand)
        except Infeasible:
            assert not hall(allowed, supply, demand)
            return
        assert hall(allowed, supply, demand)
        assert not found.plan[~allowed].any()
        assert marginal_error(found.plan, supply, demand) <= EXACT

    def test_entropic_plans_never_use_them(self):
        cost, supply, demand = np.ones((3, 3)), np.ones(3), np.ones(3)
        cost[0, 1] = np.nan
        cost[2, 0] = np.inf
        for method in ("log", "plain"):
            found = transport(cost, supply, demand, epsilon=0.5, method=method)
            assert found.plan[0, 1] == found.plan[2, 0] == 0
            assert marginal_error(found.plan, supply, demand) <= EXACT

    def test_huge_costs_are_not_mistaken_for_forbidden(self):
        cost = np.array([[1e9, 0.0], [np.inf, 1e9]])
        found = transport(cost, np.array([1.0, 1.0]), np.array([1.0, 1.0]))
        assert found.plan == pytest.approx(np.eye(2))

    def test_a_row_without_partner(self):
        cost = np.array([[np.inf, np.inf], [1.0, 1.0]])
        for epsilon in (0.0, 0.1):
            with pytest.raises(Infeasible):
                transport(cost, np.ones(2), np.ones(2), epsilon=epsilon)
        with pytest.raises(Infeasible):
            transport_unbalanced(cost, np.ones(2), np.ones(2), 0.1, column_penalty=1.0)


def hall(allowed: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> bool:
    """Every set of origins finds as much demand among its allowed places (Hall's condition)."""
    size = len(supply)
    for chosen in range(1, 2**size):
        rows = np.array([bool(chosen >> i & 1) for i in range(size)])
        reach = allowed[rows].any(axis=0)
        if supply[rows].sum() > demand[reach].sum() + 1e-9:
            return False
    return True


class TestUnbalanced:
    def test_free_marginals_follow_the_cost(self):
        cost, supply, demand = random_problem(4, 4, 5)
        found = transport_unbalanced(cost, supply, 2 * demand, 0.1, 0.5, 0.5)
        assert found.plan.sum() != pytest.approx(supply.sum(), rel=1e-3)
        assert (found.plan > 0).all()

    def test_an_infinite_penalty_keeps_its_side(self):
        cost, supply, demand = random_problem(5, 4, 5, zeros=0.3)
        found = transport_unbalanced(cost, supply, 2 * demand, 0.1, column_penalty=0.5)
        assert np.abs(found.plan.sum(axis=1) - supply).max() <= EXACT

    def test_two_infinite_penalties_are_equal_marginals(self):
        problem = random_problem(6, 4, 4)
        one, two = transport_unbalanced(*problem, 0.1), transport(*problem, epsilon=0.1)
        assert np.array_equal(one.plan, two.plan)

    def test_a_growing_penalty_approaches_equality(self):
        cost, supply, demand = random_problem(7, 4, 4)

        def miss(rho: float) -> float:
            plan = transport_unbalanced(cost, supply, demand, 0.2, column_penalty=rho).plan
            return np.abs(plan.sum(axis=0) - demand).max()

        errors = [miss(rho) for rho in (0.1, 1.0, 10.0, 100.0)]
        assert np.all(np.diff(errors) < 0)
        assert errors[-1] < 0.01

    def test_costs_far_above_epsilon(self):
        cost, supply, demand = random_problem(8, 4, 4)
        found = transport_unbalanced(300 * cost, supply, demand, 0.5, column_penalty=50.0)
        assert np.abs(found.plan.sum(axis=1) - supply).max() <= EXACT

    def test_bad_penalties(self):
        problem = random_problem(1, 2, 2)
        for bad in (0.0, -1.0, np.nan):
            with pytest.raises(InvalidInput, match="row_penalty: must be above 0"):
                transport_unbalanced(*problem, 0.1, row_penalty=bad)
        with pytest.raises(InvalidInput, match="epsilon"):
            transport_unbalanced(*problem, 0.0, 1.0, 1.0)


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"supply": [1, 2, 3]}, "shapes of cost, supply and demand"),
            ({"supply": [1, np.nan]}, "supply: must hold finite numbers"),
            ({"demand": [-1, 4]}, "demand: must hold finite numbers"),
            ({"demand": [1, 1]}, "total supply 3 differs from total demand 2"),
            ({"cost": [[-np.inf, 0], [0, 0]]}, "cost: must not hold minus infinity"),
            ({"columns": "about"}, "columns: must be one of equal, at_most"),
            ({"epsilon": -1.0}, "epsilon: must be a number of at least 0"),
            ({"epsilon": 1.0, "method": "fast"}, "method: must be one of log, plain"),
        ],
    )
    def test_bad_input(self, change, message):
        given_all = {"cost": np.zeros((2, 2)), "supply": [1, 2], "demand": [2, 1], **change}
        with pytest.raises(InvalidInput, match=message):
            transport(**given_all)

    def test_stopping_early_is_an_error_not_a_wrong_plan(self):
        problem = random_problem(9, 8, 8)
        with pytest.raises(SolverFailed, match="marginals are off by"):
            transport(*problem, epsilon=0.01, iterations=3)

    def test_plain_beyond_the_range_of_floats_is_an_error(self):
        cost, supply, demand = random_problem(10, 6, 6)
        with pytest.raises(SolverFailed):
            transport(cost + 5, supply, demand, epsilon=1e-3, method="plain")


class TestRounding:
    @settings(max_examples=examples(200))
    @given(problem=problems, noise=st.floats(0, 0.5))
    def test_exact_marginals_and_no_further_than_twice_the_error(self, problem, noise):
        _, supply, demand = problem
        rng = np.random.default_rng(len(supply))
        plan = np.outer(supply, demand) / supply.sum()
        plan = plan * (1 + noise * rng.uniform(-1, 1, plan.shape))
        error = np.abs(plan.sum(1) - supply).sum() + np.abs(plan.sum(0) - demand).sum()
        rounded = round_to_marginals(plan, supply, demand)
        assert marginal_error(rounded, supply, demand) <= EXACT
        assert (rounded >= 0).all()
        assert np.abs(rounded - plan).sum() <= 2 * error + 1e-12

    def test_batches_are_rounded_one_by_one(self):
        rng = np.random.default_rng(0)
        plan, supply, demand = rng.random((3, 4, 5)), rng.random((3, 4)), rng.random((3, 5))
        demand *= (supply.sum(1) / demand.sum(1))[:, None]
        batch = round_to_marginals(plan, supply, demand)
        for n in range(3):
            one = round_to_marginals(plan[n], supply[n], demand[n])
            assert np.abs(batch[n] - one).max() <= 1e-15


def test_the_environment_is_left_as_it_was():
    before = dict(os.environ)
    transport(np.zeros((1, 1)), np.ones(1), np.ones(1))
    assert dict(os.environ) == before

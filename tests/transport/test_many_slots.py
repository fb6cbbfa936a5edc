"""Multi-slot transport: dual and primal meet, bounds hold, limits are the plain problem."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sizes import examples

from torta_opt.io.errors import InvalidInput
from torta_opt.solvers import SolverFailed
from torta_opt.transport.many_slots import SWITCHING, linear_bound, solve_multi_slot
from torta_opt.transport.one_slot import round_to_marginals, transport
from torta_opt.transport.switching import switching_cost


def random_slots(seed: int, slots: int, rows: int, columns: int, zeros: float = 0.0):
    rng = np.random.default_rng(seed)
    cost = rng.random((rows, columns))
    supply, demand = rng.random((slots, rows)) + 0.05, rng.random((slots, columns)) + 0.05
    supply[rng.random(supply.shape) < zeros] = 0.0
    demand[rng.random(demand.shape) < zeros] = 0.0
    supply[:, 0] = demand[:, 0] = 0.4
    demand *= (supply.sum(axis=1) / demand.sum(axis=1))[:, None]
    return cost, supply, demand


@settings(max_examples=examples(25))
@given(
    seed=st.integers(0, 2**32 - 1),
    slots=st.integers(1, 6),
    size=st.integers(1, 5),
    switching=st.sampled_from(SWITCHING),
    weight=st.sampled_from([0.01, 0.3, 3.0]),
    epsilon=st.sampled_from([0.03, 0.2]),
)
def test_plans_keep_marginals_and_meet_their_dual(seed, slots, size, switching, weight, epsilon):
    zeros = 0.0 if switching == "kl" else 0.25
    problem = random_slots(seed, slots, size, size + 1, zeros)
    found = solve_multi_slot(*problem, epsilon, weight, switching)
    _, supply, demand = problem
    assert np.abs(found.plan.sum(axis=2) - supply).max() <= 1e-12
    assert np.abs(found.plan.sum(axis=1) - demand).max() <= 1e-12
    assert (found.plan >= 0).all()
    assert -1e-9 <= found.objective - found.dual <= 1e-6 * slots
    assert found.linear_bound <= found.linear + 1e-9
    mass = supply.sum()
    assert found.linear - found.linear_bound <= epsilon * mass * np.log(size + 1) + 1e-5 * mass


@pytest.mark.parametrize("switching", SWITCHING)
class TestLimits:
    def test_one_slot_is_plain_transport(self, switching):
        cost, supply, demand = random_slots(1, 1, 4, 5)
        found = solve_multi_slot(cost, supply, demand, 0.1, 2.0, switching)
        plain = transport(cost, supply[0], demand[0], epsilon=0.1)
        assert np.abs(found.plan[0] - plain.plan).max() <= 1e-6

    def test_a_tiny_weight_decouples_the_slots(self, switching):
        cost, supply, demand = random_slots(2, 4, 4, 4)
        found = solve_multi_slot(cost, supply, demand, 0.1, 1e-7, switching)
        for t in range(4):
            plain = transport(cost, supply[t], demand[t], epsilon=0.1)
            assert np.abs(found.plan[t] - plain.plan).max() <= 1e-4

    def test_more_weight_less_change(self, switching):
        problem = random_slots(3, 5, 4, 4)
        changes = [
            switching_cost(
                solve_multi_slot(*problem, 0.1, weight, switching).plan, problem[1], 1.0, switching
            )
            for weight in (0.01, 0.1, 1.0, 10.0)
        ]
        assert np.all(np.diff(changes) <= 1e-6)
        assert changes[-1] < changes[0]

    def test_constant_data_never_change_plans(self, switching):
        cost, supply, demand = random_slots(4, 1, 4, 4)
        same = np.repeat(supply, 5, axis=0), np.repeat(demand, 5, axis=0)
        found = solve_multi_slot(cost, *same, 0.05, 1.0, switching)
        assert np.abs(np.diff(found.plan, axis=0)).max() <= 1e-6

    def test_a_small_epsilon_closes_the_linear_gap(self, switching):
        problem = random_slots(5, 4, 4, 4)
        gaps = []
        for epsilon in (0.1, 0.03, 0.01):
            found = solve_multi_slot(*problem, epsilon, 0.1, switching)
            gaps.append(found.linear - found.linear_bound)
        assert np.all(np.diff(gaps) < 0)
        assert 0 <= gaps[-1] <= 0.05 * found.linear

    @pytest.mark.parametrize("seed", range(5))
    def test_any_prices_bound_every_plan_from_below(self, switching, seed):
        """Random prices, random plans: no tuning of either can break it."""
        rng = np.random.default_rng(seed)
        cost, supply, demand = random_slots(seed, 4, 3, 4)
        weight = float(rng.choice([0.1, 1.0]))
        bound = linear_bound(
            cost,
            supply,
            demand,
            weight,
            switching,
            rng.normal(size=(4, 4)),
            rng.normal(size=(4, 3, 4)),
        )
        for _ in range(50):
            raw = rng.random((4, 3, 4)) ** rng.choice([1, 5, 20])
            plan = round_to_marginals(raw, supply, demand)
            value = (plan * cost).sum() + switching_cost(plan, supply, weight, switching)
            assert bound <= value + 1e-9

    def test_costs_by_slot(self, switching):
        rng = np.random.default_rng(6)
        _, supply, demand = random_slots(6, 3, 4, 4)
        found = solve_multi_slot(rng.random((3, 4, 4)), supply, demand, 0.1, 0.5, switching)
        assert found.gap <= 1e-6

    def test_forbidden_pairs_stay_empty(self, switching):
        cost, supply, demand = random_slots(7, 4, 3, 3)
        supply[:], demand[:] = supply.mean(axis=0), supply.mean(axis=0)
        cost[0, 2] = np.nan
        found = solve_multi_slot(cost, supply, demand, 0.1, 0.5, switching)
        assert not found.plan[:, 0, 2].any()
        assert np.abs(found.plan.sum(axis=1) - demand).max() <= 1e-11

    def test_no_plan_is_an_error(self, switching):
        cost = np.array([[1.0, np.inf], [1.0, 1.0]])
        supply, demand = np.array([[2.0, 1.0]] * 3), np.array([[1.0, 2.0]] * 3)
        with pytest.raises(SolverFailed):
            solve_multi_slot(cost, supply, demand, 0.1, 1.0, switching)


def test_rows_without_supply_do_not_count_as_change():
    cost, supply, demand = random_slots(8, 3, 2, 2)
    supply[1, 1] = 0.0
    demand[1] *= supply[1].sum() / demand[1].sum()
    found = solve_multi_slot(cost, supply, demand, 0.1, 0.5)
    assert found.plan[1, 1].tolist() == [0, 0]
    shares = found.plan[:, 0] / supply[:, :1]
    assert switching_cost(found.plan, supply, 0.5, "frobenius") == pytest.approx(
        0.5 * (np.diff(shares, axis=0) ** 2).sum()
    )


def test_divergence_from_nothing_is_infinite():
    plan = np.array([[[0.0, 1.0]], [[0.5, 0.5]]])
    assert switching_cost(plan, np.ones((2, 1)), 1.0, "kl") == np.inf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"switching": "l2"}, "switching: must be one of frobenius, l1, kl"),
        ({"weight": 0.0}, "weight: must be a number above 0"),
        ({"epsilon": np.nan}, "epsilon: must be a number above 0"),
        ({"supply": np.ones(2)}, "two tables"),
        ({"cost": np.zeros((3, 3))}, "cost: must have shape"),
        ({"demand": np.ones((2, 2)) * 2}, "differ in mass"),
        (
            {"supply": np.array([[0.0, 2.0], [1.0, 1.0]]), "switching": "kl"},
            "supply: must be posit",
        ),
        ({"supply": np.array([[np.nan, 2.0], [1.0, 1.0]])}, "supply: must hold finite"),
    ],
)
def test_bad_input(change, message):
    problem = {
        "cost": np.zeros((2, 2)),
        "supply": np.ones((2, 2)),
        "demand": np.ones((2, 2)),
        "epsilon": 0.1,
        "weight": 1.0,
    }
    with pytest.raises(InvalidInput, match=message):
        solve_multi_slot(**{**problem, **change})


@pytest.mark.parametrize("switching", ["frobenius", "l1", "kl"])
def test_one_pair_in_one_slot(switching: str) -> None:
    one = np.ones((1, 1))
    found = solve_multi_slot(3 * one, one, one, 0.05, 1.0, switching)
    assert found.plan.tolist() == [[[1.0]]]
    assert found.linear == pytest.approx(3.0)
    assert found.linear_bound <= 3.0 + 1e-9

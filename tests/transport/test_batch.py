"""Batches of entropic problems against POT; marginals are exact; Newton changes no answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sizes import examples

from torta_opt.io.errors import InvalidInput
from torta_opt.solvers import SolverFailed
from torta_opt.transport.batch import solve_batch, solve_logarithmic
from torta_opt.transport.one_slot import transport


def random_batch(seed: int, problems: int, rows: int, columns: int, zeros: float = 0.0):
    rng = np.random.default_rng(seed)
    cost = rng.normal(size=(rows, columns))
    supply, demand = rng.random((problems, rows)), rng.random((problems, columns))
    supply[rng.random(supply.shape) < zeros] = 0.0
    demand[rng.random(demand.shape) < zeros] = 0.0
    supply[:, 0] = demand[:, 0] = 0.5
    demand *= (supply.sum(axis=1) / demand.sum(axis=1))[:, None]
    return cost, 7 * supply, 7 * demand


@settings(max_examples=examples(60))
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    zeros=st.sampled_from([0.0, 0.4]),
    epsilon=st.sampled_from([0.05, 0.5, 5.0]),
    solve=st.sampled_from([solve_batch, solve_logarithmic]),
)
def test_marginals_are_exact_and_plans_those_of_pot(seed, rows, columns, zeros, epsilon, solve):
    cost, supply, demand = random_batch(seed, 3, rows, columns, zeros)
    found = solve(cost, supply, demand, epsilon)
    mass = supply.sum(axis=1)
    assert (np.abs(found.plan.sum(axis=2) - supply).max(axis=1) <= 1e-13 * mass).all()
    assert (np.abs(found.plan.sum(axis=1) - demand).max(axis=1) <= 1e-13 * mass).all()
    assert (found.plan >= 0).all()
    assert found.marginal_error.max() <= 1e-9
    for n in range(3):
        one = transport(cost, supply[n], demand[n], epsilon=epsilon)
        assert np.abs(one.plan - found.plan[n]).max() <= 1e-6 * mass[n]
        assert found.cost[n] == pytest.approx(one.cost, abs=1e-5 * mass[n])


@pytest.mark.parametrize("solve", [solve_batch, solve_logarithmic])
def test_prices_give_the_plan_back(solve):
    cost, supply, demand = random_batch(1, 4, 5, 6)
    found = solve(cost, supply, demand, 0.2)
    prices = found.row_price[:, :, None] + found.column_price[:, None, :]
    assert np.abs(np.exp((prices - cost) / 0.2) - found.plan).max() <= 1e-7


def test_newton_takes_fewer_sweeps_to_the_same_plan():
    problem = random_batch(2, 5, 12, 12)
    plain = solve_batch(*problem, 0.03, newton=False, sweeps=200_000)
    fast = solve_batch(*problem, 0.03)
    assert plain.newton_steps == 0 < fast.newton_steps
    assert fast.sweeps < plain.sweeps / 2
    assert np.abs(plain.plan - fast.plan).max() <= 1e-6


def test_a_cost_matrix_for_each_problem():
    rng = np.random.default_rng(3)
    cost, (_, supply, demand) = rng.random((3, 4, 4)), random_batch(3, 3, 4, 4)
    found = solve_logarithmic(cost, supply, demand, 0.1)
    for n in range(3):
        one = transport(cost[n], supply[n], demand[n], epsilon=0.1)
        assert np.abs(one.plan - found.plan[n]).max() <= 1e-6 * supply[n].sum()


def test_problems_without_mass_have_empty_plans():
    cost, supply, demand = random_batch(4, 3, 4, 4)
    supply[1] = demand[1] = 0
    for solve in (solve_batch, solve_logarithmic):
        found = solve(cost, supply, demand, 0.3)
        assert not found.plan[1].any()
        assert found.plan[2].sum() == pytest.approx(supply[2].sum())


def test_stopping_early_is_an_error():
    for solve in (solve_batch, solve_logarithmic):
        with pytest.raises(SolverFailed, match="marginals off by"):
            solve(*random_batch(5, 2, 8, 8), 0.01, sweeps=20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cost": np.full((2, 2), np.nan)}, "cost: must be finite"),
        ({"cost": np.zeros((2, 3))}, "cost: must be finite of shape"),
        ({"supply": np.array([[1.0, np.nan]])}, "supply: must hold finite numbers"),
        ({"demand": np.array([[-1.0, 4.0]])}, "demand: must hold finite numbers"),
        ({"demand": np.array([[1.0, 1.0]])}, "differ in mass"),
        ({"supply": np.array([1.0, 2.0])}, "must be two tables"),
        ({"epsilon": 1e-4}, "more than 600"),
    ],
)
def test_bad_input(change, message):
    problem = {
        "cost": np.array([[0.0, 1.0], [1.0, 0.0]]),
        "supply": np.array([[1.0, 2.0]]),
        "demand": np.array([[2.0, 1.0]]),
        "epsilon": 0.1,
    }
    with pytest.raises(InvalidInput, match=message):
        solve_batch(**{**problem, **change})

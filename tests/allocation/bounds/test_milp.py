"""The bound of branch and bound: above the linear relaxation, below every schedule."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from support.optima import slack, tiniest
from support.sizes import examples
from support.tiny import (
    TINIEST,
    TooLarge,
    brute_force_optimum,
    random_feasible_schedule,
    random_tiny_instance,
)

from torta_opt.allocation.bounds import milp
from torta_opt.allocation.bounds.lp import lp_bound
from torta_opt.allocation.bounds.milp import TOLERANCE, less_tolerance, milp_bound, money
from torta_opt.allocation.formulations.user_constraint import UserConstraint
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate
from torta_opt.io import Infeasible, LimitReached
from torta_opt.solvers import Limits, Progress, Result, Status


def near(best: float) -> float:
    return 1e-5 * (1 + abs(best))


def assert_between(instance: Instance, best: float) -> list[float]:
    """lp ≤ milp ≤ integer requests ≤ named servers ≤ best schedule of all."""
    values = [lp_bound(instance).value]
    for options in ({}, {"integer": True}, {"integer": True, "named": True}):
        values.append(milp_bound(instance, Limits(gap=0.0), **options).value)
    for low, high in itertools.pairwise(values):
        assert low <= high + near(best), (values, best)
    assert values[-1] <= best + slack(best), (values, best)
    return values


def test_milp_lies_between_lp_and_the_best_schedule() -> None:
    raised, count = 0, examples(40)
    for instance, best in tiniest(count):
        relaxed, counted, *_ = assert_between(instance, best)
        raised += counted > relaxed + near(best)
    assert raised >= count // 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_milp_lies_between_lp_and_the_best_schedule_on_thousands(seed: int) -> None:
    for instance, best in tiniest(500, seed=1100 + seed):
        assert_between(instance, best)


@pytest.mark.parametrize("work", [0, 1, 2])
def test_a_node_limit_weakens_the_bound_and_never_breaks_it(work: int) -> None:
    for instance, best in tiniest(count=examples(15)):
        found = milp_bound(instance, Limits(work=work))
        assert found.source == "milp"
        assert found.value <= best + slack(best)
        assert found.value >= lp_bound(instance, Limits(work=work)).value - slack(best)


@pytest.mark.parametrize("seconds", [0.0, 1e-3, 0.01, 0.1])
def test_a_time_limit_weakens_the_bound_and_never_breaks_it(seconds: float) -> None:
    instance = generate("small/loading")
    best = milp_bound(instance, Limits(gap=0.0)).value
    with contextlib.suppress(LimitReached):
        assert milp_bound(instance, Limits(seconds=seconds)).value <= best + near(best)


def test_a_start_changes_no_bound() -> None:
    rng = np.random.default_rng(14)
    for instance, best in tiniest(count=examples(20)):
        start = random_feasible_schedule(instance, rng)
        found = milp_bound(instance, Limits(gap=0.0), start=start, integer=True, named=True)
        without = milp_bound(instance, Limits(gap=0.0), integer=True, named=True)
        assert abs(found.value - without.value) <= near(best)
        assert found.value <= best + slack(best)


def claims(**changes: Any) -> Any:
    def solve(problem: Any, *arguments: Any, **options: Any) -> Result:
        return Result(**{"status": Status.BOUND_ONLY, **changes})

    return solve


def test_branching_that_proves_less_leaves_the_proof_of_the_relaxation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instance = generate("small/switch")
    relaxed = lp_bound(instance)
    for bound in (-np.inf, relaxed.value - 1.0, np.nan, np.inf):
        monkeypatch.setattr(milp, "solve_milp", claims(bound=bound))
        found = milp_bound(instance)
        assert found.value == relaxed.value
        assert found.dual is not None


def test_the_solvers_bound_is_taken_with_its_tolerance_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instance = generate("small/switch")
    claim = lp_bound(instance).value + 1.0
    monkeypatch.setattr(milp, "solve_milp", claims(bound=claim))
    found = milp_bound(instance)
    paid = money(found.program, lp_bound(instance).x)
    assert found.value == less_tolerance(found.program.problem(), claim, paid)
    assert found.value < claim - TOLERANCE * (claim + paid)
    assert found.value > claim - near(claim)
    assert found.claim == claim
    assert found.dual is None


def worlds_apart(instance: Instance, money: float, expiry: float) -> Instance:
    """Everything at ``money`` times its price, but a request that expires at ``expiry`` times."""
    weights = instance.system.weights
    scaled = {
        name: getattr(weights, name) * money
        for name in (
            *("time_usd_per_s", "reroute_usd", "energy_factor", "rent_factor"),
            *("transfer_factor", "loading_factor"),
        )
    }
    dear = np.minimum(weights.expiry_usd * expiry, 1e9)
    weights = dataclasses.replace(weights, expiry_usd=dear, frobenius_usd=0.0, **scaled)
    return instance.with_weights(weights)


@pytest.mark.parametrize(("money", "expiry"), [(1e-5, 1e6), (1e-7, 1e6), (1e-7, 1e9)])
def test_prices_far_apart_leave_no_bound_above_the_best_schedule(
    money: float, expiry: float
) -> None:
    """The solver's own claim is up to twice the optimum: its tolerances exceed what is at stake."""
    overclaimed = 0
    rng, limits = np.random.default_rng(21), dataclasses.replace(TINIEST, frobenius=0.0)
    for _ in range(40):
        instance = worlds_apart(random_tiny_instance(rng, limits), money, expiry)
        try:
            found = brute_force_optimum(instance, max_states=6000)
        except TooLarge:
            continue
        best = float(found.cost)
        paid = sum(map(abs, evaluate(instance, found.schedule).costs.values()))
        for options in ({}, {"integer": True, "named": True}):
            bound = milp_bound(instance, **options)
            assert bound.value <= best + 1e-9 * paid, (bound.value, best)
            overclaimed += bound.claim > best + 1e-2 * paid
    if money == 1e-7:
        assert overclaimed


def test_ctrl_c_leaves_the_best_bound_so_far() -> None:
    instance = generate("paper/abilene").cut(0, 1)
    relaxed = lp_bound(instance).value
    seen: list[Progress] = []

    def stop(sample: Progress) -> None:
        seen.append(sample)
        if len(seen) == 1:
            raise KeyboardInterrupt

    found = milp_bound(instance, Limits(gap=0.0, seconds=60), on_progress=stop)
    assert seen
    assert found.interrupted
    assert relaxed - near(relaxed) <= found.value


def add_odd_counts(model: pyo.ConcreteModel, instance: Instance) -> None:
    """Twice a count of whole servers is 1: only fractions do that."""
    model.odd = pyo.Constraint(expr=2 * sum(model.start.values()) == 1)


def test_constraints_that_only_fractions_keep_are_infeasible() -> None:
    odd = UserConstraint("odd", add_odd_counts, lambda instance, schedule: 1.0)
    instance = generate("small/switch")
    assert np.isfinite(lp_bound(instance, constraints=[odd]).value)
    with pytest.raises(Infeasible, match="no schedule satisfies the constraints"):
        milp_bound(instance, constraints=[odd])


def test_progress_tells_no_incumbent_and_only_bounds_that_hold() -> None:
    """What branch and bound has found is an answer of the program, not a schedule."""
    instance = generate("small/switch")
    seen: list[Progress] = []
    found = milp_bound(instance, Limits(gap=0.0, work=1), on_progress=seen.append)
    assert seen
    assert all(sample.incumbent == np.inf for sample in seen)
    assert all(sample.bound <= found.value + near(found.value) for sample in seen)
    assert found.limited


def test_what_ran_to_its_end_is_not_limited() -> None:
    assert not milp_bound(generate("small/switch")).limited

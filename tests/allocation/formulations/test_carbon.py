"""A cap on CO₂: rows and check add up the same energy."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from support.sizes import examples
from support.tiny import random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.bounds.lp import lp_bound
from torta_opt.allocation.formulations.carbon import carbon_cap, carbon_kg
from torta_opt.allocation.formulations.lift import check_lift, lift
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.pyomo_model import build_allocation_model
from torta_opt.allocation.formulations.user_constraint import with_user_constraints
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate
from torta_opt.allocation.search.optimal import solve_optimal
from torta_opt.io import Infeasible, InvalidInput


def by_region(instance: Instance) -> dict[str, float]:
    return {name: 0.1 + 0.3 * n for n, name in enumerate(instance.system.regions)}


def test_at_an_intensity_of_1_it_is_the_energy() -> None:
    rng = np.random.default_rng(61)
    for _ in range(40):
        instance = random_tiny_instance(rng)
        schedule = random_feasible_schedule(instance, rng)
        kwh = evaluate(instance, schedule).metrics["energy_kwh"]
        ones = np.ones(len(instance.system.regions))
        assert carbon_kg(instance, schedule, ones) == pytest.approx(kwh)
        assert carbon_kg(instance, schedule, dict.fromkeys(instance.system.regions, 2.0)) == (
            pytest.approx(2 * kwh)
        )


def test_the_row_holds_for_every_schedule_that_passes_the_check_and_for_no_other() -> None:
    rng = np.random.default_rng(62)
    kept, count = 0, examples(40)
    for _ in range(count):
        instance = random_tiny_instance(rng, slots=3)
        schedule = random_feasible_schedule(instance, rng)
        intensity = rng.random((instance.slots, len(instance.system.regions)))
        emitted = carbon_kg(instance, schedule, intensity)
        for cap in (emitted * 0.9 - 1e-3, emitted, emitted * 1.1):
            constraint = carbon_cap(cap, intensity)
            program = build_allocation_program(instance)
            program = with_user_constraints(program, [constraint])
            values = lift(instance, schedule, pools=program.pools, tangents=program.tangents)
            activity = float((program.matrix @ program.vector(values))[-1])
            fits = activity <= program.row_upper[-1] + 1e-9 * (1 + abs(cap))
            assert constraint.holds(instance, schedule) == fits
            kept += fits
            if fits:
                assert check_lift(program, schedule).ok
    assert kept > 0.75 * count


def test_a_cap_costs_money_and_is_kept() -> None:
    instance = generate("small/residency")
    intensity = by_region(instance)
    free = solve_optimal(instance)
    emitted = carbon_kg(instance, free.schedule, intensity)
    cap = carbon_cap(0.8 * emitted, intensity)
    found = solve_optimal(instance, constraints=[cap])
    assert carbon_kg(instance, found.schedule, intensity) <= 0.8 * emitted + 1e-9
    assert free.bound < found.bound <= found.cost
    assert lp_bound(instance, constraints=[cap]).value <= found.cost


def test_the_model_carries_the_row() -> None:
    instance = generate("small/residency")
    model = build_allocation_model(instance)
    carbon_cap(3.0, by_region(instance)).add(model, instance)
    assert pyo.value(model.carbon.upper) == 3.0


@pytest.mark.parametrize(
    ("intensity", "rule"),
    [
        ({}, "has no value for region"),
        (np.ones(7), "must hold finite numbers"),
        (np.array([np.nan, 1.0, 1.0]), "must hold finite numbers"),
    ],
)
def test_an_intensity_that_does_not_fit_is_refused(intensity: object, rule: str) -> None:
    instance = generate("small/residency")
    with pytest.raises(InvalidInput, match=rule):
        carbon_cap(1.0, intensity).add(build_allocation_model(instance), instance)


def test_where_nothing_is_emitted_any_cap_holds() -> None:
    rng = np.random.default_rng(63)
    instance = random_tiny_instance(rng)
    free = lp_bound(instance).value
    nothing = np.zeros(len(instance.system.regions))
    assert lp_bound(instance, constraints=[carbon_cap(0.0, nothing)]).value == pytest.approx(free)
    with pytest.raises(Infeasible):
        lp_bound(instance, constraints=[carbon_cap(-1.0, nothing)])

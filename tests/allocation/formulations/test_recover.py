"""From the program back to a schedule that keeps every rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from support.programs import equal, of_program, solve
from support.sizes import examples
from support.tiny import (
    TINIEST,
    feasible_cases,
    random_feasible_schedule,
    random_tiny_instance,
    tiny_instances,
)

from torta_opt.allocation.formulations.lift import lift
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.recover import recover, round_routing
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate, preset_names
from torta_opt.allocation.schedule import Schedule, evaluate, verify

SMALL = [name for name in preset_names() if name.startswith("small/")]


@settings(max_examples=examples(100))
@given(feasible_cases())
def test_named_servers_come_back_as_they_went(case: tuple[Instance, Schedule]) -> None:
    assert_named_come_back(*case)


def assert_named_come_back(instance: Instance, schedule: Schedule) -> None:
    """Lift and recover are inverse; only hot requests and expiry may turn out better."""
    pools = Pools.of(instance, named=True)
    back = recover(instance, lift(instance, schedule, pools=pools), pools=pools)
    assert verify(instance, back).ok
    assert (back.routing == schedule.routing).all()
    assert (back.command == schedule.command).all()
    assert (back.command_model == schedule.command_model).all()
    assert evaluate(instance, back).cost <= evaluate(instance, schedule).cost + 1e-9


@settings(max_examples=examples(100))
@given(feasible_cases())
def test_counted_servers_come_back_legal_and_do_as_told(case: tuple[Instance, Schedule]) -> None:
    assert_counted_come_back(*case)


def assert_counted_come_back(instance: Instance, schedule: Schedule) -> None:
    back = recover(instance, lift(instance, schedule))
    assert verify(instance, back).ok
    ours, theirs = lift(instance, back), lift(instance, schedule)
    saved = np.minimum(theirs["leave"], theirs["enter"])  # switches that cancel out
    for name in ("off", "start", "stop"):
        assert (ours[name] == theirs[name]).all()
    for name in ("leave", "enter"):
        assert (ours[name] == theirs[name] - saved).all()


@settings(max_examples=examples(30))
@given(tiny_instances())
def test_optimal_answers_become_legal_schedules(instance: Instance) -> None:
    assert_answers_become_schedules(instance)


def assert_answers_become_schedules(instance: Instance) -> None:
    for options in ({}, {"integer": True}):
        program = build_allocation_program(instance, **options)
        vector = solve(of_program(program))
        schedule = recover(instance, program.values(vector), pools=program.pools)
        verify(instance, schedule).raise_if_broken("lowered schedule")
        cost = evaluate(instance, schedule).cost
        assert cost >= program.objective(vector) - 1e-6 * (1 + abs(cost))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_thousands_come_back(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    for _ in range(400):
        instance = random_tiny_instance(rng)
        schedule = random_feasible_schedule(instance, rng)
        assert_named_come_back(instance, schedule)
        assert_counted_come_back(instance, schedule)
    for _ in range(100):
        assert_answers_become_schedules(random_tiny_instance(rng))


def test_integral_answers_lose_nothing_with_named_servers() -> None:
    """The schedule costs what the program says, if nothing expires and no square is bounded."""
    rng, exact = np.random.default_rng(11), 0
    for _ in range(40):
        instance = random_tiny_instance(rng, TINIEST)
        program = build_allocation_program(instance, integer=True, named=True)
        values = program.values(vector := solve(of_program(program)))
        if instance.system.weights.frobenius_usd or values["expired"].sum() > 0.5:
            continue
        schedule = recover(instance, values, pools=program.pools)
        assert equal(evaluate(instance, schedule).cost, program.objective(vector))
        exact += 1
    assert exact > 6


@pytest.mark.parametrize("preset", SMALL)
def test_small_presets_are_solved_to_the_optimum(preset: str) -> None:
    instance = generate(preset)
    program = build_allocation_program(instance, integer=True, named=True)
    vector = solve(of_program(program))
    schedule = recover(instance, program.values(vector), pools=program.pools)
    assert verify(instance, schedule).ok
    assert equal(evaluate(instance, schedule).cost, program.objective(vector))


def test_fractions_of_servers_are_refused() -> None:
    program = build_allocation_program(generate("small/switch"))
    values = program.values(np.zeros(len(program.cost)))
    values["start"][0] = 0.5
    with pytest.raises(ValueError, match="start must hold integers"):
        recover(program.instance, values)


def test_rounding_routes_every_request_and_keeps_regions_balanced() -> None:
    instance = generate("paper/abilene", slots=8)
    rng, allowed = np.random.default_rng(2), instance.system.allowed
    share = rng.dirichlet(np.full(len(allowed), 0.2), instance.arrivals.shape).swapaxes(2, 3)
    x = share * instance.arrivals[:, :, None, :]
    routed = round_routing(instance, x)
    assert (routed.sum(axis=2) == instance.arrivals).all()
    assert (routed >= 0).all()
    assert np.abs(routed - x).max() <= 2.0
    drift = np.abs((routed - x).sum(axis=1).cumsum(axis=0))
    assert drift.max() <= 2.0  # per region and class, over all slots: errors do not pile up


def test_rounding_leaves_whole_routings_alone_and_forbidden_pairs_empty() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        instance = random_tiny_instance(rng)
        allowed = instance.system.allowed[None, :, :, None]
        zero = np.zeros(
            (*instance.arrivals.shape[:2], allowed.shape[2], instance.arrivals.shape[2])
        )
        routed = round_routing(instance, zero)  # an answer that routes nothing is completed
        assert (routed.sum(axis=2) == instance.arrivals).all()
        assert not (routed * ~allowed).any()
        assert (round_routing(instance, routed.astype(float)) == routed).all()

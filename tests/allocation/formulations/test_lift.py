"""Every legal schedule lies in the program, at its own cost."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sizes import examples
from support.tiny import feasible_cases, random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.formulations.lift import check_lift, lift
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import Command, Schedule


def assert_lifts(instance: Instance, schedule: Schedule, **options: bool) -> None:
    program = build_allocation_program(instance, **options)
    found = check_lift(program, schedule)
    assert found.ok, found
    if not instance.system.weights.frobenius_usd:
        assert found.objective == pytest.approx(found.cost, rel=1e-9, abs=1e-9)


@settings(max_examples=examples(120))
@given(feasible_cases(), st.booleans())
def test_legal_schedules_satisfy_every_row_at_their_cost(
    case: tuple[Instance, Schedule], named: bool
) -> None:
    assert_lifts(*case, named=named)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_thousands_of_legal_schedules_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(800):
        instance = random_tiny_instance(rng)
        program = build_allocation_program(instance)
        for _ in range(4):
            found = check_lift(program, random_feasible_schedule(instance, rng))
            assert found.ok, found


def test_a_schedule_of_a_paper_instance_does() -> None:
    instance = generate("paper/abilene", slots=12)
    assert_lifts(instance, random_feasible_schedule(instance, np.random.default_rng(0)))


@settings(max_examples=examples(60))
@given(feasible_cases())
def test_whole_schedules_have_whole_counts(case: tuple[Instance, Schedule]) -> None:
    instance, schedule = case
    values = lift(instance, schedule)
    assert all(np.issubdtype(values[name].dtype, np.integer) for name in ("z", "start", "off", "x"))
    assert (values["start"].sum() == (schedule.command == Command.START).sum()).all()
    assert (values["leave"].sum() == (schedule.command == Command.SWITCH).sum()).all()


def cases(seed: int, count: int) -> list[tuple[Instance, Schedule]]:
    rng = np.random.default_rng(seed)
    instances = [random_tiny_instance(rng) for _ in range(count)]
    return [(instance, random_feasible_schedule(instance, rng)) for instance in instances]


def broken(instance: Instance, schedule: Schedule) -> bool:
    """Whatever it may cost: an illegal schedule has no price."""
    return not check_lift(build_allocation_program(instance), schedule, cost=np.inf).ok


def test_schedules_that_break_a_rule_do_not_lift() -> None:
    """Requests that are not routed, work beyond capacity, commands to servers in another state."""
    caught, count = dict.fromkeys(("routing", "processing", "command"), 0), examples(60)
    for instance, schedule in cases(seed=6, count=count):
        for name, hits in caught.items():
            table = getattr(schedule, name).copy()
            cells = np.argwhere(table > 0)
            if len(cells):
                table[tuple(cells[0])] = 0 if name != "processing" else table.max() + 1000
                changed = dataclasses.replace(schedule, **{name: table})
                caught[name] = hits + broken(instance, changed)
    assert caught["routing"] > count // 2
    assert caught["processing"] > count // 2
    assert caught["command"] > count // 6


def test_a_program_that_charges_too_much_is_noticed() -> None:
    for instance, schedule in cases(seed=7, count=20):
        if instance.system.weights.frobenius_usd:
            continue
        program = build_allocation_program(instance)
        dearer = dataclasses.replace(program, constant=program.constant + 1e-6)
        assert check_lift(program, schedule).ok
        assert not check_lift(dearer, schedule).ok


@pytest.mark.parametrize("factor", [1e-9, 1e-5, 1e5])
def test_a_millionth_too_much_is_noticed_at_any_prices(factor: float) -> None:
    """What is noticed does not depend on the unit of money."""
    noticed, count = 0, examples(30)
    for instance, schedule in cases(seed=12, count=count):
        weights = instance.system.weights
        names = ("energy_factor", "rent_factor", "transfer_factor", "loading_factor")
        factors = {name: getattr(weights, name) * factor for name in names}
        weights = dataclasses.replace(weights.scaled(factor), frobenius_usd=0.0, **factors)
        program = build_allocation_program(instance.with_weights(weights))
        found = check_lift(program, schedule)
        assert found.ok, found
        assert found.objective == pytest.approx(found.cost, rel=1e-9, abs=1e-9 * found.paid)
        if found.paid:
            cheaper = check_lift(program, schedule, found.objective - 1e-6 * found.paid)
            assert not cheaper.ok
            noticed += 1
    assert noticed > 2 * count // 3


def test_prices_that_cancel_out_are_no_alarm() -> None:
    """Rent that the grid pays back to the last digit: only rounding is left of both."""
    instance = generate("small/switch")
    system = instance.system
    idle_kw = np.where(system.idle_kw > 0, system.idle_kw, 0.3)
    rent = np.zeros_like(system.rent_usd_per_hour) + idle_kw * 0.7
    system = dataclasses.replace(
        system, idle_kw=idle_kw, peak_kw=idle_kw, rent_usd_per_hour=rent, hot_permille=0
    )
    weights = dataclasses.replace(
        system.weights,
        time_usd_per_s=0.0,
        reroute_usd=0.0,
        frobenius_usd=0.0,
        transfer_factor=0.0,
        loading_factor=0.0,
        expiry_usd=np.zeros_like(system.weights.expiry_usd),
    )
    price = np.full_like(instance.price_usd_per_kwh, -0.7)
    instance = dataclasses.replace(instance, system=system, price_usd_per_kwh=price)
    instance = instance.with_weights(weights)
    rng = np.random.default_rng(3)
    for _ in range(20):
        schedule = random_feasible_schedule(instance, rng)
        found = check_lift(build_allocation_program(instance), schedule)
        assert found.ok, found


def test_a_program_that_lacks_columns_is_noticed() -> None:
    """Requests that have no column are lost, even if no row misses them."""
    for instance, schedule in cases(seed=8, count=40):
        if not schedule.processing.any():
            continue
        program = build_allocation_program(instance)
        other = build_allocation_program(
            dataclasses.replace(instance, arrivals=np.zeros_like(instance.arrivals))
        )
        lesser = dataclasses.replace(other, instance=program.instance)
        assert check_lift(lesser, schedule).lost > 0
        return
    raise AssertionError("no schedule processes anything")


def test_the_row_that_is_missed_is_named() -> None:
    instance, schedule = cases(seed=9, count=1)[0]
    program = build_allocation_program(instance)
    row = program.row_names.index(next(n for n in program.row_names if n.startswith("off_flow")))
    moved = program.row_lower.copy()
    moved[row] += 5
    found = check_lift(dataclasses.replace(program, row_lower=moved), schedule)
    assert not found.ok
    assert found.where == program.row_names[row]

"""A user's own constraint: rows and a check, as one pair."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from support.programs import at_most, of_model, of_program, optimum, solve
from support.tiny import random_feasible_schedule

from torta_opt.allocation.formulations.lift import check_lift
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.pyomo_model import build_allocation_model
from torta_opt.allocation.formulations.recover import recover
from torta_opt.allocation.formulations.user_constraint import (
    UserConstraint,
    broken,
    with_user_constraints,
)
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import Schedule, evaluate
from torta_opt.io import InvalidInput

PRESET = "small/residency"


def energy_cap(most_kwh: float) -> UserConstraint:
    def add(model: pyo.ConcreteModel, instance: Instance) -> None:
        model.energy_cap = pyo.Constraint(expr=sum(model.energy_kwh.values()) <= most_kwh)

    def check(instance: Instance, schedule: Schedule) -> float:
        return evaluate(instance, schedule).metrics["energy_kwh"] - most_kwh

    return UserConstraint("energy cap", add, check)


def best_schedule(instance: Instance, *constraints: UserConstraint) -> tuple[Schedule, float]:
    program = build_allocation_program(instance, integer=True, named=True)
    program = with_user_constraints(program, constraints)
    vector = solve(of_program(program))
    schedule = recover(instance, program.values(vector), pools=program.pools)
    assert check_lift(program, schedule).ok
    return schedule, program.objective(vector)


def test_a_cap_raises_the_bound_and_its_schedule_keeps_it() -> None:
    instance = generate(PRESET)
    free, cost = best_schedule(instance)
    used = evaluate(instance, free).metrics["energy_kwh"]
    cap = energy_cap(0.8 * used)
    assert broken([cap], instance, free) == ["energy cap"]
    capped, bound = best_schedule(instance, cap)
    assert not broken([cap], instance, capped)
    assert bound > cost + 1e-6


def test_a_cap_that_does_not_bind_changes_nothing() -> None:
    instance = generate(PRESET)
    free, cost = best_schedule(instance)
    used = evaluate(instance, free).metrics["energy_kwh"]
    assert best_schedule(instance, energy_cap(1.01 * used))[1] == pytest.approx(cost)


def test_rows_are_those_of_the_pyomo_model() -> None:
    instance = generate(PRESET)
    cap = energy_cap(1e-3)
    model = build_allocation_model(instance)
    cap.add(model, instance)
    program = with_user_constraints(build_allocation_program(instance), [cap])
    assert program.row_names[-1] == "energy_cap"
    pyomo, matrix = of_model(model), of_program(program)
    row = dict(zip(matrix.columns, matrix.matrix[[-1]].toarray()[0], strict=True))
    other = dict(
        zip(pyomo.columns, pyomo.matrix[[pyomo.rows.index("energy_cap")]].toarray()[0], strict=True)
    )
    assert {k: v for k, v in row.items() if v} == pytest.approx(
        {k: v for k, v in other.items() if v}
    )
    assert at_most(optimum(matrix, relaxed=True), optimum(matrix))


def test_a_schedule_beyond_the_rows_does_not_lift() -> None:
    instance = generate(PRESET)
    schedule = random_feasible_schedule(instance, np.random.default_rng(0))
    used = evaluate(instance, schedule).metrics["energy_kwh"]
    plain = build_allocation_program(instance)
    assert check_lift(with_user_constraints(plain, [energy_cap(used + 1e-6)]), schedule).ok
    found = check_lift(with_user_constraints(plain, [energy_cap(used / 2)]), schedule)
    assert not found.ok
    assert found.where == "energy_cap"


def test_no_constraint_gives_the_same_program() -> None:
    program = build_allocation_program(generate(PRESET))
    assert with_user_constraints(program, []) is program


def nothing(instance: Instance, schedule: Schedule) -> float:
    return 0.0


def add_nothing(model: pyo.ConcreteModel, instance: Instance) -> None:
    pass


def add_square(model: pyo.ConcreteModel, instance: Instance) -> None:
    model.bent = pyo.Constraint(expr=sum(x**2 for x in model.x.values()) <= 1)


def add_column(model: pyo.ConcreteModel, instance: Instance) -> None:
    model.extra = pyo.Var(bounds=(0, 1))
    model.odd = pyo.Constraint(expr=model.extra <= 1)


@pytest.mark.parametrize(
    ("add", "rule"),
    [
        (add_nothing, "adds no row"),
        (add_square, "not linear"),
        (add_column, "that the program does not have"),
    ],
)
def test_what_is_no_row_of_the_program_is_refused(add: object, rule: str) -> None:
    program = build_allocation_program(generate(PRESET))
    with pytest.raises(InvalidInput, match=rule) as caught:
        with_user_constraints(program, [UserConstraint("odd", add, nothing)])
    assert "'odd'" in str(caught.value)


def test_a_check_that_gives_no_number_does_not_hold() -> None:
    odd = UserConstraint("odd", add_nothing, lambda instance, schedule: float("nan"))
    instance = generate(PRESET)
    schedule = random_feasible_schedule(instance, np.random.default_rng(0))
    assert broken([odd], instance, schedule) == ["odd"]

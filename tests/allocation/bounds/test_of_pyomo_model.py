"""The bound of a Pyomo model that a user has extended, and the schedule that comes of it."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from support.optima import slack, tiniest
from support.programs import of_program, optimum
from support.sizes import examples
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds.of_pyomo_model import bound_of_model, prove
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.pyomo_model import build_allocation_model
from torta_opt.allocation.formulations.pyomo_values import recover_from_model, values_of_model
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.io import Infeasible, InvalidInput, LimitReached
from torta_opt.solvers import Limits


def near(value: float) -> float:
    return 1e-6 * (1 + abs(value))


def test_the_bound_of_the_model_is_that_of_the_program() -> None:
    for instance, best in tiniest(count=examples(25)):
        model = build_allocation_model(instance)
        relaxed, whole = bound_of_model(model), bound_of_model(model, whole=True)
        assert (relaxed.source, whole.source) == ("lp", "milp")
        arrays = of_program(build_allocation_program(instance))
        assert abs(relaxed.value - optimum(arrays, relaxed=True)) <= near(best)
        assert abs(whole.value - optimum(arrays)) <= 10 * near(best)
        assert relaxed.value <= whole.value <= best + slack(best)


def test_a_users_row_raises_the_bound_to_the_optimum_under_it() -> None:
    """small/switch on one start: its own optimum takes more."""
    instance = generate("small/switch")
    model = build_allocation_model(instance, integer=True, named=True)
    free = bound_of_model(model, whole=True)
    starts = sum(round(pyo.value(column)) for column in model.start.values())
    model.few = pyo.Constraint(expr=sum(model.start.values()) <= starts - 1)
    capped = bound_of_model(model, whole=True)
    assert capped.value > free.value + 1e-6
    schedule = recover_from_model(instance, model)
    assert verify(instance, schedule).ok
    assert (schedule.command == 1).sum() <= starts - 1
    assert evaluate(instance, schedule).cost == pytest.approx(capped.value, rel=1e-5)


def test_a_users_variables_and_costs_take_part() -> None:
    instance = generate("small/switch")
    model = build_allocation_model(instance)
    free = bound_of_model(model).value
    model.fleet = pyo.Var(bounds=(0, 10))
    model.largest = pyo.Constraint(
        list(model.on), rule=lambda model, t, p: model.on[t, p] <= model.fleet
    )
    model.costs["rent"].set_value(model.costs["rent"].expr + 5.0 * model.fleet)
    priced = bound_of_model(model)
    assert priced.value >= free + 5.0 * model.fleet.value - near(priced.value)
    assert model.fleet.value > 0


def test_the_answer_is_written_into_the_model() -> None:
    rng = np.random.default_rng(52)
    for named in (False, True):
        instance = random_tiny_instance(rng, regions=2, slots=3)
        model = build_allocation_model(instance, named=named)
        found = bound_of_model(model, whole=True)
        assert pyo.value(model.objective) == pytest.approx(
            found.program.cost @ found.x + found.program.offset
        )
        values = values_of_model(instance, model)
        assert values["x"].sum() == pytest.approx(instance.arrivals.sum())
        assert verify(instance, recover_from_model(instance, model)).ok


def test_the_value_is_what_the_duals_prove() -> None:
    rng = np.random.default_rng(53)
    for instance, best in tiniest(count=examples(20)):
        found = bound_of_model(build_allocation_model(instance))
        assert found.value == prove(found.program, found.dual)
        garbage = rng.normal(size=len(found.dual)) * np.abs(found.dual).max(initial=1)
        assert prove(found.program, garbage) <= best + slack(best)


@pytest.mark.parametrize("work", [0, 1, 5])
def test_a_work_limit_leaves_a_valid_bound(work: int) -> None:
    for instance, best in tiniest(count=10):
        model = build_allocation_model(instance)
        try:
            found = bound_of_model(model, Limits(work=work), whole=True)
        except LimitReached:
            continue
        assert found.value <= best + slack(best)


def test_a_row_that_nothing_keeps_is_infeasible() -> None:
    model = build_allocation_model(generate("small/switch"))
    model.no = pyo.Constraint(expr=sum(model.start.values()) <= -1)
    with pytest.raises(Infeasible, match="small/switch: no solution satisfies all rows"):
        bound_of_model(model)
    model.no.deactivate()
    model.odd = pyo.Constraint(expr=2 * sum(model.start.values()) == 1)
    assert np.isfinite(bound_of_model(model).value)
    with pytest.raises(Infeasible, match="no solution satisfies all rows"):
        bound_of_model(model, whole=True)


def test_what_has_no_bound_is_named() -> None:
    model = build_allocation_model(generate("small/switch"))
    model.mine = pyo.Var(domain=pyo.NonNegativeReals)
    model.row = pyo.Constraint(expr=model.mine >= sum(model.start.values()))
    with pytest.raises(InvalidInput, match="variable mine: needs a lower and an upper bound"):
        bound_of_model(model)


def test_what_is_maximised_is_refused() -> None:
    model = build_allocation_model(generate("small/switch"))
    model.objective.sense = pyo.maximize
    with pytest.raises(InvalidInput, match="must be minimised"):
        bound_of_model(model)


def test_what_is_not_linear_is_refused() -> None:
    model = build_allocation_model(generate("small/switch"))
    first = next(iter(model.start.values()))
    model.square = pyo.Constraint(expr=first**2 <= 1)
    with pytest.raises(InvalidInput):
        bound_of_model(model)


def test_an_unsolved_model_and_fractions_are_not_lowered() -> None:
    instance = generate("small/loading")
    model = build_allocation_model(instance)
    with pytest.raises(InvalidInput, match="has no value: solve the model first"):
        recover_from_model(instance, model)
    bound_of_model(model)
    with pytest.raises(ValueError, match="must hold integers"):
        recover_from_model(instance, model)


def test_another_instances_model_is_refused() -> None:
    model = build_allocation_model(random_tiny_instance(np.random.default_rng(55)))
    with pytest.raises(InvalidInput, match="is not the program of instance 'small/loading'"):
        recover_from_model(generate("small/loading"), model)


def test_duals_go_into_the_suffix_of_a_model_that_has_one() -> None:
    """A row of a user's own: its dual is the slope of the bound in its side."""
    instance = generate("small/switch")

    def model_with(most: float) -> pyo.ConcreteModel:
        model = build_allocation_model(instance)
        model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
        model.few = pyo.Constraint(expr=sum(model.z.values()) <= most)
        return model

    most, step = 2.0, 1e-3
    model = model_with(most)
    value = bound_of_model(model).value
    left = (value - bound_of_model(model_with(most - step)).value) / step
    right = (bound_of_model(model_with(most + step)).value - value) / step
    assert left - 1e-3 <= model.dual[model.few] <= right + 1e-3
    assert model.dual[model.few] < 0
    assert len(model.dual) == model.nconstraints()

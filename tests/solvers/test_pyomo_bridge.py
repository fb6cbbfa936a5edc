"""Pyomo models as problems: the same numbers by name, and answers back in their variables."""

from __future__ import annotations

import gc
import math

import pyomo.environ as pyo
import pytest

from torta_opt.io.errors import Infeasible, InvalidInput
from torta_opt.solvers import Result, Status, solve_milp
from torta_opt.solvers.pyomo_bridge import from_pyomo, load_solution


def model() -> pyo.ConcreteModel:
    """minimise 2x + 3y[1] − y[2] + 5 with a row of each kind."""
    m = pyo.ConcreteModel(name="example")
    m.x = pyo.Var(domain=pyo.NonNegativeIntegers, bounds=(0, 9))
    m.y = pyo.Var([1, 2], bounds=(-1, 4))
    m.unused = pyo.Var(bounds=(None, 7))
    m.flag = pyo.Var(domain=pyo.Binary)
    m.at_least = pyo.Constraint(expr=m.x + m.y[1] >= 2.5)
    m.at_most = pyo.Constraint(expr=m.y[2] - m.x + 1 <= 3)
    m.equal = pyo.Constraint(expr=m.y[1] + 2 * m.flag == 1)
    m.between = pyo.Constraint(expr=(-1, m.x - m.y[2], 6))
    m.cost = pyo.Objective(expr=2 * m.x + 3 * m.y[1] - m.y[2] + 5)
    return m


def test_the_numbers_are_the_models():
    problem, columns = from_pyomo(model())
    assert len(columns) == problem.columns
    assert list(problem.col_names) == ["x", "y[1]", "y[2]", "unused", "flag"]
    assert problem.integrality.tolist() == [True, False, False, False, True]
    assert problem.col_lower.tolist() == [0, -1, -1, -math.inf, 0]
    assert problem.col_upper.tolist() == [9, 4, 4, 7, 1]
    assert problem.cost.tolist() == [2, 3, -1, 0, 0]
    assert problem.offset == 5
    dense = problem.matrix.toarray()
    rows = {
        name: (low, dense[i].tolist(), high)
        for i, (name, low, high) in enumerate(
            zip(problem.row_names, problem.row_lower, problem.row_upper, strict=True)
        )
    }
    assert rows == {
        "at_least": (2.5, [1, 1, 0, 0, 0], math.inf),
        "at_most": (-math.inf, [-1, 0, 1, 0, 0], 2),
        "equal": (1, [0, 1, 0, 0, 2], 1),
        "between": (-1, [1, 0, -1, 0, 0], 6),
    }


def test_names_are_made_up_when_asked():
    problem, _ = from_pyomo(model())
    assert len(problem.row_names) == 4
    assert problem.col_names[1:3] == ["y[1]", "y[2]"]


def test_names_outlive_the_callers_model():
    problem, _ = from_pyomo(model())
    gc.collect()
    assert list(problem.col_names)[:2] == ["x", "y[1]"]
    assert problem.row_names[0] == "at_least"


def test_two_rows_with_two_sides_after_one_another():
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(-9, 9))
    m.a = pyo.Constraint(expr=(1, m.x, 2))
    m.b = pyo.Constraint(expr=(-5, 2 * m.x, 7))
    m.cost = pyo.Objective(expr=m.x)
    problem, _ = from_pyomo(m)
    assert problem.row_lower.tolist() == [1, -5]
    assert problem.row_upper.tolist() == [2, 7]
    assert problem.matrix.toarray().tolist() == [[1], [2]]


def test_answers_come_back():
    m = model()
    problem, _ = from_pyomo(m)
    found = solve_milp(problem)
    load_solution(m, found)
    assert pyo.value(m.cost) == pytest.approx(found.objective)
    assert 2 * pyo.value(m.flag) + pyo.value(m.y[1]) == pytest.approx(1)


def test_answers_of_another_model_or_none_are_refused():
    with pytest.raises(InvalidInput, match="no point"):
        load_solution(model(), Result(Status.INFEASIBLE))
    m = model()
    found = solve_milp(from_pyomo(m)[0])
    m.x.fix(3)
    with pytest.raises(InvalidInput, match="not fixed"):
        load_solution(m, found)


def test_fixed_variables_are_numbers_and_inactive_rows_are_none():
    m = model()
    m.flag.fix(1)
    m.between.deactivate()
    problem, _ = from_pyomo(m)
    assert "flag" not in list(problem.col_names)
    assert "between" not in list(problem.row_names)
    row = list(problem.row_names).index("equal")
    assert problem.row_lower[row] == -1


def test_a_maximisation_is_turned_around():
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(0, 4))
    m.row = pyo.Constraint(expr=m.x <= 3)
    m.profit = pyo.Objective(expr=2 * m.x + 1, sense=pyo.maximize)
    problem, _ = from_pyomo(m)
    assert solve_milp(problem).objective == pytest.approx(-7)


def test_blocks_are_entered():
    m = pyo.ConcreteModel()
    m.part = pyo.Block([0, 1])
    for b in (0, 1):
        m.part[b].x = pyo.Var(bounds=(0, 4))
        m.part[b].row = pyo.Constraint(expr=m.part[b].x >= 1 + b)
    m.cost = pyo.Objective(expr=m.part[0].x + m.part[1].x)
    problem, _ = from_pyomo(m)
    assert list(problem.col_names) == ["part[0].x", "part[1].x"]
    assert solve_milp(problem).objective == pytest.approx(3)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.add_component("square", pyo.Constraint(expr=m.x**2 <= 4)),
        lambda m: m.add_component("second", pyo.Objective(expr=m.x)),
        lambda m: m.cost.deactivate(),
        lambda m: setattr(m.x, "domain", pyo.Set(initialize=[0, 2, 5])),
    ],
)
def test_what_is_no_linear_program_is_refused(change):
    m = model()
    change(m)
    with pytest.raises(InvalidInput):
        from_pyomo(m)


def test_a_variable_of_another_model_is_refused():
    m, other = model(), model()
    m.foreign = pyo.Constraint(expr=m.x + other.x <= 3)
    with pytest.raises(InvalidInput):
        from_pyomo(m)


def test_a_false_constraint_without_variables_is_infeasible():
    m = model()
    m.x.fix(0)
    m.impossible = pyo.Constraint(expr=m.x >= 1)
    with pytest.raises(Infeasible, match="impossible"):
        from_pyomo(m)

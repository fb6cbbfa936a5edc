"""Pyomo models as ``Problem``, and solutions back into their variables.

Columns are the variables of the model's active blocks that are not fixed, in the order of their
declaration, whether or not a constraint mentions them; rows are its active constraints. Pyomo's
own standard-form compiler does the work. A model may hold anything linear its user adds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sparse
from pyomo.common.errors import InfeasibleConstraintException, PyomoException
from pyomo.common.gc_manager import PauseGC
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from torta_opt.io.errors import Infeasible, InvalidInput
from torta_opt.solvers.problem import Problem, Result

_AT_MOST, _AT_LEAST = 1, -1  # Pyomo's mark of a row that stands for one side of a constraint


class ComponentNames(Sequence[str]):
    """Names of Pyomo components, made up when asked: at scale they cost more than the matrix.

    The model is held, as components do not hold it, and have no name without it.
    """

    def __init__(self, components: Sequence[Any], model: pyo.ConcreteModel) -> None:
        self.components = components
        self.model = model

    def __len__(self) -> int:
        return len(self.components)

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> list[str]: ...
    def __getitem__(self, number: int | slice) -> str | list[str]:
        if isinstance(number, slice):
            return [component.name for component in self.components[number]]
        return self.components[number].name


def from_pyomo(model: pyo.ConcreteModel) -> tuple[Problem, list[Any]]:
    """The problem a model states, and its variables, one a column.

    A constraint with two different sides is one row. A maximisation is turned around: objective
    values change their sign. Raises InvalidInput if something is not linear, and Infeasible if a
    constraint without variables does not hold.
    """
    with PauseGC():
        columns = variables_of(model)
        form = _compiled(model, columns)
        position = {id(column): j for j, column in enumerate(columns)}
        place = np.array([_place(position, column) for column in form.columns], np.int64)
        matrix, lower, upper, constraints = _rows(form, place, len(columns))
        cost = np.zeros(len(columns))
        cost[place] = form.c.toarray().ravel()
        sides = [_bounds(column) for column in columns]
        problem = Problem(
            matrix=matrix,
            row_lower=lower,
            row_upper=upper,
            col_lower=np.array([low for low, _ in sides], np.float64),
            col_upper=np.array([high for _, high in sides], np.float64),
            cost=cost,
            offset=float(form.c_offset[0]),
            integrality=_integrality(columns),
            row_names=ComponentNames(constraints, model),
            col_names=ComponentNames(columns, model),
        )
    return problem, columns


def variables_of(model: pyo.ConcreteModel) -> list[Any]:
    """The variables that are columns."""
    every = model.component_data_objects(pyo.Var, active=True, descend_into=pyo.Block)
    return [variable for variable in every if not variable.fixed]


def load_solution(model: pyo.ConcreteModel, result: Result) -> None:
    """Write the point of a result of ``from_pyomo(model)`` into the model's variables."""
    if result.x is None:
        raise InvalidInput(f"holds no point: {result.status}", "result")
    columns = variables_of(model)
    if len(columns) != len(result.x):
        raise InvalidInput(
            f"has {len(result.x)} numbers, the model {len(columns)} variables that are not fixed",
            "result",
        )
    for column, value in zip(columns, result.x.tolist(), strict=True):
        column.set_value(value, skip_validation=True)  # solvers leave bounds by 1e-9


def _compiled(model: pyo.ConcreteModel, columns: list[Any]) -> Any:
    objectives = list(model.component_data_objects(pyo.Objective, active=True))
    if len(objectives) != 1:
        raise InvalidInput(f"must have one active objective, has {len(objectives)}", model.name)
    try:
        return LinearStandardFormCompiler().write(model, mixed_form=True, column_order=columns)
    except InfeasibleConstraintException as error:
        raise Infeasible(f"{model.name}: {_line(error)}") from None
    except (PyomoException, ValueError, ZeroDivisionError) as error:
        raise InvalidInput(_line(error), model.name) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _place(position: dict[int, int], column: Any) -> int:
    if id(column) not in position:
        raise InvalidInput("is used, but is not a variable of an active block", column.name)
    return position[id(column)]


def _rows(
    form: Any, place: np.ndarray, columns: int
) -> tuple[sparse.csr_array, np.ndarray, np.ndarray, list[Any]]:
    """Matrix, sides and constraints; the two rows of a constraint with two sides become one."""
    kind = np.array([row.bound_type for row in form.rows], np.int64)
    side = np.array(form.rhs, np.float64)
    lower = np.where(kind == _AT_MOST, -math.inf, side)
    upper = np.where(kind == _AT_LEAST, math.inf, side)
    same = [
        before.constraint is after.constraint
        for before, after in zip(form.rows, form.rows[1:], strict=False)
    ]
    second = np.flatnonzero(np.array([False, *same], bool))  # its first row holds the upper side
    lower[second - 1] = lower[second]
    kept = np.ones(len(kind), bool)
    kept[second] = False
    entries = form.A.tocoo()
    matrix = sparse.csr_array(
        (entries.data, (entries.row, place[entries.col])), shape=(len(kind), columns)
    )
    constraints = [row.constraint for row, keep in zip(form.rows, kept, strict=True) if keep]
    return matrix[kept], lower[kept], upper[kept], constraints


def _bounds(column: Any) -> tuple[float, float]:
    low, high = column.bounds
    return -math.inf if low is None else low, math.inf if high is None else high


def _integrality(columns: Iterable[Any]) -> np.ndarray:
    steps: dict[int, bool] = {}

    def is_integer(column: Any) -> bool:
        domain = column.domain
        if id(domain) not in steps:
            interval = domain.get_interval()
            if interval is None or interval[2] not in (0, 1):
                raise InvalidInput(f"has the domain {domain}: not an interval", column.name)
            steps[id(domain)] = interval[2] == 1
        return steps[id(domain)]

    return np.array([is_integer(column) for column in columns], bool)

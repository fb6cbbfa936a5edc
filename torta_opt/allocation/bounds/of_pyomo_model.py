"""A proven bound of a Pyomo model, with whatever a user has added to it.

    model = build_allocation_model(instance)
    model.my_rule = pyo.Constraint(expr=sum(model.start.values()) <= 3)
    bound_of_model(model).value

The value is what the dual vector of the linear relaxation proves (``dual.py``), or with ``whole``
what branch and bound claims, less its tolerances, if that is more. It bounds the model: it bounds
the schedules of an instance that keep the user's rule if no row cuts one of those off.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt.allocation.bounds.dual import dual_bound
from torta_opt.allocation.bounds.milp import less_tolerance
from torta_opt.allocation.bounds.of_program import ProgramBound
from torta_opt.io.errors import Infeasible, InvalidInput, LimitReached
from torta_opt.solvers import Limits, Problem, Progress, Result, Status, solve_lp, solve_milp

if TYPE_CHECKING:
    import pyomo.environ as pyo


ModelBound = ProgramBound[Problem]  # its x is also in the model's variables


def bound_of_model(
    model: pyo.ConcreteModel,
    limits: Limits | None = None,
    *,
    whole: bool = False,
    method: str = "auto",
    on_progress: Callable[[Progress], Any] | None = None,
) -> ModelBound:
    """The bound of a linear model that is minimised and whose variables all have two bounds.

    whole    integer variables are whole; otherwise they may be fractions
    method   of the linear relaxation

    The answer is written into the model's variables. Where the model has a suffix ``dual``, as of
    ``model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)``, the duals that prove the value are
    written there: what one more unit on the right-hand side of a constraint would change it by.
    Raises Infeasible if there is none,
    LimitReached if nothing was proved in time, and InvalidInput that names what is not linear, not
    bounded, or maximised.
    """
    from torta_opt.solvers.pyomo_bridge import from_pyomo, load_solution

    began = time.perf_counter()
    problem, _ = from_pyomo(model)
    _check(model, problem)
    limits = limits or Limits()
    relaxed = solve_lp(problem, method, _left(limits, began), crossover=False)
    found, result = _relaxed_bound(model.name, problem, relaxed), relaxed
    if whole and not found.interrupted:
        result = solve_milp(problem, _left(limits, began), on_progress=on_progress)
        found = _whole_bound(model.name, found, result)
    if result.x is not None:
        load_solution(model, result)
    if found.dual is not None:
        _load_duals(model, problem, found.dual)
    source = "milp" if whole else "lp"
    seconds = time.perf_counter() - began
    return dataclasses.replace(found, source=source, x=result.x, seconds=seconds)


def prove(problem: Problem, dual: np.ndarray) -> float:
    """The bound that a dual vector proves of a linear relaxation; −inf if it proves none."""
    return dual_bound(
        cost=problem.cost,
        constant=problem.offset,
        matrix=problem.matrix,
        row_lower=problem.row_lower,
        row_upper=problem.row_upper,
        lower=problem.col_lower,
        upper=problem.col_upper,
        dual=dual,
    )


def _load_duals(model: pyo.ConcreteModel, problem: Problem, dual: np.ndarray) -> None:
    import pyomo.environ as pyo

    from torta_opt.solvers.pyomo_bridge import ComponentNames

    suffix, rows = model.component("dual"), problem.row_names
    assert isinstance(rows, ComponentNames)  # what ``from_pyomo`` gives
    if isinstance(suffix, pyo.Suffix) and suffix.import_enabled():
        for row, usd in zip(rows.components, dual.tolist(), strict=True):
            suffix[row] = usd


def _check(model: pyo.ConcreteModel, problem: Problem) -> None:
    import pyomo.environ as pyo

    (objective,) = model.component_data_objects(pyo.Objective, active=True)
    if objective.sense != pyo.minimize:
        raise InvalidInput("must be minimised", objective.name)
    if not problem.is_boxed:
        boxed = np.isfinite(problem.col_lower) & np.isfinite(problem.col_upper)
        assert problem.col_names is not None  # a model's columns have names
        name = problem.col_names[int(np.argmin(boxed))]
        raise InvalidInput("needs a lower and an upper bound", f"variable {name}")


def _relaxed_bound(name: str, problem: Problem, result: Result) -> ModelBound:
    if result.status is Status.INFEASIBLE:
        raise Infeasible(f"{name}: no solution satisfies all rows")
    value = -np.inf if result.row_dual is None else prove(problem, result.row_dual)
    is_stopped = result.status is Status.INTERRUPTED
    if not np.isfinite(value):
        if is_stopped:
            raise KeyboardInterrupt
        raise LimitReached(f"{name}: no bound found within the limits")
    dual, claim = result.row_dual, result.bound
    return ModelBound(value, "lp", problem, dual, result.x, claim, 0.0, is_stopped)


def _whole_bound(name: str, relaxed: ModelBound, result: Result) -> ModelBound:
    if result.status is Status.INFEASIBLE:
        raise Infeasible(f"{name}: no solution satisfies all rows")
    problem = relaxed.program
    answer = problem.col_upper if relaxed.x is None else relaxed.x
    money = float(np.abs(problem.cost) @ np.abs(answer)) + abs(problem.offset)
    safe = less_tolerance(problem, result.bound, money)
    better = bool(np.isfinite(result.bound)) and safe > relaxed.value
    return dataclasses.replace(
        relaxed,
        value=safe if better else relaxed.value,
        dual=None if better else relaxed.dual,
        claim=result.bound,
        interrupted=result.status is Status.INTERRUPTED,
    )


def _left(limits: Limits, began: float) -> Limits:
    spent = time.perf_counter() - began
    return dataclasses.replace(limits, seconds=max(0.0, limits.seconds - spent))

"""A user's own constraint: rows for the program and a check on a schedule, as one pair.

A bound of the program with the rows holds for every schedule that passes the check, provided the
rows never cut off such a schedule; ``check_lift`` tests that on every schedule a gap is printed
for. An example, at most 2 t of CO₂ over the horizon:

    def add(model, instance):
        model.carbon = pyo.Constraint(
            expr=sum(intensity[j] * kwh for (t, j), kwh in model.energy_kwh.items()) <= 2000
        )

    def check(instance, schedule):
        return carbon_kg(instance, schedule) - 2000

    cap = UserConstraint("carbon", add, check)
    program = with_user_constraints(build_allocation_program(instance), [cap])
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.io.errors import InvalidInput

if TYPE_CHECKING:
    import pyomo.environ as pyo

INFINITY = float("inf")


@dataclass(frozen=True)
class UserConstraint:
    """A constraint of the user: rows for the program and a check on a schedule.

    A bound of the program with the rows holds for every schedule that passes the check, provided
    that the rows cut off no such schedule. ``gap`` tests this on every schedule for which it prints
    a gap.

    Parameters
    ----------
    name
        Shown if a schedule violates the constraint.
    add
        Adds rows to the Pyomo model of an instance, ``add(model, instance)``. Rows may use the
        columns and expressions of the model, and may not add columns.
    check
        The amount by which a schedule exceeds the constraint, ``check(instance, schedule)``; 0 or
        less if the schedule satisfies it.
    tolerance
        An excess up to this is treated as rounding.

    Examples
    --------
    At most one start over the horizon:

    >>> import torta_opt
    >>> def add(model, instance):
    ...     import pyomo.environ as pyo
    ...     model.few = pyo.Constraint(expr=sum(model.start.values()) <= 1)
    >>> def check(instance, schedule):
    ...     return (schedule.command == 1).sum() - 1  # 1: Command.START
    >>> few = torta_opt.UserConstraint("few starts", add, check)
    >>> instance = torta_opt.generate("small/loading")
    >>> result = torta_opt.solve(instance, "optimal", constraints=[few])
    >>> result.evaluation.metrics["starts"]
    1
    """

    name: str
    add: Callable[[pyo.ConcreteModel, Instance], None]
    check: Callable[[Instance, Schedule], float]
    tolerance: float = 1e-9

    def holds(self, instance: Instance, schedule: Schedule) -> bool:
        """Whether a schedule satisfies the constraint; False if the check returns NaN."""
        return float(self.check(instance, schedule)) <= self.tolerance


@dataclass(frozen=True, eq=False)
class Row:
    """lower ≤ Σ coefficients[name]·column ≤ upper, columns by name."""

    name: str
    coefficients: dict[str, float]
    lower: float
    upper: float


def broken(
    constraints: Iterable[UserConstraint], instance: Instance, schedule: Schedule
) -> list[str]:
    """Names of the constraints that a schedule breaks."""
    return [c.name for c in constraints if not c.holds(instance, schedule)]


def user_rows(
    instance: Instance, constraints: Sequence[UserConstraint], **options: Any
) -> list[Row]:
    """The rows that the constraints add; ``options`` as for ``build_allocation_model``."""
    import pyomo.environ as pyo

    from torta_opt.allocation.formulations.pyomo_model import build_allocation_model

    model = build_allocation_model(instance, **options)
    known = {id(row) for row in model.component_data_objects(pyo.Constraint)}
    columns = {id(column) for column in model.component_data_objects(pyo.Var)}
    rows: list[Row] = []
    for constraint in constraints:
        constraint.add(model, instance)
        added = [
            row
            for row in model.component_data_objects(pyo.Constraint, active=True)
            if id(row) not in known
        ]
        if not added:
            raise InvalidInput("adds no row", field=f"constraint {constraint.name!r}")
        known |= {id(row) for row in added}
        rows += [_row(constraint, row, columns) for row in added]
    return rows


def _row(constraint: UserConstraint, row: pyo.ConstraintData, columns: set[int]) -> Row:
    from pyomo.repn import generate_standard_repn

    field = f"constraint {constraint.name!r}"
    body = generate_standard_repn(row.body, compute_values=True)
    if not body.is_linear():
        raise InvalidInput(f"row {row.name} is not linear", field=field)
    if any(id(column) not in columns for column in body.linear_vars):
        raise InvalidInput(
            f"row {row.name} uses columns that the program does not have", field=field
        )
    names = [column.name for column in body.linear_vars]
    low = -INFINITY if row.lb is None else float(row.lb) - float(body.constant)
    high = INFINITY if row.ub is None else float(row.ub) - float(body.constant)
    return Row(row.name, dict(zip(names, map(float, body.linear_coefs), strict=True)), low, high)


def with_rows(program: AllocationProgram, rows: Sequence[Row]) -> AllocationProgram:
    """The program with further rows, below its own."""
    number = {name: n for n, name in enumerate(program.column_names)}
    entries = [
        (r, number[name], value)
        for r, row in enumerate(rows)
        for name, value in row.coefficients.items()
    ]
    at_row, column, value = np.array(entries, float).reshape(-1, 3).T
    block = sparse.csr_array(
        (value, (at_row.astype(int), column.astype(int))), shape=(len(rows), len(program.cost))
    )
    return dataclasses.replace(
        program,
        matrix=sparse.csr_array(sparse.vstack([program.matrix, block])),
        row_lower=np.append(program.row_lower, [row.lower for row in rows]),
        row_upper=np.append(program.row_upper, [row.upper for row in rows]),
        further_rows=(*program.further_rows, *(row.name for row in rows)),
    )


def with_user_constraints(
    program: AllocationProgram, constraints: Sequence[UserConstraint]
) -> AllocationProgram:
    """The program with the rows of a user's constraints; the program itself if there are none."""
    if not constraints:
        return program
    options = {"named": program.pools.named, "tangents": program.tangents}
    return with_rows(program, user_rows(program.instance, constraints, **options))

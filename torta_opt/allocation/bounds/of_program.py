"""The bound that a program proves, and the result of a bound method made from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from torta_opt.allocation.bounds.certify import certificate_of
from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.bounds.named_duals import duals_of_program
from torta_opt.allocation.formulations.lift import check_lift
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.instance.data import Instance
from torta_opt.io.errors import Infeasible, TortaOptError
from torta_opt.results import BoundResult
from torta_opt.solvers import SolverFailed

P = TypeVar("P")  # what was solved: an allocation program, a merged one, a problem
Q = TypeVar("Q")


@dataclass(frozen=True, eq=False)
class ProgramBound(Generic[P]):
    """A lower bound that a program proves, in dollars.

    value        no legal schedule costs less
    source       the method
    program      what was solved
    dual         (rows,) the duals that prove the value, None where branch and bound did
    x            (columns,) an answer of the program, None if none was found; one of a relaxation
                 may violate rows by a little
    claim        the bound as the solver states it
    seconds      wall-clock time, building included
    interrupted  Ctrl-C ended the run
    limited      a limit ended it before it had solved what it was to solve
    relaxed      what the linear relaxation proves, where branch and bound proved more
    """

    value: float
    source: str
    program: P
    dual: np.ndarray | None
    x: np.ndarray | None
    claim: float
    seconds: float
    interrupted: bool = False
    limited: bool = False
    relaxed: ProgramBound[P] | None = None

    def stated_of(
        self, program: Q, source: str, relaxed: ProgramBound[Q] | None = None
    ) -> ProgramBound[Q]:
        """The same, of what holds the program that was solved, or of that program alone."""
        return ProgramBound(
            self.value,
            source,
            program,
            self.dual,
            self.x,
            self.claim,
            self.seconds,
            self.interrupted,
            self.limited,
            relaxed,
        )


def result_of(instance: Instance, found: ProgramBound[AllocationProgram]) -> BoundResult:
    """The program contains the floor, which safe rounding may fall short of."""
    return BoundResult(
        max(found.value, floor(instance).value),
        found.source,
        holds=partial(check_lift, found.program),
        solved=found,
        interrupted=found.interrupted,
        limited=found.limited,
        certificate=None if found.dual is None else certificate_of(found.program, found.dual),
        duals=None if found.dual is None else partial(duals_of_program, found.program, found.dual),
    )


def found_infeasible(program: AllocationProgram) -> TortaOptError:
    """The error for a program in which a solver finds nothing feasible.

    Every schedule satisfies the rows of the program itself: only constraints of the user can leave
    nothing, and without them the solver is wrong.
    """
    name = program.instance.name
    if program.further_rows:
        return Infeasible(f"{name}: no schedule satisfies the constraints")
    return SolverFailed(f"{name}: HiGHS finds no point of a program that all schedules satisfy")

"""What a program proves, as the result of a bound method."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torta_opt.allocation.bounds.certify import certificate_of
from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.formulations.lift import check_lift
from torta_opt.allocation.instance.data import Instance
from torta_opt.results import BoundResult

if TYPE_CHECKING:
    from torta_opt.allocation.bounds.lp import ProgramBound
    from torta_opt.allocation.formulations.program import AllocationProgram


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
    )

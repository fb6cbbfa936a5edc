"""Bound methods by name: what each proves and how it is computed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from torta_opt.bounds.floor import floor
from torta_opt.instance import Instance
from torta_opt.io import InvalidInput, LimitReached
from torta_opt.io.status import status_of

if TYPE_CHECKING:
    from torta_opt.bounds.certificate import Certificate
    from torta_opt.bounds.lp import ProgramBound
    from torta_opt.bounds.merged import MergedBound
    from torta_opt.formulations.constraints import UserConstraint
    from torta_opt.formulations.lift import LiftCheck
    from torta_opt.schedule import Schedule
    from torta_opt.solvers import Limits, Progress

AUTO = "auto"
LOSS = 3e-3  # of a bound: a certificate that proves less than that is none
AUTO_CELLS = 50_000  # columns of routing and processing: some 25 slots of 12 regions, 15 s of work


@dataclass(frozen=True)
class Task:
    """What a bound is asked for beside the instance.

    limits        of the solver; None: its defaults
    constraints   a user's own; the bound holds for schedules that keep them
    watch         called with samples of a run of the solver
    """

    limits: Limits | None = None
    constraints: Sequence[UserConstraint] = ()
    watch: Callable[[Progress], Any] | None = None


@dataclass(frozen=True)
class Proof:
    """What a method found.

    value   dollars
    costs   its parts under the names of the cost components they bound, where they are known
    holds   checks at run time that a schedule lies inside what the bound was computed over, at no
            higher cost; None where the proof needs no such thing
    merged  what the merged bound has solved, for who wants to go on from there
    interrupted   Ctrl-C ended the run: the bound holds, but more time would have made it better
    limited       a limit did so
    certificate   what lets anyone derive the value again without a solver, not yet checked
    """

    value: float
    costs: dict[str, float] = field(default_factory=dict)
    holds: Callable[[Schedule, float], LiftCheck] | None = None
    merged: MergedBound | None = None
    interrupted: bool = False
    limited: bool = False
    certificate: Certificate | None = None


@dataclass(frozen=True)
class BoundResult:
    """A number that no schedule of an instance can beat.

    value      dollars
    source     the method that proved it; ``floor`` where another ended before it had proved a thing
    certified  True if a certificate comes with it, from which a checker that knows no solver
               has derived the value again
    seconds    wall-clock time it took, the checker's included
    costs, holds, merged, interrupted, limited    as in ``Proof``
    stopped    one line on what kept another method from proving a thing
    certificate    None if the bound is not certified
    """

    value: float
    source: str
    certified: bool
    seconds: float
    costs: dict[str, float] = field(default_factory=dict)
    holds: Callable[[Schedule, float], LiftCheck] | None = field(
        default=None, repr=False, compare=False
    )
    merged: MergedBound | None = field(default=None, repr=False, compare=False)
    interrupted: bool = False
    limited: bool = False
    certificate: Certificate | None = field(default=None, repr=False, compare=False)
    stopped: str = ""

    @property
    def status(self) -> str:
        """``done``, or ``limit`` or ``interrupted``: the bound holds, more time makes it better."""
        return status_of(not self.limited, self.interrupted)


@dataclass(frozen=True)
class BoundMethod:
    """A way to a bound, in a line and as a function."""

    summary: str
    compute: Callable[[Instance, Task], Proof]


def _floor(instance: Instance, task: Task) -> Proof:
    """Holds with and without a user's constraints, which can only make schedules dearer."""
    result = floor(instance)
    return Proof(result.value, result.costs)


def _lp(instance: Instance, task: Task) -> Proof:
    from torta_opt.bounds.lp import lp_bound

    return _proof(instance, lp_bound(instance, task.limits, constraints=task.constraints))


def _merged(instance: Instance, task: Task) -> Proof:
    from torta_opt.bounds.certify import merged_certificate
    from torta_opt.bounds.merged import merged_bound
    from torta_opt.formulations.merged import check_merged

    found = merged_bound(instance, task.limits)

    def holds(schedule: Schedule, cost: float) -> LiftCheck:
        return check_merged(found.merged, schedule, cost)

    value = max(found.value, floor(instance).value)
    return Proof(
        value,
        holds=holds,
        merged=found,
        interrupted=found.interrupted,
        limited=found.limited,
        certificate=merged_certificate(found.merged, found.dual),
    )


def _windows(instance: Instance, task: Task) -> Proof:
    from torta_opt.bounds.windows import windows_bound

    found = windows_bound(
        instance, task.limits, constraints=task.constraints, on_progress=task.watch
    )
    return _proof(instance, found)


def _milp(instance: Instance, task: Task) -> Proof:
    from torta_opt.bounds.milp import milp_bound

    return _proof(
        instance,
        milp_bound(instance, task.limits, constraints=task.constraints, on_progress=task.watch),
    )


def _proof(instance: Instance, found: ProgramBound) -> Proof:
    """What a program proves; it contains the floor, which safe rounding may fall short of."""
    from torta_opt.bounds.certify import certificate_of
    from torta_opt.formulations.lift import check_lift

    def holds(schedule: Schedule, cost: float) -> LiftCheck:
        return check_lift(found.program, schedule, cost)

    value = max(found.value, floor(instance).value)
    certificate = None if found.dual is None else certificate_of(found.program, found.dual)
    return Proof(
        value,
        holds=holds,
        interrupted=found.interrupted,
        limited=found.limited,
        certificate=certificate,
    )


METHODS: dict[str, BoundMethod] = {
    "floor": BoundMethod(
        "closed form: every request at the cheaper of expiring and being served at once, hot, "
        "where that is cheapest",
        _floor,
    ),
    "merged": BoundMethod(
        "the linear relaxation of the allocation program with all regions as one: for long "
        "horizons",
        _merged,
    ),
    "lp": BoundMethod(
        "the linear relaxation of the allocation program: servers may be fractions",
        _lp,
    ),
    "windows": BoundMethod(
        "the linear relaxation in windows of a few slots, coupled by prices: minutes where lp "
        "takes hours",
        _windows,
    ),
    "milp": BoundMethod(
        "branch and bound on the allocation program: servers are whole",
        _milp,
    ),
}


def choose(instance: Instance) -> str:
    """What ``auto`` stands for: ``lp`` where that takes seconds, else ``merged``."""
    system = instance.system
    regions, classes = len(system.regions), len(system.classes)
    pools = len({*zip(system.server_region.tolist(), system.server_type.tolist(), strict=True)})
    cells = instance.slots * classes * (regions * regions + pools)
    return "lp" if cells <= AUTO_CELLS else "merged"


def compute(instance: Instance, method: str, task: Task | None = None) -> BoundResult:
    """The bound that ``method``, or ``auto``, proves for ``instance``.

    Where a limit or Ctrl-C comes before it has proved anything, the floor stands in for it.
    """
    if method == AUTO:
        method = choose(instance)
    if method not in METHODS:
        known = ", ".join([*METHODS, AUTO])
        raise InvalidInput(f"{method!r:.60} is not a bound; known: {known}", field="method")
    chosen = METHODS[method]
    start, why = time.perf_counter(), ""
    try:
        proof = _checked(instance, chosen.compute(instance, task or Task()))
    except (LimitReached, KeyboardInterrupt) as error:
        stopped = isinstance(error, KeyboardInterrupt)
        least = _floor(instance, Task())
        proof = dataclasses.replace(least, interrupted=stopped, limited=not stopped)
        why = f"{method}: Ctrl-C came before a bound" if stopped else f"{method}: {error}"
        method = "floor"
    return BoundResult(
        value=proof.value,
        source=method,
        certified=proof.certificate is not None,
        seconds=time.perf_counter() - start,
        costs=proof.costs,
        holds=proof.holds,
        merged=proof.merged,
        interrupted=proof.interrupted,
        limited=proof.limited,
        certificate=proof.certificate,
        stopped=why,
    )


def rederived(certificate: Certificate, instance: Instance) -> float:
    """What a certificate proves; no less than the floor, which needs none."""
    from torta_opt.bounds.checker.check import certified_bound

    return max(certified_bound(certificate, instance), floor(instance).value)


def membership(
    certificate: Certificate, instance: Instance
) -> Callable[[Schedule, float], LiftCheck]:
    """``holds`` of the program that a certificate is about, which is built when first needed."""
    from torta_opt.bounds.certificate import APART

    @cache
    def check() -> Callable[..., LiftCheck]:
        from torta_opt.formulations import allocation_matrix, knapsack, lift, merged

        if certificate.regions == APART:
            program = allocation_matrix.build_allocation_program(instance)
            return partial(lift.check_lift, knapsack.with_knapsack_rows(program))
        whole = merged.build_merged_program(instance)
        program = knapsack.with_knapsack_rows(whole.program)
        return partial(merged.check_merged, dataclasses.replace(whole, program=program))

    return lambda schedule, cost: check()(schedule, cost)


def _checked(instance: Instance, proof: Proof) -> Proof:
    """The proof with the value that its certificate proves, or without a certificate."""
    if proof.certificate is None:
        return proof
    try:
        value = rederived(proof.certificate, instance)
    except KeyboardInterrupt:
        return dataclasses.replace(proof, certificate=None, interrupted=True)
    if value < proof.value - LOSS * abs(proof.value):
        return dataclasses.replace(proof, certificate=None)
    return dataclasses.replace(proof, value=value)

"""Bound methods by name: what each proves and how it is computed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

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
WHOLE_CELLS = 10_000  # likewise; the root of branch and bound takes some 20 s of work
TINY_CELLS = 500  # likewise; branch and bound ends within a second or so
LOOSE = 0.1  # of a bound: what fractions of servers must be worth for branch and bound to pay
WORTH = 1e-3  # of a bound: what branch and bound must add for ``auto`` to do without a certificate


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
    relaxed       what the linear relaxation of a program proves, where that is all that was solved
    beside        the proof of a smaller value that has a certificate, where this one has none
    """

    value: float
    costs: dict[str, float] = field(default_factory=dict)
    holds: Callable[[Schedule, float], LiftCheck] | None = None
    merged: MergedBound | None = None
    interrupted: bool = False
    limited: bool = False
    certificate: Certificate | None = None
    relaxed: ProgramBound | None = None
    beside: Proof | None = None


@dataclass(frozen=True)
class BoundResult:
    """A number that no schedule of an instance can beat.

    value      dollars
    source     the method that proved it; ``floor`` where another ended before it had proved a thing
    certified  True if a certificate comes with it, from which a checker that knows no solver
               has derived the value again
    seconds    wall-clock time it took, the checker's included
    costs, holds, merged, interrupted, limited, relaxed    as in ``Proof``
    stopped    one line on what kept another method from proving a thing
    certificate    None if the bound is not certified
    beside     the certified bound that an uncertified one goes beyond, where there is one
    why        what ``auto`` chose and why, in a line; empty if the method was named
    stronger   the method that may prove much more, where it can be afforded; empty if none does
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
    relaxed: ProgramBound | None = field(default=None, repr=False, compare=False)
    beside: BoundResult | None = field(default=None, repr=False)
    stopped: str = ""
    why: str = ""
    stronger: str = ""

    @property
    def certified_value(self) -> float | None:
        """What a certificate proves; None if there is none."""
        if self.certified:
            return self.value
        return None if self.beside is None else self.beside.value

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

    found = milp_bound(instance, task.limits, constraints=task.constraints, on_progress=task.watch)
    proof = _proof(instance, found)
    if found.relaxed is None:
        return proof
    return dataclasses.replace(proof, beside=_proof(instance, found.relaxed))


def _proof(instance: Instance, found: ProgramBound) -> Proof:
    """What a program proves; it contains the floor, which safe rounding may fall short of."""
    from torta_opt.bounds.certify import certificate_of
    from torta_opt.formulations.lift import check_lift

    def holds(schedule: Schedule, cost: float) -> LiftCheck:
        return check_lift(found.program, schedule, cost)

    value = max(found.value, floor(instance).value)
    certificate = None if found.dual is None else certificate_of(found.program, found.dual)
    relaxed = found if found.source == "lp" else None
    return Proof(
        value,
        holds=holds,
        interrupted=found.interrupted,
        limited=found.limited,
        certificate=certificate,
        relaxed=relaxed,
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
    """What ``auto`` begins with: ``lp`` where that takes seconds, else ``merged``."""
    return "lp" if cells_of(instance) <= AUTO_CELLS else "merged"


def cells_of(instance: Instance) -> int:
    """Columns of routing and processing in the allocation program: a measure of its size."""
    system = instance.system
    regions, classes = len(system.regions), len(system.classes)
    pools = len({*zip(system.server_region.tolist(), system.server_type.tolist(), strict=True)})
    return instance.slots * classes * (regions * regions + pools)


def loose_servers(relaxed: ProgramBound) -> float:
    """What it would cost to round servers that are on up to whole ones, as a share of the bound.

    Large where a pool needs few servers or none: there the linear relaxation runs a tenth of one.
    """
    if relaxed.x is None:
        return 0.0
    ready = relaxed.program.values(relaxed.x)["ready"]
    rest = np.ceil(ready - 1e-6) - ready
    usd = float((rest * np.maximum(relaxed.program.pools.on_usd[:, :, None], 0.0)).sum())
    return usd / abs(relaxed.value) if relaxed.value else float(usd > 0)


def compute(instance: Instance, method: str, task: Task | None = None) -> BoundResult:
    """The bound that ``method``, or ``auto``, proves for ``instance``.

    Where a limit or Ctrl-C comes before it has proved anything, the floor stands in for it.
    """
    if method == AUTO:
        return _auto(instance, task or Task())
    if method not in METHODS:
        known = ", ".join([*METHODS, AUTO])
        raise InvalidInput(f"{method!r:.60} is not a bound; known: {known}", field="method")
    return _computed(instance, method, task or Task())


def _computed(instance: Instance, method: str, task: Task) -> BoundResult:
    start = time.perf_counter()
    try:
        proof = _checked(instance, METHODS[method].compute(instance, task))
    except (LimitReached, KeyboardInterrupt) as error:
        return _floor_instead(instance, method, error, start)
    beside = None
    if proof.beside is not None:
        known = _result(_checked(instance, proof.beside), "lp", time.perf_counter() - start)
        beside = known if known.certified else None
    result = _result(proof, method, time.perf_counter() - start)
    return dataclasses.replace(result, beside=beside, stronger=_stronger(instance, result))


def _floor_instead(
    instance: Instance, method: str, error: BaseException, start: float
) -> BoundResult:
    """The floor, where a limit or Ctrl-C came before the method had proved anything."""
    stopped = isinstance(error, KeyboardInterrupt)
    why = f"{method}: Ctrl-C came before a bound" if stopped else f"{method}: {error}"
    least = _result(_floor(instance, Task()), "floor", time.perf_counter() - start)
    return dataclasses.replace(least, interrupted=stopped, limited=not stopped, stopped=why)


def _result(proof: Proof, source: str, seconds: float) -> BoundResult:
    return BoundResult(
        value=proof.value,
        source=source,
        certified=proof.certificate is not None,
        seconds=seconds,
        costs=proof.costs,
        holds=proof.holds,
        merged=proof.merged,
        interrupted=proof.interrupted,
        limited=proof.limited,
        certificate=proof.certificate,
        relaxed=proof.relaxed,
    )


def _stronger(instance: Instance, found: BoundResult) -> str:
    """The method that may prove much more than was found, if it can be afforded."""
    if found.source == "floor":
        return choose(instance)
    if found.source == "merged":
        return "lp" if choose(instance) == "lp" else "windows"
    if found.source == "lp" and found.relaxed is not None and cells_of(instance) <= AUTO_CELLS:
        return "milp" if loose_servers(found.relaxed) >= LOOSE else ""
    return "milp" if found.source == "windows" and cells_of(instance) <= WHOLE_CELLS else ""


# --- auto ---------------------------------------------------------------------------------------


def _auto(instance: Instance, task: Task) -> BoundResult:
    """The linear relaxation that is affordable; then branch and bound where servers are few.

    Branch and bound stops at a number of nodes that depends on the size of the instance alone, so
    the bound is the same however fast the machine is; limits of the task come on top. Its value is
    taken where it is worth doing without a certificate; the certified one stays beside.
    """
    began = time.perf_counter()
    found = _computed(instance, choose(instance), task)
    cells = cells_of(instance)
    if found.source == "floor":
        return dataclasses.replace(found, why=f"floor: {found.stopped}")
    if found.source != "lp":
        why = f"{found.source}: {cells:,} cells are too many for lp within seconds"
        return dataclasses.replace(found, why=why)
    if found.relaxed is None:
        return dataclasses.replace(found, why="lp: it takes seconds")
    if found.interrupted or (found.limited and cells > TINY_CELLS):  # x says nothing of servers
        what = "Ctrl-C" if found.interrupted else "a limit"
        return dataclasses.replace(found, why=f"lp: {what} ended it before its optimum")
    loose = loose_servers(found.relaxed)
    share = f"fractions of servers are worth {100 * loose:.1f} % of the bound"
    if cells > TINY_CELLS and loose < LOOSE:
        return dataclasses.replace(found, why=f"lp: {share}")
    if cells > WHOLE_CELLS:
        why = f"lp: {share}, but {cells:,} cells are too many for milp within seconds"
        return dataclasses.replace(found, why=why)
    return _counted(instance, found, task, began)


def _counted(instance: Instance, found: BoundResult, task: Task, began: float) -> BoundResult:
    """What branch and bound makes of a linear relaxation."""
    from torta_opt.bounds.milp import branch_from
    from torta_opt.solvers import Limits

    assert found.relaxed is not None
    nodes = max(1, WHOLE_CELLS // cells_of(instance))
    limits = task.limits or Limits()
    most = nodes if limits.work is None else min(nodes, limits.work)
    limits = dataclasses.replace(limits, work=most)
    try:
        whole = branch_from(found.relaxed, limits, began=began, watch=task.watch)
    except KeyboardInterrupt:  # between the solvers; what lp proved stands
        why = "lp: Ctrl-C came before milp had proved anything"
        return dataclasses.replace(found, why=why, interrupted=True)
    interrupted = whole.interrupted or found.interrupted
    cut_short = most < nodes or time.perf_counter() - began >= limits.seconds
    budget = f"{most} node" if most == 1 else f"{most} nodes"
    if whole.value <= found.value + WORTH * abs(found.value):
        return dataclasses.replace(
            found, why=f"lp: milp proves no more within {budget}", interrupted=interrupted
        )
    more = (whole.value - found.value) / abs(whole.value) if whole.value else 1.0
    return dataclasses.replace(
        _result(_proof(instance, whole), "milp", time.perf_counter() - began),
        interrupted=interrupted,
        limited=found.limited or cut_short,
        beside=found if found.certified else None,
        why=f"milp within {budget}: whole servers are worth {100 * more:.1f} % of the bound",
        stronger="milp" if whole.x is None or not _is_closed(whole) else "",
    )


def _is_closed(whole: ProgramBound) -> bool:
    """Whether branch and bound came to its end: the answer costs what the bound is."""
    assert whole.x is not None
    cost = whole.program.objective(whole.x)
    return cost - whole.value <= WORTH * abs(cost)


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

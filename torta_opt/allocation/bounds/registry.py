"""Bound methods by name: what each proves and how it is computed.

Another package adds a method by an entry point of the group ``torta_opt.bounds``: its name is the
method's, its value a ``family.BoundMethod``. What it proves counts as certified only if it comes
with a certificate of ours from which the checker derives the value again.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt import plugins
from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.instance import Instance
from torta_opt.family import AUTO, FLOOR, BoundMethod, Request, lazily
from torta_opt.io import InvalidInput, LimitReached
from torta_opt.io.errors import MethodFailed
from torta_opt.results import BoundResult, LiftCheck

if TYPE_CHECKING:
    from torta_opt.allocation.bounds.certificate import Certificate
    from torta_opt.allocation.bounds.of_program import ProgramBound
    from torta_opt.allocation.formulations.program import AllocationProgram

LOSS = 3e-3  # share of a bound: a certificate that loses more is rejected
AUTO_CELLS = 50_000  # columns of routing and processing: some 25 slots of 12 regions, 15 s of work
WHOLE_CELLS = 10_000  # likewise; the root of branch and bound takes some 20 s of work
TINY_CELLS = 500  # likewise; branch and bound ends within a second or so
LOOSE = 0.1  # share of a bound that fractions of servers must be worth for branch and bound to pay
WHOLE, BRANCHED = "whole", "merged_milp"  # methods that count servers on the merged program
WORTH = 1e-3  # share of a bound that branch and bound must add for ``auto`` to forgo a certificate


Check = Callable[[Any, float], LiftCheck]


METHODS: dict[str, BoundMethod] = {
    "floor": BoundMethod(
        "closed form: each request is charged the cheaper of expiring and being served at once, "
        "as a hot request, at the cheapest place",
        lazily("allocation.bounds.floor:compute"),
    ),
    "merged": BoundMethod(
        "the linear relaxation of the allocation program, all regions treated as one: for long "
        "horizons",
        lazily("allocation.bounds.merged:compute"),
    ),
    "whole": BoundMethod(
        "the merged program with rows that count whole servers: where servers are few",
        lazily("allocation.bounds.merged:compute_whole"),
    ),
    "merged_milp": BoundMethod(
        "branch and bound on the merged program: whole servers, all regions treated as one",
        lazily("allocation.bounds.merged:compute_branched"),
    ),
    "lp": BoundMethod(
        "the linear relaxation of the allocation program: fractions of servers are allowed",
        lazily("allocation.bounds.lp:compute"),
    ),
    "windows": BoundMethod(
        "the linear relaxation in windows of a few slots, coupled by dual prices: minutes where "
        "lp takes hours",
        lazily("allocation.bounds.windows:compute"),
    ),
    "milp": BoundMethod(
        "branch and bound on the allocation program: whole servers only",
        lazily("allocation.bounds.milp:compute"),
    ),
    "nonanticipative": BoundMethod(
        "for policies that cannot see ahead: an estimate of what none beats on average over "
        "futures",
        lazily("allocation.foresight.nonanticipative:compute"),
        statistical=True,
        takes=frozenset(
            ("scenarios", "way", "children", "block", "window", "leaves", "tiers", "folder", "jobs")
        ),
    ),
}


def methods() -> dict[str, BoundMethod]:
    """Every bound method, ours first."""
    theirs = plugins.entries(plugins.BOUNDS, (*METHODS, AUTO))
    return {**METHODS, **{name: _of_entry(point) for name, point in theirs.items()}}


def _of_entry(point: EntryPoint) -> BoundMethod:
    return BoundMethod(f"from {plugins.origin(point)}", partial(_theirs, point))


def _theirs(point: EntryPoint, instance: Instance, request: Request) -> BoundResult:
    """What another package's method proves."""
    method = plugins.load(point, BoundMethod)
    with plugins.blamed_on(point.name, "proving a bound", passing=plugins.ANY_OF_OURS):
        found = method.compute(instance, request)
    value = found.value if isinstance(found, BoundResult) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise MethodFailed(point.name, f"proving a bound: gave {found!r:.60}, no finite bound")
    return dataclasses.replace(
        found,
        value=max(float(value), floor(instance).value),
        source=point.name,
        beside=None,
        certificate=_of_our_kind(found.certificate, instance),
    )


def _of_our_kind(certificate: Any, instance: Instance) -> Certificate | None:
    """A certificate that our checker can read, whatever it proves; None if it cannot."""
    from torta_opt.allocation.bounds.certificate import Certificate

    if not isinstance(certificate, Certificate):
        return None
    try:
        rederived(certificate, instance)
    except Exception:  # anyone's arrays may be anything: then the bound is not certified
        return None
    return certificate


def choose(instance: Instance) -> str:
    """What ``auto`` begins with: ``lp`` where that takes seconds, else ``merged``."""
    return "lp" if cells_of(instance) <= AUTO_CELLS else "merged"


def cells_of(instance: Instance) -> int:
    """Columns of routing and processing in the allocation program: a measure of its size."""
    system = instance.system
    regions, classes = len(system.regions), len(system.classes)
    pools = len({*zip(system.server_region.tolist(), system.server_type.tolist(), strict=True)})
    return instance.slots * classes * (regions * regions + pools)


def loose_servers(relaxed: ProgramBound[Any]) -> float:
    """What it would cost to round servers that are on up to whole ones, as a share of the bound.

    Large where a pool needs few servers or none: there the linear relaxation runs a tenth of one.
    """
    if relaxed.x is None:
        return 0.0
    program = getattr(relaxed.program, "program", relaxed.program)  # of a merged one
    ready = program.values(relaxed.x)["ready"]
    rest = np.ceil(ready - 1e-6) - ready
    usd = float((rest * np.maximum(program.pools.on_usd[:, :, None], 0.0)).sum())
    return usd / abs(relaxed.value) if relaxed.value else float(usd > 0)


def compute(instance: Instance, method: str, request: Request | None = None) -> BoundResult:
    """The bound that ``method``, or ``auto``, proves for ``instance``.

    Where a limit or Ctrl-C comes before it has proved anything, the floor stands in for it.
    """
    request = request or Request()
    if method == AUTO:
        return _auto(instance, request)
    if method not in METHODS and method not in methods():
        known = ", ".join([*methods(), AUTO])
        raise InvalidInput(f"{method!r:.60} is not a bound; known: {known}", field="method")
    return _computed(instance, method, request)


def _computed(instance: Instance, method: str, request: Request) -> BoundResult:
    began = time.perf_counter()
    chosen = METHODS[method] if method in METHODS else methods()[method]
    if chosen.statistical:  # over many futures: the floor of this one says nothing about it
        return chosen.compute(instance, request)
    try:
        result = _checked(instance, chosen.compute(instance, request), began)
    except (LimitReached, KeyboardInterrupt) as error:
        return _floor_instead(instance, method, error, began)
    if result.beside is not None:
        beside = _checked(instance, result.beside, began)
        result = dataclasses.replace(result, beside=beside if beside.certified else None)
    if not result.certified:  # what a certificate proves contains the floor
        result = dataclasses.replace(result, value=max(result.value, floor(instance).value))
    return dataclasses.replace(result, stronger=_stronger(instance, result))


def _floor_instead(
    instance: Instance, method: str, error: BaseException, began: float
) -> BoundResult:
    """The floor, where a limit or Ctrl-C came before the method had proved anything."""
    stopped = isinstance(error, KeyboardInterrupt)
    why = f"{method}: Ctrl-C came before a bound" if stopped else f"{method}: {error}"
    least = _checked(instance, METHODS[FLOOR].compute(instance, Request()), began)
    return dataclasses.replace(least, interrupted=stopped, limited=not stopped, stopped=why)


def _stronger(instance: Instance, found: BoundResult) -> str:
    """The method that may prove much more than was found, if it can be afforded."""
    if found.source == FLOOR:
        return choose(instance)
    if found.source == "merged":
        return "lp" if choose(instance) == "lp" else "windows"
    if found.source == WHOLE:
        return BRANCHED
    if found.source == "lp" and cells_of(instance) <= AUTO_CELLS:
        return "milp" if loose_servers(found.solved) >= LOOSE else ""
    return "milp" if found.source == "windows" and cells_of(instance) <= WHOLE_CELLS else ""


# --- auto ---------------------------------------------------------------------------------------


def _auto(instance: Instance, request: Request) -> BoundResult:
    """The linear relaxation that is affordable; then branch and bound where servers are few.

    Branch and bound stops at a number of nodes that depends on the size of the instance alone, so
    the bound is the same however fast the machine is; limits of the task come on top. Its value is
    taken where it is worth doing without a certificate; the certified one stays beside.
    """
    began = time.perf_counter()
    found = _computed(instance, choose(instance), request)
    cells = cells_of(instance)
    if found.source == "floor":
        return dataclasses.replace(found, why=f"floor: {found.stopped}")
    if found.source != "lp":
        why = f"{found.source}: {cells:,} cells are too many for lp within seconds"
        return _with_whole_rows(instance, dataclasses.replace(found, why=why), request)
    if found.interrupted or (found.limited and cells > TINY_CELLS):  # x says nothing of servers
        what = "Ctrl-C" if found.interrupted else "a limit"
        return dataclasses.replace(found, why=f"lp: {what} ended it before its optimum")
    loose = loose_servers(found.solved)
    share = f"rounding servers up would cost {100 * loose:.1f} % of the bound"
    if cells > TINY_CELLS and loose < LOOSE:
        return dataclasses.replace(found, why=f"lp: {share}")
    if cells > WHOLE_CELLS:
        why = f"lp: {share}, but {cells:,} cells are too many for milp within seconds"
        return _with_whole_rows(instance, dataclasses.replace(found, why=why), request)
    if cells <= TINY_CELLS or routes_matter(instance, found.value):
        return _counted(instance, found, request, began)
    return _merged_counted(instance, found, request)


def _with_whole_rows(instance: Instance, found: BoundResult, request: Request) -> BoundResult:
    """The better of ``found`` and the method ``whole``, where fractions of servers matter."""
    if found.interrupted or found.limited or loose_servers(found.solved) < LOOSE:
        return found
    whole = _computed(instance, WHOLE, request)
    if whole.source != WHOLE or whole.value <= found.value + WORTH * abs(found.value):
        return dataclasses.replace(found, interrupted=found.interrupted or whole.interrupted)
    more = _gain(found, whole)
    why = f"{found.why}; rows that count whole servers add {100 * more:.1f} % of the bound"
    return dataclasses.replace(whole, why=f"{WHOLE}: {why.partition(': ')[2]}")


def _gain(found: BoundResult, better: BoundResult | ProgramBound[Any]) -> float:
    """How much more is proved, as a share of the better bound; 1 where that is 0."""
    return (better.value - found.value) / abs(better.value) if better.value else 1.0


def routes_matter(instance: Instance, bound: float) -> bool:
    """Whether the merged program may lose more than a tenth of the bound by its free routes.

    It does not where every request may go anywhere, and sending all of them the dearest way instead
    of the cheapest costs less than that.
    """
    system = instance.system
    if not system.allowed.all():
        return True
    weights = system.weights
    route = weights.time_usd_per_s * system.latency_s[:, :, None]
    route = route + weights.transfer_factor * system.transfer_usd
    dearer = route.max(axis=1) - route.min(axis=1)
    usd = float((instance.arrivals.sum(axis=0) * dearer).sum())
    return usd + weights.reroute_usd * float(instance.arrivals.sum()) > LOOSE * abs(bound)


def _merged_counted(instance: Instance, found: BoundResult, request: Request) -> BoundResult:
    """What branch and bound makes of the merged program: small, however many regions there are."""
    from torta_opt.allocation.bounds.merged import branched, result_of_merged
    from torta_opt.solvers import Limits, SolverFailed

    try:
        whole = _computed(instance, WHOLE, request)
    except SolverFailed as error:
        return dataclasses.replace(found, why=f"lp: the solver failed: {error}")
    began, limits = time.perf_counter(), request.limits or Limits()
    nodes = max(1, WHOLE_CELLS // cells_of(instance))
    most = nodes if limits.work is None else min(nodes, limits.work)
    other, failed = whole, ""
    if whole.source == WHOLE and not whole.interrupted:
        limits = dataclasses.replace(limits, work=most)
        try:
            tree = branched(whole.solved, limits, began=began, watch=request.solver_watch)
            other = _checked(instance, result_of_merged(instance, tree), began)
        except KeyboardInterrupt:  # what is proved so far stands
            other = dataclasses.replace(whole, interrupted=True)
        except SolverFailed as error:  # likewise
            failed = f"; the solver failed: {error}"
    proved = [found, whole, other]
    certified = max((e for e in proved if e.certified), key=lambda e: e.value, default=None)
    best = max(proved, key=lambda each: each.value)
    interrupted = found.interrupted or other.interrupted
    if best is found or best.value <= found.value + WORTH * abs(found.value):
        why = f"lp: counting whole servers does not raise the bound{failed}"
        return dataclasses.replace(found, why=why, interrupted=interrupted)
    more = _gain(found, best)
    budget = f"{most} node" if most == 1 else f"{most} nodes"
    return dataclasses.replace(
        best,
        interrupted=interrupted,
        beside=None if best.certified else certified,
        why=f"{best.source} within {budget}: whole servers add {100 * more:.1f} % of the "
        f"bound{failed}",
        stronger="" if best.certified else "milp",
    )


def _counted(instance: Instance, found: BoundResult, request: Request, began: float) -> BoundResult:
    """What branch and bound makes of a linear relaxation."""
    from torta_opt.allocation.bounds.milp import branch_from
    from torta_opt.allocation.bounds.of_program import result_of
    from torta_opt.solvers import Limits, SolverFailed

    nodes = max(1, WHOLE_CELLS // cells_of(instance))
    limits = request.limits or Limits()
    most = nodes if limits.work is None else min(nodes, limits.work)
    limits = dataclasses.replace(limits, work=most)
    try:
        whole = branch_from(found.solved, limits, began=began, watch=request.solver_watch)
    except KeyboardInterrupt:  # between the solvers; what lp proved stands
        why = "lp: Ctrl-C came before milp had proved anything"
        return dataclasses.replace(found, why=why, interrupted=True)
    except SolverFailed as error:  # likewise
        return dataclasses.replace(found, why=f"lp: the solver failed: {error}")
    interrupted = whole.interrupted or found.interrupted
    cut_short = most < nodes or time.perf_counter() - began >= limits.seconds
    budget = f"{most} node" if most == 1 else f"{most} nodes"
    if whole.value <= found.value + WORTH * abs(found.value):
        return dataclasses.replace(
            found, why=f"lp: milp does not raise it within {budget}", interrupted=interrupted
        )
    more = _gain(found, whole)
    return dataclasses.replace(
        _checked(instance, result_of(instance, whole), began),
        interrupted=interrupted,
        limited=found.limited or cut_short,
        beside=found if found.certified else None,
        why=f"milp within {budget}: whole servers add {100 * more:.1f} % of the bound",
        stronger="milp" if whole.x is None or not _is_closed(whole) else "",
    )


def _is_closed(whole: ProgramBound[AllocationProgram]) -> bool:
    """Whether branch and bound came to its end: the answer costs what the bound is."""
    assert whole.x is not None
    cost = whole.program.objective(whole.x)
    return cost - whole.value <= WORTH * abs(cost)


def rederived(certificate: Certificate, instance: Instance) -> float:
    """What a certificate proves; no less than the floor, which needs none."""
    from torta_opt.allocation.bounds.checker.check import certified_bound

    return max(certified_bound(certificate, instance), floor(instance).value)


def membership(certificate: Certificate, instance: Instance) -> Check:
    """``holds`` of the program that a certificate is about, which is built when first needed."""
    from torta_opt.allocation.bounds.certificate import APART

    @cache
    def check() -> Callable[..., LiftCheck]:
        from torta_opt.allocation.formulations import knapsack, lift, merged, whole_servers
        from torta_opt.allocation.formulations import matrix as allocation_matrix

        if certificate.regions == APART:
            program = allocation_matrix.build_allocation_program(instance)
            return partial(lift.check_lift, knapsack.with_knapsack_rows(program))
        whole = merged.build_merged_program(instance)
        program = knapsack.with_knapsack_rows(whole.program)
        if certificate.roundings:
            program = whole_servers.with_whole_rows(program)
        return partial(merged.check_merged, dataclasses.replace(whole, program=program))

    return lambda schedule, cost: check()(schedule, cost)


def _checked(instance: Instance, found: BoundResult, began: float) -> BoundResult:
    """The bound with the value that its certificate proves, or without a certificate."""
    certificate, value, interrupted = found.certificate, found.value, found.interrupted
    if certificate is not None:
        try:
            proved = rederived(certificate, instance)
            is_worth_it = proved >= found.value - LOSS * abs(found.value)
            certificate, value = (certificate, proved) if is_worth_it else (None, value)
        except KeyboardInterrupt:
            certificate, interrupted = None, True
    return dataclasses.replace(
        found,
        value=value,
        certified=certificate is not None,
        certificate=certificate,
        interrupted=interrupted,
        seconds=time.perf_counter() - began,
    )

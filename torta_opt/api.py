"""The door: solve, bound, gap, verify and describe, whatever kind of instance a file holds.

    instance = open_instance("instances/paper/abilene.json.gz")
    report = gap(instance)

Every schedule, ours or a user's, passes the verifier and the evaluator before a number is given.

    gap           = (cost − bound) / |cost|           None if the cost is 0
    gap at least  = (cost − cheapest) / |cost|        likewise; of the cheapest schedule in the run
    avoidable gap = (cost − bound) / (cost − floor)   None if the cost is the floor

The distance to the best possible schedule lies between the second and the first: a weak bound makes
the gap large, whatever the schedule is worth. The avoidable gap stands beside, since most of a cost
is unavoidable, and a small gap can hide all of the part that is not.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torta_opt import arguments
from torta_opt.allocation.bounds.refuted import ROUNDING, raise_if_refuted
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance import document as instance_document
from torta_opt.allocation.schedule import document as schedule_document
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.schedule.verify import Verification, Violation
from torta_opt.io import (
    Infeasible,
    InvalidInput,
    VerificationFailed,
    read_document,
)
from torta_opt.io.status import DONE, INTERRUPTED, status_of

if TYPE_CHECKING:
    import numpy as np

    from torta_opt.allocation.bounds.merged import MergedBound
    from torta_opt.allocation.bounds.registry import BoundResult
    from torta_opt.allocation.formulations.user_constraint import UserConstraint
    from torta_opt.allocation.policies.runner import Run
    from torta_opt.allocation.schedule import Evaluation, Schedule
    from torta_opt.allocation.search.optimal import Optimal
    from torta_opt.placement.instance.data import PlacementInstance
    from torta_opt.solvers import Limits, Progress

Path = str | os.PathLike[str]
Watch = Callable[[str, int, int], None]  # what is being done, slots done, slots of all
SolverWatch = Callable[["Progress"], Any]  # samples of a run of a solver

SENSITIVITY = ("x0.25", "x4")  # weights at which gaps are reported beside the instance's own
OPTIMAL = "optimal"
CLAIRVOYANT = "clairvoyant"
OFFLINE = {  # methods that see the whole horizon
    CLAIRVOYANT: "a good schedule over any horizon within seconds: the merged program, rounded",
    OPTIMAL: "the best schedule found, by rounding and branch and bound, and how good it is",
}


def _placement_from_document(document: dict[str, Any]) -> PlacementInstance:
    from torta_opt.placement.instance.document import instance_from_document

    return instance_from_document(document)


# What can stand in an instance file: format → (version, reader).
_INSTANCES: dict[str, tuple[int, Callable[[dict[str, Any]], Any]]] = {
    instance_document.FORMAT: (
        instance_document.VERSION,
        instance_document.instance_from_document,
    ),
    "torta-opt/placement": (1, _placement_from_document),
}


@dataclass(frozen=True, eq=False)
class Result:
    """A schedule that passed the verifier, and what it costs.

    slot_seconds   (T,) of each decision of a policy; None where all were taken at once
    bound          what no schedule can beat, where the method proved one on the way
    status         ``done``: what was asked for is reached; ``limit``: the method ended before, for
                   want of time, of work or of a stronger method; ``interrupted``: Ctrl-C ended it
    stopped        one line on why a method that goes on until a gap is reached has ended
    """

    schedule: Schedule = field(repr=False)
    evaluation: Evaluation = field(repr=False)
    seconds: float
    slot_seconds: np.ndarray | None = field(default=None, repr=False)
    bound: float | None = None
    status: str = DONE
    stopped: str = ""

    @property
    def cost(self) -> float:
        return self.evaluation.cost

    @property
    def gap(self) -> float | None:
        """Against the bound proved on the way; None without one, or if the cost is 0."""
        if self.bound is None or self.cost == 0:
            return None
        return (self.cost - self.bound) / abs(self.cost)

    def to_document(self) -> dict[str, Any]:
        proved = {} if self.bound is None else {"bound": self.bound, "gap": self.gap}
        why = {"stopped": self.stopped} if self.stopped else {}
        return {
            "method": self.schedule.method,
            "seed": self.schedule.seed,
            "status": self.status,
            **why,
            "seconds": self.seconds,
            **proved,
            **_priced(self.evaluation),
        }


@dataclass(frozen=True, eq=False)
class GapResult:
    """One schedule against the bound; everything that needs a cost is None if it breaks rules.

    schedule       None if the policy failed: then the verification says why
    gap            how far it is from the best possible schedule, at most
    gap_at_least   how far it is for certain: from the cheapest schedule that was verified in the
                   same run; None outside of a report
    broken         names of the user's constraints that it breaks
    """

    policy: str
    schedule: Schedule | None = field(repr=False)
    verification: Verification = field(repr=False)
    evaluation: Evaluation | None = field(repr=False)
    gap: float | None
    avoidable_gap: float | None
    seconds: float | None
    broken: tuple[str, ...] = ()
    gap_at_least: float | None = None

    @property
    def feasible(self) -> bool:
        return self.verification.ok and not self.broken

    @property
    def violations(self) -> dict[str, int]:
        """How often each rule is broken; a user's constraint counts once."""
        return {**self.verification.counts, **dict.fromkeys(self.broken, 1)}

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each violation that is described, the first ones of each rule."""
        rules = (f"{each.rule}: {each.message}" for each in self.verification.violations)
        return (*rules, *(f"{name}: the constraint is not kept" for name in self.broken))

    def raise_if_infeasible(self) -> None:
        """VerificationFailed that says which rule or constraint is broken."""
        self.verification.raise_if_broken(self.policy)
        if self.broken:
            raise VerificationFailed(
                f"{self.policy}: breaks the constraint {', '.join(self.broken)}"
            )

    @property
    def cost(self) -> float | None:
        return None if self.evaluation is None else self.evaluation.cost

    def to_document(self) -> dict[str, Any]:
        return {
            "policy": self.policy,
            "cost": self.cost,
            "gap": self.gap,
            "gap_at_least": self.gap_at_least,
            "avoidable_gap": self.avoidable_gap,
            "feasible": self.feasible,
            "violations": sum(self.violations.values()),
            "violations_by_rule": self.violations,
            "problems": list(self.problems),
            "seconds": self.seconds,
            "costs": {} if self.evaluation is None else self.evaluation.costs,
            "metrics": {} if self.evaluation is None else self.evaluation.metrics,
            **self._failure(),
        }

    def _failure(self) -> dict[str, str]:
        if self.schedule is not None:
            return {}
        return {"failed": self.verification.violations[0].message}


@dataclass(frozen=True, eq=False)
class GapReport:
    """How far schedules of one instance are from the best possible one, at most and at least.

    sensitivity   the same at other weights, by their names as ``reweighted`` takes them
    left_out      methods that nobody asked for by name and that found nothing: name → why
    cheaper       the method that may find a cheaper schedule; empty if one that knows the whole
                  horizon took part
    """

    instance: str
    floor: BoundResult
    bound: BoundResult
    results: tuple[GapResult, ...]
    status: str = DONE
    sensitivity: dict[str, GapReport] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    cheaper: str = ""

    @property
    def feasible(self) -> bool:
        return all(result.feasible for result in self.results)

    @property
    def cheapest(self) -> GapResult | None:
        """The schedule of least cost among those that keep every rule; None if there is none."""
        return _cheapest(self.results)

    def to_document(self) -> dict[str, Any]:
        document = {
            "instance": self.instance,
            "floor": self.floor.value,
            "bound": {
                "value": self.bound.value,
                "source": self.bound.source,
                "certified": self.bound.certified,
                "certified_value": self.bound.certified_value,
                "seconds": self.bound.seconds,
                "why": self.bound.why or None,
                "stronger": self.bound.stronger or None,
            },
            "results": [result.to_document() for result in self.results],
        }
        if self.sensitivity:
            document["sensitivity"] = {
                weights: report.to_document() for weights, report in self.sensitivity.items()
            }
        if self.left_out:
            document["left_out"] = self.left_out
        return document if self.status == DONE else {**document, "status": self.status}


@dataclass(frozen=True, eq=False)
class Check:
    """What a schedule file or a bound file turned out to be worth.

    problems   one line per described violation; empty if everything holds
    counts     violations by rule
    """

    instance: str
    kind: str
    problems: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    bound: float | None = None

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "instance": self.instance,
            "kind": self.kind,
            "valid": self.ok,
            "violations": sum(self.counts.values()),
            "violations_by_rule": self.counts,
            "problems": list(self.problems),
        }
        if self.evaluation is not None:
            document |= _priced(self.evaluation)
        if self.bound is not None:
            document["bound"] = self.bound
        return document


def open_instance(path: Path) -> Instance:
    """The instance in a file, of whatever kind the file says. Raises InvalidInput."""
    arguments.check_path(path)
    document = read_document(path, {name: version for name, (version, _) in _INSTANCES.items()})
    _, read = _INSTANCES[document["format"]]
    try:
        return read(document)
    except InvalidInput as error:
        raise error.within(os.fspath(path)) from None


def solve(
    instance: Instance,
    method: str = "greedy_forecast",
    seed: int = 0,
    watch: Watch | None = None,
    *,
    limits: Limits | None = None,
    start: Schedule | None = None,
    constraints: Sequence[UserConstraint] = (),
    solver_watch: SolverWatch | None = None,
) -> Result:
    """The schedule that ``method`` finds, verified and priced.

    ``method`` is a policy; or ``optimal``, the best schedule that is found within ``limits``, from
    ``start`` if one is given, under a user's ``constraints``, with a bound; or ``clairvoyant``, a
    good schedule over a long horizon. A policy knows nothing of limits, start and constraints.
    Block placement has methods of its own.
    """
    arguments.check_solve(instance, method, seed, watch, limits, start, constraints, solver_watch)
    if is_placement(instance):
        return _solve_placement(instance, method, seed, limits, start, constraints, solver_watch)
    if method == OPTIMAL:
        return _solve_optimal(instance, limits, start, constraints, solver_watch)
    if start is not None or constraints:
        raise InvalidInput(f"{method} takes no start and no constraints", field="method")
    if method == CLAIRVOYANT:
        return _solve_clairvoyant(instance, limits)
    _check_policies([method], instance)
    outcome = _run(instance, method, seed, watch or _unwatched)
    verify(instance, outcome.schedule).raise_if_broken(method)
    evaluation = evaluate(instance, outcome.schedule)
    return Result(outcome.schedule, evaluation, outcome.seconds, outcome.slot_seconds)


def bound(
    instance: Instance,
    method: str = "auto",
    *,
    limits: Limits | None = None,
    constraints: Sequence[UserConstraint] = (),
    solver_watch: SolverWatch | None = None,
) -> BoundResult:
    """A number that no schedule of ``instance`` can beat; ``bounds.registry`` lists the methods.

    ``auto`` is the linear relaxation where that takes seconds, else the merged one; where servers
    are few and the instance small, branch and bound goes on from there. With a user's
    ``constraints`` the number holds for schedules that keep them.
    """
    arguments.check_bound_call(instance, method, limits, constraints, solver_watch)
    if is_placement(instance):
        from torta_opt.placement import family as door

        return door.bound(instance, method, limits, solver_watch)
    from torta_opt.allocation.bounds.registry import Task, compute

    return compute(instance, method, Task(limits, tuple(constraints), solver_watch))


def gap(
    instance: Instance,
    policies: Sequence[str] | str | None = None,
    schedules: Mapping[str, Schedule] | None = None,
    bound_method: str = "auto",
    seed: int = 0,
    watch: Watch | None = None,
    *,
    limits: Limits | None = None,
    constraints: Sequence[UserConstraint] = (),
    sensitivity: Sequence[str] | str = (),
    solver_watch: SolverWatch | None = None,
    proved: BoundResult | None = None,
) -> GapReport:
    """Run ``policies`` (all of them if neither these nor ``schedules`` are given) and compare.

    One name alone may stand for a list of names.
    Offline methods stand among ``policies`` where they are named.
    ``schedules`` are further schedules by the name they get in the report. ``sensitivity`` names
    other weights (``SENSITIVITY``: time at a quarter and at four times its price) at which all of
    it is done again. ``proved`` is a bound that is known already, as ``load_bound`` gives it; other
    weights need one of their own. ``watch`` is called with what is being done, the slots done and
    the slots of all. Ctrl-C ends the comparison with what is complete. Raises VerificationFailed if
    a schedule costs less than the bound, or lies outside the program that proved it: then one of
    the two is wrong, and no number is given.
    """
    arguments.check_bound_call(instance, bound_method, limits, constraints, solver_watch)
    arguments.check_schedules(schedules, instance)
    arguments.check_seed(seed)
    arguments.check_callable(watch, "watch")
    if proved is not None:
        arguments.check_bound(proved)
    sensitivity = arguments.names_of(sensitivity, "sensitivity")
    picked = policies is not None
    if policies is None:
        policies = [] if schedules else policy_names(instance)
    policies = arguments.names_of(policies)
    _check_policies(policies, instance)
    watch = watch or _unwatched
    jury = _Jury(instance, bound_method, limits, tuple(constraints), watch, solver_watch, proved)
    results: list[GapResult] = []
    others: dict[str, GapReport] = {}
    left_out: dict[str, str] = {}
    status = DONE
    try:
        if jury.proved.interrupted:
            raise KeyboardInterrupt
        for name, schedule in (schedules or {}).items():
            watch(name, 0, 1)
            results.append(jury.judge(name, schedule))
        for name in policies:
            try:
                run = _attempt(jury, name, seed, watch, limits, solver_watch)
            except Infeasible as error:
                if picked:
                    raise
                left_out[name] = str(error)
                continue
            if isinstance(run, GapResult):
                results.append(run)
                continue
            results.append(jury.judge(name, run.schedule, run.seconds))
            if isinstance(run, Result) and run.status == INTERRUPTED:
                raise KeyboardInterrupt
        for weights in sensitivity:
            others[weights] = gap(
                reweighted(instance, weights),
                policies,
                schedules,
                bound_method if proved is None else proved.source,
                seed,
                watch,
                limits=limits,
                constraints=constraints,
                solver_watch=solver_watch,
            )
            if others[weights].status == INTERRUPTED:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        status = INTERRUPTED
    return GapReport(
        instance.name,
        jury.least,
        jury.proved,
        _from_below(results),
        status,
        others,
        left_out,
        _offline_method(instance, results),
    )


def _offline_method(instance: Instance, results: Sequence[GapResult]) -> str:
    """A method that knows the whole horizon, if none is among the results."""
    known = (OPTIMAL,) if is_placement(instance) else tuple(OFFLINE)
    return "" if any(each.policy in known for each in results) else known[0]


def _cheapest(results: Sequence[GapResult]) -> GapResult | None:
    priced = [each for each in results if each.feasible and each.cost is not None]
    return min(priced, key=lambda each: each.cost, default=None)


def _from_below(results: Sequence[GapResult]) -> tuple[GapResult, ...]:
    """The results with what the cheapest of them says about the others."""
    cheapest = _cheapest(results)
    if cheapest is None:
        return tuple(results)
    return tuple(_held_against(each, cheapest) for each in results)


def _held_against(result: GapResult, cheapest: GapResult) -> GapResult:
    """Rounding puts no distance that is certain above the one that is possible."""
    if not result.feasible or not result.cost or result.gap is None:
        return result
    certain = (result.cost - cheapest.cost) / abs(result.cost)
    return dataclasses.replace(result, gap_at_least=min(certain, result.gap))


class _Jury:
    """A bound, the floor and a user's constraints, against which schedules are held."""

    def __init__(
        self,
        instance: Instance,
        method: str,
        limits: Limits | None,
        constraints: tuple[UserConstraint, ...],
        watch: Watch,
        solver_watch: SolverWatch | None,
        proved: BoundResult | None,
    ) -> None:
        watch(f"bound: {method if proved is None else proved.source}", 0, 1)
        self.instance, self.constraints = instance, constraints
        self.proved = proved or bound(
            instance, method, limits=limits, constraints=constraints, solver_watch=solver_watch
        )
        is_floor = self.proved.source == "floor"
        self.least = self.proved if is_floor else bound(instance, "floor")

    def judge(self, name: str, schedule: Schedule, seconds: float | None = None) -> GapResult:
        return compare(
            self.instance, name, schedule, self.proved, self.least, seconds, self.constraints
        )


def compare(
    instance: Instance,
    name: str,
    schedule: Schedule,
    proved: BoundResult,
    least: BoundResult,
    seconds: float | None = None,
    constraints: Sequence[UserConstraint] = (),
) -> GapResult:
    """One schedule, verified, priced and held against a bound and the floor."""
    arguments.check_instance(instance)
    arguments.check_name(name, "name")
    arguments.check_schedule(schedule, instance, "schedule")
    arguments.check_bound(proved)
    arguments.check_bound(least, "least")
    arguments.check_constraints(constraints)
    check, price = _referee(instance)
    verification = check(instance, schedule)
    if not verification.ok:
        return GapResult(name, schedule, verification, None, None, None, seconds)
    evaluation = price(instance, schedule)
    broken = tuple(each.name for each in constraints if not each.holds(instance, schedule))
    if broken:
        return GapResult(name, schedule, verification, evaluation, None, None, seconds, broken)
    cost = evaluation.cost
    rounding = ROUNDING * max(sum(map(abs, evaluation.costs.values())), abs(proved.value))
    for limit in (proved, least):
        raise_if_refuted(name, instance.name, evaluation.costs, limit.value, limit.source)
    _check_inside(instance, name, schedule, proved, cost)
    above = max(cost - proved.value, 0.0)
    avoidable = cost - least.value
    return GapResult(
        policy=name,
        schedule=schedule,
        verification=verification,
        evaluation=evaluation,
        gap=above / abs(cost) if cost else None,
        avoidable_gap=above / avoidable if avoidable > rounding else None,
        seconds=seconds,
    )


def _check_inside(
    instance: Instance, name: str, schedule: Schedule, proved: BoundResult, cost: float
) -> None:
    """A bound of a program says something about schedules that lie inside it, at no higher cost."""
    if proved.holds is None:
        return
    found = proved.holds(schedule, cost)
    if not found.ok:
        place = f"misses {found.where} by {found.violation:.3g}, " if found.violation else ""
        raise VerificationFailed(
            f"{name}: on {instance.name} the program of the {proved.source} bound {place}prices "
            f"it at {found.objective!r} instead of {found.cost!r} and leaves out {found.lost:g} "
            "of it: the program is wrong, and so may be the bound"
        )


def verify_file(instance: Instance, path: Path) -> Check:
    """Check a schedule file or a bound file against ``instance``. Raises InvalidInput."""
    arguments.check_instance(instance)
    arguments.check_path(path)
    from torta_opt.allocation.bounds import document as bound_document

    checks = {
        schedule_document.FORMAT: (schedule_document.VERSION, _check_schedule),
        bound_document.FORMAT: (bound_document.VERSION, _check_bound),
    }
    if is_placement(instance):
        from torta_opt.placement.bounds import document as placement_bound
        from torta_opt.placement.schedule import document as placement_schedule

        checks = {
            placement_schedule.FORMAT: (placement_schedule.VERSION, _check_placement),
            placement_bound.FORMAT: (placement_bound.VERSION, _check_placement),
        }
    document = read_document(path, {name: version for name, (version, _) in checks.items()})
    _, check = checks[document["format"]]
    try:
        return check(instance, document)
    except InvalidInput as error:
        raise error.within(os.fspath(path)) from None


def load_bound(path: Path, instance: Instance) -> BoundResult:
    """The bound in a file, derived again from its certificate without a solver.

    Raises InvalidInput if it is that of another instance or has no certificate, and
    VerificationFailed if it claims more than can be derived.
    """
    from torta_opt.allocation.bounds import document as bound_document

    _only_allocation(instance)
    arguments.check_path(path)
    document = read_document(path, {bound_document.FORMAT: bound_document.VERSION})
    try:
        found = _rederived(instance, document)
    except InvalidInput as error:
        raise error.within(os.fspath(path)) from None
    if found.problem:
        raise VerificationFailed(f"{os.fspath(path)}: {found.problem}")
    return found.result


def describe(instance: Instance) -> dict[str, Any]:
    """Size, load, floor, and what is legal in the instance but rarely meant."""
    arguments.check_instance(instance)
    if is_placement(instance):
        from torta_opt.placement import family as door

        return door.describe(instance)
    from torta_opt.allocation.instance.utilisation import load_of
    from torta_opt.allocation.instance.warnings import warnings_of

    system = instance.system
    kinds = Counter(system.types[k] for k in system.server_type)
    price = instance.price_usd_per_kwh
    load = load_of(instance)
    least = bound(instance, "floor")
    return {
        "instance": instance.name,
        "description": instance.description,
        "sha256": instance_document.instance_sha256(instance),
        "slots": instance.slots,
        "slot_s": system.slot_s,
        "regions": len(system.regions),
        "servers": len(system.servers),
        "servers_by_type": dict(kinds),
        "servers_on_at_start": int((instance.initial.model >= 0).sum()),
        "models": list(system.models),
        "classes": list(system.classes),
        "requests": instance.requests,
        "requests_by_class": dict(
            zip(system.classes, instance.arrivals.sum(axis=(0, 1)).tolist(), strict=True)
        ),
        "load": load if load != float("inf") else None,
        "outage_server_slots": int((~instance.up).sum()),
        "price_usd_per_kwh": {"min": float(price.min()), "max": float(price.max())},
        "floor": least.value,
        "floor_costs": least.costs,
        "warnings": warnings_of(instance),
    }


def export(
    instance: Instance,
    path: Path,
    format: str | None = None,
    *,
    relaxed: bool = False,
    named: bool = False,
    plain: bool = False,
) -> dict[str, int]:
    """Write the allocation program of ``instance`` as an MPS or LP file; its size.

    The rows are those that the bounds ``lp`` and ``milp`` are computed over, integer knapsack rows
    included; how many of them these are is said beside.

    format    ``mps`` or ``lp``; None: as the name of the file says
    relaxed   servers may be fractions
    named     every server on its own instead of counted by type and region
    plain     without knapsack rows: a weaker program
    """
    _only_allocation(instance)
    arguments.check_path(path)
    if format is not None:
        arguments.check_name(format, "format")
    from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
    from torta_opt.allocation.formulations.matrix import build_allocation_program
    from torta_opt.solvers import write_problem

    program = build_allocation_program(instance, named=named)
    own_rows = len(program.row_lower)
    if not plain:
        program = with_knapsack_rows(program)
    problem = program.problem()
    if relaxed:
        problem = problem.relaxed()
    write_problem(problem, path, format)
    return {
        "rows": problem.rows,
        "knapsack_rows": problem.rows - own_rows,
        "columns": problem.columns,
        "integers": int(problem.integrality.sum()),
        "entries": problem.matrix.nnz,
    }


def reweighted(instance: Instance, weights: Path) -> Instance:
    """``instance`` priced by other weights: ``paper``, ``xNUMBER`` (as in ``x0.25``) or a file."""
    _only_allocation(instance)
    if not isinstance(weights, str | os.PathLike):
        arguments.check_name(weights, "weights")
    weights = os.fspath(weights)
    from torta_opt.allocation.instance.paper_weights import paper_weights
    from torta_opt.allocation.instance.weights_file import load_weights

    if weights == "paper":
        return instance.with_weights(paper_weights(instance.system))
    factor = _factor(weights)
    if factor is not None:
        return instance.with_weights(instance.system.weights.scaled(factor))
    return instance.with_weights(load_weights(weights, instance.system))


def is_placement(instance: Any) -> bool:
    """Whether ``instance`` is one of block placement."""
    if isinstance(instance, Instance):
        return False
    from torta_opt.placement.instance.data import PlacementInstance

    return isinstance(instance, PlacementInstance)


def load_schedule(path: Path, instance: Instance) -> Schedule:
    """A schedule file of ``instance``, of whatever kind that is. Raises InvalidInput."""
    arguments.check_instance(instance)
    arguments.check_path(path)
    if is_placement(instance):
        from torta_opt.placement.schedule.document import load_placement_schedule

        return load_placement_schedule(path, instance)
    return schedule_document.load_schedule(path, instance)


def save_schedule(schedule: Schedule, instance: Instance, path: Path) -> None:
    """Write a schedule of ``instance``, of whatever kind that is."""
    arguments.check_instance(instance)
    arguments.check_schedule(schedule, instance, "schedule")
    arguments.check_path(path)
    if is_placement(instance):
        from torta_opt.placement.schedule.document import save_placement_schedule

        return save_placement_schedule(schedule, instance, path)
    return schedule_document.save_schedule(schedule, path)


def bound_to_document(proved: BoundResult, instance: Instance) -> dict[str, Any]:
    """The content of a bound file."""
    arguments.check_instance(instance)
    arguments.check_bound(proved)
    if is_placement(instance):
        from torta_opt.placement import family as door

        return door.bound_to_document(proved, instance)
    from torta_opt.allocation.bounds.document import bound_to_document as to_document

    return to_document(proved, instance)


def policy_names(instance: Instance | None = None) -> list[str]:
    """Every policy that runs on any instance (of the kind of ``instance``) as it is."""
    if instance is not None:
        arguments.check_instance(instance)
    if instance is not None and is_placement(instance):
        from torta_opt.placement.methods import METHODS

        return list(METHODS)
    from torta_opt.allocation.policies.registry import policy_names as names

    return list(names())


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema of every file format, by the name of the format."""
    from torta_opt.allocation.bounds import document as bound_document
    from torta_opt.allocation.instance import weights_file
    from torta_opt.placement.bounds import document as placement_bound
    from torta_opt.placement.instance import document as placement_document
    from torta_opt.placement.schedule import document as placement_schedule

    homes = (
        instance_document,
        schedule_document,
        weights_file,
        bound_document,
        placement_document,
        placement_schedule,
        placement_bound,
    )
    return {home.FORMAT: home.json_schema() for home in homes}


def _run(instance: Instance, policy: str, seed: int, watch: Watch) -> Run:
    if is_placement(instance):
        return _solve_placement(instance, policy, seed)
    from torta_opt.allocation.policies.registry import create
    from torta_opt.allocation.policies.runner import run

    return run(create(policy), instance, seed, functools.partial(watch, policy))


def _solve_placement(
    instance: Instance,
    method: str,
    seed: int,
    limits: Limits | None = None,
    start: Schedule | None = None,
    constraints: Sequence[UserConstraint] = (),
    solver_watch: SolverWatch | None = None,
) -> Result:
    from torta_opt.placement import family as door

    if constraints:
        raise InvalidInput("constraints go with allocation instances, not with placement")
    found = door.solve(instance, method, seed, limits, start, solver_watch)
    return Result(
        found.schedule,
        found.evaluation,
        found.seconds,
        bound=found.bound,
        status=status_of(found.reached, found.interrupted),
        stopped=found.stopped,
    )


def _referee(instance: Instance) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """(verify, evaluate) of the kind of ``instance``."""
    if is_placement(instance):
        from torta_opt.placement import family as door

        return door.verify, door.evaluate
    return verify, evaluate


def _only_allocation(instance: Instance) -> None:
    arguments.check_instance(instance)
    if is_placement(instance):
        raise InvalidInput(f"{instance.name}: goes with allocation instances, not with placement")


def _solve_optimal(
    instance: Instance,
    limits: Limits | None,
    start: Schedule | None,
    constraints: Sequence[UserConstraint],
    solver_watch: SolverWatch | None,
) -> Result:
    from torta_opt.allocation.search.optimal import solve_optimal

    if start is not None:
        verify(instance, start).raise_if_broken("start")
    found: Optimal = solve_optimal(
        instance, limits, start=start, constraints=constraints, on_progress=solver_watch
    )
    verify(instance, found.schedule).raise_if_broken(OPTIMAL)
    return Result(
        found.schedule,
        evaluate(instance, found.schedule),
        found.seconds,
        bound=found.bound,
        status=status_of(found.reached, found.interrupted),
        stopped=found.stopped,
    )


def _solve_clairvoyant(
    instance: Instance, limits: Limits | None, solved: MergedBound | None = None
) -> Result:
    from torta_opt.allocation.search.clairvoyant import solve_clairvoyant

    found = solve_clairvoyant(instance, limits, solved)
    schedule = dataclasses.replace(found.schedule, method=CLAIRVOYANT)
    verify(instance, schedule).raise_if_broken(CLAIRVOYANT)
    evaluation = evaluate(instance, schedule)
    raise_if_refuted(CLAIRVOYANT, instance.name, evaluation.costs, found.bound, "merged")
    return Result(
        schedule,
        evaluation,
        found.seconds,
        bound=found.bound,
        status=status_of(found.reached, found.interrupted),
        stopped=found.stopped,
    )


def _attempt(
    jury: _Jury,
    name: str,
    seed: int,
    watch: Watch,
    limits: Limits | None,
    solver_watch: SolverWatch | None,
) -> Run | Result | GapResult:
    """As ``_schedule``; where a policy fails, its row says so, and the others go on."""
    from torta_opt.allocation.policies.failures import PolicyFailed

    try:
        return _schedule(jury, name, seed, watch, limits, solver_watch)
    except PolicyFailed as error:
        violation = Violation("policy-failed", 0, error.reason)
        found = Verification((violation,), {violation.rule: 1})
        return GapResult(name, None, found, None, None, None, None)


def _schedule(
    jury: _Jury,
    name: str,
    seed: int,
    watch: Watch,
    limits: Limits | None,
    solver_watch: SolverWatch | None,
) -> Run | Result:
    """What a policy or an offline method does on the jury's instance; both have ``seconds``."""
    if is_placement(jury.instance):
        return _solve_placement(jury.instance, name, seed, limits)
    if name not in OFFLINE:
        return _run(jury.instance, name, seed, watch)
    watch(name, 0, 1)
    if name == OPTIMAL:
        return _solve_optimal(jury.instance, limits, None, jury.constraints, solver_watch)
    return _solve_clairvoyant(jury.instance, limits, jury.proved.merged)


def _unwatched(step: str, done: int, total: int) -> None:
    """Nobody watches."""


def is_online(instance: Instance, method: str) -> bool:
    """Whether a method decides slot by slot, with nothing that a limit could stop."""
    return not is_placement(instance) and method not in OFFLINE


def _check_policies(policies: Sequence[str], instance: Instance) -> None:
    """Refuse an unknown name before the first policy runs."""
    if is_placement(instance):
        from torta_opt.placement.methods import check_method

        for name in policies:
            if name != OPTIMAL:
                check_method(name)
        return
    from torta_opt.allocation.policies.registry import check, summaries

    known = [*summaries(), *OFFLINE]
    for name in policies:
        if name.partition(":")[0] not in known:
            raise InvalidInput(
                f"{name!r:.60} is not a policy; known: {', '.join(known)}", field="policy"
            )
        if name not in OFFLINE:
            check(name)


def _check_schedule(instance: Instance, document: dict[str, Any]) -> Check:
    schedule = schedule_document.schedule_from_document(document, instance)
    found = verify(instance, schedule)
    problems = tuple(f"{violation.rule}: {violation.message}" for violation in found.violations)
    evaluation = evaluate(instance, schedule) if found.ok else None
    return Check(instance.name, "schedule", problems, found.counts, evaluation)


def _check_placement(instance: Instance, document: dict[str, Any]) -> Check:
    from torta_opt.placement import family as door

    found = door.check(instance, document)
    return Check(
        instance.name, found.kind, found.problems, found.counts, found.evaluation, found.bound
    )


def _check_bound(instance: Instance, document: dict[str, Any]) -> Check:
    """A bound is checked by deriving it again without a solver."""
    found = _rederived(instance, document)
    if not found.problem:
        return Check(instance.name, "bound", bound=found.result.value)
    return Check(
        instance.name, "bound", (found.problem,), {"bound-too-high": 1}, bound=found.result.value
    )


@dataclass(frozen=True)
class _Rederived:
    """What a bound file proves, and what is wrong with what it claims."""

    result: BoundResult
    problem: str = ""


def _rederived(instance: Instance, document: dict[str, Any]) -> _Rederived:
    from torta_opt.allocation.bounds.document import bound_from_document, certificate_from_document
    from torta_opt.allocation.bounds.registry import BoundResult, membership, rederived

    began = time.perf_counter()
    entry = bound_from_document(document, instance)
    certificate = certificate_from_document(entry, instance)
    if certificate is None:
        if entry.source != "floor":
            raise InvalidInput(
                f"{entry.source!r} cannot be checked without a solver or a certificate",
                field="source",
            )
        value, holds = bound(instance, "floor").value, None
    else:
        value, holds = rederived(certificate, instance), membership(certificate, instance)
    result = BoundResult(
        value=value,
        source=entry.source,
        certified=certificate is not None,
        seconds=time.perf_counter() - began,
        holds=holds,
        certificate=certificate,
    )
    if entry.value <= value:
        return _Rederived(result)
    what = "the floor" if certificate is None else "what its certificate proves"
    return _Rederived(result, f"bound-too-high: value is {entry.value!r}, {what} is {value!r}")


def _factor(weights: str) -> float | None:
    """The number in ``xNUMBER``; None if it is something else."""
    if not weights.startswith("x"):
        return None
    try:
        factor = float(weights[1:])
    except ValueError:
        return None
    if not 0 < factor < 1e6:
        raise InvalidInput(f"{weights} must lie in (x0, x1e6)", field="weights")
    return factor


def _priced(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "cost": evaluation.cost,
        "costs": evaluation.costs,
        "metrics": evaluation.metrics,
    }

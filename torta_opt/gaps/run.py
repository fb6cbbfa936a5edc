"""A run of policies and methods on an instance, in this process or side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torta_opt import arguments
from torta_opt.families import family_of, guarded
from torta_opt.family import AUTO, Family, Request, unwatched
from torta_opt.gaps.evaluator import GapEvaluator
from torta_opt.io import Infeasible
from torta_opt.io.errors import MethodFailed, TortaOptError
from torta_opt.io.status import DONE, INTERRUPTED
from torta_opt.parallel import as_finished, is_elsewhere, worker_count
from torta_opt.results import (
    BoundResult,
    Found,
    GapReport,
    GapResult,
    Verification,
    Violation,
    cheapest_of,
    relative_gap,
)

if TYPE_CHECKING:
    from torta_opt.family import SolverWatch, Watch
    from torta_opt.solvers import Limits

Instance = Any  # an instance of any family
Schedule = Any

SENSITIVITY = ("x0.25", "x4")  # weights at which gaps are reported beside the instance's own


def gap(
    instance: Instance,
    policies: Sequence[str] | str | None = None,
    schedules: Mapping[str, Schedule] | None = None,
    bound_method: str = AUTO,
    seed: int = 0,
    watch: Watch | None = None,
    *,
    limits: Limits | None = None,
    constraints: Sequence[Any] = (),
    sensitivity: Sequence[str] | str = (),
    solver_watch: SolverWatch | None = None,
    proved: BoundResult | None = None,
    jobs: int = 1,
) -> GapReport:
    """Compare schedules with a bound: how far from the optimum they are, at most and at least.

    Parameters
    ----------
    instance
        An instance of any family.
    policies
        Names of policies and methods to run; a single name is accepted too. If neither policies nor
        schedules are given, all methods that run by default are taken.
    schedules
        Further schedules, by the name that they get in the report.
    bound_method
        The bound to compare with, or ``"auto"``.
    seed
        Seed of all random numbers.
    watch
        Called as ``watch(step, done, total)``.
    limits
        Limits of the bound, and of each method that takes limits.
    constraints
        Constraints of the user. The bound holds for schedules that satisfy them, and a schedule
        that violates one gets no gap.
    sensitivity
        Other weights at which the whole run is repeated, such as ``("x0.25", "x4")``.
    solver_watch
        Called with a sample of the run when the proved bound improves.
    proved
        A bound that is already proved, as ``load_bound`` returns it. Its method is then used for
        ``sensitivity`` too.
    jobs
        Methods that run side by side, each in a process of its own; 0: one per core. Schedules are
        the same for any number. Times are wall-clock times, so they depend on it.

    Returns
    -------
    GapReport
        One result for each schedule. After Ctrl-C it has the results that are complete, and
        ``status`` is ``"interrupted"``. A method that runs beside others is then either complete or
        missing; one that runs alone may still give its best schedule so far.

    Raises
    ------
    InvalidInput
        If an argument is wrong.
    Infeasible
        If a method that was named finds that there is no schedule.
    VerificationFailed
        If a schedule costs less than the bound, or lies outside the program that proved the bound:
        then one of the two is wrong, and no number is returned.

    Examples
    --------
    >>> import torta_opt
    >>> instance = torta_opt.generate("small/loading")
    >>> report = torta_opt.gap(instance, ["greedy_forecast", "clairvoyant"])
    >>> first = report.results[0]
    >>> first.feasible, round(first.gap_at_least, 3), round(first.gap, 3)
    (True, 0.905, 0.906)
    """
    arguments.check_bound_call(instance, bound_method, limits, constraints, solver_watch)
    arguments.check_schedules(schedules, instance)
    arguments.check_seed(seed)
    arguments.check_callable(watch, "watch")
    if proved is not None:
        arguments.check_bound(proved)
    arguments.check_jobs(jobs)
    family = family_of(instance)
    names, picked = _names(family, policies, schedules), policies is not None
    for name in names:
        family.method(name)  # refuses what it does not know before the first one runs
    request = Request(
        seed=seed,
        limits=limits,
        constraints=tuple(constraints),
        watch=watch or unwatched,
        solver_watch=solver_watch,
        known=proved,
    )
    evaluator = GapEvaluator.of(family, instance, bound_method, request)
    run = _Run(evaluator, jobs, [], {}, {})
    status = DONE
    try:
        if evaluator.proved.interrupted:
            raise KeyboardInterrupt
        for name, schedule in (schedules or {}).items():
            request.watch(name, 0, 1)
            run.results.append(evaluator.judge(name, schedule))
        run.attempt(names, picked)
        for weights in arguments.names_of(sensitivity, "sensitivity"):
            run.reweight(weights, names, schedules, proved.source if proved else bound_method)
    except KeyboardInterrupt:
        status = INTERRUPTED
    return run.report(status)


def _names(
    family: Family, policies: Sequence[str] | str | None, schedules: Mapping[str, Any] | None
) -> list[str]:
    if policies is not None:
        return arguments.names_of(policies)
    return [] if schedules else default_methods(family)


def default_methods(family: Family) -> list[str]:
    """Names of the methods that run if none is named."""
    return [name for name, method in family.methods.items() if method.by_default]


@dataclass(frozen=True, eq=False)
class _Run:
    """The parts of a report that are complete so far."""

    evaluator: GapEvaluator
    jobs: int
    results: list[GapResult]
    others: dict[str, GapReport]
    left_out: dict[str, str]

    def attempt(self, names: Sequence[str], picked: bool) -> None:
        """Run methods, and judge what each found; results are in the order of the names."""
        rows: dict[int, GapResult] = {}
        try:
            with closing(self._answers(names)) as found:
                for place, answer in found:
                    row = self._judged(names[place], answer, picked)
                    if row is not None:
                        rows[place] = row
                    if isinstance(answer, Found) and answer.interrupted:
                        raise KeyboardInterrupt
        finally:
            self.results.extend(rows[place] for place in sorted(rows))

    def _answers(
        self, names: Sequence[str]
    ) -> Generator[tuple[int, Found | TortaOptError], None, None]:
        """Place of a name, and what its method finds; side by side, long ones begin first."""
        instance, request = self.evaluator.instance, self.evaluator.request
        workers = worker_count(self.jobs, len(names))
        if workers == 1 and not is_elsewhere():
            for place, name in enumerate(names):
                yield place, _answer(instance, name, request)
            return
        methods = [self.evaluator.family.method(name) for name in names]
        order = sorted(range(len(names)), key=lambda place: not methods[place].knows_future)
        apart = dataclasses.replace(
            request, watch=unwatched, solver_watch=None, known=_without_checks(request.known)
        )
        tasks = [(instance, names[place], apart) for place in order]
        with closing(as_finished(_answer, tasks, workers)) as found:
            for count, (number, answer) in enumerate(found, 1):
                request.watch(f"{names[order[number]]}: finished", count, len(names))
                yield order[number], answer

    def _judged(self, name: str, answer: Found | TortaOptError, picked: bool) -> GapResult | None:
        """The row of a method. If its code failed, the row says so, and others follow."""
        if isinstance(answer, Found):
            return self.evaluator.judge(name, answer.schedule, answer.seconds)
        if isinstance(answer, MethodFailed):
            violation = Violation("policy-failed", answer.reason)
            return GapResult(name, None, Verification((violation,), {violation.rule: 1}))
        if isinstance(answer, Infeasible) and not picked:
            self.left_out[name] = str(answer)
            return None
        raise answer

    def reweight(
        self,
        weights: str,
        names: Sequence[str],
        schedules: Mapping[str, Schedule] | None,
        bound_method: str,
    ) -> None:
        """Repeat the whole run at other weights."""
        evaluator, request = self.evaluator, self.evaluator.request
        report = gap(
            evaluator.family.reweighted(evaluator.instance, weights),
            names,
            schedules,
            bound_method,
            request.seed,
            request.watch,
            limits=request.limits,
            constraints=request.constraints,
            solver_watch=request.solver_watch,
            jobs=self.jobs,
        )
        self.others[weights] = report
        if report.status == INTERRUPTED:
            raise KeyboardInterrupt

    def report(self, status: str) -> GapReport:
        evaluator = self.evaluator
        return GapReport(
            evaluator.instance.name,
            evaluator.least,
            evaluator.proved,
            _from_below(self.results),
            status,
            self.others,
            self.left_out,
            _cheaper(evaluator.family, self.results),
        )


def _answer(instance: Instance, name: str, request: Request) -> Found | TortaOptError:
    """What a method finds, or the error of ours that it ends with."""
    family = family_of(instance)
    method = family.method(name)
    if method.knows_future:
        request.watch(name, 0, 1)
    if "constraints" not in method.takes:
        request = dataclasses.replace(request, constraints=())
    try:
        with guarded(family, name):
            return method.solve(instance, request)
    except TortaOptError as error:
        return error


def _without_checks(known: BoundResult | None) -> BoundResult | None:
    """What a method can continue from: its checks and its certificate stay in this process."""
    if known is None:
        return None
    beside = _without_checks(known.beside)
    return dataclasses.replace(known, holds=None, duals=None, certificate=None, beside=beside)


def _cheaper(family: Family, results: Sequence[GapResult]) -> str:
    """A method that knows the whole horizon, if none is among the results."""
    known = [name for name, method in family.methods.items() if method.knows_future]
    took_part = any(each.policy in known for each in results)
    return "" if took_part or not known else known[0]


def _from_below(results: Sequence[GapResult]) -> tuple[GapResult, ...]:
    """The results with what the cheapest of them says about the others."""
    cheapest = cheapest_of(results)
    if cheapest is None:
        return tuple(results)
    return tuple(_held_against(each, cheapest) for each in results)


def _held_against(result: GapResult, cheapest: GapResult) -> GapResult:
    """Rounding puts no distance that is certain above the one that is possible."""
    certain = relative_gap(result.cost, cheapest.cost)
    if not result.feasible or certain is None or result.gap is None:
        return result
    return dataclasses.replace(result, gap_at_least=min(certain, result.gap))

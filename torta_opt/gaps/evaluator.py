"""One schedule against a bound: verified, priced, and held inside the program of the bound."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torta_opt import arguments
from torta_opt.families import family_of
from torta_opt.family import FLOOR, Family, Request
from torta_opt.io import InvalidInput, VerificationFailed
from torta_opt.results import (
    ROUNDING,
    BoundResult,
    GapResult,
    raise_if_refuted,
    relative_gap,
)

Instance = Any  # an instance of any family
Schedule = Any


@dataclass(frozen=True, eq=False)
class GapEvaluator:
    """Compares schedules of an instance with a bound, the floor and constraints of the user."""

    family: Family
    instance: Instance
    request: Request
    proved: BoundResult
    least: BoundResult

    @classmethod
    def of(cls, family: Family, instance: Instance, method: str, request: Request) -> GapEvaluator:
        known = request.known
        if known is None and method in family.bounds and family.bounds[method].statistical:
            raise _statistical(method)
        request.watch(f"bound: {method if known is None else known.source}", 0, 1)
        proved = known or family.bound(instance, method, request)
        is_floor = proved.source == FLOOR
        least = proved if is_floor else family.bound(instance, FLOOR, Request())
        return cls(family, instance, dataclasses.replace(request, known=proved), proved, least)

    def __post_init__(self) -> None:
        for limit in (self.proved, self.least):
            if limit.statistical:  # an estimate over futures refutes no schedule of this one
                raise _statistical(limit.source)

    def judge(self, name: str, schedule: Schedule, seconds: float | None = None) -> GapResult:
        """Verify a schedule, price it, and compare it with the bound and the floor."""
        family, instance = self.family, self.instance
        verification = family.verify(instance, schedule)
        if not verification.ok:
            return GapResult(name, schedule, verification, seconds=seconds)
        evaluation = family.evaluate(instance, schedule)
        broken = tuple(
            each.name for each in self.request.constraints if not each.holds(instance, schedule)
        )
        if broken:
            return GapResult(
                name, schedule, verification, evaluation, seconds=seconds, broken=broken
            )
        for limit in (self.proved, self.least):
            raise_if_refuted(name, instance.name, evaluation.costs, limit.value, limit.source)
        self._check_inside(name, schedule, evaluation.cost)
        cost, bound = evaluation.cost, min(self.proved.value, evaluation.cost)
        rounding = ROUNDING * max(sum(map(abs, evaluation.costs.values())), abs(bound))
        avoidable = cost - self.least.value
        return GapResult(
            policy=name,
            schedule=schedule,
            verification=verification,
            evaluation=evaluation,
            gap=relative_gap(cost, bound),
            avoidable_gap=(cost - bound) / avoidable if avoidable > rounding else None,
            seconds=seconds,
        )

    def _check_inside(self, name: str, schedule: Schedule, cost: float) -> None:
        """A bound of a program says something about schedules inside it, at no higher cost."""
        if self.proved.holds is None:
            return
        found = self.proved.holds(schedule, cost)
        if not found.ok:
            place = f"misses {found.where} by {found.violation:.3g}, " if found.violation else ""
            raise VerificationFailed(
                f"{name}: on {self.instance.name} the program of the {self.proved.source} bound "
                f"{place}prices it at {found.objective!r} instead of {found.cost!r} and leaves out "
                f"{found.lost:g} of it: the program is wrong, and so may be the bound"
            )


def _statistical(source: str) -> InvalidInput:
    rule = "is statistical: it holds on average over futures, not for one schedule of this instance"
    return InvalidInput(f"{source} {rule}; gap --foresight compares with it", field="bound")


def compare(
    instance: Instance,
    name: str,
    schedule: Schedule,
    proved: BoundResult,
    least: BoundResult,
    seconds: float | None = None,
    constraints: Sequence[Any] = (),
) -> GapResult:
    """Verify a schedule, price it, and compare it with a bound and the floor."""
    arguments.check_instance(instance)
    arguments.check_name(name, "name")
    arguments.check_schedule(schedule, instance, "schedule")
    arguments.check_bound(proved)
    arguments.check_bound(least, "least")
    arguments.check_constraints(constraints, instance)
    request = Request(constraints=tuple(constraints), known=proved)
    evaluator = GapEvaluator(family_of(instance), instance, request, proved, least)
    return evaluator.judge(name, schedule, seconds)

"""What the package returns: one class of each kind, for every problem family.

    gap           = (cost − bound) / |cost|           None if the cost is 0
    gap at least  = (cost − cheapest) / |cost|        likewise; of the cheapest schedule in the run
    avoidable gap = (cost − bound) / (cost − floor)   None if the cost is the floor

The distance to the best possible schedule lies between the second and the first. The avoidable gap
leaves out the part of the cost that no schedule avoids; a small gap can hide all of the rest. Costs
are in the unit of the family: dollars for allocation, seconds for placement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torta_opt.io.errors import VerificationFailed
from torta_opt.io.status import DONE, status_of

if TYPE_CHECKING:
    import numpy as np

ROUNDING = 1e-9  # of a cost: what float64 sums of a million terms can be off by, and more

Schedule = Any  # of a family's own class


def relative_gap(cost: float | None, bound: float | None) -> float | None:
    """(cost − bound)/|cost|; None without one of the two, or if the cost is 0."""
    if cost is None or bound is None or cost == 0:
        return None
    return (cost - bound) / abs(cost)


# --- the referee --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Violation:
    """One broken rule at one place; ``slot`` where the family has slots."""

    rule: str
    message: str
    slot: int | None = None


@dataclass(frozen=True)
class Verification:
    """All rules that a schedule breaks.

    violations   the first ones of each rule, described
    counts       all of them, by rule
    """

    violations: tuple[Violation, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.counts

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each violation that is described."""
        return tuple(f"{each.rule}: {each.message}" for each in self.violations)

    def raise_if_broken(self, subject: str) -> None:
        """Raise VerificationFailed naming ``subject`` and the first violation."""
        if self.ok:
            return
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        raise VerificationFailed(f"{subject}: {self.problems[0]}{more}")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a schedule costs and how it serves.

    cost            in all
    costs           by component, adding up to it
    metrics         measured beside the cost, never part of it; None where there is nothing to
                    measure
    costs_by_slot   costs by component and slot, arrays of shape (T,), where the family has slots
    """

    cost: float
    costs: dict[str, float]
    metrics: dict[str, float | int | None]
    costs_by_slot: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def to_document(self) -> dict[str, Any]:
        return {"cost": self.cost, "costs": self.costs, "metrics": self.metrics}


# --- bounds -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LiftCheck:
    """A schedule held against a relaxation of its instance.

    violation   how far the worst row or column bound is missed, relative to 1 + Σ|a·v| of the row
    where       its name
    objective   what the relaxation charges for the schedule
    cost        what the schedule costs
    lost        requests and servers of the schedule in cells that have no column
    paid        what the schedule pays and earns, the two added up: rounding scales with it
    """

    violation: float
    where: str
    objective: float
    cost: float
    lost: float
    paid: float

    @property
    def ok(self) -> bool:
        """The schedule is inside the relaxation, at no higher cost."""
        dearer = self.objective - self.cost
        return self.violation <= ROUNDING and self.lost == 0 and dearer <= ROUNDING * self.paid


@dataclass(frozen=True)
class BoundResult:
    """A number that no schedule of an instance can beat.

    value        in the unit of the family
    source       the method that proved it; ``floor`` where another ended before it proved anything
    certified    True if a certificate comes with it, from which a checker that uses no solver has
                 derived the value again
    seconds      wall-clock time it took, the checker's included
    costs        parts of the value under the names of the cost components that they bound, where
                 they are known
    holds        checks at run time that a schedule of a given cost lies inside the relaxation that
                 the bound was computed over, at no higher cost; None where the proof does not rest
                 on a relaxation
    solved       what the method has solved, for methods that continue from it
    interrupted  Ctrl-C ended the run: the bound holds, but more time would have made it better
    limited      a limit did so
    certificate  None if the bound is not certified
    beside       the certified bound that an uncertified one goes beyond, where there is one
    stopped      one line on what kept another method from proving anything
    why          what ``auto`` chose and why, in a line; empty if the method was named
    stronger     the method that may prove much more, where it is affordable; empty if none is
    """

    value: float
    source: str
    certified: bool = False
    seconds: float = 0.0
    costs: dict[str, float] = field(default_factory=dict)
    holds: Callable[[Schedule, float], LiftCheck] | None = field(
        default=None, repr=False, compare=False
    )
    solved: Any = field(default=None, repr=False, compare=False)
    interrupted: bool = False
    limited: bool = False
    certificate: Any = field(default=None, repr=False, compare=False)
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

    def to_document(self) -> dict[str, Any]:
        """The bound as part of a report."""
        return {
            "value": self.value,
            "source": self.source,
            "certified": self.certified,
            "certified_value": self.certified_value,
            "seconds": self.seconds,
            "why": self.why or None,
            "stronger": self.stronger or None,
        }


def raise_if_refuted(
    name: str, where: str, costs: Mapping[str, float], bound: float, source: str
) -> None:
    """VerificationFailed if a schedule costs less than a bound: then one of the two is wrong.

    name, where   of the schedule, of the instance
    costs         of the schedule, by component
    bound         of ``source``
    """
    cost = sum(costs.values())
    if cost < bound - ROUNDING * max(sum(map(abs, costs.values())), abs(bound)):
        raise VerificationFailed(
            f"{name}: costs {cost!r} on {where}, less than the {source} bound {bound!r}: "
            "one of the two is wrong"
        )


# --- schedules ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Found:
    """What a method found; its schedule has yet to pass the referee.

    schedule      None where only a bound was found
    seconds       wall-clock time
    bound         what no schedule can beat, where the method proved one on the way
    source        what proved the bound
    reached       what was asked for is reached: the gap, or the end of a program; True for methods
                  that ask for neither
    interrupted   Ctrl-C ended the search
    limited       a limit ended the search before it had used all its means
    stopped       one line on why the search ended
    slot_seconds  (T,) of each decision of a policy; None where all were taken at once
    cost          of the schedule, where the method knows it
    certificate   what proves the bound without a solver, where the method has it
    trace         how cost and bound moved
    """

    schedule: Schedule | None
    seconds: float
    bound: float | None = None
    source: str = ""
    reached: bool = True
    interrupted: bool = False
    limited: bool = False
    stopped: str = ""
    slot_seconds: np.ndarray | None = field(default=None, repr=False)
    cost: float | None = None
    certificate: Any = field(default=None, repr=False)
    trace: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def status(self) -> str:
        return status_of(self.reached, self.interrupted)

    @property
    def gap(self) -> float | None:
        """Of the cost against the bound; None without a schedule, or if its cost is 0."""
        return None if self.schedule is None else relative_gap(self.cost, self.bound)


@dataclass(frozen=True, eq=False)
class Result:
    """A schedule that passed the verifier, and what it costs.

    slot_seconds   (T,) of each decision of a policy; None where all were taken at once
    bound          what no schedule can beat, where the method proved one on the way
    status         ``done``: what was asked for is reached; ``limit``: the method ended before, for
                   want of time, of work or of a stronger method; ``interrupted``: Ctrl-C ended it
    stopped        one line on why a method that continues until a gap is reached has ended
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
        return relative_gap(self.cost, self.bound)

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
            **self.evaluation.to_document(),
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
    evaluation: Evaluation | None = field(default=None, repr=False)
    gap: float | None = None
    avoidable_gap: float | None = None
    seconds: float | None = None
    broken: tuple[str, ...] = ()
    gap_at_least: float | None = None

    @property
    def feasible(self) -> bool:
        return self.verification.ok and not self.broken

    @property
    def cost(self) -> float | None:
        return None if self.evaluation is None else self.evaluation.cost

    @property
    def violations(self) -> dict[str, int]:
        """How often each rule is broken; a user's constraint counts once."""
        return {**self.verification.counts, **dict.fromkeys(self.broken, 1)}

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each violation that is described, the first ones of each rule."""
        kept = (f"{name}: the constraint is not kept" for name in self.broken)
        return (*self.verification.problems, *kept)

    def raise_if_infeasible(self) -> None:
        """VerificationFailed that says which rule or constraint is broken."""
        self.verification.raise_if_broken(self.policy)
        if self.broken:
            raise VerificationFailed(
                f"{self.policy}: breaks the constraint {', '.join(self.broken)}"
            )

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
        return cheapest_of(self.results)

    def to_document(self) -> dict[str, Any]:
        document = {
            "instance": self.instance,
            "floor": self.floor.value,
            "bound": self.bound.to_document(),
            "results": [result.to_document() for result in self.results],
        }
        if self.sensitivity:
            document["sensitivity"] = {
                weights: report.to_document() for weights, report in self.sensitivity.items()
            }
        if self.left_out:
            document["left_out"] = self.left_out
        return document if self.status == DONE else {**document, "status": self.status}


def cheapest_of(results: Sequence[GapResult]) -> GapResult | None:
    """The result of least cost among those that keep every rule; None if there is none."""
    priced = [(each.cost, each) for each in results if each.feasible and each.cost is not None]
    return min(priced, key=lambda pair: pair[0])[1] if priced else None


@dataclass(frozen=True, eq=False)
class Check:
    """What a schedule file or a bound file turned out to be worth.

    kind       ``schedule`` or ``bound``
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
            document |= self.evaluation.to_document()
        if self.bound is not None:
            document["bound"] = self.bound
        return document

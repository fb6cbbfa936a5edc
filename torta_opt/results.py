"""What the package returns: one class of each kind, for every problem family.

    gap           = (cost − bound) / |cost|           None if the cost is 0
    gap at least  = (cost − cheapest) / |cost|        None if the cost is 0
    avoidable gap = (cost − bound) / (cost − floor)   None if the cost is the floor

where *cheapest* is the cost of the cheapest schedule of the run. The distance of a schedule from
the optimum, as a share of its cost, lies between gap at least and gap. The avoidable gap leaves out
the part of the cost that no schedule avoids: a small gap can hide that most of the rest is
avoidable. Costs are in the unit of the family: dollars for allocation, seconds for placement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from torta_opt.io.errors import VerificationFailed
from torta_opt.io.status import DONE, status_of
from torta_opt.io.text import html_table, money, percent

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes

ROUNDING = 1e-9  # share of a cost; more than the rounding error of a float64 sum of a million terms

Schedule = Any  # each family has its own class


def relative_gap(cost: float | None, bound: float | None) -> float | None:
    """``(cost − bound)/|cost|``; None if one of the two is missing, or the cost is 0."""
    if cost is None or bound is None or cost == 0:
        return None
    return (cost - bound) / abs(cost)


# --- the referee --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Violation:
    """One broken rule at one place; ``slot`` is None if the family has no slots."""

    rule: str
    message: str
    slot: int | None = None


@dataclass(frozen=True)
class Verification:
    """All rules that a schedule breaks.

    Attributes
    ----------
    violations : tuple of Violation
        The first ones of each rule, described.
    counts : dict
        The number of violations by rule; empty if the schedule is feasible.
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
        """Raise VerificationFailed that names ``subject`` and the first violation."""
        if self.ok:
            return
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        raise VerificationFailed(f"{subject}: {self.problems[0]}{more}")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The cost of a schedule, and how it serves.

    Attributes
    ----------
    cost : float
        The total, in the unit of the family.
    costs : dict
        The parts of the cost by name; they add up to ``cost``.
    metrics : dict
        Measures that are not part of the cost; None if there is nothing to measure.
    costs_by_slot : dict
        Arrays of shape (T,): the parts of the cost by slot, if the family has slots.
    """

    cost: float
    costs: dict[str, float]
    metrics: dict[str, float | int | None]
    costs_by_slot: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def to_document(self) -> dict[str, Any]:
        return {"cost": self.cost, "costs": self.costs, "metrics": self.metrics}

    def to_frame(self) -> pd.DataFrame:
        """The parts of the cost: one row for each slot, or one row if the family has no slots.

        The tables of ``Schedule.to_frame`` go on to regions and classes.

        Examples
        --------
        >>> import torta_opt
        >>> instance = torta_opt.generate("small/loading")
        >>> frame = torta_opt.solve(instance, "greedy_forecast").evaluation.to_frame()
        >>> len(frame), round(float(frame["cost"].sum()), 3)
        (5, 1.637)
        """
        import pandas as pd

        if not self.costs_by_slot:
            return pd.DataFrame([{**self.costs, "cost": self.cost}])
        frame = pd.DataFrame(self.costs_by_slot)
        frame.index.name = "slot"
        return frame.assign(cost=frame.sum(axis=1))


# --- bounds -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LiftCheck:
    """Whether a schedule, lifted into a relaxation, satisfies its rows at no higher cost.

    Attributes
    ----------
    violation : float
        By how much the worst row or column bound is violated, relative to 1 + Σ|a·v| of the row.
    where : str
        The name of that row or column.
    objective : float
        The objective of the relaxation at the lifted schedule.
    cost : float
        The cost of the schedule.
    lost : float
        Requests and servers of the schedule in cells that have no column.
    paid : float
        The absolute values of all costs and earnings of the schedule, added up: the scale of
        rounding.
    """

    violation: float
    where: str
    objective: float
    cost: float
    lost: float
    paid: float

    @property
    def ok(self) -> bool:
        """True if the schedule lies inside the relaxation, at no higher cost."""
        dearer = self.objective - self.cost
        return self.violation <= ROUNDING and self.lost == 0 and dearer <= ROUNDING * self.paid


@dataclass(frozen=True)
class BoundResult:
    """A number that no schedule of an instance can beat.

    Attributes
    ----------
    value : float
        The bound, in the unit of the family.
    source : str
        The method that proved it; ``floor`` if a limit ended another method before it proved
        anything.
    certified : bool
        True if a certificate comes with the bound, from which a checker that uses no solver has
        derived the value again.
    seconds : float
        Wall-clock time, including that of the checker [s].
    costs : dict
        Parts of the value, by the name of the cost component that each one bounds, if known.
    holds : callable or None
        ``holds(schedule, cost)`` checks that a schedule lies inside the relaxation that the bound
        was computed over, at no higher cost. None if the proof does not rest on a relaxation.
    solved : object
        What the method has solved, for methods that continue from it.
    interrupted : bool
        Ctrl-C ended the run. The bound is valid, but more time would have raised it.
    limited : bool
        A limit ended the run. The bound is valid, but more time would have raised it.
    certificate : object or None
        None if the bound is not certified.
    beside : BoundResult or None
        The certified bound that goes with an uncertified, higher one.
    stopped : str
        One line on what kept another method from proving anything.
    why : str
        What ``auto`` chose and why; empty if the method was named.
    stronger : str
        A method that may prove much more in reasonable time; empty if there is none.
    statistical : bool
        The value is an estimate of what no policy that cannot see ahead beats on average over the
        futures of the instance. It says nothing about a single schedule, and is never certified.
    interval : tuple of float or None
        The 95 % interval of a statistical value.
    scenarios : int
        The number of futures behind a statistical value.
    clairvoyant : float or None
        The mean, over the same futures, of the bound for those who know the future.

    Examples
    --------
    >>> import torta_opt
    >>> proved = torta_opt.bound(torta_opt.generate("small/loading"), "floor")
    >>> proved.source, proved.status, proved.certified
    ('floor', 'done', False)
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
    statistical: bool = False
    interval: tuple[float, float] | None = None
    scenarios: int = 0
    clairvoyant: float | None = None

    @property
    def certified_value(self) -> float | None:
        """The value that a certificate proves; None if there is no certificate."""
        if self.certified:
            return self.value
        return None if self.beside is None else self.beside.value

    @property
    def status(self) -> str:
        """``done``, ``limit`` or ``interrupted``: the bound is valid, more time raises it."""
        return status_of(not self.limited, self.interrupted)

    @property
    def statistics(self) -> dict[str, Any]:
        """What a document says of a statistical bound; nothing of others."""
        if not self.statistical:
            return {}
        return {
            "statistical": True,
            "interval": None if self.interval is None else list(self.interval),
            "scenarios": self.scenarios,
            "clairvoyant": self.clairvoyant,
        }

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

    def to_frame(self) -> pd.DataFrame:
        """One row: value, method, whether it is certified, seconds, and parts of the value."""
        import pandas as pd

        return pd.DataFrame([{**self.to_document(), **self.costs}])


def raise_if_refuted(
    name: str, where: str, costs: Mapping[str, float], bound: float, source: str
) -> None:
    """Raise VerificationFailed if a schedule costs less than a bound: one of the two is wrong.

    Parameters
    ----------
    name, where
        Names of the schedule and of the instance.
    costs
        The cost of the schedule by component.
    bound, source
        The bound and the method that proved it.
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
    """What a method found; its schedule is not verified yet.

    Attributes
    ----------
    schedule : object or None
        None if only a bound was found.
    seconds : float
        Wall-clock time [s].
    bound : float or None
        What no schedule can beat, if the method proved such a number on the way.
    source : str
        The method that proved the bound.
    reached : bool
        The goal is reached: the requested gap, or the end of a program. True for methods that ask
        for neither.
    interrupted : bool
        Ctrl-C ended the search.
    limited : bool
        A limit ended the search before it had used all its means.
    stopped : str
        One line on why the search ended.
    slot_seconds : numpy.ndarray or None
        (T,) seconds of each decision of a policy; None if all decisions were made at once.
    cost : float or None
        Cost of the schedule, if the method knows it.
    certificate : object or None
        What proves the bound without a solver, if the method has it.
    trace : tuple
        How cost and bound changed during the run.
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
        """``(cost − bound)/|cost|``; None if there is no schedule, or its cost is 0."""
        return None if self.schedule is None else relative_gap(self.cost, self.bound)


@dataclass(frozen=True, eq=False)
class Result:
    """A schedule that passed the verifier, and its cost.

    Attributes
    ----------
    schedule : Schedule
        The decisions.
    evaluation : Evaluation
        Cost by component, and metrics.
    seconds : float
        Wall-clock time [s].
    slot_seconds : numpy.ndarray or None
        (T,) seconds of each decision of a policy; None if all decisions were made at once.
    bound : float or None
        What no schedule can beat, if the method proved such a number on the way.
    status : str
        ``done``: the method reached its goal. ``limit``: it ended before that, because of a limit
        on time or work or because no stronger method was left. ``interrupted``: Ctrl-C ended it.
    stopped : str
        One line on why a search for a given gap ended.
    trace : tuple of Progress
        How verified cost and bound changed during the run; empty for methods that keep no record.

    Examples
    --------
    >>> import torta_opt
    >>> result = torta_opt.solve(torta_opt.generate("small/loading"), "optimal")
    >>> result.status, round(result.cost, 3), round(result.bound, 3)
    ('done', 0.155, 0.155)
    >>> result.schedule.processing.shape  # slots, servers, classes
    (5, 2, 1)
    """

    schedule: Schedule = field(repr=False)
    evaluation: Evaluation = field(repr=False)
    seconds: float
    slot_seconds: np.ndarray | None = field(default=None, repr=False)
    bound: float | None = None
    status: str = DONE
    stopped: str = ""
    trace: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def cost(self) -> float:
        """Cost of the schedule, in the unit of the family."""
        return self.evaluation.cost

    @property
    def gap(self) -> float | None:
        """``(cost − bound)/|cost|``; None if the method proved no bound, or the cost is 0."""
        return relative_gap(self.cost, self.bound)

    def to_document(self) -> dict[str, Any]:
        proved = {} if self.bound is None else {"bound": self.bound, "gap": self.gap}
        why = {"stopped": self.stopped} if self.stopped else {}
        record = {"trace": [_sample(each) for each in self.trace]} if self.trace else {}
        return {
            "method": self.schedule.method,
            "seed": self.schedule.seed,
            "status": self.status,
            **why,
            "seconds": self.seconds,
            **proved,
            **self.evaluation.to_document(),
            **record,
        }

    def plot(self, kind: str = "run", ax: Axes | None = None, **data: Any) -> Axes:
        """Draw a picture: ``run``, or one of the schedule with ``instance=`` given.

        Parameters
        ----------
        kind
            A picture that ``torta-opt plot --list`` names.
        ax
            Axes to draw on; a new figure if None.
        data
            What the picture needs beside the result, such as ``instance=``.

        Examples
        --------
        >>> import torta_opt
        >>> instance = torta_opt.generate("small/loading")
        >>> result = torta_opt.solve(instance, "greedy_forecast")
        >>> result.plot("servers", instance=instance).get_ylabel()
        'servers, of 2'
        """
        return _draw(kind, ax, {"result": self, "schedule": self.schedule}, data)


def _sample(progress: Any) -> dict[str, float | None]:
    """One sample of a run for JSON: what is not known yet is null."""
    cost = progress.incumbent if math.isfinite(progress.incumbent) else None
    bound = progress.bound if math.isfinite(progress.bound) else None
    return {"seconds": progress.seconds, "cost": cost, "bound": bound}


def _draw(kind: str, ax: Axes | None, own: dict[str, Any], data: dict[str, Any]) -> Axes:
    """Draw with what the picture accepts of ``own``, and all of ``data``."""
    figures = import_module("torta_opt.report.figures")  # a face: loaded only to draw
    accepted = figures.figure_of(kind).accepts
    axes: Axes = figures.draw(
        kind,
        ax,
        **{name: own[name] for name in own if name in accepted and name not in data},
        **data,
    )
    return axes


@dataclass(frozen=True)
class Foresight:
    """What part of a policy's distance from the clairvoyant bound is foresight, over futures.

    Means with 95 % intervals (low, mean, high) over independent futures; statistical, not proved.

    Attributes
    ----------
    cost : tuple of float
        Of the policy.
    difference : tuple of float
        Cost less the bound for policies that cannot see ahead, paired by future.
    beyond : tuple of float
        Cost less the bound for those who can, paired by future.
    of_which : tuple of float
        From and to how much of ``beyond`` no policy can avoid that cannot see ahead: the two bounds
        apart, and the cheapest policy of the run less the clairvoyant bound.
    """

    cost: tuple[float, float, float]
    difference: tuple[float, float, float]
    beyond: tuple[float, float, float]
    of_which: tuple[float, float]

    def to_document(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in ("cost", "difference", "beyond"):
            low, mean, high = getattr(self, name)
            found[name] = {"mean": mean, "interval": [low, high]}
        return {"foresight": found, "of_which_foresight": list(self.of_which)}


@dataclass(frozen=True)
class Split:
    """The parts of cost − bound, in the unit of the family; they add up to it."""

    servers: float
    requests: float
    learning: float
    bound: float

    @property
    def total(self) -> float:
        return math.fsum((self.servers, self.requests, self.learning, self.bound))

    def to_document(self) -> dict[str, float]:
        return {
            "servers": self.servers,
            "requests": self.requests,
            "learning": self.learning,
            "bound": self.bound,
        }


@dataclass(frozen=True)
class Attribution:
    """A policy's distance from the bound in parts, in both orders of swapping its layers.

    Attributes
    ----------
    policy : str
        Its name.
    cost, bound : float
        What the parts add up to is their difference.
    servers_first, requests_first : Split
        The same distance: servers swapped for the clairvoyant's first, and requests first.
    """

    policy: str
    cost: float
    bound: float
    servers_first: Split
    requests_first: Split

    def to_document(self) -> dict[str, Any]:
        return {
            "attribution": self.servers_first.to_document(),
            "attribution_requests_first": self.requests_first.to_document(),
        }


@dataclass(frozen=True, eq=False)
class GapResult:
    """One schedule compared with the bound; cost and gaps are None if it breaks a rule.

    Attributes
    ----------
    policy : str
        Name of the policy, method or schedule.
    schedule : object or None
        None if the policy failed; the verification then says why.
    verification, evaluation : Verification, Evaluation
        What the referee found.
    gap : float or None
        The largest possible distance from the optimum, as a share of the cost.
    avoidable_gap : float or None
        (cost − bound)/(cost − floor).
    seconds : float or None
        Run time of the policy [s].
    broken : tuple of str
        Names of the user's constraints that the schedule violates.
    gap_at_least : float or None
        The smallest possible distance from the optimum, as a share of the cost: to the cheapest
        schedule verified in the same run. None outside of a report.
    foresight : Foresight or None
        What part of the distance is foresight, where that was asked for.
    attribution : Attribution or None
        Which layer of the policy the distance comes from, where that was asked for.
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
    foresight: Foresight | None = None
    attribution: Attribution | None = None

    @property
    def feasible(self) -> bool:
        return self.verification.ok and not self.broken

    @property
    def cost(self) -> float | None:
        return None if self.evaluation is None else self.evaluation.cost

    @property
    def violations(self) -> dict[str, int]:
        """Violations by rule; a constraint of the user counts once."""
        return {**self.verification.counts, **dict.fromkeys(self.broken, 1)}

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each violation that is described: the first ones of each rule."""
        kept = (f"{name}: the constraint is violated" for name in self.broken)
        return (*self.verification.problems, *kept)

    def raise_if_infeasible(self) -> None:
        """Raise VerificationFailed that names the broken rule or constraint."""
        self.verification.raise_if_broken(self.policy)
        if self.broken:
            raise VerificationFailed(
                f"{self.policy}: violates the constraint {', '.join(self.broken)}"
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
            **self._parts(),
        }

    def _parts(self) -> dict[str, Any]:
        """What the distance is made of; nothing where that was not asked for."""
        if self.attribution is None and self.foresight is None:
            return {}
        found: dict[str, Any] = {} if self.attribution is None else self.attribution.to_document()
        unknown = {"of_which_foresight": None}
        return {**found, **(unknown if self.foresight is None else self.foresight.to_document())}

    def _failure(self) -> dict[str, str]:
        if self.schedule is not None:
            return {}
        return {"failed": self.verification.violations[0].message}


@dataclass(frozen=True, eq=False)
class GapReport:
    """How far schedules of one instance are from the optimum, at most and at least.

    Attributes
    ----------
    instance : str
        Name of the instance.
    floor, bound : BoundResult
        The bound in closed form, and the bound from which gaps are computed.
    results : tuple of GapResult
        One for each schedule.
    status : str
        ``done`` or ``interrupted``.
    sensitivity : dict
        Reports at other weights, by the names that ``reweighted`` takes.
    left_out : dict
        Methods that were not named by the user and found no schedule, with the reason.
    cheaper : str
        A method that may find a cheaper schedule; empty if a method that knows the whole horizon
        took part.
    nonanticipative : BoundResult or None
        The statistical bound for policies that cannot see ahead, where that was asked for.

    Examples
    --------
    >>> import torta_opt
    >>> report = torta_opt.gap(torta_opt.generate("small/loading"), "greedy_forecast")
    >>> report.feasible, report.cheapest.policy, report.cheaper
    (True, 'greedy_forecast', 'clairvoyant')
    >>> sorted(report.to_document())
    ['bound', 'floor', 'instance', 'results']
    """

    instance: str
    floor: BoundResult
    bound: BoundResult
    results: tuple[GapResult, ...]
    status: str = DONE
    sensitivity: dict[str, GapReport] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    cheaper: str = ""
    nonanticipative: BoundResult | None = None

    @property
    def feasible(self) -> bool:
        return all(result.feasible for result in self.results)

    @property
    def cheapest(self) -> GapResult | None:
        """The cheapest schedule that keeps every rule; None if there is none."""
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
        if self.nonanticipative is not None:
            value = {"value": self.nonanticipative.value, "certified": False}
            document["nonanticipative"] = {**value, **self.nonanticipative.statistics}
        return document if self.status == DONE else {**document, "status": self.status}

    def to_frame(self) -> pd.DataFrame:
        """One row for each schedule: cost, gaps, components of the cost, metrics.

        Columns of components begin with ``cost_``. A schedule that breaks a rule has no cost.

        Examples
        --------
        >>> import torta_opt
        >>> report = torta_opt.gap(torta_opt.generate("small/loading"), "greedy_forecast")
        >>> frame = report.to_frame().set_index("policy")
        >>> round(float(frame.loc["greedy_forecast", "cost_expiry"]), 2)
        1.5
        """
        import pandas as pd

        alone = ("policy", "feasible", "cost", "gap", "gap_at_least", "avoidable_gap", "seconds")
        rows = []
        for each in self.results:
            document = each.to_document()
            parts = {f"cost_{name}": value for name, value in document["costs"].items()}
            rows.append(
                {**{name: document[name] for name in alone}, **parts, **document["metrics"]}
            )
        return pd.DataFrame(rows)

    def plot(self, kind: str = "costs", ax: Axes | None = None, **data: Any) -> Axes:
        """Draw a picture of the report: ``costs``, ``gap``, ``frontier`` or ``attribution``.

        Parameters
        ----------
        kind
            A picture that ``torta-opt plot --list`` names.
        ax
            Axes to draw on; a new figure if None.
        data
            What the picture needs beside the report.

        Examples
        --------
        >>> import torta_opt
        >>> report = torta_opt.gap(torta_opt.generate("small/loading"), "greedy_forecast")
        >>> report.plot("gap").get_xlabel()
        'cost of the schedule, $'
        """
        return _draw(kind, ax, {"report": self}, data)

    def _lines(self) -> dict[str, str]:
        named = {f"bound ({self.bound.source})": money([self.bound.value])[0]}
        for each in self.results:
            cost = money([each.cost])[0] if each.feasible else "breaks a rule"
            within = f", gap ≤ {percent(each.gap)}" if each.gap is not None else ""
            named[each.policy] = cost + within
        return named

    def __repr__(self) -> str:
        lines = "; ".join(f"{name}: {text}" for name, text in self._lines().items())
        return f"<GapReport of {self.instance!r}: {lines}>"

    def _repr_html_(self) -> str:
        return html_table(self.instance, self._lines())


def cheapest_of(results: Sequence[GapResult]) -> GapResult | None:
    """The cheapest schedule that keeps every rule; None if there is none."""
    priced = [(each.cost, each) for each in results if each.feasible and each.cost is not None]
    return min(priced, key=lambda pair: pair[0])[1] if priced else None


@dataclass(frozen=True, eq=False)
class Check:
    """The outcome of checking a schedule file or a bound file.

    Attributes
    ----------
    instance : str
        Name of the instance.
    kind : str
        ``schedule`` or ``bound``.
    problems : tuple of str
        One line for each violation that is described; empty if the file holds.
    counts : dict
        Violations by rule.
    evaluation : Evaluation or None
        Cost and metrics of a schedule that keeps every rule.
    bound : float or None
        The value derived from a bound file.
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

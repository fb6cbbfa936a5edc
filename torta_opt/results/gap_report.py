"""Schedules compared with a bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torta_opt.io.errors import VerificationFailed
from torta_opt.io.status import DONE
from torta_opt.io.text import money, percent
from torta_opt.results.bounds import BoundResult
from torta_opt.results.numbers import Schedule
from torta_opt.results.parts import Attribution, Foresight
from torta_opt.results.pictures import draw
from torta_opt.results.referee import Evaluation, Verification
from torta_opt.results.shown import Shown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


NEEDS_FUTURES = "--foresight N"  # what says how much of a distance is foresight


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
        unknown = {"of_which_foresight": None, "of_which_foresight_needs": NEEDS_FUTURES}
        return {**found, **(unknown if self.foresight is None else self.foresight.to_document())}

    def _failure(self) -> dict[str, str]:
        if self.schedule is not None:
            return {}
        return {"failed": self.verification.violations[0].message}


@dataclass(frozen=True, eq=False, repr=False)
class GapReport(Shown):
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
        return draw(kind, ax, {"report": self}, data)

    @property
    def _title(self) -> str:
        return f"GapReport of {self.instance!r}"

    def _entries(self) -> dict[str, str]:
        named = {f"bound ({self.bound.source})": money([self.bound.value])[0]}
        for each in self.results:
            cost = money([each.cost])[0] if each.feasible else "breaks a rule"
            within = f" (gap ≤ {percent(each.gap)})" if each.gap is not None else ""
            named[each.policy] = cost + within
        return named


def cheapest_of(results: Sequence[GapResult]) -> GapResult | None:
    """The cheapest schedule that keeps every rule; None if there is none."""
    priced = [(each.cost, each) for each in results if each.feasible and each.cost is not None]
    return min(priced, key=lambda pair: pair[0])[1] if priced else None

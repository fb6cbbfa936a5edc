"""What the referee says about a schedule: rules it breaks, its cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torta_opt.io.errors import VerificationFailed
from torta_opt.io.text import money
from torta_opt.results.shown import Shown

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Violation:
    """One broken rule at one place; ``slot`` is None if the family has no slots."""

    rule: str
    message: str
    slot: int | None = None


@dataclass(frozen=True, repr=False)
class Verification(Shown):
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

    @property
    def _title(self) -> str:
        return "Verification"

    def _entries(self) -> dict[str, str]:
        return {"valid": "yes" if self.ok else "no", **_numbers(self.counts)}


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Shown):
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
    costs_by_slot: dict[str, np.ndarray] = field(default_factory=dict)

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

    @property
    def _title(self) -> str:
        return "Evaluation"

    def _entries(self) -> dict[str, str]:
        """The cost and the parts that are not 0."""
        parts = {name: value for name, value in self.costs.items() if value}
        amounts = money([self.cost, *parts.values()])
        return dict(zip(("cost", *parts), amounts, strict=True))


@dataclass(frozen=True, eq=False, repr=False)
class Check(Shown):
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

    @property
    def _title(self) -> str:
        return f"Check of a {self.kind} of {self.instance!r}"

    def _entries(self) -> dict[str, str]:
        shown = {"valid": "yes" if self.ok else "no", **_numbers(self.counts)}
        if self.evaluation is not None:
            shown["cost"] = money([self.evaluation.cost])[0]
        return shown if self.bound is None else {**shown, "bound": money([self.bound])[0]}


def _numbers(counts: dict[str, int]) -> dict[str, str]:
    return {rule: f"{count:,}" for rule, count in counts.items()}

"""Bounds, and whether a schedule refutes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torta_opt.io.errors import InvalidInput, VerificationFailed
from torta_opt.io.status import status_of
from torta_opt.io.text import money
from torta_opt.results.numbers import ROUNDING, Schedule
from torta_opt.results.shown import Shown

if TYPE_CHECKING:
    import pandas as pd


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


@dataclass(frozen=True, repr=False)
class BoundResult(Shown):
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
    duals : callable or None
        Returns the duals of the rows that prove the value, by name; None if it rests on none.

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
    holds: Callable[[Schedule, float], LiftCheck] | None = field(default=None, compare=False)
    solved: Any = field(default=None, compare=False)
    interrupted: bool = False
    limited: bool = False
    certificate: Any = field(default=None, compare=False)
    beside: BoundResult | None = None
    stopped: str = ""
    why: str = ""
    stronger: str = ""
    statistical: bool = False
    interval: tuple[float, float] | None = None
    scenarios: int = 0
    clairvoyant: float | None = None
    duals: Callable[[], pd.DataFrame] | None = field(default=None, compare=False)

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

    def to_frame(self, table: str = "value") -> pd.DataFrame:
        """The bound as a data frame.

        Parameters
        ----------
        table
            ``"value"``: one row with the value, the method, whether it is certified, seconds, and
            parts of the value. ``"duals"``: one row for each dual that is not zero, with the names
            of its cell. ``usd`` is what the bound would change by if the right-hand side were one
            unit higher, and ``per`` and ``what`` say which unit of what: the price of server time
            (row ``capacity``) is negative, because more time makes schedules cheaper.

        Raises
        ------
        InvalidInput
            If the table is unknown, or the bound rests on no duals.

        Examples
        --------
        >>> import torta_opt
        >>> proved = torta_opt.bound(torta_opt.generate("small/loading"), "lp")
        >>> duals = proved.to_frame("duals")
        >>> duals.loc[duals["row"] == "route", ["slot", "origin", "per"]].values.tolist()
        [[2, 'east', 'request'], [2, 'west', 'request'], [3, 'east', 'request']]
        """
        import pandas as pd

        if table == "value":
            return pd.DataFrame([{**self.to_document(), **self.costs}])
        if table != "duals":
            raise InvalidInput(f"{table!r:.40} is not a table; known: value, duals", field="table")
        if self.duals is None:
            also = "; beside.to_frame has those of the bound beside it" if self.beside else ""
            raise InvalidInput(f"{self.source} proves its value without duals{also}", "table")
        return self.duals()

    @property
    def _title(self) -> str:
        return f"BoundResult of {self.source}"

    def _entries(self) -> dict[str, str]:
        kind = {} if self.interval is None else {"95 % interval": " to ".join(money(self.interval))}
        proof = "a mean over futures" if self.statistical else "yes" if self.certified else "no"
        shown = {"value": money([self.value])[0], **kind, "certified": proof}
        return {**shown, "status": self.status, "seconds": f"{self.seconds:.2f}"}


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

"""What methods find, and what is left of it once the referee has seen it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torta_opt.io.status import DONE, status_of
from torta_opt.io.text import money, percent
from torta_opt.results.numbers import Schedule, relative_gap
from torta_opt.results.pictures import draw
from torta_opt.results.referee import Evaluation
from torta_opt.results.shown import Shown

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes


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


@dataclass(frozen=True, eq=False, repr=False)
class Result(Shown):
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
    source : str
        The method that proved the bound.
    certified : bool
        True if a checker that uses no solver has derived the bound from a certificate. Searches run
        no checker; ``bound`` does.
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

    schedule: Schedule
    evaluation: Evaluation
    seconds: float
    slot_seconds: np.ndarray | None = None
    bound: float | None = None
    status: str = DONE
    stopped: str = ""
    trace: tuple[Any, ...] = ()
    source: str = ""
    certified: bool = False

    @property
    def cost(self) -> float:
        """Cost of the schedule, in the unit of the family."""
        return self.evaluation.cost

    @property
    def gap(self) -> float | None:
        """``(cost − bound)/|cost|``; None if the method proved no bound, or the cost is 0."""
        return relative_gap(self.cost, self.bound)

    def to_document(self) -> dict[str, Any]:
        proved = {}
        if self.bound is not None:
            proved = {
                "bound": self.bound,
                "gap": self.gap,
                "source": self.source,
                "certified": self.certified,
            }
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
        return draw(kind, ax, {"result": self, "schedule": self.schedule}, data)

    @property
    def _title(self) -> str:
        return f"Result of {self.schedule.method}"

    def _entries(self) -> dict[str, str]:
        cost, bound = money([self.cost, self.bound])
        proved = {} if self.bound is None else {"bound": bound, "gap": percent(self.gap)}
        return {"cost": cost, **proved, "status": self.status, "seconds": f"{self.seconds:.2f}"}


def _sample(progress: Any) -> dict[str, float | None]:
    """One sample of a run for JSON: what is not known yet is null."""
    cost = progress.incumbent if math.isfinite(progress.incumbent) else None
    bound = progress.bound if math.isfinite(progress.bound) else None
    return {"seconds": progress.seconds, "cost": cost, "bound": bound}

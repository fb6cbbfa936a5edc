"""Pictures of instances, schedules and reports: one file and one line of the table for each.

    from torta_opt.report.figures import draw
    draw("servers", instance=instance, schedule=schedule)

Every ``plot_*`` function draws on ``ax``, or on a new figure, and returns the axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from torta_opt.io.errors import InvalidInput
from torta_opt.io.text import did_you_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Figure:
    """A kind of picture: what it shows, its family, and the arguments of its function.

    ``needs`` and ``takes`` name arguments: ``instance``, ``schedule``, ``schedules`` (by name),
    ``report`` (a ``GapReport``, or the document that ``gap --json`` prints), ``result`` (a
    ``Result``, or what ``solve --json`` prints), ``growth`` (what a benchmark writes with
    ``--curves``).
    """

    summary: str
    needs: tuple[str, ...]
    takes: tuple[str, ...] = ()
    family: str = "allocation"

    @property
    def accepts(self) -> tuple[str, ...]:
        return (*self.needs, *self.takes)


FIGURES: Mapping[str, Figure] = {  # the function is plot_NAME in NAME.py
    "gap": Figure("cost of each schedule beside the bound and the floor", ("report",)),
    "costs": Figure("what the cost of each schedule is made of", ("report",)),
    "frontier": Figure("cost against response of the schedules of a report", ("report",)),
    "attribution": Figure("which decisions cause a gap", ("report",), ("policy",)),
    "above_cheapest": Figure(
        "cost of each schedule above the cheapest, over time", ("instance", "schedules")
    ),
    "demand": Figure(
        "requests that arrive, those that the schedule expected, and a forecast with its spread",
        ("instance",),
        ("schedule", "slot", "forecaster"),
    ),
    "servers": Figure("servers ready and loading by model", ("instance", "schedule")),
    "utilisation": Figure("how busy active servers are, and how evenly", ("instance", "schedule")),
    "queues": Figure("requests that wait, and those that expire", ("instance", "schedule")),
    "response": Figure("response of requests by class, with its target", ("instance", "schedule")),
    "routing": Figure(
        "share of each region's requests that goes to each region",
        ("instance", "schedule"),
        ("slot",),
    ),
    "flows": Figure(
        "requests routed between regions, on a map drawn from latencies",
        ("instance", "schedule"),
        ("slot",),
    ),
    "run": Figure("verified cost and proved bound during a run", ("result",)),
    "growth": Figure("seconds against the size of the problem, of a benchmark", ("growth",)),
    "blocks": Figure(
        "blocks of the model on each server, and the routes",
        ("instance", "schedule"),
        family="placement",
    ),
}


def draw(kind: str, ax: Axes | None = None, **data: Any) -> Axes:
    """Draw one kind of picture from what it needs.

    Parameters
    ----------
    kind
        A name of ``FIGURES``.
    ax
        Axes to draw on; a new figure if None.
    data
        The arguments that the kind needs and takes, by name.

    Raises
    ------
    InvalidInput
        If the kind is unknown, or an argument is missing or superfluous.
    """
    figure = figure_of(kind)
    missing = [name for name in figure.needs if data.get(name) is None]
    if missing:
        raise InvalidInput(f"{kind} needs {' and '.join(missing)}", field="plot")
    surplus = [name for name in data if name not in figure.accepts]
    if surplus:
        raise InvalidInput(f"{kind} takes no {surplus[0]}", field="plot")
    function = getattr(import_module(f"{__name__}.{kind}"), f"plot_{kind}")
    from matplotlib import rc_context

    with rc_context({"text.parse_math": False}):  # a dollar sign in a name is one
        axes: Axes = function(**data, ax=ax)
    return axes


def figure_of(kind: str) -> Figure:
    """The entry of a kind. Raises InvalidInput."""
    if kind not in FIGURES:
        hint = did_you_mean(kind, FIGURES, close=0.7) or f"; known: {', '.join(FIGURES)}"
        raise InvalidInput(f"{kind!r:.40} is not a picture{hint}", field="plot")
    return FIGURES[kind]

"""Cost of each schedule in three parts: up to the floor, up to the bound, above the bound."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from torta_opt.report.figures import style
from torta_opt.report.figures.data import document_of, feasible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from torta_opt.results import GapReport


BESIDE: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8}  # browsers drop spaces


def percent_up(share: float) -> str:
    """A share in percent, rounded up: *at most* stays true."""
    return f"{math.ceil(1000 * share) / 10:.1f}"


def plot_gap(report: GapReport | dict[str, Any], ax: Axes | None = None) -> Axes:
    """One bar for each schedule that keeps every rule, the cheapest on top.

    Parameters
    ----------
    report
        A report, or the document that ``torta-opt gap --json`` prints; costs in dollars.
    ax
        Axes to draw on; a new figure if None.

    Returns
    -------
    Axes
        With one bar in three parts for each schedule; the last part is what may be avoidable.
    """
    results = feasible(report)[::-1]
    document = document_of(report)
    floor, bound = document["floor"], document["bound"]["value"]
    ax = style.axes_of(ax, 1.9 + 0.32 * len(results))
    names, costs = [each["policy"] for each in results], [each["cost"] for each in results]
    above = [max(cost - bound, 0.0) for cost in costs]
    ax.barh(names, floor, color=style.GREY, label="floor: no schedule avoids it")
    ax.barh(names, bound - floor, left=floor, color=style.BLUE, label="up to the bound")
    ax.barh(
        names, above, left=bound, color=style.ORANGE, hatch="//", label="above the bound: the gap"
    )
    ax.axvline(bound, color=style.ink(), linewidth=1)
    for row, each in enumerate(results):
        if each["gap"] is not None:
            label = f"gap ≤ {percent_up(each['gap'])} %"
            ax.annotate(label, (each["cost"], row), (5, 0), va="center", **BESIDE)
    top: dict[str, Any] = {
        "xy": (bound, 1.0),
        "xycoords": ax.get_xaxis_transform(),
        "annotation_clip": False,
    }
    label = f"bound {dollars_down(bound)} $"
    ax.annotate(label, xytext=(-4, 0), ha="right", va="bottom", **top, **BESIDE)
    ax.set_xlim(min(0.0, *costs), 1.2 * max(*costs, 0.0) or 1.0)
    style.tidy(ax, f"{document['instance']}: cost and bound", "cost of the schedule, $", "")
    ax.set_title(ax.get_title(loc="left"), loc="left", fontsize=10, pad=14)  # above the bound
    below = -0.5 / (0.7 + 0.32 * len(results))  # inches, in heights of the axes
    ax.legend(loc="upper center", bbox_to_anchor=(0.4, below), ncols=3, frameon=False, fontsize=8)
    return ax


def dollars_down(bound: float) -> str:
    """A bound with four digits, rounded down: what is shown is a bound too."""
    digits = math.floor(math.log10(abs(bound))) + 1 if bound else 4
    decimals = min(max(4 - digits, 0), 9)
    exact = Fraction(repr(float(bound)))  # the digits as they are written, 0.29 is no 0.28999…
    return f"{math.floor(exact * 10**decimals) / 10**decimals:,.{decimals}f}"

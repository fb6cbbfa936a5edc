"""Processor seconds against the size of the problem, both on logarithmic axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt.report.documents import checked_growth
from torta_opt.report.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "osD^vPX*"


def plot_growth(growth: dict[str, Any], ax: Axes | None = None) -> Axes:
    """One line for each way; the legend has the exponent k of the power law sizeᵏ that fits it.

    A dotted line shows what growth in proportion to the size looks like.

    Parameters
    ----------
    growth
        The document that a benchmark writes with ``--curves``: sizes and processor seconds of each
        way, and the machine.
    ax
        Axes to draw on; a new figure if None.

    Raises
    ------
    InvalidInput
        If it is no such document.
    """
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    growth = checked_growth(growth)
    ax = style.axes_of(ax)
    for position, curve in enumerate(growth["curves"]):
        ax.plot(
            curve["sizes"],
            curve["seconds"],
            MARKERS[position % len(MARKERS)] + "-",
            color=style.color_of(position),
            label=_label(curve, growth["size"]),
        )
    _proportional(ax, growth["curves"])
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(sorted({size for curve in growth["curves"] for size in curve["sizes"]}))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    style.tidy(ax, growth["title"], growth["size"], "processor seconds")
    style.legend_beside(ax)
    return ax


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float | None:
    """The k of the power law seconds = a · sizeᵏ by least squares of logarithms; None for one size.

    The exponent of two machines can be compared, their seconds cannot.
    """
    if len(set(sizes)) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _label(curve: dict[str, Any], size: str) -> str:
    power = exponent(curve["sizes"], curve["seconds"])
    return curve["name"] if power is None else f"{curve['name']}: {size}^{power:.1f}"


def _proportional(ax: Axes, curves: Sequence[dict[str, Any]]) -> None:
    """A line of slope 1 through the cheapest start, over all sizes."""
    start = min(curves, key=lambda curve: curve["seconds"][0])
    sizes = [size for curve in curves for size in curve["sizes"]]
    ends = np.array([min(sizes), max(sizes)])
    line = start["seconds"][0] * ends / start["sizes"][0]
    ax.plot(ends, line, ":", color=style.GREY, label="in proportion to the size")

"""Verified cost and proved bound during a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torta_opt.io.errors import InvalidInput
from torta_opt.report.figures import style
from torta_opt.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_run(result: Result | dict[str, Any], ax: Axes | None = None) -> Axes:
    """Cost of the best schedule and the best bound over the seconds of a run, the gap between them.

    Parameters
    ----------
    result
        A result of ``solve`` with a method that proves bounds, such as ``optimal``, or the document
        that ``torta-opt solve --json`` prints.
    ax
        Axes to draw on; a new figure if None.

    Raises
    ------
    InvalidInput
        If the method proved no bound.
    """
    document = result.to_document() if isinstance(result, Result) else result
    if document.get("bound") is None:
        raise InvalidInput(f"{document['method']} proved no bound", field="result")
    last = {name: document[name] for name in ("seconds", "cost", "bound")}
    samples = [*document.get("trace", ()), last]
    seconds = [each["seconds"] for each in samples]
    costs = [math.nan if each["cost"] is None else each["cost"] for each in samples]
    bounds = [math.nan if each["bound"] is None else each["bound"] for each in samples]
    ax = style.axes_of(ax)
    ax.plot(seconds[-1:], costs[-1:], "o", color=style.BLUE)
    ax.plot(seconds[-1:], bounds[-1:], "s", color=style.RED)
    ax.step(seconds, costs, where="post", color=style.BLUE, label="cost of the best schedule")
    ax.step(seconds, bounds, where="post", color=style.RED, linestyle="--", label="bound")
    ax.fill_between(seconds, bounds, costs, step="post", color=style.GREY, alpha=0.25, label="gap")
    ax.ticklabel_format(useOffset=False)  # numbers one can compare with those of the command
    style.tidy(ax, f"{document['method']}: cost and bound of the run", "seconds", "cost")
    style.legend_beside(ax)
    return ax

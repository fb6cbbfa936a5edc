"""What the cost of each schedule is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt.report.figures import style
from torta_opt.report.figures.data import components, document_of, feasible, label_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from torta_opt.results import GapReport


def plot_costs(report: GapReport | dict[str, Any], ax: Axes | None = None) -> Axes:
    """One bar for each schedule, a part for each component of its cost; floor and bound as lines.

    Earnings, as from negative prices of electricity, stand left of zero.

    Parameters
    ----------
    report
        A report, or the document that ``torta-opt gap --json`` prints; costs in dollars.
    ax
        Axes to draw on; a new figure if None.
    """
    results = feasible(report)[::-1]
    document = document_of(report)
    ax = style.axes_of(ax, 1.4 + 0.36 * len(results))
    names = [each["policy"] for each in results]
    left, right = np.zeros(len(results)), np.zeros(len(results))
    shown = [
        name
        for name in components(results[0]["costs"])
        if any(each["costs"].get(name) for each in results)
    ]
    for at, component in enumerate(shown):
        parts = np.array([each["costs"].get(component, 0.0) for each in results])
        start = np.where(parts < 0, left, right)
        ax.barh(
            names,
            parts,
            left=start,
            color=style.color_of(at),
            hatch=style.HATCHES[at // len(style.PALETTE)],
            label=label_of(component),
        )
        left += np.minimum(parts, 0)
        right += np.maximum(parts, 0)
    ax.axvline(document["floor"], color=style.ink(), linestyle=":", label="floor")
    ax.axvline(document["bound"]["value"], color=style.ink(), linestyle="--", label="bound")
    style.tidy(ax, f"{document['instance']}: cost by component", "cost of the schedule, $", "")
    style.legend_beside(ax)
    return ax

"""Which decisions cause the gap of a policy, as steps from the bound to its cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torta_opt.io.errors import InvalidInput
from torta_opt.report.figures import style
from torta_opt.report.figures.data import document_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from torta_opt.results import GapReport

PARTS = {
    "bound": "slack of the bound\nand of the best schedule",
    "requests": "routing and\ndispatch",
    "servers": "server\ndecisions",
    "learning": "learned plan",
}


def plot_attribution(
    report: GapReport | dict[str, Any], policy: str | None = None, ax: Axes | None = None
) -> Axes:
    """A waterfall: the bound, what each layer of decisions adds, the cost of the policy.

    Parameters
    ----------
    report
        A report with attributions (``torta-opt gap --attribute --json``); costs in dollars.
    policy
        The policy to show; the first one that has an attribution if None.
    ax
        Axes to draw on; a new figure if None.

    Raises
    ------
    InvalidInput
        If the report has no attribution of that policy.
    """
    document = document_of(report)
    found = [
        each
        for each in document["results"]
        if each.get("attribution") and policy in (None, each["policy"])
    ]
    if not found:
        raise InvalidInput("has no attribution: torta-opt gap --attribute adds one", field="report")
    result = found[0]
    parts, level = result["attribution"], document["bound"]["value"]
    ax = style.axes_of(ax)
    names, start = ["bound"], level
    ax.bar(0, level, color=style.BLUE)
    shown = [name for name in PARTS if parts.get(name)]
    for at, name in enumerate(shown, start=1):
        ax.bar(
            at, parts[name], bottom=start, color=style.ORANGE if parts[name] >= 0 else style.BLUE
        )
        ax.text(at, start + max(parts[name], 0), f"{parts[name]:+,.2f}", ha="center", va="bottom")
        start += parts[name]
        names.append(PARTS[name])
    ax.bar(len(shown) + 1, result["cost"], color=style.GREY)
    ax.set_xticks(range(len(shown) + 2), [*names, "cost"])
    ax.set_ylim(0.9 * min(level, result["cost"]), None)
    return style.tidy(ax, f"{document['instance']}: {result['policy']}", "", "$")

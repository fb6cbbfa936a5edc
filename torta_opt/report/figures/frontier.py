"""Cost against response: which schedules another one beats in both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torta_opt.io.errors import InvalidInput
from torta_opt.report.figures import style
from torta_opt.report.figures.data import document_of, feasible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from torta_opt.results import GapReport

METRIC = "response_mean_s"


def plot_frontier(report: GapReport | dict[str, Any], ax: Axes | None = None) -> Axes:
    """One point for each schedule; a line joins those that no other one beats in both.

    Parameters
    ----------
    report
        A report, or the document that ``torta-opt gap --json`` prints. Reports at other weights
        (``--sensitivity``) add points, named with their weights.
    ax
        Axes to draw on; a new figure if None.

    Raises
    ------
    InvalidInput
        If the family has no response.
    """
    document = document_of(report)
    points = []
    for weights, each in {"": document, **document.get("sensitivity", {})}.items():
        points += [
            (
                result["costs"],
                result["metrics"].get(METRIC),
                f"{result['policy']} {weights}".strip(),
            )
            for result in feasible(each)
        ]
    measured = [(_money(costs), response, name) for costs, response, name in points if response]
    if not measured:
        raise InvalidInput("has no schedule with a response", field="report")
    ax = style.axes_of(ax)
    best = undominated([(cost, response) for cost, response, _ in measured])
    for at, (cost, response, name) in enumerate(measured):
        face = style.BLUE if at in best else style.GREY
        ax.plot(response, cost, "o" if at in best else "s", color=face)
        ax.annotate(name, (response, cost), (5, 4), textcoords="offset points", fontsize=8)
    line = sorted((measured[at][1], measured[at][0]) for at in best)
    ax.plot(*zip(*line, strict=True), color=style.BLUE, linewidth=1)
    ax.margins(x=0.2, y=0.15)
    title = f"{document['instance']}: money against response"
    return style.tidy(ax, title, "mean response, s", "rent, energy, transfer, loading, $")


def _money(costs: dict[str, float]) -> float:
    from torta_opt.report.figures.data import PAID

    return sum(costs.get(name, 0.0) for name in PAID)


def undominated(points: list[tuple[float, float]]) -> set[int]:
    """Positions of points that no other one beats: as small in both, smaller in one."""
    return {
        at
        for at, (a, b) in enumerate(points)
        if not any(x <= a and y <= b and (x, y) != (a, b) for x, y in points)
    }

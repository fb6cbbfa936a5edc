"""Requests that arrive, by class, and those that a schedule expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torta_opt.report.figures import style
from torta_opt.report.figures.timeline import hours_of, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from torta_opt.allocation.instance import Instance
    from torta_opt.allocation.schedule import Schedule


def plot_demand(
    instance: Instance, schedule: Schedule | None = None, ax: Axes | None = None
) -> Axes:
    """Requests a slot over all regions, classes stacked; the forecast of a schedule as a line.

    Parameters
    ----------
    instance
        The instance.
    schedule
        A schedule whose method made forecasts; others add no line.
    ax
        Axes to draw on; a new figure if None.
    """
    ax = style.axes_of(ax)
    hours, arrivals = hours_of(instance), instance.arrivals.sum(axis=1)
    ax.stackplot(
        hours,
        arrivals.T,
        labels=instance.system.classes,
        colors=[style.color_of(at) for at in range(arrivals.shape[1])],
        alpha=0.85,
        step="post",
    )
    if schedule is not None and schedule.forecast is not None:
        expected = schedule.forecast.sum(axis=1)
        ax.plot(
            hours[1:],
            expected[1:],
            color=style.ink(),
            linestyle="--",
            linewidth=1,
            label="forecast",
        )
    ax.set_ylim(0, None)
    style.tidy(ax, f"{instance.name}: demand", time_axis(instance), "requests a slot")
    style.legend_beside(ax)
    return ax

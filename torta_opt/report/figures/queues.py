"""Requests that wait, and those that expire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torta_opt.report.figures import style
from torta_opt.report.figures.timeline import hours_of, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from torta_opt.allocation.instance import Instance
    from torta_opt.allocation.schedule import Schedule


def plot_queues(instance: Instance, schedule: Schedule, ax: Axes | None = None) -> Axes:
    """Requests that wait at the end of each slot, by class, and expired ones as bars below zero.

    Parameters
    ----------
    instance, schedule
        A schedule and its instance.
    ax
        Axes to draw on; a new figure if None.
    """
    from torta_opt.allocation.schedule.timeline import trace_queues

    ax = style.axes_of(ax)
    queues, hours = trace_queues(instance, schedule), hours_of(instance)
    waiting, expired = queues.queued.sum(axis=1), queues.expired.sum(axis=(1, 2))
    ax.stackplot(
        hours,
        waiting.T,
        labels=instance.system.classes,
        colors=[style.color_of(at) for at in range(waiting.shape[1])],
        step="post",
        alpha=0.85,
    )
    if expired.any():
        ax.vlines(hours, -expired, 0, color=style.RED, label="expired (below zero)")
    if not waiting.any() and not expired.any():
        ax.text(0.5, 0.5, "nothing waits, nothing expires", transform=ax.transAxes, ha="center")
    else:
        ax.axhline(0, color=style.GREY, linewidth=0.6)
    title = f"{instance.name}, {schedule.method}: queues"
    style.tidy(ax, title, time_axis(instance), "requests at the end of the slot")
    style.legend_beside(ax)
    return ax

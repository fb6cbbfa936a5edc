"""Servers ready and loading over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torta_opt.report.figures import style
from torta_opt.report.figures.timeline import hours_of, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from torta_opt.allocation.instance import Instance
    from torta_opt.allocation.schedule import Schedule


def plot_servers(instance: Instance, schedule: Schedule, ax: Axes | None = None) -> Axes:
    """Servers that are on, stacked by model; those that load are hatched, on top.

    Parameters
    ----------
    instance, schedule
        A schedule and its instance.
    ax
        Axes to draw on; a new figure if None.
    """
    from torta_opt.allocation.schedule.frames import server_counts

    ax = style.axes_of(ax)
    ready = server_counts(instance, schedule, "ready").sum(axis=(1, 2))
    loading = server_counts(instance, schedule, "loading").sum(axis=(1, 2, 3))
    hours, models = hours_of(instance), instance.system.models
    ax.stackplot(
        hours,
        ready.T,
        labels=models,
        colors=[style.color_of(at) for at in range(len(models))],
        step="post",
        alpha=0.85,
    )
    on = ready.sum(axis=1)
    ax.fill_between(
        hours,
        on,
        on + loading,
        step="post",
        facecolor="none",
        edgecolor=style.RED,
        hatch="////",
        linewidth=0.5,
        label="loading",
    )
    up = instance.up.sum(axis=1)
    if np.ptp(up):
        ax.step(hours, up, where="post", color=style.GREY, linestyle=":", label="not in outage")
    ax.set_ylim(0, None)
    title = f"{instance.name}, {schedule.method}: servers on"
    style.tidy(ax, title, time_axis(instance), f"servers, of {len(instance.system.servers)}")
    style.legend_beside(ax)
    return ax

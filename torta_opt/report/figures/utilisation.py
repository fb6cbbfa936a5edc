"""How busy active servers are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torta_opt.report.figures import style
from torta_opt.report.figures.timeline import hours_of, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from torta_opt.allocation.instance import Instance
    from torta_opt.allocation.schedule import Schedule


def plot_utilisation(instance: Instance, schedule: Schedule, ax: Axes | None = None) -> Axes:
    """Mean share of the slot for which active servers work, with one standard deviation.

    Parameters
    ----------
    instance, schedule
        A schedule and its instance.
    ax
        Axes to draw on; a new figure if None.
    """
    from torta_opt.allocation.schedule.timeline import trace_servers

    system = instance.system
    on = trace_servers(instance, schedule).on
    busy_ms = np.einsum("tsc,sc->ts", schedule.processing, system.server_ms[system.server_type])
    share = 100 * busy_ms / system.slot_ms
    active = np.maximum(on.sum(axis=1), 1)
    mean = share.sum(axis=1) / active
    spread = np.sqrt((np.where(on, share - mean[:, None], 0.0) ** 2).sum(axis=1) / active)
    ax = style.axes_of(ax)
    hours = hours_of(instance)
    ax.fill_between(
        hours,
        np.maximum(mean - spread, 0),
        np.minimum(mean + spread, 100),
        color=style.BLUE,
        alpha=0.25,
        linewidth=0,
        label="± one standard deviation",
    )
    ax.plot(hours, mean, color=style.BLUE, label="mean of active servers")
    ax.set_ylim(0, 100)
    title = f"{instance.name}, {schedule.method}: utilisation"
    style.tidy(ax, title, time_axis(instance), "share of the slot at work, %")
    style.legend_beside(ax)
    return ax

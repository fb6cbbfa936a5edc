"""Response of served requests by class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torta_opt.report.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from torta_opt.allocation.instance import Instance
    from torta_opt.allocation.schedule import Schedule


def plot_response(instance: Instance, schedule: Schedule, ax: Axes | None = None) -> Axes:
    """Share of the served requests of each class with at most that response; targets as ticks.

    Response is network latency, wait in whole slots and service time.

    Parameters
    ----------
    instance, schedule
        A schedule and its instance.
    ax
        Axes to draw on; a new figure if None.
    """
    from torta_opt.allocation.schedule.metrics import responses

    ax = style.axes_of(ax)
    found = responses(instance, schedule)
    seconds = found.network_s + found.wait_s + found.service_s
    for c, name in enumerate(instance.system.classes):
        mine = found.group == c
        if not mine.any():
            continue
        order = np.argsort(seconds[mine], kind="stable")
        reached = found.count[mine][order].cumsum()
        x, y = seconds[mine][order], 100 * reached / reached[-1]
        target = float(instance.system.slo_s[c])
        ax.step(np.r_[x[0], x], np.r_[0, y], where="post", color=style.color_of(c), label=name)
        within = 100 * found.count[mine][seconds[mine] <= target].sum() / reached[-1]
        ax.plot(target, within, "v", color=style.color_of(c), markersize=7, markeredgecolor="black")
    ax.set_ylim(0, 102)
    if len(seconds) and seconds.min() > 0 and seconds.max() > 20 * seconds.min():
        ax.set_xscale("log")
    title = f"{instance.name}, {schedule.method}: response (▼ target)"
    style.tidy(ax, title, "response, s", "served requests, %")
    style.legend_beside(ax)
    return ax

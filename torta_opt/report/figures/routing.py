"""Where the requests of each region go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torta_opt.io.errors import InvalidInput
from torta_opt.report.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from torta_opt.allocation.instance import Instance
    from torta_opt.allocation.schedule import Schedule

NAMED = 40  # regions whose names can be read


def routed(instance: Instance, schedule: Schedule, slot: int | None) -> np.ndarray:
    """(R, R) requests from each origin to each region, in one slot or in all."""
    flow: np.ndarray = schedule.routing.sum(axis=3)
    if slot is None:
        return flow.sum(axis=0)
    if not 0 <= slot < instance.slots:
        raise InvalidInput(f"{slot} must lie between 0 and {instance.slots - 1}", field="slot")
    return flow[slot]


def plot_routing(
    instance: Instance, schedule: Schedule, slot: int | None = None, ax: Axes | None = None
) -> Axes:
    """Share of each origin's requests (rows) that each region serves (columns).

    Parameters
    ----------
    instance, schedule
        A schedule and its instance.
    slot
        One slot; all together if None.
    ax
        Axes to draw on; a new figure if None.
    """
    flow = routed(instance, schedule, slot)
    share = 100 * flow / np.maximum(flow.sum(axis=1, keepdims=True), 1)
    names = instance.system.regions
    ax = style.axes_of(ax, 5.4)
    image = ax.imshow(share, cmap="cividis", vmin=0, vmax=100)
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.85)
    bar.set_label("share of the origin's requests, %")
    if len(names) <= NAMED:
        size = 8 if len(names) <= 16 else 6
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
        ax.set_yticks(range(len(names)), names, fontsize=size)
    when = "all slots" if slot is None else f"slot {slot}"
    title = f"{instance.name}, {schedule.method}: routing, {when}"
    return style.tidy(ax, title, "region that serves", "origin")

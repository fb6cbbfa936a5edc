"""When schedules become dearer than the cheapest of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torta_opt.report.figures import style
from torta_opt.report.figures.timeline import hours_of, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from torta_opt.allocation.instance import Instance


def plot_above_cheapest(
    instance: Instance, schedules: Mapping[str, Any], ax: Axes | None = None
) -> Axes:
    """Cost up to each slot, less that of the cheapest schedule up to the same slot.

    The bound has no value by slot, so the reference is the schedule that is cheapest in the end.

    Parameters
    ----------
    instance
        The instance.
    schedules
        Schedules of it by name, each valid.
    ax
        Axes to draw on; a new figure if None.
    """
    from torta_opt.allocation.schedule import evaluate

    costs = {
        name: evaluate(instance, schedule).to_frame()["cost"].to_numpy().cumsum()
        for name, schedule in schedules.items()
    }
    cheapest = min(costs, key=lambda name: costs[name][-1])
    ax = style.axes_of(ax)
    hours = hours_of(instance)
    for at, name in enumerate(sorted(costs, key=lambda each: costs[each][-1])):
        ax.plot(
            hours,
            costs[name] - costs[cheapest],
            color=style.color_of(at),
            linestyle=("-", "--", "-.", ":")[at % 4],
            label=name,
        )
    title = f"{instance.name}: cost above that of {cheapest}"
    style.tidy(ax, title, time_axis(instance), "$, added up")
    style.legend_beside(ax)
    return ax

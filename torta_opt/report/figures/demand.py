"""Requests that arrive, by class, what a schedule expected of them, and a forecast's spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torta_opt.io.errors import InvalidInput
from torta_opt.report.figures import style
from torta_opt.report.figures.timeline import hours_of, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from torta_opt.allocation.instance import Instance
    from torta_opt.allocation.schedule import Schedule


FORECASTER = "mean_reverting"  # knows the past alone, so it works on every instance
BANDS = ((0.05, 0.95), (0.25, 0.75))
PATHS = 200
MOST_SLOTS = 96  # of a fan


def plot_demand(
    instance: Instance,
    schedule: Schedule | None = None,
    slot: int | None = None,
    forecaster: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Requests a slot over all regions, classes stacked; the forecast of a schedule as a line.

    With a slot, a fan shows what a forecaster that has seen the slots before it expects of the next
    ones: 50 % and 90 % of its paths lie in the bands.

    Parameters
    ----------
    instance
        The instance.
    schedule
        A schedule whose method made forecasts; others add no line.
    slot
        The first slot of the fan; None: no fan.
    forecaster
        Which forecaster of docs/forecasts.md draws it; None: ``mean_reverting``.
    ax
        Axes to draw on; a new figure if None.

    Raises
    ------
    InvalidInput
        If there is no such slot or forecaster.
    """
    if forecaster is not None and slot is None:
        raise InvalidInput("needs a slot, at which its forecast begins", field="forecaster")
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
    if slot is not None:
        _draw_fan(ax, instance, slot, forecaster or FORECASTER)
    ax.set_ylim(0, None)
    style.tidy(ax, f"{instance.name}: demand", time_axis(instance), "requests a slot")
    style.legend_beside(ax)
    return ax


def _draw_fan(ax: Axes, instance: Instance, slot: int, name: str) -> None:
    hours = hours_of(instance)[slot : slot + MOST_SLOTS]
    bands, middle = fan(instance, slot, name)
    for (low, high), band, alpha in zip(BANDS, bands, (0.3, 0.5), strict=True):
        label = f"{round(100 * (high - low))} % of the forecasts ({name})"
        ax.fill_between(hours, *band, color=style.GREY, alpha=alpha, linewidth=0, label=label)
    ax.plot(hours, middle, color=style.ink(), linewidth=1, label="median forecast")


def fan(instance: Instance, slot: int, name: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Bands (2, H) and median (H,) of the forecast of all requests from a slot on."""
    from torta_opt.allocation.policies.forecasts.registry import Given, path_forecaster

    if not 0 < slot < instance.slots:
        raise InvalidInput(f"{slot} must lie between 1 and {instance.slots - 1}", field="slot")
    forecaster = path_forecaster(name, Given(instance))
    for seen in instance.arrivals[:slot]:
        forecaster.see(seen)
    horizon = min(MOST_SLOTS, instance.slots - slot)
    total = forecaster.forecast(horizon, PATHS, 0).by("all")
    quantiles = total.quantiles([level for band in BANDS for level in band] + [0.5])[..., 0]
    return [quantiles[0:2], quantiles[2:4]], quantiles[4]

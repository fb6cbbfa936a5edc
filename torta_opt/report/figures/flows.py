"""Requests routed between regions, on a map that the latencies give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torta_opt.report.figures import style
from torta_opt.report.figures.routing import routed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from torta_opt.allocation.instance import Instance
    from torta_opt.allocation.schedule import Schedule

SHOWN = 40  # of the largest flows


def positions_of(latency_s: np.ndarray) -> np.ndarray:
    """(R, 2) positions whose distances come close to latencies: classical scaling (Torgerson 1952).

    The eigenvectors of −½·J·D²·J with the two largest eigenvalues, J the centring matrix. A pair
    without a latency counts as far apart as the farthest pair.
    """
    farthest = np.nanmax(latency_s, initial=0.0)
    distance = np.nan_to_num(latency_s, nan=farthest)
    distance = (distance + distance.T) / 2
    np.fill_diagonal(distance, 0.0)
    regions = len(distance)
    centre = np.eye(regions) - 1 / regions
    values, vectors = np.linalg.eigh(-centre @ distance**2 @ centre / 2)
    largest = np.argsort(values)[::-1][:2]
    found = np.zeros((regions, 2))
    kept = vectors[:, largest] * np.sqrt(np.maximum(values[largest], 0.0))
    sign = np.sign(kept[np.abs(kept).argmax(axis=0), range(kept.shape[1])])
    found[:, : kept.shape[1]] = kept * np.where(sign == 0, 1, sign)  # eigenvectors have no sign
    return found


def plot_flows(
    instance: Instance, schedule: Schedule, slot: int | None = None, ax: Axes | None = None
) -> Axes:
    """Regions as circles as large as their demand; arrows as wide as the requests they carry.

    Positions follow from latencies: two regions are as far apart on the map as in time, as closely
    as a plane allows. The 40 largest flows are shown.

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
    place = 1000 * positions_of(instance.system.latency_s)
    ax = style.axes_of(ax, 5.0)
    demand, between = flow.sum(axis=1), np.where(np.eye(len(flow), dtype=bool), 0, flow)
    largest = max(int(between.max()), 1)
    order = np.argsort(between, axis=None)[::-1][:SHOWN]
    for i, j in zip(*np.unravel_index(order, between.shape), strict=True):
        if between[i, j]:
            _arrow(ax, place[i], place[j], between[i, j] / largest)
    size = 30 + 350 * demand / max(int(demand.max()), 1)
    kept = np.diag(flow) / np.maximum(demand, 1)
    dots = ax.scatter(
        place[:, 0], place[:, 1], s=size, c=100 * kept, cmap="cividis", vmin=0, vmax=100, zorder=3
    )
    ax.figure.colorbar(dots, ax=ax, shrink=0.8, label="served where they arise, %")
    for name, (x, y) in zip(instance.system.regions, place, strict=True):
        ax.annotate(name, (x, y), (6, 6), textcoords="offset points", fontsize=7, zorder=4)
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.12)
    when = "all slots" if slot is None else f"slot {slot}"
    title = f"{instance.name}, {schedule.method}: flows, {when} (widest {largest:,} requests)"
    return style.tidy(ax, title, "distance in latency, ms", "ms")


def _arrow(ax: Axes, start: np.ndarray, end: np.ndarray, share: float) -> None:
    ax.annotate(
        "",
        (end[0], end[1]),
        (start[0], start[1]),
        arrowprops={
            "arrowstyle": "-|>",
            "connectionstyle": "arc3,rad=0.12",
            "color": style.ORANGE,
            "alpha": 0.3 + 0.6 * share,
            "linewidth": 0.5 + 4 * share,
            "shrinkA": 6,
            "shrinkB": 6,
        },
        zorder=2,
    )

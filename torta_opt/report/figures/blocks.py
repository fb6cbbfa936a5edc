"""Blocks of a model on servers, and how often each server is visited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt.report.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_blocks(instance: Any, schedule: Any, ax: Axes | None = None) -> Axes:
    """One bar for each server that hosts blocks, as dark as its visits by requests.

    Parameters
    ----------
    instance, schedule
        A placement instance and a schedule of it.
    ax
        Axes to draw on; a new figure if None.
    """
    placement, routes = schedule.placement, schedule.routes
    visits = np.zeros(len(instance.servers), int)
    for route in routes:
        visits[list(route.servers)] += 1
    hosts = np.flatnonzero(placement.count > 0)
    order = hosts[np.lexsort((placement.end[hosts], placement.first[hosts]))]
    ax = style.axes_of(ax, 1.4 + 0.22 * len(order))
    kinds = instance.servers.kind[order]
    strength = 0.25 + 0.75 * visits[order] / max(int(visits.max()), 1)
    for row, (server, kind, alpha) in enumerate(zip(order, kinds, strength, strict=True)):
        first, count = int(placement.first[server]), int(placement.count[server])
        ax.barh(row, count, left=first, color=style.color_of(int(kind)), alpha=float(alpha))
        ax.text(first + count, row, f" {visits[server]} requests", va="center", fontsize=7)
    for kind in np.unique(kinds):
        name = instance.servers.kinds[kind]
        ax.barh(0, 0, color=style.color_of(int(kind)), label=name)
    ax.set_yticks(range(len(order)), [instance.servers.names[s] for s in order], fontsize=7)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.2 * instance.llm.blocks)
    title = f"{instance.name}, {schedule.method}: blocks hosted"
    style.tidy(ax, title, f"block, of {instance.llm.blocks}", "server")
    style.legend_beside(ax)
    return ax

"""The numbers that the explorer of a page draws, slot by slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

MAX_CELLS = 2_500_000  # of all arrays of a page together: some 6 MB of text


def explorer_data(instance: Any, schedules: Mapping[str, Any]) -> dict[str, Any] | None:
    """Requests and servers of each schedule by slot, region and class; None if there is nothing.

    Schedules are left out from the last one on, by name, where the page would become too large.
    """
    if instance is None or not schedules or not hasattr(instance, "arrivals"):
        return None
    system = instance.system
    regions, classes, models = len(system.regions), len(system.classes), len(system.models)
    cells = instance.slots * regions * (3 * classes + 2 * models)
    most = max((MAX_CELLS - instance.arrivals.size) // cells, 1)
    shown = dict(list(schedules.items())[:most])
    return {
        "name": instance.name,
        "slots": instance.slots,
        "slot_s": system.slot_s,
        "regions": list(system.regions),
        "classes": list(system.classes),
        "models": list(system.models),
        "arrivals": _flat(instance.arrivals),
        "schedules": {name: _numbers(instance, each) for name, each in shown.items()},
        "left_out": [name for name in schedules if name not in shown],
    }


def _numbers(instance: Any, schedule: Any) -> dict[str, Any]:
    from torta_opt.allocation.schedule.frames import server_counts
    from torta_opt.allocation.schedule.timeline import trace_queues

    queues = trace_queues(instance, schedule)
    flow = schedule.routing.sum(axis=3)
    t, i, j = np.nonzero(flow)
    moves = i != j
    return {
        "served": _flat(queues.served),
        "waiting": _flat(queues.queued),
        "expired": _flat(queues.expired),
        "ready": _flat(server_counts(instance, schedule, "ready").sum(axis=2)),
        "loading": _flat(server_counts(instance, schedule, "loading").sum(axis=2)),
        "moved": _largest_moves(t[moves], i[moves], j[moves], flow[t, i, j][moves], instance.slots),
    }


def _largest_moves(
    slot: np.ndarray, origin: np.ndarray, region: np.ndarray, count: np.ndarray, slots: int
) -> list[list[int]]:
    """Per slot the eight largest flows between regions: origin, region, requests, in turn."""
    moves: list[list[int]] = [[] for _ in range(slots)]
    order = np.lexsort((-count, slot))
    for at in order.tolist():
        kept = moves[int(slot[at])]
        if len(kept) < 24:
            kept += [int(origin[at]), int(region[at]), int(count[at])]
    return moves


def _flat(array: np.ndarray) -> list[int]:
    flat: list[int] = array.ravel().tolist()
    return flat

"""The numbers that the explorer of a page draws, slot by slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

MAX_NUMBERS = 1_400_000  # of all arrays of a page together, packed: some 4 MB of text


def explorer_data(instance: Any, schedules: Mapping[str, Any]) -> dict[str, Any] | None:
    """Requests and servers of each schedule by slot, region and class; None if there is nothing.

    Schedules are left out from the last one on, by name, where the page would become too large.
    """
    if instance is None or not schedules or not hasattr(instance, "arrivals"):
        return None
    system = instance.system
    arrivals = packed(instance.arrivals)
    left = MAX_NUMBERS - len(arrivals)
    shown: dict[str, Any] = {}
    for name, schedule in schedules.items():
        numbers = _numbers(instance, schedule)
        left -= sum(map(len, numbers.values()))
        if left < 0 and shown:
            break
        shown[name] = numbers
    return {
        "name": instance.name,
        "slots": instance.slots,
        "slot_s": system.slot_s,
        "regions": list(system.regions),
        "classes": list(system.classes),
        "models": list(system.models),
        "arrivals": arrivals,
        "schedules": shown,
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
        "served": packed(queues.served),
        "waiting": packed(queues.queued),
        "expired": packed(queues.expired),
        "ready": packed(server_counts(instance, schedule, "ready").sum(axis=2)),
        "loading": packed(server_counts(instance, schedule, "loading").sum(axis=2)),
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


def packed(array: np.ndarray) -> list[int]:
    """The numbers of an array, all at least 0; n zeros in a row, n > 1, are one number −n."""
    flat = array.ravel()
    at = np.flatnonzero(flat)
    zeros = np.diff(at, prepend=-1, append=len(flat)) - 1  # before each number, and at the end
    numbers = np.zeros((len(zeros), 2), np.int64)
    numbers[:, 0] = np.where(zeros == 1, 0, -zeros)
    numbers[:-1, 1] = flat[at]
    kept = np.ones(numbers.shape, bool)
    kept[:, 0] = zeros > 0
    kept[-1, 1] = False
    found: list[int] = numbers[kept].tolist()
    return found

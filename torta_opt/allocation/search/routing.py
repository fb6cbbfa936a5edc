"""From what servers process to which region each request is sent.

``inflow_of`` reads off first in, first out which arrivals each region serves; ``route`` sends them
there, slot by slot, at the least cost of network, transfer and re-routing (``slot_routing.py``).
"""

from __future__ import annotations

import math
import time

import numpy as np

from torta_opt.allocation.formulations.server_hull import fill_first
from torta_opt.allocation.instance.data import Instance, System
from torta_opt.allocation.search.slot_routing import Router


def send_rest(instance: Instance, work: np.ndarray, inflow: np.ndarray) -> np.ndarray:
    """Arrivals that no region is to serve go where the class is not processed until they expire.

    work, inflow   (T, R, C) requests processed, and arrivals that each region is to get
    """
    system = instance.system
    rest = instance.arrivals.sum(axis=1) - inflow.sum(axis=1)
    total = inflow.copy()
    for t, c in zip(*np.nonzero(rest), strict=True):
        until = t + int(system.deadline_slots[c]) + 1
        busy = work[t:until, :, c].sum(axis=0)
        total[t, int(np.argmin(busy)), c] += rest[t, c]
    return total


def clip_to_available(
    instance: Instance, routing: np.ndarray, processing: np.ndarray
) -> np.ndarray:
    """(T, S, C) the processing, less what has not come to the region that was to process it.

    That happens where data residency kept it away, or where it waits elsewhere before slot 0.
    """
    system = instance.system
    waiting = instance.initial.backlog
    most = max(int(system.deadline_slots.max(initial=0)), waiting.shape[2])
    ages = np.zeros((*waiting.shape[:2], most + 1), np.int64)
    ages[:, :, 1 : waiting.shape[2] + 1] = waiting
    stays = np.arange(most + 1) < system.deadline_slots[:, None]
    done = processing.copy()
    for t in range(instance.slots):
        ages[:, :, 0] = routing[t].sum(axis=0)
        there = ages.sum(axis=2)
        done[t] = clip_slot(system, there, done[t])
        served = np.zeros_like(there)
        np.add.at(served, system.server_region, done[t])
        older = ages[:, :, ::-1].cumsum(axis=2)[:, :, ::-1] - ages
        ages -= np.clip(served[:, :, None] - older, 0, ages)
        ages[:, :, 1:] = np.where(stays, ages, 0)[:, :, :-1].copy()
    return done


def clip_slot(system: System, there: np.ndarray, processing: np.ndarray) -> np.ndarray:
    """(S, C) the processing of one slot, no more than is ``there`` (R, C): the first servers of a
    region keep theirs."""
    done = processing.copy()
    for j in range(len(there)):
        servers = np.flatnonzero(system.server_region == j)
        done[servers] = fill_first(there[j], done[servers])
    return done


def inflow_of(
    arrivals: np.ndarray, backlog: np.ndarray, work: np.ndarray, deadline_slots: np.ndarray
) -> np.ndarray:
    """(T, R, C) arrivals of each slot that each region serves, first in, first out.

    The k-th request of a class that is served is the k-th that arrived of those served; within a
    slot regions take theirs in turn.

    arrivals, work   (T, C) of those served, (T, R, C) processed
    backlog          (C, A) what waits before slot 0, by age
    """
    inflow = np.zeros(work.shape, np.int64)
    for c, deadline in enumerate(deadline_slots.tolist()):
        waiting = np.zeros(deadline + 1, np.int64)  # by age
        waiting[1 : backlog.shape[1] + 1] = backlog[c, :deadline]
        for t in range(len(work)):
            waiting[0] = arrivals[t, c]
            for j in np.flatnonzero(work[t, :, c]):
                older = waiting[::-1].cumsum()[::-1] - waiting
                taken = np.clip(work[t, j, c] - older, 0, waiting)
                waiting -= taken
                ages = np.flatnonzero(taken[: t + 1])
                inflow[t - ages, j, c] += taken[ages]
            waiting[1:] = waiting[:-1].copy()
    return inflow


def route(
    instance: Instance,
    inflow: np.ndarray,
    *,
    branch_until: float = 0.0,
    until: float = math.inf,
) -> np.ndarray:
    """(T, R, R, C) whole requests from origins to regions that receive ``inflow`` (T, R, C).

    Slot by slot at the least cost of network, transfer and re-routing since the slot before. Where
    data residency forbids what a region is to receive, requests go elsewhere at a penalty.

    branch_until   until then (``time.monotonic()``) flows are made whole with re-routing in mind:
                   less of it, in twice the time
    until          from then on (the same clock) no program is solved: requests stay at home where
                   they are to be processed, and fill the other regions in order
    """
    routing = np.zeros((*instance.arrivals.shape[:2], *inflow.shape[1:]), np.int64)
    router = Router(instance)
    before = instance.initial.routing
    for t in range(instance.slots):
        now = time.monotonic()
        if now < until:
            routing[t] = router.slot(instance.arrivals[t], inflow[t], before, now < branch_until)
        else:
            routing[t] = _in_order(instance.system.allowed, instance.arrivals[t], inflow[t])
        before = routing[t].sum(axis=2)
    return routing


def _in_order(allowed: np.ndarray, arrivals: np.ndarray, inflow: np.ndarray) -> np.ndarray:
    """(R, R, C) requests of one slot to regions that receive ``inflow`` (R, C): those at home
    first, then all others in order. What may go to none of them goes where it may.
    """
    home = np.arange(len(arrivals))
    routed = np.zeros((len(home), *arrivals.shape), np.int64)
    routed[home, home] = np.where(allowed[home, home, None], np.minimum(arrivals, inflow), 0)
    left, room = arrivals - routed[home, home], inflow - routed[home, home]
    for i, c in np.argwhere(left):
        sent = fill_first(left[i, c], np.where(allowed[i], room[:, c], 0))
        room[:, c] -= sent
        sent[np.argmax(allowed[i])] += left[i, c] - sent.sum()
        routed[i, :, c] += sent
    return routed

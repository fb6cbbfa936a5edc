"""What follows from a schedule's decisions: server states and queues over the horizon.

Shared by ``evaluate`` and ``verify``. Servers are traced slot by slot, all at once; queues need no
loop over slots, since with first-in-first-out service the number expired by the end of slot t is

    E[t] = max(E[t−1], N[t−ℓ] − S[t]),   N arrivals and S services accumulated over slots,

a running maximum (in slot T−1, where everything left expires, N[t] takes the place of N[t−ℓ]).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import OFF, Instance
from torta_opt.allocation.schedule.data import Command, Schedule


@dataclass(frozen=True, eq=False)
class ServerTimeline:
    """Servers over the horizon, all (T, S), after outages and legal commands of each slot.

    model_before, loading_before   at the start of the slot, the outage applied
    model                          ready or loading, −1 if off or down
    on                             draws power and pays rent
    usable_ms                      time for processing
    """

    model_before: np.ndarray
    loading_before: np.ndarray
    model: np.ndarray
    on: np.ndarray
    usable_ms: np.ndarray


@dataclass(frozen=True, eq=False)
class QueueTimeline:
    """Queues over the horizon, all (T, R, C).

    inflow   requests routed to the region
    served   requests processed there
    queued   requests that wait at the end of the slot; negative where more is served than is there
    expired  requests that expire at the end of the slot
    """

    inflow: np.ndarray
    served: np.ndarray
    queued: np.ndarray
    expired: np.ndarray


def trace_servers(instance: Instance, schedule: Schedule) -> ServerTimeline:
    """States of every server; an illegal command leaves its server as it is."""
    system, initial = instance.system, instance.initial
    slots, servers = schedule.command.shape
    model_before = np.empty((slots, servers), np.int64)
    loading_before, model, usable = (np.empty_like(model_before) for _ in range(3))
    on = np.empty((slots, servers), bool)
    start_ms, switch_ms = _loading_times(instance, schedule)
    now, loading = initial.model.copy(), initial.loading_ms.copy()
    for t in range(slots):
        now[~instance.up[t]] = OFF
        loading[~instance.up[t]] = 0
        model_before[t], loading_before[t] = now, loading
        command, target = schedule.command[t], schedule.command_model[t]
        legal = _legal(command, target, now, loading, start_ms[t], instance.up[t])
        starts = legal & (command == Command.START)
        switches = legal & (command == Command.SWITCH)
        now = np.where(starts | switches, target, now)
        now[legal & (command == Command.STOP)] = OFF
        loading = np.where(starts, start_ms[t], np.where(switches, switch_ms[t], loading))
        lost = np.minimum(loading, system.slot_ms)
        model[t], on[t] = now, now != OFF
        usable[t] = np.where(on[t], system.slot_ms - lost, 0)
        loading = loading - lost
    return ServerTimeline(model_before, loading_before, model, on, usable)


def _loading_times(instance: Instance, schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """(T, S) start and switch time of the model each command names; −1 if there is none."""
    system = instance.system
    named = (schedule.command_model >= 0) & (schedule.command_model < len(system.models))
    target = np.where(named, schedule.command_model, 0)
    start = np.where(named, system.start_ms[system.server_type, target], -1)
    return start, np.where(named, system.switch_ms[system.server_type, target], -1)


def _legal(
    command: np.ndarray,
    target: np.ndarray,
    model: np.ndarray,
    loading: np.ndarray,
    start_ms: np.ndarray,
    up: np.ndarray,
) -> np.ndarray:
    ready = (model != OFF) & (loading == 0)
    loadable = start_ms >= 0
    return up & (
        ((command == Command.START) & (model == OFF) & loadable)
        | ((command == Command.STOP) & ready & (target == OFF))
        | ((command == Command.SWITCH) & ready & loadable & (target != model))
    )


def trace_queues(instance: Instance, schedule: Schedule) -> QueueTimeline:
    """Arrivals, services, queues and expiries of every region and class."""
    system, backlog = instance.system, instance.initial.backlog
    inflow = schedule.routing.sum(axis=1)
    served = served_by_region(instance, schedule.processing)
    oldest = int(system.deadline_slots.max())
    backlog = backlog[:, :, :oldest]
    early = np.zeros((oldest, *inflow.shape[1:]), np.int64)  # slots −oldest … −1
    early[oldest - backlog.shape[2] :] = np.moveaxis(backlog, 2, 0)[::-1]
    arrived = np.concatenate([early, inflow]).cumsum(axis=0)
    due = np.empty_like(inflow)
    for c, deadline in enumerate(system.deadline_slots):
        due[:, :, c] = arrived[oldest - deadline : oldest - deadline + len(inflow), :, c]
    due[-1] = arrived[-1]
    gone = served.cumsum(axis=0)
    expired = np.maximum.accumulate(np.maximum(due - gone, 0), axis=0)
    return QueueTimeline(
        inflow=inflow,
        served=served,
        queued=arrived[oldest:] - gone - expired,
        expired=np.diff(expired, axis=0, prepend=0),
    )


def served_by_region(instance: Instance, processing: np.ndarray) -> np.ndarray:
    """(T, R, C) requests processed in each region."""
    system = instance.system
    served = np.zeros((len(processing), len(system.regions), len(system.classes)), np.int64)
    order = np.argsort(system.server_region, kind="stable")
    homes = system.server_region[order]
    first = np.flatnonzero(np.diff(homes, prepend=-1))
    served[:, homes[first]] = np.add.reduceat(processing[:, order], first, axis=1)
    return served


def hot_requests(instance: Instance, processing: np.ndarray) -> np.ndarray:
    """(T, S, C) of the requests processed, how many are hot: min(z[t], ⌊h·z[t−1]/1000⌋)."""
    before = np.concatenate([instance.initial.processing[None], processing[:-1]])
    return np.minimum(processing, instance.system.hot_permille * before // 1000)

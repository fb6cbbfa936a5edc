"""The legal schedule nearest to a log, and what had to be bent.

A log is what happened; a schedule must keep every rule of the problem. It is played slot by slot:

1. Requests go where the log sent them. A pair that is forbidden goes to the nearest region that is
   allowed. Where the log has more or fewer requests of a slot, origin and class than the instance,
   its shares are kept and rounded by largest remainder; where it has none, requests stay at the
   nearest region that can serve them.
2. Servers follow the replica counts as closely as legal commands can: what is loading takes no
   command, a down server is off, a region has no more servers than it has. Missing replicas are
   started (or switched from replicas that are too many), the cheapest type first where the log does
   not name types.
3. Requests are handed to the servers that the log names as far as they hold the model and have
   time, and else evenly to the others of the region; what finds no time waits.

Each step departs from the log only where a rule forbids to follow it; that the whole departs least
is not claimed, since what a server takes in one slot changes what it can do in the next.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import Instance, System
from torta_opt.allocation.log.records import ReplicaLog, RequestLog, read_replicas, read_requests
from torta_opt.allocation.policies.dispatch import Capacity, fill_evenly, fill_in_order, sum_by
from torta_opt.allocation.policies.fleets.rule import FleetRule, View
from torta_opt.allocation.policies.layered import LayeredPolicy
from torta_opt.allocation.policies.routing import apportion
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.replay.requests import requests_of
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.timeline import trace_servers

METHOD = "log"


@dataclass(frozen=True)
class Bent:
    """What had to be bent.

    rows, outside        rows of requests; those of them before or after the horizon
    logged               requests of the log within the horizon
    added, dropped       requests that only the instance has, or only the log
    moved                requests that the log sent over a forbidden pair
    other_server         requests of which the log names a server that did not process them
    waiting              requests served in a later slot than that of their arrival
    expired              requests that expire
    replica_slots        replicas of the log, added up over the slots
    missing, extra       replica-slots that the schedule has too few or too many
    loading              replica-slots in which a replica of the schedule only loads
    """

    rows: int
    outside: int
    logged: int
    added: int
    dropped: int
    moved: int
    other_server: int
    waiting: int
    expired: int
    replica_slots: int
    missing: int
    extra: int
    loading: int

    def to_document(self) -> dict[str, int]:
        return dataclasses.asdict(self)


def from_log(
    instance: Instance,
    requests: str | os.PathLike[str],
    replicas: str | os.PathLike[str],
    start_s: float = 0.0,
    take_demand: bool = False,
) -> tuple[Instance, Schedule, Bent]:
    """The schedule nearest to a log, of the instance (with the demand of the log, if asked for).

    Raises InvalidInput if a file cannot be read as described in ``records``.
    """
    log = read_requests(instance, requests, start_s)
    counts = read_replicas(instance, replicas, start_s)
    if take_demand:
        instance = dataclasses.replace(instance, arrivals=log.flow.sum(axis=2))
    routing, moved = legal_routing(instance, log.flow)
    policy = Logged(routing, log.by_server, counts)
    made = run(policy, instance).schedule
    schedule = dataclasses.replace(made, forecast=None, seed=None)
    verify(instance, schedule).raise_if_broken("the schedule made from the log")
    return instance, schedule, _bent(instance, schedule, log, counts, moved)


def legal_routing(instance: Instance, logged: np.ndarray) -> tuple[np.ndarray, int]:
    """(T, R, R, C) routes of all arrivals, by the shares of ``logged``; requests of the log that
    were moved off forbidden pairs."""
    system, arrivals = instance.system, instance.arrivals
    allowed = system.allowed
    forbidden = np.where(allowed[None, :, :, None], 0, logged)
    flow = np.where(allowed[None, :, :, None], logged, 0)
    nearest = _nearest(system)
    for i in range(len(nearest)):
        for c in range(nearest.shape[1]):
            flow[:, i, nearest[i, c], c] += forbidden[:, i, :, c].sum(axis=1)
            none = flow[:, i, :, c].sum(axis=1) == 0
            flow[none, i, nearest[i, c], c] = 1  # a share of one
    total = flow.sum(axis=2)
    by_cell = np.moveaxis(flow, 3, 2)  # (T, R, C, R)
    share = by_cell / np.moveaxis(total[:, :, None], 3, 2)
    routes = apportion(arrivals.reshape(-1), share.reshape(-1, share.shape[-1]))
    return np.moveaxis(routes.reshape(by_cell.shape), 3, 2), int(forbidden.sum())


def _nearest(system: System) -> np.ndarray:
    """(R, C) the nearest allowed region that can serve the class; any allowed one if none can."""
    seconds = np.where(system.allowed, system.latency_s, np.inf)
    np.fill_diagonal(seconds, np.where(np.diag(system.allowed), -1.0, np.inf))
    able = np.zeros((len(system.regions), len(system.classes)), bool)
    np.logical_or.at(able, system.server_region, system.usable_by[system.server_type])
    reach = np.where(able[None], seconds[:, :, None], np.inf)
    fallback = np.broadcast_to(seconds.argmin(axis=1)[:, None], reach.shape[::2])
    return np.where(np.isfinite(reach).any(axis=1), reach.argmin(axis=1), fallback)


class LoggedServers(FleetRule):
    """Follows the replica counts of a log."""

    def __init__(self, counts: ReplicaLog):
        self._counts = counts

    def levels(self, view: View) -> np.ndarray:
        slot = view.observation.slot
        if self._counts.by_type is None:
            return self.place(self._counts.replicas[slot], view)
        return self._counts.by_type[slot]


class Logged(LayeredPolicy):
    """Does what a log did, as far as the rules allow."""

    name = METHOD
    deterministic = True

    def __init__(self, routing: np.ndarray, by_server: np.ndarray, counts: ReplicaLog):
        super().__init__()
        self._routing, self._by_server = routing, by_server
        self.fleet_rule = LoggedServers(counts)

    def reset(self, system: System, seed: int) -> None:
        super().reset(system, seed)
        if self.fleet_rule is not None:
            self.fleet_rule.reset(self.tables)

    def route(self, c: int, requests: np.ndarray, desk: Capacity) -> np.ndarray:
        return self._routing[self.observation.slot, :, :, c]

    def assign(self, c: int, wanted: np.ndarray, desk: Capacity) -> np.ndarray:
        region, room = self.tables.system.server_region, desk.room(c)
        named = self._by_server[self.observation.slot, :, c] - desk.processing[:, c]
        own = fill_in_order(wanted, region, np.clip(named, 0, room))
        rest = wanted - sum_by(region, own, len(wanted))
        slot_ms = self.tables.system.slot_ms
        work = np.where(self.tables.can_serve[:, c], self.tables.work_ms[:, c], slot_ms)
        busy = self.tables.busy_ms(desk.processing) + own * work
        step = work / slot_ms
        return own + fill_evenly(rest, region, room - own, busy / slot_ms, step)


def _bent(
    instance: Instance, schedule: Schedule, log: RequestLog, counts: ReplicaLog, moved: int
) -> Bent:
    system = instance.system
    logged = log.flow.sum(axis=2)
    metrics: dict[str, Any] = evaluate(instance, schedule).metrics
    servers = trace_servers(instance, schedule)
    on = np.zeros(counts.replicas.shape, np.int64)
    loading = np.zeros_like(on)
    t, s = np.nonzero(servers.on)
    np.add.at(on, (t, system.server_region[s], servers.model[t, s]), 1)
    idle = servers.usable_ms[t, s] == 0
    np.add.at(loading, (t[idle], system.server_region[s[idle]], servers.model[t, s][idle]), 1)
    other = np.maximum(log.by_server - schedule.processing, 0)
    return Bent(
        rows=log.rows,
        outside=log.outside,
        logged=int(log.flow.sum()),
        added=int(np.maximum(instance.arrivals - logged, 0).sum()),
        dropped=int(np.maximum(logged - instance.arrivals, 0).sum()),
        moved=moved,
        other_server=int(other.sum()),
        waiting=_waiting(instance, schedule),
        expired=int(metrics["expired"]),
        replica_slots=int(counts.replicas.sum()),
        missing=int(np.maximum(counts.replicas - on, 0).sum()),
        extra=int(np.maximum(on - counts.replicas, 0).sum()),
        loading=int(loading.sum()),
    )


def _waiting(instance: Instance, schedule: Schedule) -> int:
    """Requests that are served in a later slot than they arrive in, first in, first out."""
    played = requests_of(instance, schedule)
    return int((played.slot_out > played.slot_in).sum())

"""Whole requests processed by named servers, as a program's answer says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from torta_opt.allocation.formulations.packing import pack
from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.server_hull import fill_first
from torta_opt.allocation.instance.data import Instance, System
from torta_opt.allocation.schedule.step import apply_commands, initial_state

SLACK = 1e-6  # a count this little below an integer is that integer


def _process(
    instance: Instance,
    pools: Pools,
    values: dict[str, np.ndarray],
    routing: np.ndarray,
    command: np.ndarray,
    command_model: np.ndarray,
    barred: np.ndarray,
) -> np.ndarray:
    """(T, S, C) whole requests that named servers process; may still change ``routing``."""
    system = instance.system
    state = initial_state(instance)
    hot_before = state.processing
    queue = _Queue(state.waiting, system.deadline_slots)
    processing = np.zeros((instance.slots, *hot_before.shape), np.int64)
    members = [np.flatnonzero(system.server_region == j) for j in range(len(system.regions))]
    for t in range(instance.slots):
        fleet = apply_commands(system, state, instance.up[t], command[t], command_model[t])
        state = replace(state, slot=t + 1, model=fleet.model, loading_ms=fleet.loading_ms_after)
        queue.arrive(routing[t].sum(axis=0), is_last=t == instance.slots - 1)
        hot = system.hot_permille * hot_before // 1000
        left = np.floor(values["q"][t] + values["expired"][t] + SLACK).astype(np.int64)
        sites = [
            _Site(instance, pools, t, servers, fleet.model, fleet.usable_ms, hot, barred[t])
            for servers in members
        ]
        for j, site in enumerate(sites):
            wanted = queue.total[j] - left[j]
            site.follow(values["z"][t], np.minimum(queue.due[j], wanted))
            site.follow(values["z"][t], wanted)
            site.repack(wanted)
            site.spill(wanted)
        _send_elsewhere(instance, sites, queue, routing[t], left)
        for j, site in enumerate(sites):
            site.rescue(queue.due[j])
            processing[t, site.servers] = site.done
            queue.serve(j, site.total)
        queue.close()
        hot_before = processing[t]
    return processing


def _send_elsewhere(
    instance: Instance, sites: list[_Site], queue: _Queue, routed: np.ndarray, left: np.ndarray
) -> None:
    """Send requests of this slot that would wait in one region to another with time to spare.

    ``routed`` (R, R, C) is changed in place. A move is made where it costs less than one slot of
    waiting, or than expiry if that is what comes.
    """
    system, weights = instance.system, instance.system.weights
    served = np.stack([site.total for site in sites])
    excess = np.minimum(queue.total - left - served, queue.ages[:, :, 0])
    for j, c in zip(*np.nonzero(excess > 0), strict=True):
        value = weights.time_usd_per_s * system.slot_s
        if queue.due[j, c] > served[j, c]:
            value = weights.expiry_usd[c]
        route = weights.time_usd_per_s * system.latency_s
        route = route + weights.transfer_factor * system.transfer_usd[:, :, c]
        there = np.array([site.cheapest(c) for site in sites])
        extra = route - route[:, [j]] + there + weights.reroute_usd
        extra[np.isnan(extra) | (routed[:, j, c] == 0)[:, None]] = np.inf
        extra[:, j] = np.inf
        count = int(excess[j, c])
        for cell in np.argsort(extra, axis=None):
            i, other = np.unravel_index(cell, extra.shape)
            if count == 0 or not extra[i, other] < value + sites[j].typical(c):
                break
            moved = sites[other].take(c, min(count, int(routed[i, j, c])))
            routed[i, j, c] -= moved
            routed[i, other, c] += moved
            queue.move(j, other, c, moved)
            count -= moved


class _Queue:
    """Waiting requests by age, (R, C, A+1); index 0 arrived in this slot."""

    def __init__(self, waiting: np.ndarray, deadline_slots: np.ndarray):
        self.ages = np.pad(waiting, ((0, 0), (0, 0), (1, 0)))
        self.is_due = np.arange(self.ages.shape[2]) >= deadline_slots[:, None]

    def arrive(self, inflow: np.ndarray, is_last: bool) -> None:
        self.ages[:, :, 0] = inflow
        self.is_due = self.is_due | is_last

    @property
    def total(self) -> np.ndarray:
        """(R, C) requests that are there."""
        total: np.ndarray = self.ages.sum(axis=2)
        return total

    @property
    def due(self) -> np.ndarray:
        """(R, C) requests that expire unless they are processed in this slot."""
        due: np.ndarray = np.where(self.is_due, self.ages, 0).sum(axis=2)
        return due

    def move(self, j: int, other: int, c: int, requests: int) -> None:
        """Requests that arrived in this slot arrive elsewhere."""
        self.ages[j, c, 0] -= requests
        self.ages[other, c, 0] += requests

    def serve(self, j: int, requests: np.ndarray) -> None:
        older = self.ages[j][:, ::-1].cumsum(axis=1)[:, ::-1] - self.ages[j]
        self.ages[j] -= np.clip(requests[:, None] - older, 0, self.ages[j])

    def close(self) -> None:
        """End of the slot: what is due expires, the rest is one slot older."""
        kept = np.where(self.is_due, 0, self.ages)[..., :-1]
        self.ages = np.pad(kept, ((0, 0), (0, 0), (1, 0)))


@dataclass
class _Site:
    """The servers of one region in one slot, and what they have been given to do."""

    instance: Instance
    pools: Pools
    slot: int
    servers: np.ndarray
    model: np.ndarray
    usable_ms: np.ndarray
    hot: np.ndarray
    barred: np.ndarray
    done: np.ndarray = field(init=False)
    spare_ms: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        system = self.instance.system
        kind = system.server_type[self.servers]
        self.hot = self.hot[self.servers]
        self.usable_ms = self.usable_ms[self.servers]
        self.spare_ms = self.usable_ms.copy()
        self.model = self.model[self.servers]
        fits = self.model[:, None] == system.class_model
        fits &= ~self.barred[self.servers]
        self.work_ms = np.where(fits, system.server_ms[kind], 0)
        self.done = np.zeros(self.work_ms.shape, np.int64)
        self.pool = self.pools.of_server[self.servers]
        self.alike = _groups(
            np.hstack([np.nan_to_num(rows, nan=-1.0)[kind] for rows in _rows_of_types(system)])
        )
        self.by_work = np.argsort(-system.server_ms.max(axis=0), kind="stable")
        self.saved_s = np.nan_to_num(system.service_s - system.hot_service_s)[kind]
        self.usd = self._marginal_usd(kind)

    def _marginal_usd(self, kind: np.ndarray) -> np.ndarray:
        """(servers, C) dollars of processing one request that is not hot."""
        system, weights = self.instance.system, self.instance.system.weights
        price = self.instance.price_usd_per_kwh[self.slot, system.server_region[self.servers]]
        span_kw = (system.peak_kw - system.idle_kw)[kind]
        energy = (weights.energy_factor * price * span_kw / 3.6e6)[:, None] * self.work_ms
        usd: np.ndarray = weights.time_usd_per_s * np.nan_to_num(system.service_s)[kind] + energy
        return usd

    def follow(self, planned: np.ndarray, most: np.ndarray) -> None:
        """Process what the program plans for each pool (P, C), up to ``most`` (C,) in all.

        Where plans are fractions, pools whose servers are alike share theirs.
        """
        for members in self.alike:
            pools = np.unique(self.pool[members])
            parts = [members]
            if (np.abs(planned[pools] - np.rint(planned[pools])) < SLACK).all():
                parts = [members[self.pool[members] == p] for p in pools]
            for part in parts:
                total = planned[np.unique(self.pool[part])].sum(axis=0)
                plan = np.ceil(total - SLACK).astype(np.int64) - self.done[part].sum(axis=0)
                self._fill(part, np.maximum(np.minimum(plan, most - self.total), 0))

    def repack(self, wanted: np.ndarray) -> None:
        """Make room for what is left of ``wanted`` (C,), where two classes share idle servers."""
        for group in self._full_groups(wanted):
            classes = np.flatnonzero(self.work_ms[group[0]]).tolist()
            small, large = sorted(classes, key=lambda c: self.work_ms[group[0], c])
            pair = np.array([small, large])
            had = self.done[group][:, pair]
            small_ms, large_ms = (int(ms) for ms in self.work_ms[group[0], pair])
            packed = pack(
                int(self.usable_ms[group[0]]),
                small_ms,
                large_ms,
                servers=len(group),
                wanted=had.sum(axis=0) + (wanted - self.total)[pair],
            )
            if packed.sum() <= had.sum():
                continue
            keep = np.argsort(np.argsort(-self.hot[group, large], kind="stable"))
            packed = packed[np.argsort(-packed[:, 1], kind="stable")][keep]
            self.done[np.ix_(group, pair)] = packed
            self.spare_ms[group] = self.usable_ms[group] - packed @ self.work_ms[group[0], pair]

    def _full_groups(self, wanted: np.ndarray) -> list[np.ndarray]:
        """Servers equal in time and in what they do, of two classes of which one is short."""
        short = wanted > self.total
        able = np.flatnonzero(((self.work_ms > 0).sum(axis=1) == 2) & (self.usable_ms > 0))
        able = able[((self.work_ms[able] > 0) & short).any(axis=1)]
        alike = _groups(np.column_stack([self.work_ms[able], self.usable_ms[able]]))
        return [able[group] for group in alike]

    def spill(self, wanted: np.ndarray) -> None:
        """Process what is left of ``wanted`` (C,) on any server, the cheapest first."""
        for c in np.flatnonzero(wanted > self.total).tolist():
            self.take(c, int((wanted - self.total)[c]))

    def rescue(self, due: np.ndarray) -> None:
        """Process what would expire (C,), the oldest being served first, if that is cheaper."""
        expiry_usd = self.instance.system.weights.expiry_usd
        for c in np.flatnonzero(due > self.total).tolist():
            able = np.flatnonzero((self._room(c) > 0) & (self.usd[:, c] < expiry_usd[c]))
            able = able[np.argsort(self.usd[able, c], kind="stable")]
            self._take(able, c, self._room(c)[able], int((due - self.total)[c]))

    def take(self, c: int, wanted: int) -> int:
        """Process up to ``wanted`` more requests of a class where that is cheapest; how many."""
        able = np.flatnonzero(self._room(c) > 0)
        able = able[np.argsort(self.usd[able, c], kind="stable")]
        return self._take(able, c, self._room(c)[able], wanted)

    def cheapest(self, c: int) -> float:
        """Dollars of processing one more request of a class; infinite without room."""
        return float(np.min(self.usd[:, c], where=self._room(c) > 0, initial=np.inf))

    def typical(self, c: int) -> float:
        """Dollars of processing a request of a class here, sooner or later."""
        return float(np.min(self.usd[:, c], where=self.work_ms[:, c] > 0, initial=np.inf))

    @property
    def total(self) -> np.ndarray:
        total: np.ndarray = self.done.sum(axis=0)
        return total

    def _room(self, c: int) -> np.ndarray:
        """(servers,) requests of class c that still fit."""
        work = self.work_ms[:, c]
        return np.where(work > 0, self.spare_ms // np.maximum(work, 1), 0)

    def _fill(self, members: np.ndarray, wanted: np.ndarray) -> None:
        """Give ``wanted`` (C,) to a pool: what can be hot first, then large requests first."""
        wanted = wanted.copy()
        gain = self.saved_s[members[0]] / np.maximum(self.work_ms[members].max(axis=0), 1)
        for c in np.argsort(-gain, kind="stable"):
            if wanted[c] and gain[c] > 0:
                hot = np.minimum(self._room(c), self.hot[:, c])[members]
                wanted[c] -= self._take(members, c, hot, int(wanted[c]))
        for c in self.by_work:
            if wanted[c]:
                self._take(members, c, self._room(c)[members], int(wanted[c]))

    def _take(self, servers: np.ndarray, c: int, room: np.ndarray, wanted: int) -> int:
        """Put up to ``wanted`` requests on servers, in order, each at most its room."""
        taken = fill_first(wanted, room)
        self.done[servers, c] += taken
        self.spare_ms[servers] -= taken * self.work_ms[servers, c]
        return int(taken.sum())


def _rows_of_types(system: System) -> tuple[np.ndarray, ...]:
    """What makes two types process alike, each (K, ·)."""
    power = np.column_stack([system.idle_kw, system.peak_kw])
    return system.server_ms, system.service_s, system.hot_service_s, power


def _groups(keys: np.ndarray) -> list[np.ndarray]:
    """Numbers of equal rows."""
    _, group = np.unique(keys, axis=0, return_inverse=True)
    return [np.flatnonzero(group == g) for g in range(group.max(initial=-1) + 1)]

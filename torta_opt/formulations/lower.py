"""From the allocation program back to a schedule: named servers, whole requests, every rule kept.

``lower`` takes an answer whose server counts are integers; its requests may be fractions.

1. *Servers.* Counts become commands of named servers. What a pool does is a flow of integers, so
   every server can follow it; a switch out of m and one into m in the same slot cancel out.
2. *Routing.* Row by row x is rounded to whole requests (largest remainder); what rounding takes
   from a region or gives to it is made up for by the next origin, and by the next slot.
3. *Processing*, slot by slot. Each region works its queues down to what the program leaves waiting
   or expiring there, on the pools the program chose, then on others with time to spare; servers
   with many hot requests first. Then what is due is processed wherever there is time left and
   processing costs less than expiry.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from torta_opt.formulations.allocation_matrix import SERVERS
from torta_opt.formulations.packing import pack
from torta_opt.formulations.pools import Pools
from torta_opt.instance.data import OFF, Instance, System
from torta_opt.schedule.data import NO_MODEL, Command, Schedule
from torta_opt.schedule.step import apply_commands, initial_state

INTEGRAL = 1e-4  # server counts of an integral answer are at most this far from integers
SLACK = 1e-6  # a count this little below an integer is that integer


def lower(
    instance: Instance,
    values: dict[str, np.ndarray],
    *,
    pools: Pools | None = None,
    method: str = "optimal",
    rank: np.ndarray | None = None,
    barred: np.ndarray | None = None,
) -> Schedule:
    """A legal schedule close to an answer of the program (``AllocationProgram.values``).

    rank     (S,): servers of a pool with a low rank start first and stop last
    barred   (T, S, C) true where a server is not to process a class

    Raises ValueError if a server count is not an integer.
    """
    pools = Pools.of(instance) if pools is None else pools
    command, command_model = name_servers(pools, values, rank)
    routing = round_routing(instance, values["x"])
    if barred is None:
        barred = np.zeros((*command.shape, len(instance.system.classes)), bool)
    processing = _process(instance, pools, values, routing, command, command_model, barred)
    return Schedule(routing, command, command_model, processing, method=method)


# --- servers ------------------------------------------------------------------------------------


def name_servers(
    pools: Pools, values: dict[str, np.ndarray], rank: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Commands and their models, both (T, S), of named servers that follow counted ones."""
    counts = {name: _whole(name, values[name]) for name in SERVERS}
    shape = pools.instance.up.shape
    command, target = np.zeros(shape, np.int64), np.full(shape, NO_MODEL)
    for p in range(len(pools)):
        members = _hottest_first(pools, p) if rank is None else _ranked(pools, p, rank)
        _name_pool(pools, p, members, counts, command, target)
    return command, target


def _whole(name: str, values: np.ndarray) -> np.ndarray:
    counts = np.rint(values).astype(np.int64)
    if np.abs(values - counts).max(initial=0) > INTEGRAL:
        raise ValueError(f"{name} must hold integers: solve the program with integer server counts")
    return counts


def _name_pool(
    pools: Pools,
    p: int,
    members: np.ndarray,
    counts: dict[str, np.ndarray],
    command: np.ndarray,
    target: np.ndarray,
) -> None:
    """Tell the servers of pool p, slot by slot, what the counts say."""
    initial = pools.instance.initial
    model, loading = initial.model[members], initial.loading_ms[members] > 0
    free_from = np.zeros(len(members), np.int64)  # first slot in which a command is possible
    slot_ms = pools.instance.system.slot_ms
    free_from[loading] = -(-initial.loading_ms[members][loading] // slot_ms)
    for t in range(len(pools.up)):
        if not pools.up[t, p]:
            model[:], free_from[:] = OFF, t + 1
            continue
        free, now = free_from <= t, model.copy()
        tell = _Teller(members, command[t], target[t], model)
        off = np.flatnonzero(free & (now == OFF))
        for m in np.flatnonzero(counts["start"][t, p]):
            chosen, off = np.split(off, [counts["start"][t, p, m]])
            tell(chosen, Command.START, m)
            free_from[chosen] = t + pools.start_slots[p, m]
        kept = np.minimum(counts["leave"][t, p], counts["enter"][t, p])
        leaving = [np.zeros(0, np.int64)]
        for m in np.flatnonzero(pools.holds[p]):
            ready = np.flatnonzero(free & (now == m))[::-1]
            stopped, ready = np.split(ready, [counts["stop"][t, p, m]])
            tell(stopped, Command.STOP, OFF)
            leaving.append(ready[: counts["leave"][t, p, m] - kept[m]])
        left = np.concatenate(leaving)
        for m in np.flatnonzero(counts["enter"][t, p] > kept):
            chosen, left = np.split(left, [counts["enter"][t, p, m] - kept[m]])
            tell(chosen, Command.SWITCH, m)
            free_from[chosen] = t + pools.switch_slots[p, m]


def _hottest_first(pools: Pools, p: int) -> np.ndarray:
    """Servers of a pool; those stay longest that processed most before slot 0."""
    members = pools.members(p)
    worked = pools.instance.initial.processing[members].sum(axis=1)
    return members[np.argsort(-worked, kind="stable")]


def _ranked(pools: Pools, p: int, rank: np.ndarray) -> np.ndarray:
    members = pools.members(p)
    return members[np.argsort(rank[members], kind="stable")]


@dataclass
class _Teller:
    """Writes commands of one slot for some servers of a pool."""

    members: np.ndarray
    command: np.ndarray
    target: np.ndarray
    model: np.ndarray

    def __call__(self, chosen: np.ndarray, command: Command, model: int) -> None:
        self.command[self.members[chosen]] = command
        self.target[self.members[chosen]] = model
        self.model[chosen] = model


# --- routing ------------------------------------------------------------------------------------


def round_routing(instance: Instance, x: np.ndarray) -> np.ndarray:
    """Whole requests (T, R, R, C) close to x, every arrival routed, only where x routes."""
    arrivals, allowed = instance.arrivals, instance.system.allowed
    routing = np.zeros(x.shape, np.int64)
    missing = np.zeros(x.shape[2:])  # (R, C) requests that rounding has kept from each region
    for t, i in zip(*np.nonzero(arrivals.any(axis=2)), strict=True):
        share = np.where(allowed[i][:, None], np.maximum(x[t, i], 0.0), 0.0)
        usable = np.where((share > SLACK).any(axis=0), share > SLACK, allowed[i][:, None])
        routing[t, i] = _round_columns(share + missing * usable, arrivals[t, i], usable)
        missing += share - routing[t, i]
    return routing


def _round_columns(wanted: np.ndarray, total: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Whole numbers close to ``wanted`` (R, C) whose columns add up to ``total`` (C,)."""
    rounded = np.where(usable, np.floor(np.maximum(wanted, 0.0) + SLACK), 0).astype(np.int64)
    columns = np.arange(len(total))
    while (short := total - rounded.sum(axis=0)).any():
        rest = wanted - rounded
        more = np.argmax(np.where(usable, rest, -np.inf), axis=0)
        less = np.argmin(np.where(rounded > 0, rest, np.inf), axis=0)
        rounded[more, columns] += short > 0
        rounded[less, columns] -= short < 0
    return rounded


# --- processing ---------------------------------------------------------------------------------


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
        return self.ages.sum(axis=2)

    @property
    def due(self) -> np.ndarray:
        """(R, C) requests that expire unless they are processed in this slot."""
        return np.where(self.is_due, self.ages, 0).sum(axis=2)

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
        return weights.time_usd_per_s * np.nan_to_num(system.service_s)[kind] + energy

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
            classes = np.flatnonzero(self.work_ms[group[0]])
            small, large = sorted(classes, key=lambda c: self.work_ms[group[0], c])
            pair = np.array([small, large])
            had = self.done[group][:, pair]
            packed = pack(
                int(self.usable_ms[group[0]]),
                *(int(ms) for ms in self.work_ms[group[0], pair]),
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
        for c in np.flatnonzero(wanted > self.total):
            self.take(c, int((wanted - self.total)[c]))

    def rescue(self, due: np.ndarray) -> None:
        """Process what would expire (C,), the oldest being served first, if that is cheaper."""
        expiry_usd = self.instance.system.weights.expiry_usd
        for c in np.flatnonzero(due > self.total):
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
        return self.done.sum(axis=0)

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
        taken = np.clip(wanted - (room.cumsum() - room), 0, room)
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

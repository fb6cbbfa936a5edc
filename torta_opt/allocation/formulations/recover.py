"""From the allocation program back to a schedule: named servers, whole requests, every rule kept.

``recover`` takes an answer whose server counts are integers; its requests may be fractions.

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

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.program import SERVERS
from torta_opt.allocation.formulations.recover_processing import SLACK, _process
from torta_opt.allocation.instance.data import OFF, Instance
from torta_opt.allocation.schedule.data import NO_MODEL, Command, Schedule

INTEGRAL = 1e-4  # server counts of an integral answer are at most this far from integers


def recover(
    instance: Instance,
    values: dict[str, np.ndarray],
    *,
    pools: Pools | None = None,
    method: str = "optimal",
    rank: np.ndarray | None = None,
    barred: np.ndarray | None = None,
    named: tuple[np.ndarray, np.ndarray] | None = None,
) -> Schedule:
    """A legal schedule close to an answer of the program (``AllocationProgram.values``).

    rank     (S,): servers of a pool with a low rank start first and stop last
    barred   (T, S, C) true where a server is not to process a class
    named    commands and their models, both (T, S), where it is known which servers they are

    Raises ValueError if a server count is not an integer.
    """
    pools = Pools.of(instance) if pools is None else pools
    command, command_model = name_servers(pools, values, rank) if named is None else named
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
    counts: np.ndarray = np.rint(values).astype(np.int64)
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
        for m in np.flatnonzero(counts["start"][t, p]).tolist():
            chosen, off = np.split(off, [counts["start"][t, p, m]])
            tell(chosen, Command.START, m)
            free_from[chosen] = t + pools.start_slots[p, m]
        kept = np.minimum(counts["leave"][t, p], counts["enter"][t, p])
        leaving = [np.zeros(0, np.int64)]
        for m in np.flatnonzero(pools.holds[p]).tolist():
            ready = np.flatnonzero(free & (now == m))[::-1]
            stopped, ready = np.split(ready, [counts["stop"][t, p, m]])
            tell(stopped, Command.STOP, OFF)
            leaving.append(ready[: counts["leave"][t, p, m] - kept[m]])
        left = np.concatenate(leaving)
        for m in np.flatnonzero(counts["enter"][t, p] > kept).tolist():
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

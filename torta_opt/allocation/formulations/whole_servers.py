"""Rows that count whole servers: what rounding says of a slot's demand.

In slot t, N requests of class c must be processed, wait or expire. A server with L usable ms
processes at most a = ⌊L/u⌋ of them, and servers are whole. For any whole d ≥ 1 let

    W = ⌈N/d⌉,   r = N − d·(W − 1),   G(a) = r·⌊a/d⌋ + min(r, a mod d)

Then, added up over all servers with time for the class in slot t, for every legal schedule

    Σ G(a)·(ready, start, enter) + Σ_j (q[t,j,c] + expired[t,j,c]) ≥ r·W              (whole)

With d a server's requests per slot, N = 1.3·d asks for two servers; with d ≥ N, a server with time
for N to d requests counts for N. A server with time for more than d counts for more there, and for
N in the row whose d is its own. Both are cut off from fractions of servers. Servers that load
before slot 0 are taken off N. docs/formulations/whole_servers.md has the proof.

Source: mixed-integer rounding, Nemhauser and Wolsey, A recursive procedure to generate all cuts for
0-1 mixed integer programs, Mathematical Programming 46, 1990.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.formulations.matrix import Entries, later
from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.program import AllocationProgram, Family


@dataclass(frozen=True)
class Rounding:
    """The rows (whole) of a class in all slots: d is ``divisor``."""

    class_: int
    divisor: int


def with_whole_rows(program: AllocationProgram) -> AllocationProgram:
    """The program with a family of rows ``whole`` (t, h) below its own, h the rounding.

    Each row is divided by its r.
    """
    pools = program.pools
    roundings = roundings_of(pools)
    needs = [_needed(pools, each.class_) for each in roundings]
    there = np.array([need > 0 for need in needs]).reshape(len(roundings), len(pools.up)).T
    whole = Family("whole", len(program.row_lower), there)
    if len(whole) == 0:
        return program
    entries, lower = Entries(), np.zeros(there.shape)
    for h, (each, need) in enumerate(zip(roundings, needs, strict=True)):
        rounds = -(-need // each.divisor)
        rest = np.where(need > 0, need - each.divisor * (rounds - 1), 1)
        row = whole.number[:, h] - whole.first
        row[need <= 0] = -1
        _add(program, entries, row, each, rest)
        lower[:, h] = rounds
    block = entries.matrix(len(whole), len(program.cost))
    return program.with_rows(whole, -block, -lower[there])


def roundings_of(pools: Pools) -> list[Rounding]:
    """Divisors worth trying: a server's requests per slot of each type, and all of a class."""
    found = []
    for c in range(len(pools.instance.system.classes)):
        able = _able(pools, c)
        most = int(pools.instance.arrivals[:, :, c].sum(axis=1).max(initial=0))
        if able.any() and most > 0:
            divisors = {int(n) for n in pools.per_slot[able, c]} | {most}
            found += [Rounding(c, d) for d in sorted(divisors)]
    return found


def _able(pools: Pools, c: int) -> np.ndarray:
    """(P,) bool: the servers of the pool can process the class within a slot."""
    model = pools.instance.system.class_model[c]
    able: np.ndarray = pools.holds[:, model] & (pools.work_ms[:, c] > 0)
    return able


def _needed(pools: Pools, c: int) -> np.ndarray:
    """(T,) arrivals of the class, less what servers can do that load before slot 0."""
    need = pools.instance.arrivals[:, :, c].sum(axis=1).astype(np.int64)
    able, model = _able(pools, c), pools.instance.system.class_model[c]
    for entry in pools.loading:
        if (
            entry.model == model
            and able[entry.pool]
            and entry.slots - 1 < pools.down_from[entry.pool]
        ):
            need[entry.slots - 1] -= entry.servers * (
                entry.usable_ms // pools.work_ms[entry.pool, c]
            )
    return np.asarray(need)


def _add(
    program: AllocationProgram, entries: Entries, row: np.ndarray, each: Rounding, rest: np.ndarray
) -> None:
    """Coefficients of the rows of one rounding; ``row`` and ``rest`` (T,), rows −1 where none."""
    pools, c, d = program.pools, each.class_, each.divisor
    model = int(pools.instance.system.class_model[c])

    def worth(requests: int) -> np.ndarray:
        """(T,) G/r of a server that can process so many."""
        value: np.ndarray = requests // d + np.minimum(rest, requests % d) / rest
        return value

    for name in ("q", "expired"):
        entries.add(row[:, None], program.columns[name].number[:, :, c], (1 / rest)[:, None])
    by_pool = np.full((len(row), len(pools), 1), -1)
    for p in np.flatnonzero(_able(pools, c)).tolist():
        ready = program.columns["ready"].number[:, p, model]
        entries.add(row, ready, worth(int(pools.per_slot[p, c])))
        by_pool[:, p, 0] = row
        for name, slots, usable in (
            ("start", pools.start_slots[p, model], pools.start_usable_ms[p, model]),
            ("enter", pools.switch_slots[p, model], pools.switch_usable_ms[p, model]),
        ):
            number = program.columns[name].number[:, p, model]
            t = np.flatnonzero(number >= 0)
            begun = np.stack([t, np.full(len(t), p), np.zeros(len(t), np.int64)])
            last = later(pools, by_pool, begun, slots - 1)
            ends = np.minimum(t + slots - 1, len(row) - 1)
            requests = int(usable) // int(pools.work_ms[p, c])
            entries.add(last, number[t], worth(requests)[ends])

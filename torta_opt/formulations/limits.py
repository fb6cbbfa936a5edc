"""How many requests can be anywhere at all: upper bounds of the columns of the allocation program.

A column exists where its bound is positive; every column is boxed. All arrays are integer, axes
slot t < T, region j < R (or pool p < P), class c < C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.formulations.pools import Pools


@dataclass(frozen=True, eq=False)
class Limits:
    """Bounds on requests by slot.

    inflow         (T, R, C) requests routed to region j: all arrivals that may be sent there
    waiting        (T, R, C) requests in the queue at the end of a slot: they arrived in the last
                   ℓ slots; 0 in slot T−1
    expired        (T, R, C) requests that expire: all that arrived ℓ slots before, and in slot
                   T−1 all that can be there
    fresh_backlog  (T, R, C) requests that wait before slot 0 and are not due by the end of slot t
    processing     (T, P, C) requests a pool processes: what its servers can do and what is there
    hot            (T, P, C) requests of these that are hot; 0 where hot is no faster
    reuse          (P, C, 2) hot[t] ≤ reuse[0]/reuse[1]·z[t−1], see ``reuse_ratio``
    """

    inflow: np.ndarray
    waiting: np.ndarray
    expired: np.ndarray
    fresh_backlog: np.ndarray
    processing: np.ndarray
    hot: np.ndarray
    reuse: np.ndarray

    @classmethod
    def of(cls, pools: Pools) -> Limits:
        instance, system = pools.instance, pools.instance.system
        inflow = np.einsum("tic,ij->tjc", instance.arrivals, system.allowed.astype(np.int64))
        fresh, due, backlog = _backlog(pools)
        waiting, expired = np.zeros_like(inflow), np.zeros_like(inflow)
        reached = np.concatenate([np.zeros_like(inflow[:1]), inflow.cumsum(axis=0)])
        slots = np.arange(instance.slots)
        for c, deadline in enumerate(system.deadline_slots):
            oldest = np.maximum(slots - deadline + 1, 0)
            waiting[:, :, c] = reached[slots + 1, :, c] - reached[oldest, :, c] + fresh[:, :, c]
            expired[:deadline, :, c] = due[:deadline, :, c]
            expired[deadline:, :, c] = inflow[: max(instance.slots - deadline, 0), :, c]
        waiting[-1] = 0
        present = inflow + np.concatenate([backlog[None], waiting[:-1]])
        expired[-1] = present[-1]
        processing = np.minimum(pools.size[:, None] * pools.per_slot, present[:, pools.region])
        processing *= pools.up[:, :, None]
        reuse = reuse_ratio(system.hot_permille, pools.per_slot)
        before = processing[:-1] * reuse[..., 0] // reuse[..., 1]
        hot = np.minimum(processing, np.concatenate([pools.hot_before[None], before]))
        hot *= (system.hot_service_s < system.service_s)[pools.type]
        return cls(inflow, waiting, expired, fresh, processing, hot, reuse)


def _backlog(pools: Pools) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Initial backlog not due by the end of slot t (T, R, C), due in t (T, R, C), all (R, C)."""
    instance, deadlines = pools.instance, pools.instance.system.deadline_slots
    backlog = instance.initial.backlog
    due = np.zeros(instance.arrivals.shape, np.int64)
    for age in range(backlog.shape[2]):  # arrived in slot −(age+1): due in slot ℓ−age−1
        slot = deadlines - age - 1
        for c in np.flatnonzero((slot >= 0) & (slot < instance.slots)):
            due[slot[c], :, c] += backlog[:, c, age]
    total = backlog.sum(axis=2)
    return total - due.cumsum(axis=0), due, total


def reuse_ratio(hot_permille: int, most: np.ndarray) -> np.ndarray:
    """Least ratio ρ with ⌊h·n/1000⌋ ≤ ρ·n for every count n ≤ ``most``, as (…, 2) integers.

    On one server hot[t] ≤ ⌊h·z[t−1]/1000⌋ ≤ ρ·z[t−1]; summed over a pool's servers the row stays
    valid. Rounding down to whole requests makes ρ < h/1000 where few requests fit into a slot.
    """
    ratio = np.zeros((*most.shape, 2), np.int64)
    ratio[..., 1] = 1
    for n in np.unique(most[most > 0]):
        ratio[most == n] = _best_ratio(hot_permille, int(n))
    return ratio


def _best_ratio(hot_permille: int, most: int) -> tuple[int, int]:
    count = np.arange(1, min(most, 1000) + 1)  # n = 1000 attains h/1000 itself
    hot = hot_permille * count // 1000
    share = hot / count
    best = int(np.flatnonzero(share == share.max())[0])
    return int(hot[best]), int(count[best])

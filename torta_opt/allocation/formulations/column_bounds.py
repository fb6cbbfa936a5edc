"""How many requests can be anywhere at all: upper bounds of the columns of the allocation program.

A column exists where its bound is positive; every column is boxed. All arrays are integer, axes
slot t < T, region j < R (or pool p < P), class c < C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.formulations.pools import Pools


@dataclass(frozen=True, eq=False)
class ColumnBounds:
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
    total          (T+1, R) arrivals of all classes by origin, slot −1 first
    compared       (T, R, R) bool: A_t[i,j] is compared with the slot before
    """

    inflow: np.ndarray
    waiting: np.ndarray
    expired: np.ndarray
    fresh_backlog: np.ndarray
    processing: np.ndarray
    hot: np.ndarray
    reuse: np.ndarray
    total: np.ndarray
    compared: np.ndarray

    @property
    def fewer(self) -> np.ndarray:
        """(T, R) min(D_t, D_{t−1}), of which a share may be re-routed."""
        fewer: np.ndarray = np.minimum(self.total[1:], self.total[:-1])
        return fewer

    @classmethod
    def of(cls, pools: Pools, reuse: np.ndarray | None = None) -> ColumnBounds:
        """``reuse`` depends on the system and the pools only and may be handed in."""
        instance, system = pools.instance, pools.instance.system
        inflow = system.allowed.T.astype(np.int64) @ instance.arrivals
        backlog = instance.initial.backlog
        waiting, expired, fresh = _stays(inflow, backlog, system.deadline_slots)
        waiting[-1] = 0
        present = inflow.copy()
        present[0] += backlog.sum(axis=2)
        present[1:] += waiting[:-1]
        expired[-1] = present[-1]
        most = pools.size[:, None] * pools.per_slot
        processing = np.minimum(most, present[:, pools.region]) * pools.up[:, :, None]
        if reuse is None:
            reuse = reuse_ratio(system.hot_permille, pools.per_slot)
        hot = np.empty_like(processing)
        hot[0] = pools.hot_before
        hot[1:] = processing[:-1] * reuse[..., 0] // reuse[..., 1]
        hot = np.minimum(processing, hot)
        hot *= (system.hot_service_s < system.service_s)[pools.type]
        total = np.empty((instance.slots + 1, len(system.regions)), np.int64)
        total[0] = instance.initial.routing.sum(axis=1)
        total[1:] = instance.arrivals.sum(axis=2)
        choice = system.allowed & (system.allowed.sum(axis=1) > 1)[:, None]
        compared = ((total[1:] > 0) & (total[:-1] > 0))[:, :, None] & choice
        return cls(inflow, waiting, expired, fresh, processing, hot, reuse, total, compared)


def _stays(
    inflow: np.ndarray, backlog: np.ndarray, deadlines: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of what came to a region, the backlog counted in: the most that can wait at the end of slot
    t, what is due then, and how much of the backlog is not due by then; all (T, R, C)."""
    ages = max(int(deadlines.max(initial=0)), backlog.shape[2])  # slots before slot 0 to look at
    came = np.zeros((ages + len(inflow), *inflow.shape[1:]), np.int64)
    came[ages - backlog.shape[2] : ages] = backlog.transpose(2, 0, 1)[::-1]
    came[ages:] = inflow
    so_far = np.zeros((len(came) + 1, *inflow.shape[1:]), np.int64)
    came.cumsum(axis=0, out=so_far[1:])
    born, every = np.arange(len(inflow))[:, None] - deadlines + ages, np.arange(len(deadlines))
    # Indices of slot and class around a slice bring the regions to the end.
    due = came[born, :, every].swapaxes(1, 2)
    gone = so_far[born + 1, :, every].swapaxes(1, 2)
    return so_far[ages + 1 :] - gone, due, np.maximum(so_far[ages] - gone, 0)


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

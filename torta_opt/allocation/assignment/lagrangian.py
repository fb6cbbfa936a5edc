"""The bound of the generalized assignment problem in which (assign) has a price: one knapsack each.

For whole prices λ of jobs (in thousandths)

    L(λ) = Σ_j λ_j − Σ_i K_i(λ)      K_i = max {Σ_j (λ_j − cost[i,j])⁺-gains : need·x ≤ capacity}

is at most the cost of every assignment: an assignment is a choice of every knapsack. Everything is
whole numbers, so the bound is exact whatever the λ. With one pass forward and one back over the
jobs, K_i is also known for every job forced in or out: any assignment with x[i,j] = 1 costs at
least L + K_i − K_i(j in), any with x[i,j] = 0 at least L + K_i − K_i(j out). The maximum of L over λ
is the bound of Dantzig-Wolfe decomposition by agents.

Source: M. L. Fisher, R. Jaikumar, L. N. Van Wassenhove, A multiplier adjustment method for the
generalized assignment problem, Management Science 32, 1986; fixing by both penalties as in M. Posta,
J. A. Ferland, P. Michelon, Computational Optimization and Applications 52, 2012.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SCALE = 1000  # prices are whole thousandths
LOW = -(2**62)  # of what is impossible; two of them still fit 64 bits


@dataclass(frozen=True, eq=False)
class Priced:
    """L(λ) in thousandths, the choice of every agent (m, n), and how often each job is chosen."""

    price: np.ndarray
    bound: int
    chosen: np.ndarray

    @property
    def whole_bound(self) -> int:
        """What no whole cost is below."""
        return -(-self.bound // SCALE)


class Knapsacks:
    """The knapsacks of all agents at once; tables over capacity are (m, W + 1)."""

    def __init__(self, cost: np.ndarray, need: np.ndarray, capacity: np.ndarray):
        self.cost, self.need, self.capacity = cost.astype(np.int64) * SCALE, need, capacity
        self.width = int(capacity.max()) + 1
        room = np.arange(self.width)
        self.fits = need <= capacity[:, None]
        self._from = room[None, None] - need.T[:, :, None]  # (n, m, W + 1)
        self._legal = self._from >= 0
        self._from = np.maximum(self._from, 0)

    def _passed(self, gain: np.ndarray, order: range, keep: bool) -> tuple[np.ndarray, np.ndarray]:
        """Best gain by capacity after the jobs in ``order``, and (n, m, W + 1) what each job did:
        whether it was taken, or with ``keep`` the table before it."""
        agents, jobs = gain.shape
        best = np.zeros((agents, self.width), np.int64)
        kept = np.zeros((jobs, agents, self.width), np.int64 if keep else bool)
        for j in order:
            with_j = np.take_along_axis(best, self._from[j], axis=1) + gain[:, j, None]
            better = self._legal[j] & (with_j > best)
            kept[j] = best if keep else better
            best = np.where(better, with_j, best)
        return best, kept

    def priced(self, price: np.ndarray) -> Priced:
        """L(λ) and the choices that attain it."""
        gain = price - self.cost
        agents, jobs = gain.shape
        best, taken = self._passed(gain, range(jobs), keep=False)
        every, left = np.arange(agents), self.capacity.copy()
        bound = int(price.sum() - best[every, left].sum())
        chosen = np.zeros((agents, jobs), bool)
        for j in range(jobs - 1, -1, -1):
            chosen[:, j] = taken[j, every, left]
            left -= np.where(chosen[:, j], self.need[:, j], 0)
        return Priced(price, bound, chosen)

    def penalties(self, price: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m, n) thousandths that L rises by if x[i,j] is 1, and if it is 0."""
        gain = price - self.cost
        agents, jobs = gain.shape
        best, before = self._passed(gain, range(jobs), keep=True)
        _, after = self._passed(gain, range(jobs - 1, -1, -1), keep=True)
        every, room = np.arange(agents), np.arange(self.width)
        top = best[every, self.capacity]
        with_it, without = np.zeros((2, agents, jobs), np.int64)
        for j in range(jobs):
            for into, capacity in ((without, self.capacity), (with_it, self.capacity - self.need[:, j])):
                rest = capacity[:, None] - room
                back = np.take_along_axis(after[j], np.maximum(rest, 0), axis=1)
                total = np.where(rest >= 0, before[j] + back, LOW)
                into[:, j] = total.max(axis=1)
        with_it = np.where(self.fits, with_it + gain, LOW)
        return top[:, None] - with_it, top[:, None] - without


def best_prices(
    knapsacks: Knapsacks, start: np.ndarray, upper: float, steps: int
) -> tuple[Priced, list[Priced]]:
    """The best L(λ) of a subgradient search from ``start``, and the points it passed.

    Held, Wolfe and Crowder's step: towards ``upper`` (in thousandths) over the squared violation of
    (assign), halved after some steps without a better bound.
    """
    price, factor, stalled = start.astype(np.int64), 1.0, 0
    best = knapsacks.priced(price)
    passed = [best]
    for _ in range(steps):
        now = passed[-1]
        missing = 1 - now.chosen.sum(axis=0)
        norm = int((missing**2).sum())
        if norm == 0 or factor < 1e-3:
            break
        length = factor * max(upper - now.bound, SCALE) / norm
        price = now.price + np.rint(length * missing).astype(np.int64)
        passed.append(knapsacks.priced(price))
        if passed[-1].bound > best.bound:
            best, stalled = passed[-1], 0
        else:
            stalled += 1
        if stalled >= 12:
            passed.append(best)  # and on from the best
            factor, stalled = factor / 2, 0
    return best, passed

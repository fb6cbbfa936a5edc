"""The price of change from slot to slot: squared, absolute, relative entropy."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

BARRIER_SHRINK = 0.1


BARRIER_TOLERANCE = 1e-8  # error of the marginals, with a barrier


BARRIER_GAP = 3e-8  # relative to the objective: what the last barrier adds to an l1 problem


def switching_cost(plan: np.ndarray, supply: np.ndarray, weight: float, switching: str) -> float:
    """Σ_t S(P_t, P_{t−1}) of ``plan`` (T, I, J)."""
    if switching == "kl":
        now, last = plan[1:], plan[:-1]
        ratio = np.where(now > 0, now, 1.0) / np.where((now > 0) & (last > 0), last, 1.0)
        if ((now > 0) & (last == 0)).any():
            return math.inf
        return weight * float((now * np.log(ratio) - now + last).sum())
    shares = plan / np.where(supply > 0, supply, 1.0)[:, :, None]
    counts = ((supply[1:] > 0) & (supply[:-1] > 0))[:, :, None]
    change = np.where(counts, np.diff(shares, axis=0), 0.0)
    if switching == "l1":
        return weight / 2 * float(np.abs(change).sum())
    return weight * float((change**2).sum())


class _Shares(ABC):
    """Chains on shares A: z_t gains (w_{t+1} − w_t)/a_t."""

    def __init__(self, cost: np.ndarray, supply: np.ndarray, weight: float):
        slots, rows, columns = cost.shape
        self.weight = weight
        positive = supply.T > 0
        counts = np.zeros((rows, slots), bool)
        counts[:, 1:] = positive[:, 1:] & positive[:, :-1]
        self.edges = np.broadcast_to(counts[:, None, :], (rows, columns, slots))
        self.scale = (np.where(positive, 1.0, 0.0) / np.where(positive, supply.T, 1.0))[:, None, :]
        self.down = np.where(self.edges, -self.scale, 0.0)
        self._up = np.zeros_like(self.down)
        self._up[..., :-1] = np.where(self.edges[..., 1:], self.scale[..., :-1], 0.0)

    @abstractmethod
    def conjugate(self, w: np.ndarray) -> float:
        """R(w)."""

    def smoothed(self, w: np.ndarray) -> float:
        """R(w) with the barrier, where there is one."""
        return self.conjugate(w)

    @abstractmethod
    def slopes(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives R′ and R″ of the smoothed R."""

    def up(self, w: np.ndarray) -> np.ndarray:
        """Derivative of z_t by w_{t+1}; ``down`` is that by w_t."""
        return self._up

    def shift(self, w: np.ndarray) -> np.ndarray:
        return self.down * w + self._up * _next(w)

    def curvature(self, w: np.ndarray, p: np.ndarray) -> np.ndarray:
        return np.zeros(1)

    def inside(self, w: np.ndarray) -> np.ndarray:
        return w

    def longest_step(self, w: np.ndarray, dw: np.ndarray) -> float:
        return 1.0

    def move(self, w: np.ndarray, step: np.ndarray) -> np.ndarray:
        return w + step

    def tighten(self, value: float) -> bool:
        return False

    def tolerance(self, asked: float) -> float:
        return asked


class _Frobenius(_Shares):
    def conjugate(self, w: np.ndarray) -> float:
        return float((w**2).sum()) / (4 * self.weight)

    def slopes(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return w / (2 * self.weight), np.full(1, 1 / (2 * self.weight))


class _L1(_Shares):
    """|w| ≤ λ/2 by a barrier −μ log(1 − (w/(λ/2))²)."""

    def __init__(self, cost: np.ndarray, supply: np.ndarray, weight: float):
        super().__init__(cost, supply, weight)
        self.box = weight / 2
        self.barrier = 0.1 * self.box

    def conjugate(self, w: np.ndarray) -> float:
        return 0.0

    def smoothed(self, w: np.ndarray) -> float:
        return -self.barrier * float(np.log1p(-((w / self.box) ** 2)).sum())

    def slopes(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        left, right = self.barrier / (self.box - w), self.barrier / (self.box + w)
        return left - right, (left**2 + right**2) / self.barrier

    def inside(self, w: np.ndarray) -> np.ndarray:
        return np.clip(w, -self.box, self.box)

    def longest_step(self, w: np.ndarray, dw: np.ndarray) -> float:
        room = np.where(dw > 0, self.box - w, self.box + w)
        return min(1.0, 0.95 * float((room / np.maximum(np.abs(dw), 1e-300)).min()))

    def tighten(self, value: float) -> bool:
        added = 2 * self.barrier * np.count_nonzero(self.edges)
        if added <= BARRIER_GAP * max(abs(value), 1e-12):
            return False
        self.barrier *= BARRIER_SHRINK
        return True

    def tolerance(self, asked: float) -> float:
        return max(asked, BARRIER_TOLERANCE)  # its Newton systems are too hard for more


class _Divergence(_Shares):
    """λ·KL: z_t gains −λ w_t + λ (e^{w_{t+1}} − 1)."""

    def __init__(self, cost: np.ndarray, supply: np.ndarray, weight: float):
        super().__init__(cost, np.ones_like(supply), weight)
        self.edges = self.edges & np.moveaxis(np.isfinite(cost), 0, -1)
        self.down = np.where(self.edges, -weight, 0.0)
        self._after = np.zeros(self.edges.shape, bool)
        self._after[..., :-1] = self.edges[..., 1:]

    def up(self, w: np.ndarray) -> np.ndarray:
        return np.where(self._after, self.weight * np.exp(_next(w)), 0.0)

    def shift(self, w: np.ndarray) -> np.ndarray:
        return self.down * w + np.where(self._after, self.weight * np.expm1(_next(w)), 0.0)

    def curvature(self, w: np.ndarray, p: np.ndarray) -> np.ndarray:
        return np.where(self.edges, self.weight * np.exp(w) * _last(p), 0.0)

    def conjugate(self, w: np.ndarray) -> float:
        return 0.0

    def slopes(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(1), np.zeros(1)

    def move(self, w: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Upward a step goes to e^w, which it enters linearly: Newton's steps in w overshoot."""
        return w + np.where(step > 0, np.log1p(np.maximum(step, 0.0)), step)


_CHAINS: dict[str, Callable[[np.ndarray, np.ndarray, float], _Shares]] = {
    "frobenius": _Frobenius,
    "l1": _L1,
    "kl": _Divergence,
}


def _next(x: np.ndarray) -> np.ndarray:
    """x of slot t+1 in the place of t."""
    moved = np.zeros_like(x)
    moved[..., :-1] = x[..., 1:]
    return moved


def _last(x: np.ndarray) -> np.ndarray:
    """x of slot t−1 in the place of t."""
    moved = np.zeros_like(x)
    moved[..., 1:] = x[..., :-1]
    return moved

"""A learning environment with a known optimum: follow a target that swings, without moving much.

The target is P_t = M ± D, the sign changing every slot, whatever the action; the reward is

    −‖A_t − P_t‖_F² − λ‖A_t − A_{t−1}‖_F²

In the long run the best answer is A_t = M ± a·D: a slot then costs ((1 − a)² + 4λa²)·‖D‖_F², least
at a = 1/(1 + 4λ). One-step smoothing, A_t = (P_t + λA_{t−1})/(1 + λ), settles at a = 1/(1 + 2λ),
and A_t = P_t is a = 1.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.policies.macro_state import row_shares


class MatrixTarget:
    """As ``learning.environment.BatchedMacro`` as far as the trainer is concerned."""

    def __init__(self, middle, swing, weight, count=8, shown=None):
        self.middle, self.swing, self.weight, self.count = middle, swing, weight, count
        self.shown = shown  # a wrong target to show to the network instead
        self.regions = len(middle)
        self.feature_count = 1 + 2 * self.regions**2
        self.slots, self.episode_slots = 200, 40
        self.rng = np.random.default_rng(0)

    @property
    def truth(self) -> np.ndarray:
        sign = np.where((self.start + self.k) % 2, -1.0, 1.0)
        return self.middle + sign[:, None, None] * self.swing

    @property
    def target(self) -> np.ndarray:
        shown = self.truth if self.shown is None else self.shown
        return np.broadcast_to(shown, self.last.shape)

    def reset(self, start=None) -> np.ndarray:
        self.start = np.zeros(self.count, int) if start is None else start
        self.k = 0
        self.last = np.broadcast_to(self.middle, (self.count, self.regions, self.regions))
        return self._state()

    def step(self, action):
        share = row_shares(action, np.ones(self.middle.shape, bool), self.target)
        away = ((share - self.truth) ** 2).sum(axis=(1, 2))
        change = ((share - self.last) ** 2).sum(axis=(1, 2))
        reward = -away - self.weight * change
        info = {
            "costs": -reward[:, None],
            "share": share,
            "target": self.target,
            "change": change,
            "terminal": False,
        }
        self.last = share
        self.k += 1
        return self._state(), reward, self.k >= self.episode_slots, info

    def _state(self) -> np.ndarray:
        sign = np.where((self.start + self.k) % 2, -1.0, 1.0)
        parts = [sign[:, None], self.last.reshape(self.count, -1)]
        parts.append(self.target.reshape(self.count, -1))
        return np.concatenate(parts, axis=1).astype(np.float32)

    def cost(self, act, slots=40) -> float:
        """Mean cost of a slot once settled, of ``act``: states to shares."""
        state, total = self.reset(), 0.0
        for k in range(2 * slots):
            state, reward, _, _ = self.step(act(state))
            total -= reward.mean() if k >= slots else 0.0
        return total / slots

"""Averaging fixed horizon control: the mean of plans that began in each of the last slots.

Lin, Liu, Wierman and Andrew, "Online algorithms for geographical load balancing" (IGCC 2012). Fixed
horizon control k solves a window in slots t ≡ k (mod w) and follows it to its end; AFHC does in
every slot what the w controls do on average, here: the mean of their numbers of servers, and of the
shares by which they split requests. One window is solved per slot. In the paper each control goes
on from where it would be itself; here all start from the state the mean has led to, because queues
are what they are; so the paper's ratio, 1 + O(1/w), is not claimed.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.instance.data import System
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.window import WindowPlan, WindowPolicy


class Afhc(WindowPolicy):
    """See the module; parameters are those of ``WindowPolicy``."""

    name = "afhc"

    def reset(self, system: System, seed: int) -> None:
        super().reset(system, seed)
        self._plans: list[WindowPlan] = []

    def plan_now(self, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        self._plans = [*self._plans[1 - self.window :], self.solve(observation)][-self.window :]
        now = observation.slot
        levels = np.mean([plan.levels[now - plan.slot] for plan in self._plans], axis=0)
        shares = [_shares(plan.flow[now - plan.slot]) for plan in self._plans]
        count = np.maximum(sum(share.any(axis=1, keepdims=True) for share in shares), 1)
        return levels, sum(shares) / count


def _shares(flow: np.ndarray) -> np.ndarray:
    """(R, R, C) split of each origin's requests; 0 where a plan expected none."""
    total = flow.sum(axis=1, keepdims=True)
    return np.where(total > 1e-6, flow / np.where(total > 1e-6, total, 1.0), 0.0)

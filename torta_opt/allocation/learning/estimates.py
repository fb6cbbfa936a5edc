"""What Alg. 2 of arXiv 2507.10259 measures, and the multipliers γ and δ that follow from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.learning.environment import BatchedMacro
from torta_opt.allocation.learning.options import Options
from torta_opt.allocation.learning.rollout import Rollout

MOST_EXPONENT = 3.0  # multipliers grow to e³ times their start at most


@dataclass
class Estimates:
    """Estimates of Alg. 2: K0 and L, measured once; ‖B‖ and s, updated during training."""

    reactive_change: float
    lipschitz: float
    distance: float = 0.0
    smoothness: float = 1.0

    def holds(self) -> bool:
        """Theorem 3's condition, costs taken together: (1 − 1/s)/ε > L/K0."""
        if self.reactive_change <= 0:
            return False
        left = (1 - 1 / max(self.smoothness, 1e-9)) / max(self.distance, 1e-9)
        return left > self.lipschitz / self.reactive_change

    def multipliers(self, options: Options) -> tuple[float, float]:
        """γ and δ of loss (5)."""
        far = options.alignment_growth * max(0.0, self.distance - options.epsilon_target)
        rough = options.smoothness_growth * max(0.0, options.smooth_target - self.smoothness)
        more = 1.0 if self.holds() else 1.5
        gamma = options.alignment * math.exp(min(far, MOST_EXPONENT)) * more
        return gamma, options.smoothness * math.exp(min(rough, MOST_EXPONENT)) * more

    def update(self, rollout: Rollout, before: int, after: int, every: int) -> None:
        """Update ‖B‖ from a rollout, and s every ``every`` episodes.

        ``before`` and ``after``: episodes that were run before it, and with it.
        """
        self.distance = rollout.distance
        every = max(1, int(every))
        if before == 0 or before // every != after // every:
            self.smoothness = self.reactive_change / max(rollout.change, 1e-9)


def estimate(env: BatchedMacro, seed: int, slots: int = 20) -> Estimates:
    """K0 as the reactive policy A_t = P_t switches, and L by a small step away from it."""
    rng = np.random.default_rng([seed, 2])
    start = rng.integers(0, env.slots - env.episode_slots + 1, env.count)
    changes, costs, steps = [], [], []
    for scale in (0.0, 0.05):
        env.reset(start)
        total = np.zeros(env.count)
        for _ in range(min(slots, env.episode_slots)):
            target = env.target
            other = rng.dirichlet(np.ones(env.regions), target.shape[:2])
            share = (1 - scale) * target + scale * other
            _, _, _, info = env.step(share)
            total += info["costs"].sum(axis=1)
            if scale:
                moved = ((info["share"] - target) ** 2).sum(axis=(1, 2)) / env.regions
                steps.append(np.sqrt(moved))
            else:
                changes.append(info["change"] / env.regions)
        costs.append(total / min(slots, env.episode_slots))
    slope = np.abs(costs[1] - costs[0]) / np.maximum(np.mean(steps, axis=0), 1e-9)
    return Estimates(float(np.mean(changes)), float(slope.mean()))

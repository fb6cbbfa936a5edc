"""The hyper-parameters of TORTA's training; ``ppo`` has the equations that they stand in."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from torta_opt.io import InvalidInput


@dataclass(frozen=True)
class Options:
    """Everything the training may be told.

    updates            rollouts, each followed by ``epochs`` passes
    rollout_slots      slots of a rollout, in each of the environments
    environments       environments of a rollout, about; ``copies`` of each instance among them
    copies             1: the value network is the only baseline
    clip, discount, trace, epochs, minibatches, entropy_weight, gradient_norm    PPO
    persistence        how much of a slot's exploration is that of the slot before: correlation of
                       its normal scores; 0: none, as in plain PPO
    concentration      a + b − 2 of Beta(a, b) at the start; normal logits start with the spread
                       0.3·√(500/concentration). The wider, the more a policy that explores, and
                       remembers what it explored in A_{t−1}, differs from the one that is kept
    drift_limit        KL divergence from the rollout's policy at which the policy's passes end
    rate, rate_decay, decay_episodes    Adam, of the policy
    value_rate         Adam, of the value network
    alignment          γ0; 0 leaves the term out
    smoothness         δ0; 0 leaves the term out
    alignment_growth, smoothness_growth    α_γ, α_δ
    epsilon_max, epsilon_unit, epsilon_target    ε_max, ε0, ε_target
    smooth_min, smooth_unit, smooth_target       s_min, s0, s_target
    refresh_episodes   episodes after which s is measured again
    """

    updates: int = 100
    rollout_slots: int = 60
    environments: int = 16
    copies: int = 4
    epochs: int = 4
    minibatches: int = 8
    clip: float = 0.2
    discount: float = 0.95
    trace: float = 0.95
    entropy_weight: float = 0.0
    gradient_norm: float = 0.5
    persistence: float = 0.0
    concentration: float = 500.0
    drift_limit: float = 0.05
    rate: float = 3e-4
    rate_decay: float = 0.995
    decay_episodes: int = 100
    value_rate: float = 1e-3
    alignment: float = 0.01
    smoothness: float = 0.01
    alignment_growth: float = 1.0
    smoothness_growth: float = 1.0
    epsilon_max: float = 0.3
    epsilon_unit: float = 1.0
    epsilon_target: float = 0.15
    smooth_min: float = 2.5
    smooth_unit: float = 1.0
    smooth_target: float = 2.5
    refresh_episodes: int = 10

    def __post_init__(self) -> None:
        whole = ("updates", "rollout_slots", "environments", "copies", "epochs", "minibatches")
        for name in (*whole, "decay_episodes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidInput("must be a whole number of at least 1", field=name)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not 0 <= value < math.inf:
                raise InvalidInput("must be a number of at least 0", field=field.name)
        if self.concentration == 0:
            raise InvalidInput("must be above 0", field="concentration")
        if self.persistence >= 1:
            raise InvalidInput("must be below 1", field="persistence")

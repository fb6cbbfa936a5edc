"""TORTA's networks (arXiv 2507.10259, App. B): policy, value, and the forecaster.

Policy and value   state → 256 → 512 → 256 → out, ReLU
Forecaster         5 slots of (U, Q, H), 15·R numbers → 512 → 256 → R; the output is softplus, since
                   a softmax, as the paper has it, cannot emit counts

Heads of the policy. A_t comes from independent latent numbers, one per pair of regions:

    beta      Beta(a, b) per element, rows then normalised (§V-B)
    softmax   normal logits, softmax by row (App. B)

Both are anchored: with a last layer of zeros their mean is B = (P_t + λ·A_{t−1})/(1 + λ), the
smoothed transport target, the one-step optimum of reward (3) without its queue term. So an
untrained network is a sound policy, and what training adds is what it learns beyond smoothing.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

HEADS = ("beta", "softmax")
FLOOR = 1e-3  # least share in an anchor: where its logit is finite and can be learned away
CONCENTRATION = 200.0  # a + b at the start of training; the spread that exploration begins with
SPREAD = 0.1  # of normal logits at the start


def _mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class PolicyNetwork(nn.Module):
    """Distribution of A_t for states (N, F). The last 2·R² features are A_{t−1} and P_t."""

    def __init__(self, features: int, regions: int, head: str = "beta", smoothing: float = 1.0):
        super().__init__()
        if head not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}")
        self.regions, self.head, self.smoothing = regions, head, smoothing
        self.body = _mlp(features, 256, 512, 256, regions**2)
        nn.init.zeros_(self.body[-1].weight)
        nn.init.zeros_(self.body[-1].bias)
        start = math.log(CONCENTRATION if head == "beta" else SPREAD)
        self.log_spread = nn.Parameter(torch.full((), start))

    def anchor(self, state: Tensor) -> Tensor:
        """(N, R²) B."""
        size = self.regions**2
        last, target = state[:, -2 * size : -size], state[:, -size:]
        mixed = (target + self.smoothing * last) / (1 + self.smoothing)
        return mixed.clamp(FLOOR, 1 - FLOOR)

    def distribution(self, state: Tensor) -> torch.distributions.Distribution:
        """Of the latent (N, R²)."""
        learned, anchor = self.body(state), self.anchor(state)
        if self.head == "softmax":
            return torch.distributions.Normal(anchor.log() + learned, self.log_spread.exp())
        mean = torch.sigmoid(torch.logit(anchor) + learned).clamp(FLOOR / 2, 1 - FLOOR / 2)
        total = self.log_spread.exp()
        return torch.distributions.Beta(mean * total, (1 - mean) * total, validate_args=False)

    def shares(self, latent: Tensor) -> Tensor:
        """(N, R, R) row-stochastic A_t of a latent."""
        rows = latent.reshape(-1, self.regions, self.regions)
        if self.head == "softmax":
            return rows.softmax(dim=-1)
        return rows / rows.sum(dim=-1, keepdim=True).clamp_min(1e-12)

    def act(self, state: Tensor) -> Tensor:
        """(N, R, R) A_t without exploration; shares as small as the anchor's floor are dropped."""
        found = self.shares(self.distribution(state).mean)
        kept = torch.where(found > 3 * FLOOR, found, torch.zeros(()))
        return kept / kept.sum(dim=-1, keepdim=True)


class ValueNetwork(nn.Module):
    """Expected discounted reward of states (N, F): (N,)."""

    def __init__(self, features: int):
        super().__init__()
        self.body = _mlp(features, 256, 512, 256, 1)

    def forward(self, state: Tensor) -> Tensor:
        return self.body(state).squeeze(-1)


class ForecastNetwork(nn.Module):
    """Arrivals (N, R) of the next slot from (N, 5, 3, R) utilisation, queue and arrivals, the last
    two in units of ``request_scale``."""

    def __init__(self, regions: int, slots: int = 5):
        super().__init__()
        self.body = _mlp(3 * slots * regions, 512, 256, regions)

    def forward(self, history: Tensor) -> Tensor:
        return nn.functional.softplus(self.body(history.flatten(1)))

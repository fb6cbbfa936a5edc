"""TORTA's networks (arXiv 2507.10259, App. B): policy, value, and the forecaster.

Policy and value   state → 256 → 512 → 256 → out, ReLU
Forecaster         5 slots of (U, Q, H), 15·R numbers → 512 → 256 → R; the output is softplus, since
                   a softmax, as the paper has it, cannot emit counts

The policy says, for a state, three things: e_ij for each pair of regions, by the network above; and
by a small one (64-64) that sees one region at a time, the same for all, g_i how far row i follows
the target and w_j what region j is worth as a place to serve. That is ours: what holds for a region
with few servers of the right kind holds for every such region, and need not be learned R times.
With them

    B_ij = (1 − k_i)·A_{t−1,ij} + k_i·P_ij          k_i = sigmoid(g_i − log λ)

is tilted by e_ij + w_j. Heads, from independent latent numbers x_ij, one per pair:

    beta      x_ij from the Beta distribution with mode m_ij,              (§V-B)
              logit m_ij = logit(f + (1 − 2f)·B_ij) + e_ij + w_j
              A = rows of max(x − f, 0), normalised
    softmax   x_ij normal with mean log(f + (1 − R·f)·B_ij) + e_ij + w_j   (App. B)
              A = rows of max(softmax(x) − f, 0), normalised

f is a small floor: it keeps logits finite, so that the network can open a pair that B leaves out,
and what is not above it counts as nothing. Exploration samples x; a policy takes its mode. The last
layer starts at 0, where the mode is B exactly: the smoothed transport target, for λ → 0 the
transport target itself. So an untrained network imitates A^OT, or its smoothing, without any
training by imitation, and what training adds is what it learns beyond that.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

HEADS = ("beta", "softmax")
FLOOR, FLOORS_OF_A_ROW = 0.03, 0.12  # f is the first, or the second over R where that is less
CONCENTRATION = 500.0  # at the start of training, unless told otherwise
SPREAD = 0.3  # standard deviation of normal logits at that concentration
LEAST_SMOOTHING = 1e-3
LEAST_UNIT = 0.05  # features that hardly vary are not blown up to more than 20 times
MOST = 5.0  # standardised features are cut off here


def _mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Standard(nn.Module):
    """Features less their mean, in units of their spread, both as ``learn`` found them."""

    mean: Tensor
    unit: Tensor

    def __init__(self, features: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("unit", torch.ones(features))

    def learn(self, states: Tensor) -> None:
        """From states (N, F)."""
        self.mean.copy_(states.mean(dim=0))
        self.unit.copy_(states.std(dim=0).clamp_min(LEAST_UNIT))

    def forward(self, state: Tensor) -> Tensor:
        return ((state - self.mean) / self.unit).clamp(-MOST, MOST)


class PolicyNetwork(nn.Module):
    """Distribution of A_t for states (N, F). The last 2·R² features are A_{t−1} and P_t."""

    def __init__(self, features: int, regions: int, head: str = "beta", smoothing: float = 1.0):
        super().__init__()
        if head not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}")
        self.regions, self.head, self.smoothing = regions, head, smoothing
        self.floor = min(FLOOR, FLOORS_OF_A_ROW / regions)
        self.standard = Standard(features)
        self.body = _mlp(features, 256, 512, 256, regions**2)
        own = (features - 2 * regions**2) // regions  # what is known of a region by itself
        self.region = _mlp(own + 3, 64, 64, 2)
        for network in (self.body, self.region):
            last = network[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.log_spread = nn.Parameter(torch.zeros(()))
        self.explore(CONCENTRATION)

    @torch.no_grad()
    def explore(self, concentration: float) -> None:
        """Start with Beta(1 + m·c, 1 + (1 − m)·c), or logits as widely spread, for this c."""
        spread = SPREAD * math.sqrt(CONCENTRATION / concentration)
        self.log_spread.fill_(math.log(concentration if self.head == "beta" else spread))

    def anchor(self, state: Tensor, follow: Tensor | None = None) -> Tensor:
        """(N, R, R) B, given g as ``follow`` (N, R)."""
        size = self.regions**2
        last, target = (
            part.reshape(-1, self.regions, self.regions)
            for part in (state[:, -2 * size : -size], state[:, -size:])
        )
        shift = -math.log(max(self.smoothing, LEAST_SMOOTHING))
        share = torch.sigmoid(shift + (torch.zeros(()) if follow is None else follow))
        if follow is not None:
            share = share[:, :, None]
        return (1 - share) * last + share * target

    def by_region(self, state: Tensor) -> Tensor:
        """(N, R, K + 3) what a state says of each region: its K own features, the shares of the
        target and of the last slot that it gets, and what it kept of its own."""
        regions = self.regions
        size = regions**2
        own = state[:, : state.shape[1] - 2 * size]
        columns = own[:, : own.shape[1] // regions * regions].reshape(len(state), -1, regions)
        last, target = (
            part.reshape(-1, regions, regions)
            for part in (state[:, -2 * size : -size], state[:, -size:])
        )
        parts = [last.sum(dim=1), target.sum(dim=1), last.diagonal(dim1=1, dim2=2)]
        return torch.cat([columns, torch.stack(parts, dim=1)], dim=1).transpose(1, 2)

    def distribution(self, state: Tensor) -> torch.distributions.Distribution:
        """Distribution of the latent variable (N, R²)."""
        regions, floor = self.regions, self.floor
        seen = self.standard(state)
        places, follow = self.region(self.by_region(seen)).unbind(dim=2)
        tilt = self.body(seen) + places.repeat(1, regions)
        anchor = self.anchor(state, follow).flatten(1)
        if self.head == "softmax":
            middle = (floor + (1 - regions * floor) * anchor).log() + tilt
            return torch.distributions.Normal(middle, self.log_spread.exp())
        mode = torch.sigmoid(torch.logit(floor + (1 - 2 * floor) * anchor) + tilt)
        total = self.log_spread.exp()
        return torch.distributions.Beta(1 + mode * total, 1 + (1 - mode) * total, False)

    def mode(self, spread: torch.distributions.Distribution) -> Tensor:
        """(N, R²) the likeliest latent."""
        if isinstance(spread, torch.distributions.Beta):
            a, b = spread.concentration1, spread.concentration0
            return (a - 1) / (a + b - 2)
        return spread.mean

    def shares(self, latent: Tensor) -> Tensor:
        """(N, R, R) row-stochastic A_t of a latent."""
        rows = latent.reshape(-1, self.regions, self.regions)
        if self.head == "softmax":
            rows = rows.softmax(dim=-1)
        kept = (rows - self.floor).clamp_min(0)
        total = kept.sum(dim=-1, keepdim=True)
        return torch.where(
            total > 1e-6, kept / total.clamp_min(1e-6), rows / rows.sum(dim=-1, keepdim=True)
        )

    def act(self, state: Tensor) -> Tensor:
        """(N, R, R) A_t without exploration."""
        return self.shares(self.mode(self.distribution(state)))


class ValueNetwork(nn.Module):
    """Expected discounted reward of states (N, F): (N,)."""

    def __init__(self, features: int):
        super().__init__()
        self.standard = Standard(features)
        self.body = _mlp(features, 256, 512, 256, 1)

    def forward(self, state: Tensor) -> Tensor:
        return self.body(self.standard(state)).squeeze(-1)


class ForecastNetwork(nn.Module):
    """Arrivals (N, R) of the next slot from (N, 5, 3, R) utilisation, queue and arrivals, the last
    two in units of ``request_scale``."""

    def __init__(self, regions: int, slots: int = 5):
        super().__init__()
        self.body = _mlp(3 * slots * regions, 512, 256, regions)

    def forward(self, history: Tensor) -> Tensor:
        return nn.functional.softplus(self.body(history.flatten(1)))

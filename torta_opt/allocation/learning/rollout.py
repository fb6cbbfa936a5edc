"""Rollouts of the training: what the networks do in the environments, and what it is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from torta_opt.allocation.learning.environment import BatchedMacro
from torta_opt.allocation.learning.options import Options
from torta_opt.allocation.policies.neural.files import Networks


@dataclass(frozen=True, eq=False)
class Rollout:
    """Transitions of one rollout, and their averages.

    batch       state, latent, log_chance, value, last, target, return, advantage; (T·N, …) each
    episodes    number of episodes
    reward, cost_usd, distance, change    per slot; ‖A_t − P_t‖_F/√R and ‖A_t − A_{t−1}‖_F²/R
    explained   share of the variance of returns that the value network explains
    """

    batch: dict[str, torch.Tensor]
    episodes: int
    reward: float
    cost_usd: float
    distance: float
    change: float
    explained: float


class Rollouts:
    """Episodes of the networks in batches of environments, one batch after another.

    In a batch of N, instances 0 … ``copies``−1 are the same one, and so on. ``generator`` draws the
    slots in which episodes begin.
    """

    def __init__(
        self,
        envs: Sequence[BatchedMacro],
        networks: Networks,
        options: Options,
        seed: int,
        generator: np.random.Generator,
    ):
        self.envs, self.networks, self.options = envs, networks, options
        self.copies = options.copies if envs[0].count % options.copies == 0 else 1
        self.seed, self.generator = seed, generator

    @torch.no_grad()
    def collect(self, number: int) -> Rollout:
        """Rollout ``number`` (0, 1, …) of the networks as they are."""
        env = self.envs[number % len(self.envs)]
        policy, value = self.networks.policy, self.networks.value
        env.rng = np.random.default_rng([self.seed, number])
        state = torch.from_numpy(env.reset(self.starts(env)))
        seen: dict[str, list[torch.Tensor]] = {
            key: [] for key in ("state", "latent", "log_chance", "value", "last", "target")
        }
        rewards: list[torch.Tensor] = []
        costs: list[np.ndarray] = []
        distance: list[np.ndarray] = []
        change: list[np.ndarray] = []
        terminal, over = False, False
        noise: torch.Tensor | None = None
        while not over and len(rewards) < self.options.rollout_slots:
            spread = policy.distribution(state)
            latent, noise = self._explored(spread, noise, state)
            for key, item in (
                ("state", state),
                ("latent", latent),
                ("log_chance", spread.log_prob(latent).sum(dim=1)),
                ("value", value(state)),
                ("last", torch.tensor(env.last, dtype=torch.float32)),
                ("target", torch.tensor(env.target, dtype=torch.float32)),
            ):
                seen[key].append(item)
            features, reward, over, info = env.step(policy.shares(latent).numpy())
            state = torch.from_numpy(features)
            rewards.append(torch.from_numpy(reward).float() * (1 - self.options.discount))
            costs.append(info["costs"].sum(axis=1))
            away = ((info["share"] - info["target"]) ** 2).sum(axis=(1, 2))
            distance.append(np.sqrt(away / env.regions))
            change.append(info["change"] / env.regions)
            terminal = bool(info["terminal"])
        following = torch.zeros(env.count) if terminal else value(state)
        advantage = self.advantages(rewards, seen["value"], following)
        batch = {key: torch.stack(items).flatten(0, 1) for key, items in seen.items()}
        batch["return"] = advantage.flatten() + batch["value"]
        batch["advantage"] = self.compared(advantage).flatten()
        return Rollout(
            batch,
            env.count,
            reward=float(torch.stack(rewards).mean()) / (1 - self.options.discount),
            cost_usd=float(np.mean(costs)),
            distance=float(np.mean(distance)),
            change=float(np.mean(change)),
            explained=_explained(batch["value"], batch["return"]),
        )

    def starts(self, env: BatchedMacro) -> np.ndarray:
        """(N,) first slots of episodes, the same for copies."""
        drawn = self.generator.integers(
            0, env.slots - env.episode_slots + 1, env.count // self.copies
        )
        return np.repeat(drawn, self.copies)

    def _explored(
        self,
        spread: torch.distributions.Distribution,
        noise: torch.Tensor | None,
        state: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Latents drawn from ``spread``, and the noise that those of the next slot resemble."""
        if self.options.persistence:
            noise = self._noise(noise, state)
            latent = explore(spread, noise)
        else:
            latent = spread.sample()
        if self.networks.policy.head == "beta":
            latent = latent.clamp(1e-6, 1 - 1e-6)
        return latent, noise

    def _noise(self, before: torch.Tensor | None, state: torch.Tensor) -> torch.Tensor:
        """(N, R²) normal scores of exploration."""
        fresh = torch.randn(len(state), self.envs[0].regions ** 2)
        keep = self.options.persistence
        return fresh if before is None else keep * before + math.sqrt(1 - keep**2) * fresh

    def advantages(
        self, rewards: list[torch.Tensor], values: list[torch.Tensor], following: torch.Tensor
    ) -> torch.Tensor:
        """(T, N) generalised advantage estimates."""
        discount, trace = self.options.discount, self.options.trace
        found, running = [], torch.zeros_like(following)
        for reward, value in zip(reversed(rewards), reversed(values), strict=True):
            running = reward + discount * following - value + discount * trace * running
            following = value
            found.append(running)
        return torch.stack(found[::-1])

    def compared(self, advantage: torch.Tensor) -> torch.Tensor:
        """(T, N) advantages less the mean of their copies, in units of their spread."""
        if self.copies > 1:
            groups = advantage.reshape(len(advantage), -1, self.copies)
            advantage = (groups - groups.mean(dim=2, keepdim=True)).reshape(advantage.shape)
        if advantage.numel() < 2:
            return advantage
        return (advantage - advantage.mean()) / (advantage.std() + 1e-8)


def explore(spread: torch.distributions.Distribution, noise: torch.Tensor) -> torch.Tensor:
    """Latents distributed as ``spread`` (its own law in every element), the greater the noise."""
    if isinstance(spread, torch.distributions.Normal):
        return spread.mean + spread.stddev * noise
    from scipy.special import betaincinv, ndtr

    assert isinstance(spread, torch.distributions.Beta)
    a, b = spread.concentration1, spread.concentration0
    found = betaincinv(a.numpy(), b.numpy(), ndtr(noise.numpy()))
    return torch.from_numpy(found).float()


def _explained(value: torch.Tensor, returned: torch.Tensor) -> float:
    """Share of the variance of returns that the value network explains."""
    return float(1 - (returned - value).var() / returned.var().clamp_min(1e-12))

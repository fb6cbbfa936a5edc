"""TORTA's training (Alg. 2 of arXiv 2507.10259): PPO with the constraints of loss (5).

Read top to bottom: options, one update = rollout → advantages → epochs → multipliers.

    L = L_PPO + γ·max(0, (‖A − P‖_F − ε_max)/ε0) + δ·max(0, (s_min − s)/s0)
    s = K0 / E‖A_t − A_{t−1}‖_F²                 K0: the same of the memoryless A_t = P_t
    γ = γ0·exp(α_γ·max(0, ‖B‖ − ε_target))       ‖B‖ = E‖A_t − P_t‖_F of the last rollout
    δ = δ0·exp(α_δ·max(0, s_target − s))         both ×1.5 while Theorem 3's condition fails:
    (1 − 1/s)/ε > (L_R + βL_P)/(αK0)             L: |Δ cost of a slot| / ‖ΔA‖, by finite differences

The paper gives ε_target = 0.15, s_target = 2.5, Adam at 3e-4 times 0.995 every 100 episodes, and
×1.5; all else below is ours. ‖·‖_F is that of a whole R×R matrix divided by √R, so that the targets
mean the same on every topology. s in the loss is differentiated through the policy's mean. Rewards
are multiplied by 1 − discount, so that returns are of the size of a slot's reward.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from torta_opt.io import InvalidInput
from torta_opt.learning.environment import BatchedMacro
from torta_opt.networks.files import Networks

MOST_EXPONENT = 3.0  # multipliers grow to e³ times their start at most


@dataclass(frozen=True)
class Options:
    """Everything the training may be told.

    updates            rollouts, each followed by ``epochs`` passes
    rollout_slots      slots of a rollout, in each of the environments
    clip, discount, trace, epochs, minibatches, value_weight, entropy_weight, gradient_norm    PPO
    rate, rate_decay, decay_episodes    Adam
    alignment          γ0; 0 leaves the term out
    smoothness         δ0; 0 leaves the term out
    alignment_growth, smoothness_growth    α_γ, α_δ
    epsilon_max, epsilon_unit, epsilon_target    ε_max, ε0, ε_target
    smooth_min, smooth_unit, smooth_target       s_min, s0, s_target
    refresh_episodes   s is measured anew so often
    """

    updates: int = 100
    rollout_slots: int = 60
    epochs: int = 4
    minibatches: int = 8
    clip: float = 0.2
    discount: float = 0.95
    trace: float = 0.95
    value_weight: float = 0.5
    entropy_weight: float = 0.0
    gradient_norm: float = 0.5
    rate: float = 3e-4
    rate_decay: float = 0.995
    decay_episodes: int = 100
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
        for name in ("updates", "rollout_slots", "epochs", "minibatches", "decay_episodes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidInput("must be a whole number of at least 1", field=name)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise InvalidInput("must be a number not below 0", field=field.name)


@dataclass
class Estimates:
    """What Alg. 2 keeps: K0 and L, measured once; ‖B‖ and s, measured as training goes on."""

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


class Trainer:
    """PPO on a batch of environments. ``update`` does one round and returns its figures."""

    def __init__(self, env: BatchedMacro, networks: Networks, options: Options, seed: int):
        self.env, self.networks, self.options = env, networks, options
        self.generator = np.random.default_rng([seed, 1])
        torch.manual_seed(seed)
        self.modules = torch.nn.ModuleList([networks.policy, networks.value])
        self.adam = torch.optim.Adam(self.modules.parameters(), lr=options.rate)
        self.done, self.episodes = 0, 0
        self.estimates = estimate(env, seed)

    def update(self) -> dict[str, float]:
        """One rollout in every environment, and the passes over it."""
        options = self.options
        batch, figures = self.rollout()
        gamma, delta = self.multipliers()
        rate = options.rate * options.rate_decay ** (self.episodes // options.decay_episodes)
        for group in self.adam.param_groups:
            group["lr"] = rate
        losses = []
        size = len(batch["state"])
        for _ in range(options.epochs):
            order = self.generator.permutation(size)
            for part in np.array_split(order, min(options.minibatches, size)):
                losses.append(self._descend({k: v[part] for k, v in batch.items()}, gamma, delta))
        self.done += 1
        figures |= {"gamma": gamma, "delta": delta, "rate": rate, "loss": float(np.mean(losses))}
        return {"update": self.done, "episodes": self.episodes, **figures}

    @torch.no_grad()
    def rollout(self) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        """Transitions with advantages, and what they show."""
        env, policy, value = self.env, self.networks.policy, self.networks.value
        length = min(self.options.rollout_slots, env.episode_slots)
        state = torch.from_numpy(env.reset())
        seen: dict[str, list[torch.Tensor]] = {
            key: [] for key in ("state", "latent", "log_chance", "value", "last", "target")
        }
        rewards, costs, distance, change = [], [], [], []
        terminal = False
        for _ in range(length):
            spread = policy.distribution(state)
            latent = spread.sample()
            if policy.head == "beta":
                latent = latent.clamp(1e-6, 1 - 1e-6)
            for key, item in (
                ("state", state),
                ("latent", latent),
                ("log_chance", spread.log_prob(latent).sum(dim=1)),
                ("value", value(state)),
                ("last", torch.from_numpy(env.last).float()),
                ("target", torch.from_numpy(env.target).float()),
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
            if over:
                break
        following = torch.zeros(env.count) if terminal else value(state)
        advantage = self._advantages(rewards, seen["value"], following)
        batch = {key: torch.stack(items).flatten(0, 1) for key, items in seen.items()}
        batch["advantage"] = advantage.flatten()
        batch["return"] = batch["advantage"] + batch["value"]
        self._remember(float(np.mean(distance)), float(np.mean(change)))
        figures = {
            "reward": float(torch.stack(rewards).mean()) / (1 - self.options.discount),
            "cost_usd": float(np.mean(costs)),
            "distance": self.estimates.distance,
            "smoothness": self.estimates.smoothness,
        }
        return batch, figures

    def multipliers(self) -> tuple[float, float]:
        """γ and δ of loss (5)."""
        options, known = self.options, self.estimates
        far = options.alignment_growth * max(0.0, known.distance - options.epsilon_target)
        rough = options.smoothness_growth * max(0.0, options.smooth_target - known.smoothness)
        more = 1.0 if known.holds() else 1.5
        gamma = options.alignment * math.exp(min(far, MOST_EXPONENT)) * more
        return gamma, options.smoothness * math.exp(min(rough, MOST_EXPONENT)) * more

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Tensors and JSON from which ``restore`` goes on bit for bit."""
        tensors = {f"modules.{k}": v.clone() for k, v in self.modules.state_dict().items()}
        for n, entries in self.adam.state_dict()["state"].items():
            for name, tensor in entries.items():
                tensors[f"adam.{n}.{name}"] = torch.as_tensor(tensor).clone()
        tensors["rng.torch"] = torch.get_rng_state()
        plain = {
            "done": self.done,
            "episodes": self.episodes,
            "estimates": dataclasses.asdict(self.estimates),
            "rng": self.generator.bit_generator.state,
            "env_rng": self.env.rng.bit_generator.state,
        }
        return tensors, plain

    def restore(self, tensors: dict[str, torch.Tensor], plain: dict[str, Any]) -> None:
        """Go on from ``state``."""
        cut = len("modules.")
        self.modules.load_state_dict(
            {k[cut:]: v for k, v in tensors.items() if k.startswith("modules.")}
        )
        entries: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in tensors.items():
            if key.startswith("adam."):
                _, n, name = key.split(".", 2)
                entries.setdefault(int(n), {})[name] = tensor.clone()
        groups = self.adam.state_dict()["param_groups"]
        self.adam.load_state_dict({"state": entries, "param_groups": groups})
        self.done, self.episodes = plain["done"], plain["episodes"]
        self.estimates = Estimates(**plain["estimates"])
        self.generator.bit_generator.state = plain["rng"]
        self.env.rng.bit_generator.state = plain["env_rng"]
        torch.set_rng_state(tensors["rng.torch"])

    def _advantages(
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

    def _descend(self, part: dict[str, torch.Tensor], gamma: float, delta: float) -> float:
        """One step of Adam on loss (5)."""
        options, policy = self.options, self.networks.policy
        spread = policy.distribution(part["state"])
        ratio = (spread.log_prob(part["latent"]).sum(dim=1) - part["log_chance"]).exp()
        gain = part["advantage"]
        if len(gain) > 1:
            gain = (gain - gain.mean()) / (gain.std() + 1e-8)
        clipped = ratio.clamp(1 - options.clip, 1 + options.clip)
        loss = -torch.minimum(ratio * gain, clipped * gain).mean()
        error = self.networks.value(part["state"]) - part["return"]
        loss = loss + options.value_weight * (error**2).mean()
        if options.entropy_weight:
            loss = loss - options.entropy_weight * spread.entropy().sum(dim=1).mean()
        loss = loss + self._constraints(policy.shares(spread.mean), part, gamma, delta)
        self.adam.zero_grad()
        loss.backward()
        for module in self.modules:
            torch.nn.utils.clip_grad_norm_(module.parameters(), options.gradient_norm)
        self.adam.step()
        return float(loss.detach())

    def _constraints(
        self, share: torch.Tensor, part: dict[str, torch.Tensor], gamma: float, delta: float
    ) -> torch.Tensor:
        """The last two terms of loss (5)."""
        options, regions = self.options, self.env.regions
        away = ((share - part["target"]) ** 2).sum(dim=(1, 2)) / regions
        distance = (away + 1e-12).sqrt().mean()
        change = ((share - part["last"]) ** 2).sum(dim=(1, 2)).mean() / regions
        smoothness = self.estimates.reactive_change / (change + 1e-9)
        far = (distance - options.epsilon_max) / options.epsilon_unit
        rough = (options.smooth_min - smoothness) / options.smooth_unit
        return gamma * far.clamp_min(0) + delta * rough.clamp_min(0)

    def _remember(self, distance: float, change: float) -> None:
        before = self.episodes
        self.episodes += self.env.count
        self.estimates.distance = distance
        every = max(1, int(self.options.refresh_episodes))
        if before == 0 or before // every != self.episodes // every:
            self.estimates.smoothness = self.estimates.reactive_change / max(change, 1e-9)


def estimate(env: BatchedMacro, seed: int, slots: int = 20) -> Estimates:
    """K0 as the reactive policy A_t = P_t switches, and L by a small step away from it."""
    rng = np.random.default_rng([seed, 2])
    state = env.rng.bit_generator.state
    start = env.rng.integers(0, env.slots - env.episode_slots + 1, env.count)
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
    env.rng.bit_generator.state = state
    slope = np.abs(costs[1] - costs[0]) / np.maximum(np.mean(steps, axis=0), 1e-9)
    return Estimates(float(np.mean(changes)), float(slope.mean()))


Watch = Callable[[dict[str, float]], None]

"""TORTA's training (Alg. 2 of arXiv 2507.10259): PPO with the constraints of loss (5).

Read top to bottom: options, one update = rollout → advantages → multipliers → epochs.

    L = L_PPO + γ·max(0, (‖A − P‖_F − ε_max)/ε0) + δ·max(0, (s_min − s)/s0)
    s = K0 / E‖A_t − A_{t−1}‖_F²                 K0: the same of the memoryless A_t = P_t
    γ = γ0·exp(α_γ·max(0, ‖B‖ − ε_target))       ‖B‖ = E‖A_t − P_t‖_F of the last rollout
    δ = δ0·exp(α_δ·max(0, s_target − s))         both ×1.5 while Theorem 3's condition fails:
    (1 − 1/s)/ε > (L_R + βL_P)/(αK0)             L: |Δ cost of a slot| / ‖ΔA‖, by finite differences

The paper gives ε_target = 0.15, s_target = 2.5, Adam at 3e-4 times 0.995 every 100 episodes, and
×1.5; all else below is ours. ‖·‖_F is that of a whole R×R matrix divided by √R, so that the targets
mean the same on every topology. s in the loss is differentiated through the policy's mode. Rewards
are multiplied by 1 − discount, so that returns are of the size of a slot's reward.

What a slot costs depends far more on what arrives, and on the fleet, than on A_t. So ``copies``
environments of a rollout run the same instance from the same slot and differ in their exploration
only; their mean is taken off their advantages. It depends on the outside alone as far as the common
part goes, which is what makes it a fair baseline (Mao et al. 2019, "Variance reduction for
reinforcement learning in input-driven environments"). And exploration may last: with
``persistence`` a slot's noise is like that of the slot before, so that what a lasting change of
routing does to servers, which take slots to follow, can be told from chance; every slot's A_t still
has the policy's own law.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from torta_opt.allocation.learning.environment import BatchedMacro
from torta_opt.allocation.policies.neural.files import Networks
from torta_opt.io import InvalidInput

MOST_EXPONENT = 3.0  # multipliers grow to e³ times their start at most


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
    refresh_episodes   s is measured anew so often
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
    """PPO on batches of environments, one batch after another. ``update`` does one round and
    returns its figures.

    In a batch of N, instances 0 … ``copies``−1 are the same one, and so on. Networks are where
    ``device`` says while they learn; environments and exploration are on the processor.
    """

    def __init__(
        self,
        envs: Sequence[BatchedMacro],
        networks: Networks,
        options: Options,
        seed: int,
        device: str = "cpu",
    ):
        self.envs, self.networks, self.options = envs, networks, options
        self.copies = options.copies if envs[0].count % options.copies == 0 else 1
        self.device, self.seed = torch.device(device), seed
        self.generator = np.random.default_rng([seed, 1])
        torch.manual_seed(seed)
        self.modules = torch.nn.ModuleList([networks.policy, networks.value])
        self.adam = torch.optim.Adam(networks.policy.parameters(), lr=options.rate)
        self.value_adam = torch.optim.Adam(networks.value.parameters(), lr=options.value_rate)
        self.done, self.episodes = 0, 0
        self.estimates = estimate(envs[0], seed)

    def update(self) -> dict[str, float]:
        """One rollout in every environment of a batch, and the passes over it."""
        options = self.options
        batch, figures = self.rollout()
        gamma, delta = self.multipliers()
        rate = options.rate * options.rate_decay ** (self.episodes // options.decay_episodes)
        for group in self.adam.param_groups:
            group["lr"] = rate
        self._move(self.device)
        batch = {key: item.to(self.device) for key, item in batch.items()}
        losses, errors, size, moving = [], [], len(batch["state"]), True
        for _ in range(options.epochs):
            order = self.generator.permutation(size)
            drifts = []
            for part in np.array_split(order, min(options.minibatches, size)):
                rows = torch.from_numpy(part).to(self.device)
                piece = {key: item[rows] for key, item in batch.items()}
                errors.append(self._descend_value(piece))
                if moving:
                    loss, drift = self._descend_policy(piece, gamma, delta)
                    losses.append(loss)
                    drifts.append(drift)
            moving = moving and bool(np.mean(drifts) <= options.drift_limit)
        self._move(torch.device("cpu"))
        self.done += 1
        figures |= {"gamma": gamma, "delta": delta, "rate": rate}
        figures |= {"loss": float(np.mean(losses)), "value_loss": float(np.mean(errors))}
        figures["passes"] = len(losses) / min(options.minibatches, size)
        return {"update": self.done, "episodes": self.episodes, **figures}

    @torch.no_grad()
    def rollout(self) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        """Transitions with advantages, and what they show."""
        env = self.envs[self.done % len(self.envs)]
        policy, value = self.networks.policy, self.networks.value
        env.rng = np.random.default_rng([self.seed, self.done])
        state = torch.from_numpy(env.reset(self._starts(env)))
        seen: dict[str, list[torch.Tensor]] = {
            key: [] for key in ("state", "latent", "log_chance", "value", "last", "target")
        }
        rewards: list[torch.Tensor] = []
        costs: list[np.ndarray] = []
        distance: list[np.ndarray] = []
        change: list[np.ndarray] = []
        terminal, over, noise = False, False, None
        while not over and len(rewards) < self.options.rollout_slots:
            spread = policy.distribution(state)
            if self.options.persistence:
                noise = self._noise(noise, state)
                latent = explore(spread, noise)
            else:
                latent = spread.sample()
            if policy.head == "beta":
                latent = latent.clamp(1e-6, 1 - 1e-6)
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
        advantage = self._advantages(rewards, seen["value"], following)
        batch = {key: torch.stack(items).flatten(0, 1) for key, items in seen.items()}
        batch["return"] = advantage.flatten() + batch["value"]
        batch["advantage"] = self._compared(advantage).flatten()
        self._remember(env.count, float(np.mean(distance)), float(np.mean(change)))
        figures = {
            "reward": float(torch.stack(rewards).mean()) / (1 - self.options.discount),
            "cost_usd": float(np.mean(costs)),
            "distance": self.estimates.distance,
            "change": float(np.mean(change)),
            "smoothness": self.estimates.smoothness,
            "explained": _explained(batch["value"], batch["return"]),
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
        for label, adam in self._adams.items():
            for n, entries in adam.state_dict()["state"].items():
                for name, tensor in entries.items():
                    tensors[f"{label}.{n}.{name}"] = torch.as_tensor(tensor).cpu().clone()
        tensors["rng.torch"] = torch.get_rng_state()
        plain = {
            "done": self.done,
            "episodes": self.episodes,
            "estimates": dataclasses.asdict(self.estimates),
            "rng": self.generator.bit_generator.state,
        }
        return tensors, plain

    def restore(self, tensors: dict[str, torch.Tensor], plain: dict[str, Any]) -> None:
        """Go on from ``state``."""
        cut = len("modules.")
        self.modules.load_state_dict(
            {k[cut:]: v for k, v in tensors.items() if k.startswith("modules.")}
        )
        for label, adam in self._adams.items():
            entries: dict[int, dict[str, torch.Tensor]] = {}
            for key, tensor in tensors.items():
                if key.startswith(f"{label}."):
                    _, n, name = key.split(".", 2)
                    entries.setdefault(int(n), {})[name] = tensor.clone()
            groups = adam.state_dict()["param_groups"]
            adam.load_state_dict({"state": entries, "param_groups": groups})
        self.done, self.episodes = plain["done"], plain["episodes"]
        self.estimates = Estimates(**plain["estimates"])
        self.generator.bit_generator.state = plain["rng"]
        torch.set_rng_state(tensors["rng.torch"])

    @property
    def _adams(self) -> dict[str, torch.optim.Adam]:
        return {"adam": self.adam, "value_adam": self.value_adam}

    def _starts(self, env: BatchedMacro) -> np.ndarray:
        """(N,) first slots of episodes, the same for copies."""
        drawn = self.generator.integers(
            0, env.slots - env.episode_slots + 1, env.count // self.copies
        )
        return np.repeat(drawn, self.copies)

    def _noise(self, before: torch.Tensor | None, state: torch.Tensor) -> torch.Tensor:
        """(N, R²) normal scores of exploration."""
        fresh = torch.randn(len(state), self.envs[0].regions ** 2)
        keep = self.options.persistence
        return fresh if before is None else keep * before + math.sqrt(1 - keep**2) * fresh

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

    def _compared(self, advantage: torch.Tensor) -> torch.Tensor:
        """(T, N) advantages less the mean of their copies, in units of their spread."""
        if self.copies > 1:
            groups = advantage.reshape(len(advantage), -1, self.copies)
            advantage = (groups - groups.mean(dim=2, keepdim=True)).reshape(advantage.shape)
        if advantage.numel() < 2:
            return advantage
        return (advantage - advantage.mean()) / (advantage.std() + 1e-8)

    def _descend_policy(
        self, part: dict[str, torch.Tensor], gamma: float, delta: float
    ) -> tuple[float, float]:
        """One step on loss (5); the loss, and how far the policy has moved since the rollout."""
        options, policy = self.options, self.networks.policy
        spread = policy.distribution(part["state"])
        moved = spread.log_prob(part["latent"]).sum(dim=1) - part["log_chance"]
        ratio, gain = moved.exp(), part["advantage"]
        clipped = ratio.clamp(1 - options.clip, 1 + options.clip)
        loss = -torch.minimum(ratio * gain, clipped * gain).mean()
        if options.entropy_weight:
            loss = loss - options.entropy_weight * spread.entropy().sum(dim=1).mean()
        shares = policy.shares(policy.mode(spread))
        loss = loss + self._constraints(shares, part, gamma, delta)
        self._step(self.adam, policy, loss)
        return float(loss.detach()), float((ratio - 1 - moved).mean().detach())

    def _descend_value(self, part: dict[str, torch.Tensor]) -> float:
        """One step on the mean squared error of the value network."""
        value = self.networks.value
        error = ((value(part["state"]) - part["return"]) ** 2).mean()
        self._step(self.value_adam, value, error)
        return float(error.detach())

    def _step(self, adam: torch.optim.Adam, module: torch.nn.Module, loss: torch.Tensor) -> None:
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), self.options.gradient_norm)
        adam.step()

    def _constraints(
        self, share: torch.Tensor, part: dict[str, torch.Tensor], gamma: float, delta: float
    ) -> torch.Tensor:
        """The last two terms of loss (5)."""
        options, regions = self.options, share.shape[-1]
        away = ((share - part["target"]) ** 2).sum(dim=(1, 2)) / regions
        distance = (away + 1e-12).sqrt().mean()
        change = ((share - part["last"]) ** 2).sum(dim=(1, 2)).mean() / regions
        smoothness = self.estimates.reactive_change / (change + 1e-9)
        far = (distance - options.epsilon_max) / options.epsilon_unit
        rough = (options.smooth_min - smoothness) / options.smooth_unit
        return gamma * far.clamp_min(0) + delta * rough.clamp_min(0)

    def _remember(self, count: int, distance: float, change: float) -> None:
        before = self.episodes
        self.episodes += count
        self.estimates.distance = distance
        every = max(1, int(self.options.refresh_episodes))
        if before == 0 or before // every != self.episodes // every:
            self.estimates.smoothness = self.estimates.reactive_change / max(change, 1e-9)

    def _move(self, device: torch.device) -> None:
        """Networks, and what Adam remembers of them."""
        if self.device.type == "cpu":
            return
        self.modules.to(device)
        for adam in self._adams.values():
            for entries in adam.state.values():
                for name, tensor in entries.items():
                    if name != "step":
                        entries[name] = tensor.to(device)


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


Watch = Callable[[dict[str, float]], None]

"""TORTA's training (Alg. 2 of arXiv 2507.10259): PPO with the constraints of loss (5).

One update = rollout and advantages (``rollout``) → multipliers (``estimates``) → epochs (here).

    L = L_PPO + γ·max(0, (‖A − P‖_F − ε_max)/ε0) + δ·max(0, (s_min − s)/s0)
    s = K0 / E‖A_t − A_{t−1}‖_F²                 K0: the same of the memoryless A_t = P_t
    γ = γ0·exp(α_γ·max(0, ‖B‖ − ε_target))       ‖B‖ = E‖A_t − P_t‖_F of the last rollout
    δ = δ0·exp(α_δ·max(0, s_target − s))         both ×1.5 while Theorem 3's condition fails:
    (1 − 1/s)/ε > (L_R + βL_P)/(αK0)             L: |Δ cost of a slot| / ‖ΔA‖, by finite differences

The paper gives ε_target = 0.15, s_target = 2.5, Adam at 3e-4 times 0.995 every 100 episodes, and
×1.5; all else below is ours. ‖·‖_F is that of a whole R×R matrix divided by √R, so that the targets
mean the same on every topology. s in the loss is differentiated through the policy's mode. Rewards
are multiplied by 1 − discount, so that returns are of the size of a slot's reward.

The cost of a slot depends far more on arrivals and on the fleet than on A_t. So ``copies``
environments of a rollout run the same instance from the same slot and differ only in their
exploration; their mean is subtracted from their advantages. What the copies share comes from
arrivals and outages, not from actions, so the mean is a fair baseline (Mao et al. 2019, "Variance
reduction for reinforcement learning in input-driven environments"). With ``persistence``, the noise
of a slot resembles that of the slot before: servers follow a change of routing several slots later,
and only a change that lasts shows its effect. The distribution of A_t in each slot stays that of
the policy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from torta_opt.allocation.learning.environment import BatchedMacro
from torta_opt.allocation.learning.estimates import Estimates, estimate
from torta_opt.allocation.learning.options import Options
from torta_opt.allocation.learning.rollout import Rollouts
from torta_opt.allocation.policies.neural.files import Networks


class Trainer:
    """PPO on batches of environments, one batch after another. ``update`` does one round and
    returns its figures.

    Networks are where ``device`` says while they learn; environments and exploration are on the
    processor.
    """

    def __init__(
        self,
        envs: Sequence[BatchedMacro],
        networks: Networks,
        options: Options,
        seed: int,
        device: str = "cpu",
    ):
        self.networks, self.options, self.device = networks, options, torch.device(device)
        self.generator = np.random.default_rng([seed, 1])
        self.rollouts = Rollouts(envs, networks, options, seed, self.generator)
        torch.manual_seed(seed)
        self.modules = torch.nn.ModuleList([networks.policy, networks.value])
        self.adam = torch.optim.Adam(networks.policy.parameters(), lr=options.rate)
        self.value_adam = torch.optim.Adam(networks.value.parameters(), lr=options.value_rate)
        self.done, self.episodes = 0, 0
        self.estimates = estimate(envs[0], seed)

    def update(self) -> dict[str, float]:
        """One rollout in every environment of a batch, and the passes over it."""
        options = self.options
        rollout = self.rollouts.collect(self.done)
        before, self.episodes = self.episodes, self.episodes + rollout.episodes
        self.estimates.update(rollout, before, self.episodes, options.refresh_episodes)
        gamma, delta = self.estimates.multipliers(options)
        rate = options.rate * options.rate_decay ** (self.episodes // options.decay_episodes)
        for group in self.adam.param_groups:
            group["lr"] = rate
        self._move(self.device)
        batch = {key: item.to(self.device) for key, item in rollout.batch.items()}
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
        return {
            "update": self.done,
            "episodes": self.episodes,
            "reward": rollout.reward,
            "cost_usd": rollout.cost_usd,
            "distance": self.estimates.distance,
            "change": rollout.change,
            "smoothness": self.estimates.smoothness,
            "explained": rollout.explained,
            "gamma": gamma,
            "delta": delta,
            "rate": rate,
            "loss": float(np.mean(losses)),
            "value_loss": float(np.mean(errors)),
            "passes": len(losses) / min(options.minibatches, size),
        }

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
        change = self.estimates.reactive_change
        loss = loss + constraint_terms(shares, part, gamma, delta, change, options)
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


def constraint_terms(
    share: torch.Tensor,
    part: dict[str, torch.Tensor],
    gamma: float,
    delta: float,
    reactive_change: float,
    options: Options,
) -> torch.Tensor:
    """The last two terms of loss (5) for the shares (n, R, R) of the policy's mode."""
    regions = share.shape[-1]
    away = ((share - part["target"]) ** 2).sum(dim=(1, 2)) / regions
    distance = (away + 1e-12).sqrt().mean()
    change = ((share - part["last"]) ** 2).sum(dim=(1, 2)).mean() / regions
    smoothness = reactive_change / (change + 1e-9)
    far = (distance - options.epsilon_max) / options.epsilon_unit
    rough = (options.smooth_min - smoothness) / options.smooth_unit
    return gamma * far.clamp_min(0) + delta * rough.clamp_min(0)

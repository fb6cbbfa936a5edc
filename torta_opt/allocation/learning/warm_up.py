"""What networks learn before the first rollout: the spread of their features, and to forecast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.learning.environment import BatchedMacro
from torta_opt.allocation.learning.task import Task
from torta_opt.allocation.policies.macro_state import HISTORY
from torta_opt.allocation.policies.neural.files import Networks

PRETRAIN = 8  # instances that the forecaster learns from
SIGHTED = 4  # batches from which networks learn the spread of their features


@torch.no_grad()
def standardise(networks: Networks, envs: Sequence[BatchedMacro], seed: int) -> None:
    """Let the networks know the mean and spread of states, from one episode of the untrained
    policy in the first batches."""
    rng, states = np.random.default_rng([seed, 4]), []
    for env in envs[:SIGHTED]:
        start = rng.integers(0, env.slots - env.episode_slots + 1, env.count)
        state, over = torch.from_numpy(env.reset(start)), False
        while not over:
            states.append(state)
            features, _, over, _ = env.step(networks.policy.act(state).numpy())
            state = torch.from_numpy(features)
    seen = torch.cat(states)
    for network in (networks.policy, networks.value):
        network.standard.learn(seen)


def pretrain_forecaster(
    networks: Networks, instances: Sequence[Instance], seed: int, passes: int = 60
) -> float:
    """The paper's forecaster by MSE and an L2 penalty of 1e-4, on the runs of A_t = P_t.

    Its mean squared error on the training data, in squares of ``scale``.
    """
    env = BatchedMacro(instances[:PRETRAIN], Task(micro={"load_weight": 0.0}), seed)
    length = min(env.episode_slots, 240)
    env.reset()
    rows = [_sight(env)]
    for _ in range(length - 1):
        env.step(env.target)
        rows.append(_sight(env))
    sights = np.stack(rows)  # (T, N, 3, R)
    if len(sights) <= HISTORY:
        return float("nan")
    windows = [sights[t - HISTORY : t] for t in range(HISTORY, len(sights))]
    history = torch.from_numpy(
        np.stack(windows).swapaxes(1, 2).reshape(-1, HISTORY, 3, env.regions)
    )
    wanted = torch.from_numpy(sights[HISTORY:, :, 2].reshape(-1, env.regions))
    net, rng = networks.forecast, np.random.default_rng([seed, 3])
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)
    error = torch.zeros(())
    for _ in range(passes):
        for part in np.array_split(rng.permutation(len(wanted)), max(1, len(wanted) // 256)):
            error = ((net(history[part]) - wanted[part]) ** 2).mean()
            adam.zero_grad()
            error.backward()
            adam.step()
    return float(error.detach())


def _sight(env: BatchedMacro) -> np.ndarray:
    """(N, 3, R) utilisation and queue before the slot, and its arrivals; in units of scale."""
    regions = env.regions
    state = env.features()
    history = state[:, 2 * regions : 3 * regions]
    return np.stack([state[:, :regions], state[:, regions : 2 * regions], history], axis=1)

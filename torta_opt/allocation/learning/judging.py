"""Networks on instances, without exploration: scores for training, figures for the model card."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.document import instance_sha256
from torta_opt.allocation.learning.environment import BatchedMacro
from torta_opt.allocation.learning.task import Task
from torta_opt.allocation.policies.experiment import distinct, interval, units
from torta_opt.allocation.policies.neural.files import Networks, load_networks
from torta_opt.io.files import document_bytes
from torta_opt.io.writing import write_bytes

Act = Callable[[np.ndarray], np.ndarray]  # states (N, F) to shares (N, R, R)


@torch.no_grad()
def judge(env: BatchedMacro, networks: Networks) -> float:
    """Mean cost of a run in $, or minus the mean reward (3): lower is better. No exploration."""
    policy = copy.deepcopy(networks.policy).half().float()
    cost, reward = measure(env, lambda state: policy.act(torch.from_numpy(state)).numpy())
    return float(-reward.mean() if env.task.reward == "paper" else cost.mean())


def report(stem: Path, instances: Sequence[Instance], task: Task) -> Networks:
    """Judge stored weights on ``instances``, and write what comes out into their card.

    Beside the learned policy stand the untrained one, the transport target, and its smoothing by
    λ1, the closed form of reward (3). All run under the micro layer they were trained for; where
    reward (3) was learned, which has next to nothing to do with that, under ``torta``'s as it
    comes. Cost in $ and reward (3), means over instances; the mean ratio of the learned policy's
    cost to theirs, and by how much its reward is above theirs, both paired by instance, with 95 %
    intervals over instances. An instance given twice counts once (``compare.units``).
    """
    instances = list(distinct(instances).values())
    networks = load_networks(stem)
    policy, weight, start = networks.policy, task.smooth_weight, networks.card["smoothing"]
    micro = task.micro if task.reward == "cost" else {}
    env = BatchedMacro(instances, dataclasses.replace(task, episode_slots=None, micro=micro), 0)
    acts: dict[str, Act] = {
        "learned": lambda state: policy.act(torch.from_numpy(state)).numpy(),
        "untrained": lambda state: (env.target + start * env.last) / (1 + start),
        "smoothed": lambda state: (env.target + weight * env.last) / (1 + weight),
        "target": lambda state: env.target,
    }
    costs, rewards = {}, {}
    for name, act in acts.items():
        cost, reward = measure(env, act)
        costs[name], rewards[name] = _by_unit(cost, instances), _by_unit(reward, instances)
    others = [name for name in acts if name != "learned"]
    networks.card["held_out"] = {
        "instances": [[each.name, instance_sha256(each)] for each in instances],
        "cost_usd": {name: float(found.mean()) for name, found in costs.items()},
        "paper_reward": {name: float(found.mean()) for name, found in rewards.items()},
        "cost_ratio_to": {
            name: interval(costs["learned"] / costs[name]).to_document() for name in others
        },
        "paper_reward_above": {
            name: interval(rewards["learned"] - rewards[name]).to_document() for name in others
        },
    }
    path = stem.with_name(stem.name + ".json")
    write_bytes(path, document_bytes(networks.card))
    return networks


def _by_unit(values: np.ndarray, instances: Sequence[Instance]) -> np.ndarray:
    """``values``, one an instance, as means over those that count as one (``compare.units``)."""
    found: dict[str, list[float]] = {}
    for unit, value in zip(units(instances).values(), values, strict=True):
        found.setdefault(unit, []).append(float(value))
    return np.array([np.mean(each) for each in found.values()])


@torch.no_grad()
def measure(env: BatchedMacro, act: Act) -> tuple[np.ndarray, np.ndarray]:
    """(N,) cost of a run in $, and (N,) mean reward (3) of its slots."""
    env.rng = np.random.default_rng(0)
    state, over = env.reset(np.zeros(env.count, np.int64)), False
    cost, reward = np.zeros(env.count), np.zeros(env.count)
    while not over:
        state, _, over, info = env.step(act(state))
        cost += info["costs"].sum(axis=1)
        reward += env.paper_reward(info)
    return cost, reward / env.k

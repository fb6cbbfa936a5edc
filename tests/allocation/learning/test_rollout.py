"""Rollouts: advantages by their definition, and what copies of an instance have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.tiny import random_tiny_instance

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.learning.environment import BatchedMacro
from torta_opt.allocation.learning.options import Options
from torta_opt.allocation.learning.rollout import Rollouts
from torta_opt.allocation.policies.neural.files import new_networks


@pytest.fixture(scope="module")
def instance() -> Instance:
    return random_tiny_instance(np.random.default_rng(3), regions=3, servers=4, slots=8)


def of(instance: Instance, **options: Any) -> Rollouts:
    env = BatchedMacro([instance] * 4)
    networks = new_networks(instance.system.regions, env.feature_count, "beta", 1.0, 1.0, 0)
    return Rollouts([env], networks, Options(**options), 0, np.random.default_rng([0, 1]))


def test_advantages_by_a_loop(instance):
    rollouts = of(instance, discount=0.9, trace=0.8)
    rng = torch.Generator().manual_seed(0)
    rewards = list(torch.rand(5, 2, generator=rng))
    values = list(torch.rand(5, 2, generator=rng))
    following = torch.rand(2, generator=rng)
    found = rollouts.advantages(rewards, values, following)
    beyond = [*values, following]
    for t in range(5):
        expected = sum(
            (0.9 * 0.8) ** (k - t) * (rewards[k] + 0.9 * beyond[k + 1] - beyond[k])
            for k in range(t, 5)
        )
        assert torch.allclose(found[t], expected)


def test_copies_are_compared_with_each_other(instance):
    rollouts = of(instance, copies=2)
    common = torch.tensor([[5.0, 5.0, -3.0, -3.0]])
    own = torch.tensor([[1.0, -1.0, 2.0, -2.0]])
    found = rollouts.compared(common + own)
    assert torch.allclose(found, own / own.std(), atol=1e-5)


def test_copies_begin_in_the_same_slot(instance):
    rollouts = of(instance, copies=2)
    env = rollouts.envs[0]
    env.episode_slots = 2
    starts = np.array([rollouts.starts(env) for _ in range(20)])
    assert (starts[:, 0] == starts[:, 1]).all()
    assert (starts[:, 1] != starts[:, 2]).any()
    assert starts.min() >= 0
    assert starts.max() <= env.slots - 2

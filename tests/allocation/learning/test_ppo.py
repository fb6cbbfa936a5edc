"""PPO finds optima that are known in closed form, and its pieces are the equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.matrix_target import MatrixTarget
from support.tiny import random_tiny_instance

from torta_opt.allocation.learning.environment import BatchedMacro
from torta_opt.allocation.learning.options import Options
from torta_opt.allocation.learning.ppo import Trainer
from torta_opt.allocation.policies.macro_state import feature_count
from torta_opt.allocation.policies.neural.files import new_networks

MIDDLE = np.array([[0.6, 0.3, 0.1], [0.3, 0.4, 0.3], [0.3, 0.3, 0.4]])
SWING = np.array([[-0.3, 0.2, 0.1], [0.2, -0.3, 0.1], [0.2, 0.2, -0.4]])
QUICK = Options(rate=3e-3, minibatches=2, alignment=0, smoothness=0, discount=0.9, rollout_slots=30)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def instance():
    return random_tiny_instance(np.random.default_rng(3), regions=3, servers=4, slots=8)


def trainer(instance, head="beta", task=None, **options) -> Trainer:
    env = BatchedMacro([instance] * 4, task)
    system = instance.system
    size = feature_count(3, len(system.classes), len(system.models))
    networks = new_networks(system.regions, size, head, 1.0, 1.0, 0)
    return Trainer([env], networks, Options(**options), 0)


def costs_before_and_after(env, head, smoothing, updates) -> tuple[float, float]:
    networks = new_networks("abc", env.feature_count, head, smoothing, 1.0, 0)

    @torch.no_grad()
    def act(state):
        return networks.policy.act(torch.from_numpy(state)).numpy()

    before = env.cost(act)
    learner = Trainer([env], networks, QUICK, 0)
    for _ in range(updates):
        learner.update()
    return before, env.cost(act)


def test_learns_to_look_ahead_as_far_as_the_optimum():
    env, swing = MatrixTarget(MIDDLE, SWING, weight=1.0), (SWING**2).sum()
    one_step, optimum = swing * 8 / 9, swing * 4 / 5
    before, after = costs_before_and_after(env, "beta", 1.0, 8)
    assert before == pytest.approx(one_step, rel=1e-3)
    assert optimum * (1 - 1e-6) < after < optimum * 1.05


@pytest.mark.parametrize("head", ["beta", "softmax"])
def test_learns_a_target_it_is_not_told(head):
    wrong = np.full((3, 3), 1 / 3)
    env = MatrixTarget(MIDDLE, 0 * SWING, weight=0.0, shown=wrong)
    before, after = costs_before_and_after(env, head, 0.0, 7)
    assert before == pytest.approx(((MIDDLE - wrong) ** 2).sum(), rel=1e-3)
    assert after < before / 2


@pytest.mark.parametrize("head", ["beta", "softmax"])
def test_an_update_changes_the_policy(instance, head):
    learner = trainer(instance, head, rollout_slots=8)
    before = learner.networks.policy.body[-1].bias.detach().clone()
    figures = learner.update()
    assert not torch.equal(before, learner.networks.policy.body[-1].bias)
    assert all(math.isfinite(value) for value in figures.values())


def test_passes_end_where_the_policy_has_moved_enough(instance):
    far = trainer(instance, rollout_slots=8, drift_limit=0.0, epochs=4).update()
    near = trainer(instance, rollout_slots=8, drift_limit=1e9, epochs=4).update()
    assert (far["passes"], near["passes"]) == (1, 4)

"""Training: it learns, stops, resumes bit for bit, and its pieces are the equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.tiny import random_tiny_instance

from torta_opt.io import InvalidInput
from torta_opt.learning.environment import BatchedMacro, Task
from torta_opt.learning.ppo import Estimates, Options, Trainer
from torta_opt.learning.train import train
from torta_opt.networks.files import load_networks, new_networks
from torta_opt.policies.macro_state import feature_count

FEW = Options(updates=4, rollout_slots=4, epochs=2, minibatches=2)


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
    env = BatchedMacro([instance, instance], task)
    regions = instance.system.regions
    networks = new_networks(regions, feature_count(3), head, 1.0, 1.0, 0)
    return Trainer(env, networks, Options(**options), 0)


@pytest.mark.parametrize("head", ["beta", "softmax"])
def test_an_update_changes_the_policy(instance, head):
    learner = trainer(instance, head, rollout_slots=8)
    before = learner.networks.policy.body[-1].bias.detach().clone()
    figures = learner.update()
    assert not torch.equal(before, learner.networks.policy.body[-1].bias)
    assert all(math.isfinite(value) for value in figures.values())


def test_advantages_by_a_loop(instance):
    learner = trainer(instance, discount=0.9, trace=0.8)
    rng = torch.Generator().manual_seed(0)
    rewards = list(torch.rand(5, 2, generator=rng))
    values = list(torch.rand(5, 2, generator=rng))
    following = torch.rand(2, generator=rng)
    found = learner._advantages(rewards, values, following)
    beyond = [*values, following]
    for t in range(5):
        expected = sum(
            (0.9 * 0.8) ** (k - t) * (rewards[k] + 0.9 * beyond[k + 1] - beyond[k])
            for k in range(t, 5)
        )
        assert torch.allclose(found[t], expected)


def test_multipliers_of_algorithm_2(instance):
    learner = trainer(instance, alignment=2.0, smoothness=3.0, alignment_growth=4.0)
    learner.estimates = Estimates(1.0, 1e-6, distance=0.25, smoothness=2.0)
    assert learner.estimates.holds()
    gamma, delta = learner.multipliers()
    assert gamma == pytest.approx(2.0 * math.exp(4.0 * 0.1))
    assert delta == pytest.approx(3.0 * math.exp(0.5))
    learner.estimates.lipschitz = 1e6
    assert learner.multipliers()[0] == pytest.approx(1.5 * gamma)


def test_resume_is_bit_identical(instance, tmp_path):
    task = Task(episode_slots=4)
    whole = train([instance], tmp_path / "whole", task, FEW, every=2)
    half = Options(updates=2, rollout_slots=4, epochs=2, minibatches=2)
    train([instance], tmp_path / "parts", task, half, every=2)
    parts = train([instance], tmp_path / "parts", task, FEW, every=2, resume=True)
    for name, tensor in whole.networks.policy.state_dict().items():
        assert torch.equal(tensor, parts.networks.policy.state_dict()[name])
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "parts.csv").read_bytes()
    one, two = ((tmp_path / f"{n}.safetensors").read_bytes() for n in ("whole", "parts"))
    assert one == two


def test_ctrl_c_leaves_the_best_so_far(instance, tmp_path):
    def stop(row):
        raise KeyboardInterrupt

    done = train([instance], tmp_path / "net", Task(), FEW, every=1, watch=stop)
    assert (done.status, done.updates) == ("interrupted", 1)
    card = load_networks(tmp_path / "net", instance.system.regions).card
    assert card["result"]["score"] == done.score <= done.base
    assert len((tmp_path / "net.csv").read_text().splitlines()) == 2


def test_a_checkpoint_of_something_else_is_refused(instance, tmp_path):
    train([instance], tmp_path / "net", Task(), Options(updates=1, rollout_slots=2))
    with pytest.raises(InvalidInput, match="is a checkpoint of another training"):
        train([instance], tmp_path / "net", Task(reward="paper"), FEW, resume=True)
    (tmp_path / "net.checkpoint.safetensors").write_bytes(b"x")
    with pytest.raises(InvalidInput, match="is not a checkpoint"):
        train([instance], tmp_path / "net", Task(), FEW, resume=True)


def test_options_are_checked():
    with pytest.raises(InvalidInput, match="updates: must be a whole number"):
        Options(updates=0)
    with pytest.raises(InvalidInput, match="clip: must be a number not below 0"):
        Options(clip=-1)

"""The environment is exact: its costs are those of ``evaluate``, its decisions the policy's."""

from __future__ import annotations

import dataclasses

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from support.sizes import examples
from support.tiny import random_tiny_instance

from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.learning.environment import BatchedMacro, MacroEnv
from torta_opt.allocation.learning.task import Task
from torta_opt.allocation.policies.macro_state import request_scale
from torta_opt.allocation.policies.neural.files import load_networks, new_networks, save_networks
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.torta import Torta
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.schedule.evaluate import evaluate as price
from torta_opt.io import InvalidInput


def episode(env: BatchedMacro, actions) -> np.ndarray:
    env.reset()
    over, total = False, 0.0
    while not over:
        _, _, over, info = env.step(actions(env))
        total = total + info["costs"]
    return total


@pytest.fixture(scope="module")
def abilene():
    return [generate("paper/abilene", seed).cut(0, 12) for seed in (3, 4)]


class TestAgainstTheReferee:
    @pytest.mark.parametrize("seed", range(examples(40)))
    def test_tiny(self, seed: int):
        instance = random_tiny_instance(np.random.default_rng(seed), regions=3, slots=4)
        env = BatchedMacro([instance, instance])
        rng = np.random.default_rng(seed)
        costs = episode(env, lambda e: rng.random((2, e.regions, e.regions)))
        for n, schedule in enumerate(env.schedules()):
            assert verify(instance, schedule).ok
            found = price(instance, schedule)
            assert costs[n] == pytest.approx(list(found.costs.values()), abs=1e-9, rel=1e-9)

    def test_other_fleets_and_weights_side_by_side(self, abilene):
        env = BatchedMacro(abilene)
        costs = episode(env, lambda e: np.random.default_rng(0).random((2, 12, 12)))
        for n, (instance, schedule) in enumerate(zip(abilene, env.schedules(), strict=True)):
            assert costs[n].sum() == pytest.approx(evaluate(instance, schedule).cost, rel=1e-12)

    def test_the_target_as_action_is_torta_ot(self, abilene):
        env = BatchedMacro(abilene)
        costs = episode(env, lambda e: e.target)
        for n, instance in enumerate(abilene):
            alone = run(create("torta_ot"), instance).schedule
            assert costs[n].sum() == pytest.approx(evaluate(instance, alone).cost, rel=1e-12)

    def test_smoothing_is_the_policy_of_that_name(self, abilene):
        env = BatchedMacro(abilene)
        costs = episode(env, lambda e: (e.target + 3 * e.last) / 4)
        alone = run(Torta(plan="smoothed", shrink=3.0), abilene[1]).schedule
        assert costs[1].sum() == pytest.approx(evaluate(abilene[1], alone).cost, rel=1e-9)

    def test_a_network_decides_here_as_it_does_as_a_policy(self, abilene, tmp_path):
        env, instance = BatchedMacro(abilene), abilene[0]
        scale = request_scale(instance.system)
        regions = instance.system.regions
        networks = new_networks(regions, env.feature_count, "beta", 1.0, scale, 0)
        with torch.no_grad():
            networks.policy.body[-1].weight.normal_(generator=torch.Generator().manual_seed(1))
        save_networks(networks, tmp_path / "net")
        policy = load_networks(tmp_path / "net").policy
        state = env.reset()
        over, total, changes = False, 0.0, 0.0
        while not over:
            with torch.no_grad():
                share = policy.act(torch.from_numpy(state)).numpy()
            changes += np.abs(share - (env.target + env.last) / 2).max()
            state, _, over, info = env.step(share)
            total += info["costs"][0].sum()
        assert changes > 1.0  # it does not just do what an untrained one does
        alone = run(Torta(weights=str(tmp_path / "net")), instance).schedule
        assert total == pytest.approx(evaluate(instance, alone).cost, rel=1e-9)


class TestStart:
    def test_a_late_episode_finds_the_fleet_settled(self, abilene):
        cold, warm = (BatchedMacro(abilene, Task(episode_slots=2, settle_slots=n)) for n in (0, 6))
        costs = []
        for env in (cold, warm):
            env.reset(np.array([8, 8]))
            assert (env.t == 8).all()
            costs.append(env.step(env.target)[3]["costs"][:, 6].sum())  # starts
            assert env.schedules()[0].routing.shape[0] == 1
        assert costs[1] < costs[0] / 2

    def test_settling_is_a_run_of_the_target(self, abilene):
        env = BatchedMacro(abilene, Task(episode_slots=2, settle_slots=3))
        env.reset(np.array([3, 3]))
        whole = BatchedMacro(abilene)
        whole.reset()
        for _ in range(3):
            whole.step(whole.target)
        one, two = (each.step(each.target) for each in (env, whole))
        assert np.array_equal(one[0], two[0])
        assert np.array_equal(one[3]["costs"], two[3]["costs"])


class TestReward:
    def test_paper(self, abilene):
        task = Task(reward="paper", smooth_weight=2.0, queue_weight=0.0)
        env = BatchedMacro(abilene, task)
        env.reset()
        before = env.last
        action = np.ones((2, 12, 12)) / 12
        target = env.target
        _, reward, _, _ = env.step(action)
        away = ((action - target) ** 2).sum(axis=(1, 2))
        change = ((action - before) ** 2).sum(axis=(1, 2))
        assert reward == pytest.approx(-away - 2.0 * change)

    def test_cost(self, abilene):
        env = BatchedMacro(abilene)
        env.reset()
        _, reward, _, info = env.step(env.target)
        assert reward == pytest.approx(-info["costs"].sum(axis=1) / env.cost_unit_usd)


class TestGymnasium:
    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_checker(self, abilene):
        check_env(MacroEnv(abilene[0]), skip_render_check=True)

    def test_episode_ends_and_agrees_with_the_referee(self, abilene):
        env = MacroEnv(abilene[0])
        env.reset(seed=1)
        total, ended = 0.0, False
        while not ended:
            _, _, ended, cut, facts = env.step(env.target.ravel())
            assert not cut
            total += facts["cost"]
        assert total == pytest.approx(evaluate(abilene[0], env.schedule()).cost)

    def test_the_ppo_of_another_library_trains_on_it(self):
        from stable_baselines3 import PPO

        instance = random_tiny_instance(np.random.default_rng(3), regions=3, servers=4, slots=8)
        learner = PPO("MlpPolicy", MacroEnv(instance), n_steps=16, batch_size=16, seed=0)
        before = {n: p.detach().clone() for n, p in learner.policy.named_parameters()}
        learner.learn(32)
        after = dict(learner.policy.named_parameters())
        assert learner.num_timesteps == 32
        assert any(not torch.equal(before[name], after[name]) for name in before)

    def test_short_episodes_are_truncated(self, abilene):
        env = MacroEnv(abilene[0], Task(episode_slots=2))
        env.reset(seed=3)
        env.step(env.target.ravel())
        _, _, ended, cut, _ = env.step(env.target.ravel())
        assert cut or ended
        assert isinstance(env, gymnasium.Env)


def test_what_cannot_stand_side_by_side_is_refused(abilene):
    other = abilene[0].cut(0, 5)
    with pytest.raises(InvalidInput, match="differs from"):
        BatchedMacro([abilene[0], other])
    with pytest.raises(InvalidInput, match="reward: must be one of"):
        dataclasses.replace(Task(), reward="joy")

"""Training: it learns, stops, and resumes bit for bit."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
import torch
from support.tiny import random_tiny_instance
from support.uneven import uneven

from torta_opt.allocation.learning.options import Options
from torta_opt.allocation.learning.task import Task
from torta_opt.allocation.learning.train import train
from torta_opt.allocation.policies.neural.files import load_networks
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate
from torta_opt.io import InvalidInput

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


def test_learns_where_requests_are_served_fast(tmp_path):
    """Transport fills the slow server, training finds the fast one, on demand not seen before."""
    task = Task(micro={"reach": "able"})
    options = Options(
        **{"updates": 12, "rollout_slots": 20, "environments": 8, "copies": 4, "minibatches": 2},
        **{"rate": 3e-3, "drift_limit": 0.3, "discount": 0.9, "persistence": 0.9},
    )
    days = [uneven(40, seed) for seed in (1, 2, 3)]
    done = train(
        days[:2], tmp_path / "net", task, options, head="softmax", every=6, held_out=days[2:]
    )
    found = done.networks.card["held_out"]["cost_usd"]
    assert found["learned"] < 0.6 * min(found["smoothed"], found["target"])
    policy = f"torta:reach=able:weights={tmp_path / 'net'}"
    cost = evaluate(days[2], run(create(policy), days[2]).schedule).cost
    assert cost == pytest.approx(found["learned"])


class Killed(BaseException):
    """Stands in for a signal that no handler sees: whatever tidies up is not run either."""


def killed_at(rename: int, monkeypatch) -> None:
    """The process ends instead of the n-th rename, and temporary files stay."""
    count = itertools.count()
    real = os.replace

    def replace(*names):
        if next(count) == rename:
            raise Killed
        real(*names)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr("pathlib.Path.unlink", lambda *_, **__: None)


def test_killed_at_any_write_it_resumes(instance, tmp_path, monkeypatch):
    """From the first checkpoint on: 3 files at the start, curve and all in each of 2 updates."""
    options = Options(updates=2, rollout_slots=2, environments=2, copies=2, epochs=1, minibatches=1)
    train([instance], tmp_path / "whole", options=options, every=1)
    for rename in itertools.count():
        net = tmp_path / f"killed {rename}"
        with monkeypatch.context() as patch:
            killed_at(rename, patch)
            try:
                train([instance], net, options=options, every=1)
                break
            except Killed:
                pass
        train([instance], net, options=options, every=1, resume=True)
        for ending in ("safetensors", "csv", "checkpoint.safetensors"):
            one, two = (tmp_path / f"{name}.{ending}" for name in ("whole", net.name))
            assert one.read_bytes() == two.read_bytes(), (rename, ending)
        assert load_networks(net).card == load_networks(tmp_path / "whole").card
    assert rename >= 3 + 2 * 2


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


def test_the_card_pairs_instances_and_counts_each_once(tmp_path):
    one, two, three = (uneven(12, seed) for seed in (1, 2, 3))
    task = Task(episode_slots=4)
    held_out = train(
        [one], tmp_path / "net", task, FEW, every=2, held_out=[two, three, two]
    ).networks.card["held_out"]
    assert len(held_out["instances"]) == 2
    for figures in ("cost_ratio_to", "paper_reward_above"):
        assert set(held_out[figures]) == {"untrained", "smoothed", "target"}
        for found in held_out[figures].values():
            assert found["instances"] == 2
            assert found["low"] <= found["mean"] <= found["high"]
    rewards, above = held_out["paper_reward"], held_out["paper_reward_above"]["target"]
    assert above["mean"] == pytest.approx(rewards["learned"] - rewards["target"])

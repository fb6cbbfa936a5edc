"""``torta-opt train`` as a user meets it: files, Ctrl-C and going on, and plain refusals."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.tiny import random_tiny_instance

from torta_opt.allocation.instance import save_instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.learning.train import train
from torta_opt.allocation.policies.neural.files import load_networks
from torta_opt.cli import app as cli

SHORT = ("--set", "rollout_slots=2", "--set", "epochs=1", "--set", "environments=2")
SHORT += ("--set", "copies=2", "--every", "2")


@pytest.fixture
def instance(tmp_path) -> Path:
    made = random_tiny_instance(np.random.default_rng(3), regions=3, servers=4, slots=6)
    save_instance(made, tmp_path / "instance.json")
    return tmp_path / "instance.json"


@pytest.fixture
def torta(capsys):
    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def test_writes_weights_card_curve_and_checkpoint(torta, instance, tmp_path):
    net = tmp_path / "net"
    command = ("train", instance, "-o", net, *SHORT, "--set", "updates=3", "--held-out", instance)
    code, out, err = torta(*command, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["status"], found["updates"]) == ("done", 3)
    assert found["score"] <= found["untrained"]
    assert err.splitlines()[0].startswith("update 2: ")
    rows = (tmp_path / "net.csv").read_text().splitlines()
    assert rows[0].startswith("update,episodes,reward,cost_usd")
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2", "3"]
    card = load_networks(net).card
    assert card["held_out"] == found["held_out"]
    assert set(card["held_out"]["cost_usd"]) == {"learned", "untrained", "smoothed", "target"}
    assert card["training"]["options"]["updates"] == 3
    assert (tmp_path / "net.checkpoint.safetensors").is_file()


def test_a_preset_is_generated_from_seeds(torta, tmp_path):
    net = tmp_path / "net"
    seeds = ("--seeds", "5:7", "--validation", "8:9")
    code, _, err = torta("train", "small/outage", "-o", net, *seeds, *SHORT, "--set", "updates=1")
    assert code == 0, err
    training = load_networks(net).card["training"]
    names = [generate("small/outage", n).name for n in (5, 6, 8)]
    assert [name for name, _ in training["instances"] + training["validation"]] == names


def test_after_ctrl_c_it_goes_on_bit_for_bit(torta, instance, tmp_path):
    """Interrupted wherever it is, and resumed, it ends as if nothing had been."""
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    start = [sys.executable, "-m", "torta_opt", "train", str(instance)]
    process = subprocess.Popen(
        [*start, "-o", str(stopped), *SHORT, "--set", "updates=100000", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    curve = tmp_path / "stopped.csv"
    end = time.monotonic() + 60
    while not (curve.is_file() and len(curve.read_text().splitlines()) > 3):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    found = json.loads(out)
    assert found["status"] == "interrupted"
    more = ("--set", f"updates={found['updates'] + 3}")
    for net, extra in ((stopped, ["--resume"]), (whole, [])):
        code, _, err = torta("train", instance, "-o", net, *SHORT, *more, *extra)
        assert code == 0, err
    for ending in ("csv", "safetensors", "checkpoint.safetensors"):
        one, two = (tmp_path / f"{name}.{ending}" for name in ("stopped", "whole"))
        assert one.read_bytes() == two.read_bytes(), ending


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--head", "tail"], "--head: must be beta or softmax"),
        (["--set", "colour=1"], "--set: 'colour' is not an option"),
        (["--set", "updates=0"], "updates: must be a whole number of at least 1"),
        (["--reward", "joy"], "reward: must be one of cost, paper"),
        (["--device", "tpu"], "device: must be one of auto, cpu, cuda"),
    ],
)
def test_bad_input_is_one_line(torta, instance, tmp_path, arguments, message):
    code, out, err = torta("train", instance, "-o", tmp_path / "net", *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err


def test_resume_with_nothing_there_says_so_and_starts(torta, instance, tmp_path):
    command = ("train", instance, "-o", tmp_path / "net", *SHORT, "--set", "updates=1", "--resume")
    code, out, err = torta(*command)
    assert code == 0
    assert "net has no checkpoint yet: training starts from the beginning" in err
    assert "updates" in out
    assert (tmp_path / "net.checkpoint.safetensors").is_file()


def test_resume_does_not_replace_weights_that_have_no_checkpoint(torta, instance, tmp_path):
    (tmp_path / "net.safetensors").write_bytes(b"precious")
    code, out, err = torta("train", instance, "-o", tmp_path / "net", *SHORT, "--resume")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "net.checkpoint.safetensors: cannot be read" in err
    assert (tmp_path / "net.safetensors").read_bytes() == b"precious"


def test_a_device_or_pipe_is_no_name_for_weights(torta, instance, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    code, _, err = torta("train", instance, "-o", tmp_path / "pipe")
    assert code == 2
    assert "--output: must be the beginning of several file names" in err


def test_seeds_must_be_a_range(torta, tmp_path):
    code, _, err = torta("train", "small/outage", "-o", tmp_path / "net", "--seeds", "3:3")
    assert code == 2
    assert "--seeds: '3:3' must be A:B with 0 ≤ A < B" in err


def test_tensorboard_where_it_is_installed(instance, tmp_path, torta):
    command = ("train", instance, "-o", tmp_path / "net", *SHORT, "--set", "updates=1")
    code, _, err = torta(*command, "--tensorboard")
    if importlib.util.find_spec("tensorboard") is None:
        assert code == 0
        assert "tensorboard is not installed; the curve is in" in err
    else:
        assert code == 0
        assert list((tmp_path / "net.tensorboard").iterdir())
    assert len((tmp_path / "net.csv").read_text().splitlines()) == 2


def test_rows_reach_the_writer(instance, tmp_path, monkeypatch):
    """The curve as TensorBoard gets it, from a writer that stands in for it."""
    written = []

    class Writer:
        def __init__(self, folder):
            self.folder = folder

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def add_scalar(self, name, value, step):
            written.append((name, step, value))

    from torta_opt.allocation.instance import load_instance
    from torta_opt.allocation.learning import train as module
    from torta_opt.allocation.learning.options import Options

    monkeypatch.setattr(module, "_writer", lambda: Writer)
    options = Options(updates=2, rollout_slots=2, epochs=1, environments=2, copies=2)
    train([load_instance(instance)], tmp_path / "net", options=options, tensorboard=True)
    assert {step for _, step, _ in written} == {1, 2}
    assert {"reward", "cost_usd", "loss"} <= {name for name, _, _ in written}


@pytest.mark.parametrize("output", ["instance", "instance.json"])
def test_what_is_read_is_not_written_over(torta, instance, output):
    before = instance.read_bytes()
    code, _, err = torta("train", instance, "-o", instance.with_name(output), *SHORT)
    assert code == 2
    assert "instance.json: is read by this command" in err
    assert instance.read_bytes() == before
    assert [each.name for each in instance.parent.iterdir()] == ["instance.json"]

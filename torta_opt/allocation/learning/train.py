"""Train TORTA's networks for one topology: what ``torta-opt train`` does.

    NAME.safetensors, NAME.json    the best policy so far, and its card
    NAME.csv                       one row per update
    NAME.checkpoint.safetensors    from which ``resume`` goes on bit for bit
    NAME.tensorboard/              the same curve for TensorBoard, on request

Best is the lowest cost (or highest paper reward) over the validation instances, run without
exploration and with weights rounded as they are stored; the untrained network competes too.
Training, validation and judged instances differ in their seeds.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.document import instance_sha256
from torta_opt.allocation.learning.environment import BatchedMacro
from torta_opt.allocation.learning.options import Options
from torta_opt.allocation.learning.ppo import Trainer
from torta_opt.allocation.learning.task import Task
from torta_opt.allocation.policies.experiment import distinct, interval, units
from torta_opt.allocation.policies.macro_state import HISTORY, request_scale
from torta_opt.allocation.policies.neural.files import (
    Networks,
    load_networks,
    new_networks,
    save_networks,
)
from torta_opt.io import InvalidInput
from torta_opt.io.files import document_bytes
from torta_opt.io.writing import write_bytes

PRETRAIN = 8  # instances that the forecaster learns from
SIGHTED = 4  # batches from which networks learn the spread of their features
Watch = Callable[[dict[str, float]], None]  # a row of the curve
Act = Callable[[np.ndarray], np.ndarray]  # states (N, F) to shares (N, R, R)
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Trained:
    """``score``: of the best on the validation instances; lower is better. ``base``: untrained."""

    networks: Networks
    score: float
    base: float
    updates: int
    status: str


def train(
    instances: Sequence[Instance],
    output: str | os.PathLike[str],
    task: Task | None = None,
    options: Options | None = None,
    *,
    validation: Sequence[Instance] = (),
    held_out: Sequence[Instance] = (),
    head: str = "beta",
    smoothing: float = 1.0,
    seed: int = 0,
    every: int = 10,
    resume: bool = False,
    notes: dict[str, Any] | None = None,
    watch: Watch | None = None,
    device: str = "auto",
    tensorboard: bool = False,
) -> Trained:
    """Train on ``instances``, judge every ``every`` updates on ``validation`` (else on the same).

    held_out    the best is judged on these once training is done, in its card (``report``)
    head        ``beta`` or ``softmax``
    smoothing   λ of what the untrained network does, (P_t + λ·A_{t−1})/(1 + λ); 0 is A^OT
    device      of the networks while they learn: ``auto`` takes a GPU where there is one

    resume      go on from the checkpoint; from the start, where nothing was written yet

    Ctrl-C ends after the last whole update, with the best so far and a checkpoint written. The
    checkpoint comes before the first weights, so training that was killed at any moment resumes.
    """
    task, options = task or Task(), options or Options()
    stem = Path(os.fspath(output).removesuffix(".safetensors"))
    short = task.episode_slots or options.rollout_slots
    envs = batches(instances, dataclasses.replace(task, episode_slots=short), options, seed)
    jury = BatchedMacro(
        validation or instances, dataclasses.replace(task, episode_slots=None), seed
    )
    first = instances[0].system
    networks = new_networks(
        first.regions, envs[0].feature_count, head, smoothing, request_scale(first), seed
    )
    networks.policy.explore(options.concentration)
    trainer = Trainer(envs, networks, options, seed, pick_device(device))
    networks.card["training"] = {
        "instances": [[each.name, instance_sha256(each)] for each in instances],
        "validation": [[each.name, instance_sha256(each)] for each in validation],
        "task": dataclasses.asdict(task),
        "options": dataclasses.asdict(options),
        "seed": seed,
        **(notes or {}),
    }
    curve: list[dict[str, float]] = []
    if resume and has_checkpoint(stem):
        best, base, curve = _resume(stem, trainer)
    else:
        standardise(networks, envs, seed)
        pretrain_forecaster(networks, instances, seed)
        best = base = judge(jury, networks)
        _checkpoint(stem, trainer, best, base, curve)
    if trainer.done == 0:
        _save_best(networks, stem, best, base, 0)
    status, kept = "done", (trainer.state(), best, list(curve))
    with _tensorboard(stem, tensorboard) as record:
        try:
            while trainer.done < options.updates:
                row = trainer.update()
                due = trainer.done % every == 0 or trainer.done == options.updates
                if due:
                    row["score"] = judge(jury, networks)
                    if row["score"] < best:
                        best = row["score"]
                        _save_best(networks, stem, best, base, trainer.done)
                curve.append(row)
                _write_curve(stem, curve)
                record(row)
                kept = trainer.state(), best, list(curve)
                if due:
                    _checkpoint(stem, trainer, best, base, curve)
                if watch is not None:
                    watch(row)
        except KeyboardInterrupt:
            status = "interrupted"
            (tensors, plain), best, curve = kept
            trainer.restore(tensors, plain)
            _write_curve(stem, curve)
            _checkpoint(stem, trainer, best, base, curve)
    if status == "done" and held_out:
        networks = report(stem, held_out, task)
    return Trained(networks, best, base, trainer.done, status)


def has_checkpoint(output: str | os.PathLike[str]) -> bool:
    """Whether training can go on; False if it wrote nothing yet.

    Weights without a checkpoint are a finished network, which starting anew would destroy: raises
    InvalidInput.
    """
    stem = Path(os.fspath(output).removesuffix(".safetensors"))
    checkpoint = _checkpoint_file(stem)
    if checkpoint.exists():
        return True
    weights = stem.with_name(stem.name + ".safetensors")
    if weights.exists():
        raise InvalidInput(
            f"cannot be read: it does not exist, but {weights.name} does; without --resume, it is "
            "replaced",
            file=str(checkpoint),
        )
    return False


def _checkpoint_file(stem: Path) -> Path:
    return stem.with_name(stem.name + ".checkpoint.safetensors")


def batches(
    instances: Sequence[Instance], task: Task, options: Options, seed: int
) -> list[BatchedMacro]:
    """``instances`` in batches, each ``copies`` times; the last is filled up from the first."""
    size = max(1, min(options.environments // options.copies, len(instances)))
    count = -(-len(instances) // size)
    around = [instances[n % len(instances)] for n in range(count * size)]
    return [
        BatchedMacro(
            [each for each in around[n : n + size] for _ in range(options.copies)], task, seed
        )
        for n in range(0, count * size, size)
    ]


def pick_device(name: str) -> str:
    """``cpu`` or ``cuda``. Raises InvalidInput."""
    if name not in DEVICES:
        raise InvalidInput(f"must be one of {', '.join(DEVICES)}", field="device")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise InvalidInput("PyTorch finds no GPU", field="device")
    return "cuda" if there and name != "cpu" else "cpu"


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


def _save_best(networks: Networks, stem: Path, best: float, base: float, update: int) -> None:
    networks.card["result"] = {"score": best, "untrained": base, "update": update}
    save_networks(networks, stem)


@contextlib.contextmanager
def _tensorboard(stem: Path, wanted: bool) -> Iterator[Watch]:
    """What takes a row of the curve."""
    if not wanted:
        yield lambda row: None
        return
    with _writer()(f"{stem}.tensorboard") as writer:

        def record(row: dict[str, float]) -> None:
            for name, value in row.items():
                if name != "update":
                    writer.add_scalar(name, value, int(row["update"]))

        yield record


def has_tensorboard() -> bool:
    """Whether curves can be written for TensorBoard, which is not among our dependencies."""
    return importlib.util.find_spec("tensorboard") is not None


def _writer() -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter


def _write_curve(stem: Path, curve: list[dict[str, float]]) -> None:
    names = list(dict.fromkeys(name for row in curve for name in row))
    lines = [",".join(names)]
    lines += [",".join(repr(row[n]) if n in row else "" for n in names) for row in curve]
    write_bytes(stem.with_name(stem.name + ".csv"), ("\n".join(lines) + "\n").encode())


def _checkpoint(
    stem: Path, trainer: Trainer, best: float, base: float, curve: list[dict[str, float]]
) -> None:
    tensors, plain = trainer.state()
    own = trainer.networks.forecast.state_dict()
    tensors |= {f"forecast.{name}": tensor.clone() for name, tensor in own.items()}
    plain |= {"best": best, "base": base, "curve": curve, "made": _made(trainer)}
    text = json.dumps(plain).encode()
    tensors["plain"] = torch.frombuffer(bytearray(text), dtype=torch.uint8)  # one file, one rename
    write_bytes(_checkpoint_file(stem), save(tensors))


def _resume(stem: Path, trainer: Trainer) -> tuple[float, float, list[dict[str, float]]]:
    path = _checkpoint_file(stem)
    try:
        tensors = load(path.read_bytes())
        plain = json.loads(bytes(tensors.pop("plain").numpy()).decode())
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", file=str(path)) from None
    except Exception:  # of whatever kind, depending on how the file is damaged
        raise InvalidInput("is not a checkpoint of train", file=str(path)) from None
    if plain["made"] != _made(trainer):
        raise InvalidInput("is a checkpoint of another training", file=str(path))
    cut = len("forecast.")
    own = {k[cut:]: v for k, v in tensors.items() if k.startswith("forecast.")}
    trainer.networks.forecast.load_state_dict(own)
    trainer.restore(tensors, plain)
    return plain["best"], plain["base"], plain["curve"]


def _made(trainer: Trainer) -> dict[str, Any]:
    """What must be the same for a checkpoint to be continued; updates may be more."""
    card = json.loads(json.dumps(trainer.networks.card))
    card["training"]["options"].pop("updates")
    card["training"].pop("command", None)
    card.pop("result", None)
    return card

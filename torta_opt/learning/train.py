"""Train TORTA's networks for one topology: what ``torta-opt train`` does.

    NAME.safetensors, NAME.json       the best policy so far, and its card
    NAME.csv                          one row per update
    NAME.checkpoint.safetensors/.json from which ``resume`` goes on bit for bit

Best is the lowest cost (or highest paper reward) over the validation instances, run without
exploration; the untrained network competes too. Training, validation and judged instances differ
in their seeds.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save

from torta_opt.instance.data import Instance
from torta_opt.instance.document import instance_sha256
from torta_opt.io import InvalidInput
from torta_opt.io.files import write_bytes
from torta_opt.learning.environment import BatchedMacro, Task
from torta_opt.learning.ppo import Options, Trainer, Watch
from torta_opt.networks.files import Networks, new_networks, save_networks
from torta_opt.policies.macro_state import HISTORY, request_scale


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
    head: str = "beta",
    smoothing: float = 1.0,
    seed: int = 0,
    every: int = 10,
    resume: bool = False,
    notes: dict[str, Any] | None = None,
    watch: Watch | None = None,
) -> Trained:
    """Train on ``instances``, judge every ``every`` updates on ``validation`` (else on the same).

    Ctrl-C ends with the best so far written.
    """
    task, options = task or Task(), options or Options()
    stem = Path(os.fspath(output).removesuffix(".safetensors"))
    env = BatchedMacro(instances, task, seed)
    whole = dataclasses.replace(task, episode_slots=None)
    jury = BatchedMacro(validation or instances, whole, seed)
    first = instances[0].system
    networks = new_networks(
        first.regions, env.feature_count, head, smoothing, request_scale(first), seed
    )
    trainer = Trainer(env, networks, options, seed)
    networks.card["training"] = {
        "instances": [[each.name, instance_sha256(each)] for each in instances],
        "validation": [[each.name, instance_sha256(each)] for each in validation],
        "task": dataclasses.asdict(task),
        "options": dataclasses.asdict(options),
        "seed": seed,
        **(notes or {}),
    }
    curve: list[dict[str, float]] = []
    if resume:
        best, base, curve = _resume(stem, trainer)
    else:
        pretrain_forecaster(networks, instances, seed)
        best = base = judge(jury, networks)
        _save_best(networks, stem, best, base, 0)
        _checkpoint(stem, trainer, best, base, curve)
    status = "done"
    try:
        while trainer.done < options.updates:
            row = trainer.update()
            if trainer.done % every == 0 or trainer.done == options.updates:
                row["score"] = judge(jury, networks)
                if row["score"] < best:
                    best = row["score"]
                    _save_best(networks, stem, best, base, trainer.done)
            curve.append(row)
            _write_curve(stem, curve)
            if trainer.done % every == 0 or trainer.done == options.updates:
                _checkpoint(stem, trainer, best, base, curve)
            if watch is not None:
                watch(row)
    except KeyboardInterrupt:
        status = "interrupted"
    return Trained(networks, best, base, trainer.done, status)


@torch.no_grad()
def judge(env: BatchedMacro, networks: Networks) -> float:
    """Mean cost of a run in $, or minus the mean reward (3): lower is better. No exploration."""
    env.rng = np.random.default_rng(0)
    state, over, total = env.reset(), False, 0.0
    while not over:
        share = networks.policy.act(torch.from_numpy(state)).numpy()
        state, reward, over, info = env.step(share)
        paper = env.task.reward == "paper"
        total += float(-reward.mean() if paper else info["costs"].sum(axis=1).mean())
    return total


def pretrain_forecaster(
    networks: Networks, instances: Sequence[Instance], seed: int, passes: int = 60
) -> float:
    """The paper's forecaster by MSE and an L2 penalty of 1e-4, on the runs of A_t = P_t.

    Its mean squared error on the training data, in squares of ``scale``.
    """
    env = BatchedMacro(instances, Task(micro={"load_weight": 0.0}), seed)
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
    state = env._features()
    history = state[:, 2 * regions : 3 * regions]
    return np.stack([state[:, :regions], state[:, regions : 2 * regions], history], axis=1)


def _save_best(networks: Networks, stem: Path, best: float, base: float, update: int) -> None:
    networks.card["result"] = {"score": best, "untrained": base, "update": update}
    save_networks(networks, stem)


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
    write_bytes(stem.with_name(stem.name + ".checkpoint.safetensors"), save(tensors))


def _resume(stem: Path, trainer: Trainer) -> tuple[float, float, list[dict[str, float]]]:
    path = stem.with_name(stem.name + ".checkpoint.safetensors")
    try:
        tensors = load(path.read_bytes())
        plain = json.loads(bytes(tensors.pop("plain").numpy()).decode())
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", file=str(path)) from None
    except Exception:
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
    card.pop("result", None)
    return card

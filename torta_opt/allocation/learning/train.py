"""Train TORTA's networks for one topology: what ``torta-opt train`` does.

    NAME.safetensors, NAME.json    the best policy so far, and its card
    NAME.csv                       one row per update
    NAME.checkpoint.safetensors    from which ``resume`` continues bit for bit
    NAME.tensorboard/              the same curve for TensorBoard, on request

Best is the lowest cost (or highest paper reward) over the validation instances, run without
exploration and with weights rounded as they are stored; the untrained network competes too.
Training, validation and judged instances differ in their seeds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.document import instance_sha256
from torta_opt.allocation.learning.checkpoint import (
    has_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from torta_opt.allocation.learning.environment import BatchedMacro
from torta_opt.allocation.learning.judging import judge, report
from torta_opt.allocation.learning.options import Options
from torta_opt.allocation.learning.ppo import Trainer
from torta_opt.allocation.learning.task import Task
from torta_opt.allocation.learning.warm_up import pretrain_forecaster, standardise
from torta_opt.allocation.policies.macro_state import request_scale
from torta_opt.allocation.policies.neural.files import (
    Networks,
    new_networks,
    save_networks,
)
from torta_opt.allocation.policies.weight_files import stem_of
from torta_opt.io import InvalidInput
from torta_opt.io.status import DONE, INTERRUPTED
from torta_opt.io.writing import write_bytes

Watch = Callable[[dict[str, float]], None]  # a row of the curve
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

    held_out    the best network is judged on these in the end; its card has the result (``report``)
    head        ``beta`` or ``softmax``
    smoothing   λ of the untrained network, A_t = (P_t + λ·A_{t−1})/(1 + λ); 0 is A^OT
    device      of the networks while they learn: ``auto`` takes a GPU where there is one
    resume      continue from the checkpoint; if there is none yet, start

    Ctrl-C ends after the last whole update, with the best so far and a checkpoint written. The
    checkpoint comes before the first weights, so training that was killed at any moment resumes.
    """
    task, options = task or Task(), options or Options()
    stem = stem_of(output)
    envs = batches(instances, task, options, seed)
    whole = dataclasses.replace(task, episode_slots=None)
    jury = BatchedMacro(validation or instances, whole, seed)
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
    training = _Training(stem, trainer, jury)
    if resume and has_checkpoint(stem):
        training.resume()
    else:
        standardise(networks, envs, seed)
        pretrain_forecaster(networks, instances, seed)
        training.begin()
    with _tensorboard(stem, tensorboard) as record:
        status = training.run(options.updates, every, record, watch or _unwatched)
    if status == DONE and held_out:
        networks = report(stem, held_out, task)
    return Trained(networks, training.best, training.base, trainer.done, status)


class _Training:
    """A trainer and the files it writes: best weights, curve and checkpoint.

    best, base   scores on the validation instances: of the best network so far, of the untrained
    """

    def __init__(self, stem: Path, trainer: Trainer, jury: BatchedMacro) -> None:
        self.stem, self.trainer, self.jury = stem, trainer, jury
        self.best = self.base = math.nan
        self.curve: list[dict[str, float]] = []

    def begin(self) -> None:
        """Write the first checkpoint, then the untrained network as the best so far."""
        self.best = self.base = judge(self.jury, self.trainer.networks)
        self._checkpoint()
        self._save_best()

    def resume(self) -> None:
        """Go on from the checkpoint."""
        self.best, self.base, self.curve = read_checkpoint(self.stem, self.trainer)
        if self.trainer.done == 0:
            self._save_best()

    def run(self, updates: int, every: int, record: Watch, watch: Watch) -> str:
        """Update until ``updates`` are done; the status.

        ``record`` gets a row of the curve before it is in the checkpoint, ``watch`` after.
        """
        trainer = self.trainer
        kept = trainer.state(), self.best, list(self.curve)
        try:
            while trainer.done < updates:
                row = trainer.update()
                due = trainer.done % every == 0 or trainer.done == updates
                if due:
                    self._judge(row)
                self.curve.append(row)
                _write_curve(self.stem, self.curve)
                record(row)
                kept = trainer.state(), self.best, list(self.curve)
                if due:
                    self._checkpoint()
                watch(row)
        except KeyboardInterrupt:
            (tensors, plain), self.best, self.curve = kept
            trainer.restore(tensors, plain)
            _write_curve(self.stem, self.curve)
            self._checkpoint()
            return INTERRUPTED
        return DONE

    def _judge(self, row: dict[str, float]) -> None:
        row["score"] = judge(self.jury, self.trainer.networks)
        if row["score"] < self.best:
            self.best = row["score"]
            self._save_best()

    def _save_best(self) -> None:
        networks = self.trainer.networks
        networks.card["result"] = {
            "score": self.best,
            "untrained": self.base,
            "update": self.trainer.done,
        }
        save_networks(networks, self.stem)

    def _checkpoint(self) -> None:
        write_checkpoint(self.stem, self.trainer, self.best, self.base, self.curve)


def batches(
    instances: Sequence[Instance], task: Task, options: Options, seed: int
) -> list[BatchedMacro]:
    """``instances`` in batches, each ``copies`` times; the last is filled up from the first.

    Episodes are as long as a rollout unless ``task`` says otherwise.
    """
    short = dataclasses.replace(task, episode_slots=task.episode_slots or options.rollout_slots)
    size = max(1, min(options.environments // options.copies, len(instances)))
    count = -(-len(instances) // size)
    around = [instances[n % len(instances)] for n in range(count * size)]
    return [
        BatchedMacro(
            [each for each in around[n : n + size] for _ in range(options.copies)], short, seed
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


def _unwatched(row: dict[str, float]) -> None:
    """Takes a row of the curve and does nothing with it."""


@contextlib.contextmanager
def _tensorboard(stem: Path, wanted: bool) -> Iterator[Watch]:
    """Yields a function that writes a row of the curve for TensorBoard, if that is wanted."""
    if not wanted:
        yield _unwatched
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

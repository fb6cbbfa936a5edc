"""The checkpoint: training that resumes from it gives the same bits as training without a stop."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from torta_opt.allocation.learning.ppo import Trainer
from torta_opt.allocation.policies.weight_files import stem_of
from torta_opt.io import InvalidInput
from torta_opt.io.writing import write_bytes


def has_checkpoint(output: str | os.PathLike[str]) -> bool:
    """Whether training can go on; False if it wrote nothing yet.

    Weights without a checkpoint are a finished network, which a new start would overwrite: raises
    InvalidInput.
    """
    stem = stem_of(output)
    checkpoint = checkpoint_file(stem)
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


def checkpoint_file(stem: Path) -> Path:
    return stem.with_name(stem.name + ".checkpoint.safetensors")


def write_checkpoint(
    stem: Path, trainer: Trainer, best: float, base: float, curve: list[dict[str, float]]
) -> None:
    tensors, plain = trainer.state()
    own = trainer.networks.forecast.state_dict()
    tensors |= {f"forecast.{name}": tensor.clone() for name, tensor in own.items()}
    plain |= {"best": best, "base": base, "curve": curve, "made": _made(trainer)}
    text = json.dumps(plain).encode()
    tensors["plain"] = torch.frombuffer(bytearray(text), dtype=torch.uint8)  # one file, one rename
    write_bytes(checkpoint_file(stem), save(tensors))


def read_checkpoint(stem: Path, trainer: Trainer) -> tuple[float, float, list[dict[str, float]]]:
    """Best score, score of the untrained network, curve; the trainer is as it was.

    Raises InvalidInput, after which the trainer may be anything.
    """
    path = checkpoint_file(stem)
    try:
        tensors = load(path.read_bytes())
        plain = json.loads(bytes(tensors.pop("plain").numpy()).decode())
        is_whole, made = _is_whole(plain), plain["made"]
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", file=str(path)) from None
    except Exception:  # its kind depends on how the file is damaged
        raise _no_checkpoint(path) from None
    if made != _made(trainer):
        raise InvalidInput("is a checkpoint of another training", file=str(path))
    if not is_whole:
        raise _no_checkpoint(path)
    cut = len("forecast.")
    own = {k[cut:]: v for k, v in tensors.items() if k.startswith("forecast.")}
    try:
        trainer.networks.forecast.load_state_dict(own)
        trainer.restore(tensors, plain)
    except Exception:  # likewise
        raise _no_checkpoint(path) from None
    return plain["best"], plain["base"], plain["curve"]


def _is_whole(plain: dict[str, Any]) -> bool:
    """Whether the numbers that training goes on with are numbers; what is missing raises."""
    counts = [plain["done"], plain["episodes"]]
    rows = [value for row in plain["curve"] for value in row.values()]
    numbers = [plain["best"], plain["base"], *plain["estimates"].values()]
    return (
        all(type(n) is int and n >= 0 for n in counts)
        and all(type(n) in (int, float) for n in rows)
        and all(type(n) is float and math.isfinite(n) for n in numbers)
    )


def _no_checkpoint(path: Path) -> InvalidInput:
    return InvalidInput("is not a checkpoint of train", file=str(path))


def _made(trainer: Trainer) -> dict[str, Any]:
    """What must be the same for a checkpoint to be continued; updates may be more."""
    card = json.loads(json.dumps(trainer.networks.card))
    card["training"]["options"].pop("updates")
    card["training"].pop("command", None)
    card.pop("result", None)
    return card

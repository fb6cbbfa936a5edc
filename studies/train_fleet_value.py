"""Train the values of servers in models/: fleet-cuts and fleet-network (minutes on one core).

Examples are kept in a file (--examples) and continued after an interruption; the same seeds give
the same examples, and from them the same weights on the same machine.

    python studies/train_fleet_value.py --examples build/fleet-examples.npz --number 1500
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save

import torta_opt
from torta_opt.allocation.learning.fleet_value import (
    Examples,
    Teacher,
    fit_value,
    quality,
    teach,
)
from torta_opt.allocation.policies.fleet_values import FORMAT, VERSION, to_tensors
from torta_opt.allocation.policies.weight_files import fitted
from torta_opt.io.files import document_bytes
from torta_opt.io.writing import write_all

ROOT = Path(__file__).parents[1]
SEED, INSTANCE_SEED = 1, 1000
LOAD, SHORTAGE, SPREAD = 0.85, 1.5, 0.15  # as ``open_loop`` plans by default
HELD_OUT = 0.15


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--examples", type=Path, default=ROOT / "build" / "fleet-examples.npz")
    options.add_argument("--number", type=int, default=1500)
    options.add_argument("--steps", type=int, default=3000)
    options.add_argument("--output", type=Path, default=ROOT / "models")
    given = options.parse_args()
    instance = torta_opt.generate("paper/abilene", seed=INSTANCE_SEED)
    examples = collect(Teacher(instance, LOAD, SHORTAGE, SPREAD), given.examples, given.number)
    cut = int((1 - HELD_OUT) * len(examples.usd))
    for kind in ("cuts", "network"):
        value = fit_value(kind, examples.part(slice(cut)), given.steps, SEED, _say(kind))
        card = {
            "format": FORMAT,
            "version": VERSION,
            "kind": kind,
            **fitted(instance.system),
            "command": f"python studies/train_fleet_value.py --number {given.number} "
            f"--steps {given.steps}",
            "examples": len(examples.usd),
            "instance_seed": INSTANCE_SEED,
            "seed": SEED,
            "held_out": quality(value, examples.part(slice(cut, None))),
        }
        stem = given.output / f"fleet-{kind}"
        files = (stem.with_suffix(".safetensors"), stem.with_suffix(".json"))
        write_all([(files[0], save(to_tensors(value))), (files[1], document_bytes(card))])
        print(kind, card["held_out"], file=sys.stderr)


def collect(teacher: Teacher, file: Path, number: int) -> Examples:
    """Examples of a file, continued and written every hundred."""
    file.parent.mkdir(parents=True, exist_ok=True)
    found = Examples(**np.load(file)) if file.exists() else None
    have = 0 if found is None else len(found.usd)
    while have < number:
        have = min(have + 100, number)
        found = teach(teacher, found, have, SEED, lambda _: None)
        np.savez(file, **vars(found))
        print(f"{have} of {number} examples", file=sys.stderr)
    assert found is not None
    return found.part(slice(number))


def _say(kind: str) -> Callable[[int, float], None]:
    return lambda step, loss: print(f"{kind}: step {step}, loss {loss:.4f}", file=sys.stderr)


if __name__ == "__main__":
    main()

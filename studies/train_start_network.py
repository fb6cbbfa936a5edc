"""Train the network of starts in models/: fleet-start (some ten minutes on one core).

Solved windows are kept in a file (--examples) and continued after an interruption; the same seeds
give the same examples, and from them the same weights on the same machine.

    python studies/train_start_network.py --examples build/start-examples.npz --draws 26
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.learning.start_examples import Examples, examples
from torta_opt.allocation.learning.start_training import fit_network, quality
from torta_opt.allocation.policies.weight_files import fitted
from torta_opt.allocation.search.start_network import FORMAT, NAME, VERSION, to_tensors
from torta_opt.io.files import document_bytes
from torta_opt.io.writing import write_all

ROOT = Path(__file__).parents[1]
SEED, FIRST_SEED = 1, 1000
TOPOLOGIES = ("paper/abilene", "paper/polska", "paper/gabriel")
HELD_OUT = 0.1


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--examples", type=Path, default=ROOT / "build" / "start-examples.npz")
    options.add_argument("--draws", type=int, default=26)
    options.add_argument("--steps", type=int, default=3000)
    options.add_argument("--output", type=Path, default=ROOT / "models")
    given = options.parse_args()
    draws = [(TOPOLOGIES[n % 3], FIRST_SEED + n) for n in range(given.draws)]
    found = collect(draws, given.examples)
    last = found.window.max()
    kept = found.window <= (1 - HELD_OUT) * last
    network = fit_network(_part(found, kept), given.steps, SEED)
    system = generate(TOPOLOGIES[0], FIRST_SEED, slots=8).system
    card = {
        "format": FORMAT,
        "version": VERSION,
        **fitted(system),
        "command": f"python studies/train_start_network.py --draws {given.draws} "
        f"--steps {given.steps}",
        "topologies": list(TOPOLOGIES),
        "seeds": [FIRST_SEED, FIRST_SEED + given.draws - 1],
        "windows": len(np.unique(found.window)),
        "examples": len(found.window),
        "weights": sum(part.size for part in to_tensors(network).values()),
        "seed": SEED,
        "held_out": quality(network, _part(found, ~kept)),
    }
    stem = given.output / NAME
    files = (stem.with_suffix(".safetensors"), stem.with_suffix(".json"))
    write_all([(files[0], save(to_tensors(network))), (files[1], document_bytes(card))])
    print(card["held_out"], file=sys.stderr)


def collect(draws: list[tuple[str, int]], file: Path) -> Examples:
    """Examples of a file, continued and written after every draw."""
    file.parent.mkdir(parents=True, exist_ok=True)
    known = Examples(**np.load(file)) if file.exists() else None

    def keep(so_far: Examples) -> None:
        np.savez(file, **vars(so_far))
        print(f"{len(np.unique(so_far.window))} windows", file=sys.stderr, flush=True)

    return examples(draws, known, keep)


def _part(found: Examples, which: np.ndarray) -> Examples:
    return Examples(**{name: array[which] for name, array in vars(found).items()})


if __name__ == "__main__":
    main()

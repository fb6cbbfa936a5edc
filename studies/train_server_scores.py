"""Train the network that ranks servers in models/: server-scores (minutes on one core).

Examples are made anew each time; the same seeds give the same weights on the same machine. Then
policies run with each way to hand out requests on seeds that were not used in training.

    python studies/train_server_scores.py --slots 60 --steps 1500
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.learning.score_training import (
    Examples,
    cross_entropy,
    examples,
    fit_scores,
)
from torta_opt.allocation.policies.experiment import compare, ratios
from torta_opt.allocation.policies.server_scores import FEATURES, FORMAT, NAME, VERSION, to_tensors
from torta_opt.io.files import document_bytes
from torta_opt.io.writing import write_all

ROOT = Path(__file__).parents[1]
SEED = 1
TRAINED = (("paper/abilene", 1000), ("paper/polska", 1001), ("paper/gabriel", 1002))
HELD_OUT = (("paper/abilene", 1003), ("paper/polska", 1004))
JUDGED = range(3500, 3505)
POLICIES = ("greedy_forecast", "open_loop")
WAYS = ("greedy", "learned", "program")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--slots", type=int, default=60)
    options.add_argument("--steps", type=int, default=1500)
    options.add_argument("--output", type=Path, default=ROOT / "models")
    options.add_argument("--table", type=Path, default=ROOT / "build" / "server-scores.jsonl")
    options.add_argument("--jobs", type=int, default=1)
    given = options.parse_args()
    train(given.slots, given.steps, given.output)
    judge(given.slots, given.table, given.jobs)


def train(slots: int, steps: int, folder: Path) -> None:
    """Write weights and card."""
    found, held_out = _examples(TRAINED, slots), _examples(HELD_OUT, slots)
    scores = fit_scores(found, steps, SEED)
    card = {
        "format": FORMAT,
        "version": VERSION,
        "features": list(FEATURES),
        "command": f"python studies/train_server_scores.py --slots {slots} --steps {steps}",
        "policy": "greedy_forecast:micro=program",
        "instances": [f"{name} --seed {seed} --set slots={slots}" for name, seed in TRAINED],
        "examples": len(found.filled),
        "weights": sum(part.size for part in to_tensors(scores).values()),
        "seed": SEED,
        "cross_entropy": {
            "trained": cross_entropy(scores, found),
            "held_out": cross_entropy(scores, held_out),
            "held_out_untrained": cross_entropy(fit_scores(found, 0, SEED), held_out),
        },
    }
    stem = folder / NAME
    files = (stem.with_suffix(".safetensors"), stem.with_suffix(".json"))
    write_all([(files[0], save(to_tensors(scores))), (files[1], document_bytes(card))])
    print(card["cross_entropy"], file=sys.stderr)


def _examples(draws: tuple[tuple[str, int], ...], slots: int) -> Examples:
    found = [examples(generate(name, seed, slots=slots)) for name, seed in draws]
    return sum(found[1:], found[0])


def judge(slots: int, table: Path, jobs: int) -> None:
    """Print the cost of each way relative to the policy's own rule, paired by instance."""
    table.parent.mkdir(parents=True, exist_ok=True)
    instances = [generate("paper/abilene", seed, slots=slots) for seed in JUDGED]
    for policy in POLICIES:
        names = [f"{policy}:micro={way}" for way in WAYS]
        rows = compare(instances, names, [0], table, jobs)
        for name, found in ratios(rows, names[0]).items():
            median = np.median([row["decision_p50_s"] for row in rows if row["policy"] == name])
            print(
                f"{name}: {found.mean:.4f} ({found.low:.4f} to {found.high:.4f}), "
                f"n = {found.count}, {1e3 * median:.0f} ms a decision"
            )


if __name__ == "__main__":
    main()

"""What broken values cost torta_plus with its guard: the table of docs/torta_plus.md.

    python studies/plan_guard.py [--seeds 10] [--slots 96] [--folder build/plan-guard]

Each run is a row of a file in ``--folder``: killed and started again, only what is missing is
computed. ``--write`` computes nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
from pages import shown, write_between

from torta_opt import generate
from torta_opt.allocation.formulations.server_value import Cuts, Epigraph, Layer, Network
from torta_opt.allocation.instance.data import Instance, System
from torta_opt.allocation.policies.experiment import interval
from torta_opt.allocation.policies.fleet_values import load_value, value_features
from torta_opt.allocation.policies.plan_guard import LEAST, MARGIN
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.torta_plus import TortaPlus
from torta_opt.allocation.schedule.evaluate import evaluate

DOCS = Path(__file__).parents[1] / "docs" / "torta_plus.md"
FIRST_SEED = 3100
NAMES = {
    "none": "no value",
    "random": "a random network",
    "dear": "each server worth −50 $ (stops all)",
    "cheap": "each server worth 50 $ (starts all)",
    "stale": "the network, its features those of slot 0",
    "network": "the network",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Stale:
    """A value that goes on seeing the features that it saw first."""

    value: Network | Cuts
    seen: list[np.ndarray] = dataclasses.field(default_factory=list)

    def __call__(self, servers: np.ndarray, features: np.ndarray) -> float:
        return self.value(servers, self._first(features))

    def epigraph(self, features: np.ndarray) -> Epigraph:
        return self.value.epigraph(self._first(features))

    def _first(self, features: np.ndarray) -> np.ndarray:
        if not self.seen:
            self.seen.append(features)
        return self.seen[0]


def value_of(kind: str, system: System, seed: int):
    """The value of a row; None: the one in models/."""
    kinds = int(system.holds.sum())
    features = len(value_features(np.zeros(len(system.classes)), 1.0))
    rng = np.random.default_rng(seed)

    def layer(new: int, old: int) -> Layer:
        hidden = np.abs(rng.normal(size=(new, old)))
        given = (rng.normal(size=(new, size)) for size in (kinds, features))
        return Layer(hidden, *given, np.zeros(new))

    if kind == "random":
        return Network((layer(6, 0), layer(1, 6)))
    if kind == "stale":
        return Stale(load_value("network", system))
    if kind in ("dear", "cheap"):
        usd = 50.0 if kind == "dear" else -50.0
        return Cuts(np.full((1, kinds), usd), np.zeros((1, features)), np.zeros(1))
    return None


def run_one(kind: str, instance: Instance, seed: int) -> dict[str, float]:
    value = "none" if kind == "none" else "network"
    policy = TortaPlus(value=value, micro="greedy", budget=1000.0)
    policy.learned = value_of(kind, instance.system, seed)
    schedule = run(policy, instance).schedule
    cost = evaluate(instance, schedule).cost
    return {"cost": cost, "used": policy.used, "proposed": policy.proposed}


def collect(given: argparse.Namespace) -> dict[tuple[str, int], dict[str, float]]:
    given.folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for seed in range(FIRST_SEED, FIRST_SEED + given.seeds):
        instance = None
        for kind in NAMES:
            file = given.folder / f"{kind}-{seed}-{given.slots}.json"
            if not file.exists() and not given.write:
                instance = instance or generate("paper/abilene", seed, slots=given.slots)
                file.write_text(json.dumps(run_one(kind, instance, seed)))
                print(file.name, file.read_text(), flush=True)
            if file.exists():
                found[kind, seed] = json.loads(file.read_text())
    return found


def table(found: dict[tuple[str, int], dict[str, float]], slots: int) -> str:
    seeds = sorted(seed for kind, seed in found if kind == "none")
    lines = [
        f"Abilene, {slots} slots, seeds {seeds[0]} to {seeds[-1]}, `micro=greedy`, margin "
        f"{MARGIN:g} standard errors and {LEAST:.1%} of the plan's cost:",
        "",
        "| value | cost relative to none | dearest instance | plans used |",
        "|---|---|---|---|",
    ]
    for kind, name in list(NAMES.items())[1:]:
        rows = [(found[kind, s], found["none", s]) for s in seeds if (kind, s) in found]
        ratio = np.array([row["cost"] / none["cost"] for row, none in rows])
        used, asked = (sum(row[w] for row, _ in rows) for w in ("used", "proposed"))
        lines.append(
            f"| {name} | {shown(interval(ratio.tolist()), 4)}, {len(ratio)} instances "
            f"| {ratio.max():.4f} | {used} of {asked} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--slots", type=int, default=96)
    parser.add_argument("--folder", type=Path, default=Path("build/plan-guard"))
    parser.add_argument("--write", action="store_true", help="compute nothing")
    given = parser.parse_args()
    text = table(collect(given), given.slots)
    print(text)
    write_between(DOCS, "guard", text)


if __name__ == "__main__":
    main()

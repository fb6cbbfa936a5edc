"""Which decision makes the tail of ``torta_ot``: its layers swapped with those of ``skylb``.

    python studies/tails.py [--topology abilene] [--seeds 41,42,43] [--slots 96]

A composed policy takes the servers, the routing and the dispatch each from one of the two: eight in
all. Each runs on every instance and is verified. Rows go to ``studies/results/tails.json``, from
which ``reproduction.py`` writes its section on tails; those that are there are not run again.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from torta_opt.allocation.instance import Instance, System
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Capacity
from torta_opt.allocation.policies.layered import LayeredPolicy
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.skylb import SkyLB
from torta_opt.allocation.policies.torta_ot import TortaOt
from torta_opt.allocation.schedule import Schedule, evaluate, verify
from torta_opt.allocation.schedule.metrics import responses
from torta_opt.io import write_document

RESULTS = Path(__file__).parent / "results" / "tails.json"
OF = {"torta_ot": TortaOt, "skylb": SkyLB}
LAYERS = ("servers", "routing", "dispatch")
SHOWN = ("response_mean_s", "response_p95_s", "response_p99_s", "wait_mean_s")
SLOWEST = 0.05  # share of requests with the longest responses
LONG_S = 40.0  # of a response: between the two levels that p95 takes
PURE = (("torta_ot",) * 3, ("skylb",) * 3)


class Composed(LayeredPolicy):
    """Servers, routing and dispatch, each of one of the two policies."""

    name = "composed"
    deterministic = True

    def __init__(self, servers: str, routing: str, dispatch: str):
        super().__init__()
        self._parts = {name: OF[name]() for name in OF}
        self._servers = self._parts[servers]
        self._routing, self._dispatch = self._parts[routing], self._parts[dispatch]

    def reset(self, system: System, seed: int) -> None:
        super().reset(system, seed)
        for part in self._parts.values():
            part.reset(system, seed)

    def prepare(self, observation: Observation) -> None:
        for part in self._parts.values():
            part.observation, part.expected = observation, self.expected
            part.prepare(observation)

    def commands(self, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        return self._servers.commands(observation)

    def route(self, c: int, requests: np.ndarray, desk: Capacity) -> np.ndarray:
        return self._routing.route(c, requests, desk)

    def assign(self, c: int, wanted: np.ndarray, desk: Capacity) -> np.ndarray:
        return self._dispatch.assign(c, wanted, desk)


def run_all(topology: str, seeds: list[int], slots: int) -> None:
    kept: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for seed in seeds:
        instance = generate(f"paper/{topology}", seed, slots=slots)
        for parts in dict.fromkeys([*PURE, *product(OF, repeat=len(LAYERS))]):
            key = f"{topology} {slots} {seed} {' '.join(parts)}"
            if key in kept:
                continue
            schedule = run(Composed(*parts), instance).schedule
            verify(instance, schedule).raise_if_broken(key)
            found = evaluate(instance, schedule)
            metrics = {name: found.metrics[name] for name in SHOWN}
            kept[key] = {"cost": found.cost, **metrics, **tail(instance, schedule)}
            write_document(RESULTS, kept)
            print(key, kept[key], flush=True)


def tail(instance: Instance, schedule: Schedule) -> dict[str, Any]:
    """Of the slowest requests: the share that waited and their classes; and the share of all that
    take longer than ``LONG_S``."""
    runs = responses(instance, schedule)
    response = runs.network_s + runs.wait_s + runs.service_s
    order = np.argsort(-response)
    before = runs.count[order].cumsum() - runs.count[order]
    left = np.clip(SLOWEST * runs.count.sum() - before, 0, runs.count[order])
    count = left / left.sum()
    classes = np.bincount(runs.group[order], count, len(instance.system.classes))
    first = int(classes.argmax())
    return {
        "tail_waited": float(count[runs.wait_s[order] > 0].sum()),
        "tail_class": instance.system.classes[first],
        "tail_class_share": float(classes[first]),
        "long_share": float(runs.count[response > LONG_S].sum() / runs.count.sum()),
        "class_share": float(runs.count[runs.group == first].sum() / runs.count.sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--topology", default="abilene")
    parser.add_argument("--seeds", default="41,42,43")
    parser.add_argument("--slots", type=int, default=96)
    given = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    run_all(given.topology, [int(seed) for seed in given.seeds.split(",")], given.slots)


if __name__ == "__main__":
    main()

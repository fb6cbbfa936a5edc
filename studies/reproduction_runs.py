"""The runs behind ``reproduction.py``: which policies on which instances."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies.experiment import compare
from torta_opt.allocation.policies.registry import create
from torta_opt.io import InvalidInput

TOPOLOGIES = ("abilene", "cost2", "gabriel", "polska")  # the order of the paper
FIRST_SEED = 1  # seed 0 of abilene is what open values were chosen on
BASELINES = ("skylb", "sdib", "round_robin")
ACCURACIES = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
ABLATIONS = {
    "torta_ot": "OT plan fitted to loaded models; smoothed forecast; scores",
    "torta_ot:reach=able": "the plan followed directly: every region gets its share of every class",
    "torta:plan=smoothed": "smoothed OT, A = (P + λA₋)/(1 + λ), λ = 1",
    "torta:plan=smoothed:shrink=9": "smoothed OT, λ = 9",
    "torta:plan=target:forecaster=none": "no forecast: F = 0",
    "torta:plan=target:forecaster=last": "forecast: the arrivals of the last slot",
    "torta:plan=target:forecaster=perfect": "perfect forecast",
    "torta:plan=target:micro=round_robin": "OT plan; the servers of a region take turns",
    "torta_ot:split=sample": "region of each request drawn at random, as in Alg. 1",
    "torta_ot:target=capacity": "column sums at most the capacity: prices affect the plan",
    "torta_ot:rule=all": "every server is on and switches to the model most in demand",
    "greedy_forecast": "not in the paper: each request where it costs least",
}
LEARNED = {
    "torta": "learned routing",
    "torta:micro=round_robin": "learned routing; the servers of a region take turns",
}
OPEN = (
    *("leak=0.001", "leak=0.1", "safety=0", "safety=2", "smoothing=0.2", "smoothing=0.8"),
    *("load_weight=0.3", "load_weight=3", "locality_weight=0", "locality_weight=3"),
    *("hardware_weight=0.3", "hardware_weight=3", "horizon_slots=10", "gradual=1"),
)
DISTURBANCES = {
    "surge": {"surges": 3, "surge_factor": 3.0},
    "outage": {"outages": 3, "outage_slots": 40},
}


@dataclass(frozen=True)
class Cell:
    """What is run together: policies on one instance."""

    study: str
    topology: str
    seed: int
    policies: tuple[str, ...]
    parameters: dict[str, Any] = field(default_factory=dict)


def drawn(cell: Cell) -> Instance:
    return generate(f"paper/{cell.topology}", cell.seed, **cell.parameters)


@functools.cache
def learned(topology: str) -> dict[str, str]:
    """Policies with weights, if any come with the project that fit a topology."""
    try:
        policy = create("torta")
        policy.reset(generate(f"paper/{topology}").system, 0)
    except InvalidInput:
        return {}
    return LEARNED


def cells(seeds: int) -> Iterator[Cell]:
    """All of the study, the most telling first; after a kill nothing done is lost."""
    main = ("torta_ot", *BASELINES)
    every = range(FIRST_SEED, FIRST_SEED + seeds)

    def published(some: range) -> Iterator[Cell]:
        yield from (Cell("main", name, seed, main) for seed in some for name in TOPOLOGIES)

    def studies(some: range) -> Iterator[Cell]:
        for seed in some:
            for name in ("abilene", "cost2"):
                yield Cell("ablation", name, seed, (*ABLATIONS, *learned(name)))
            yield Cell("accuracy", "abilene", seed, tuple(map(corrupted, ACCURACIES)))
            for study, parameters in DISTURBANCES.items():
                yield Cell(study, "abilene", seed, main, parameters)
            yield Cell("open", "abilene", seed, tuple(f"torta_ot:{value}" for value in OPEN))

    yield from published(every[:4])
    yield from studies(every[:1])
    yield from published(every[4:])
    yield from studies(every[1:3])


def corrupted(accuracy: float) -> str:
    return f"torta:plan=target:forecaster=corrupted:accuracy={accuracy:g}"


def run_all(seeds: int, jobs: int, table: Path, say: Callable[[str], None]) -> None:
    todo = list(cells(seeds))
    total = sum(len(cell.policies) for cell in todo)
    done = 0
    for cell in todo:
        compare([drawn(cell)], cell.policies, [0], table, jobs)
        done += len(cell.policies)
        say(f"{done}/{total} {cell.study} {cell.topology} seed {cell.seed}")

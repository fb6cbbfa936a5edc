"""Which decision makes the tail of ``torta_ot``: its layers swapped with those of ``skylb``.

    python studies/tails.py [--topology abilene] [--seeds 41,42,43] [--slots 96]
    python studies/tails.py --write        # the section of docs/reproduction.md alone

A composed policy takes the servers, the routing and the dispatch each from one of the two: eight in
all. Each runs on every instance and is verified. Rows go to ``studies/results/tails.json``; those
that are there are not run again. ``reproduction.py`` takes its section on tails from here.
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
PAGE = Path(__file__).parents[1] / "docs" / "reproduction.md"
HEADING, NEXT = "## Tails", "## Prediction accuracy"
OF = {"torta_ot": TortaOt, "skylb": SkyLB}
LAYERS = ("servers", "routing", "dispatch")
SHOWN = ("response_mean_s", "response_p95_s", "response_p99_s", "wait_mean_s")
SLOWEST = 0.05  # share of requests with the longest responses
LONG_S = 40.0  # of a response: between the two levels that p95 takes
PURE = (("torta_ot",) * 3, ("skylb",) * 3)


READING = """Of the slowest 5 % of the requests of a run, {share} are of the class {names}, and
{waited} waited. So routing, late starts and queues are not its main cause. This class takes the
longest, and its inference time depends only on the type of the server. Therefore p95 has few
values. It jumps from one to the next (31.8 s, 47.0 s: a ratio of 1.48) as soon as more than 5 % of
all requests lie above it. The share of requests that take more than 40 s changes more smoothly. It
depends on dispatch, which chooses the type: with TORTA's dispatch, fewer requests are long than
with SkyLB's, whichever of the two decides servers and routing."""
UNDER = "The columns p95 and 'over 40 s' have one value for each seed, in the order of the seeds."


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


def section() -> str:
    """Markdown: what the rows say, by topology and length."""
    rows = {tuple(key.split()): row for key, row in json.loads(RESULTS.read_text()).items()}
    lines = ["| | seeds | servers | routing | dispatch | p95, s | mean, s | over 40 s, % |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for topology, slots in dict.fromkeys(key[:2] for key in rows):
        of_case = {key[2:]: row for key, row in rows.items() if key[:2] == (topology, slots)}
        for parts in dict.fromkeys([*PURE, *product(OF, repeat=len(LAYERS))]):
            mine = {key[0]: row for key, row in of_case.items() if key[1:] == parts}
            if not mine:
                continue
            p95 = ", ".join(f"{row['response_p95_s']:.1f}" for row in mine.values())
            mean = np.mean([row["response_mean_s"] for row in mine.values()])
            over = ", ".join(f"{100 * row['long_share']:.1f}" for row in mine.values())
            names = " | ".join(f"`{name}`" for name in parts)
            seeds = ", ".join(mine)
            lines.append(
                f"| {topology}, {slots} slots | {seeds} | {names} | {p95} | {mean:.2f} | {over} |"
            )
    table = "\n".join(lines)
    return "\n\n".join([HEADING, _reading(list(rows.values())), table, UNDER])


def _reading(rows: list[dict[str, Any]]) -> str:
    names = " or ".join(sorted({row["tail_class"] for row in rows}))
    share = _range([row["tail_class_share"] for row in rows])
    waited = _range([row["tail_waited"] for row in rows])
    return READING.format(names=names, share=share, waited=waited)


def _range(values: list[float]) -> str:
    return f"{100 * min(values):.0f} to {100 * max(values):.0f} %"


def write() -> None:
    """Replace the section of the page, or put it before the next one."""
    text = PAGE.read_text()
    before, _, rest = text.partition(HEADING)
    if rest:
        rest = rest[rest.index("\n## ") + 1 :]
    else:
        at = text.index(NEXT)
        before, rest = text[:at], text[at:]
    PAGE.write_text(before + section() + "\n\n" + rest)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--topology", default="abilene")
    parser.add_argument("--seeds", default="41,42,43")
    parser.add_argument("--slots", type=int, default=96)
    parser.add_argument("--write", action="store_true", help="run nothing")
    given = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    if not given.write:
        run_all(given.topology, [int(seed) for seed in given.seeds.split(",")], given.slots)
    write()


if __name__ == "__main__":
    main()

"""Online policies side by side: writes the tables of docs/torta_plus.md.

    python studies/online.py tune [--jobs N]
    python studies/online.py run [--data FOLDER] [--rounds 3] [--families a,b] [--policies a,b]
    python studies/online.py ablate
    python studies/online.py speed
    python studies/online.py page

``tune`` chooses the point of a small grid of each baseline that is cheapest on average on seeds of
Abilene that nothing else uses. ``run`` runs every policy on every family: instance 0 of each family
first, then instance 1, and so on; with ``--data`` also on windows of public traces (FOLDER has
``azure_llm_2023``, ``mooncake_fast25`` and ``servegen``). Rows are added to ``studies/results``
as they finish; what is there is not run again, so a killed run goes on, and a longer one adds to
it. After a change of a policy, delete its rows (``forget NAME [--families a,b]``). ``ablate``
changes one choice of ``open_loop`` at a time, and puts its parts together in every way (a value or
none, a program below the plan or none), on instances of their own. ``speed`` takes the processor
time of every decision, which, unlike the seconds of ``run``, does not depend on what else runs.
``page`` writes the tables of docs/torta_plus.md from what is there (``online_page``).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from pages import progress

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.instance.imports import import_trace
from torta_opt.allocation.policies import experiment
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run as simulate
from torta_opt.io import write_document

RESULTS = Path(__file__).parent / "results"
AGAINST = "torta_plus:micro=routed"
BOUND = "merged"
FIRST_SEED, TUNING_SEEDS = 3300, (5100, 5101, 5102)
SLOTS, LONG = 96, 480
EVENT_SLOTS = 20
WINDOW_SLOTS = 48


@dataclass(frozen=True)
class Generated:
    """Instances of a preset, one a seed."""

    title: str
    preset: str
    parameters: dict[str, Any]
    most: int = 10

    def instance(self, number: int, data: Path | None) -> Instance | None:
        return generate(self.preset, FIRST_SEED + number, **self.parameters)


@dataclass(frozen=True)
class Trace:
    """Windows of a public trace that do not overlap."""

    title: str
    kind: str
    path: str
    every_s: float
    most: int

    def instance(self, number: int, data: Path | None) -> Instance | None:
        if data is None or not (data / self.path).exists():
            return None
        begin = {"start_s": self.every_s * number, "slots": WINDOW_SLOTS}
        return import_trace(self.kind, data / self.path, seed=number, **begin)[0]


Source = Generated | Trace
SURGE = {"surges": 1, "surge_slots": EVENT_SLOTS, "slots": SLOTS}
OUTAGE = {"outages": 1, "outage_slots": EVENT_SLOTS, "slots": SLOTS}
AZURE = "azure_llm_2023/AzureLLMInferenceTrace_code.csv"
MOONCAKE = "mooncake_fast25/conversation_trace.jsonl"
FAMILIES: dict[str, Source] = {
    "abilene": Generated("Abilene", "paper/abilene", {"slots": SLOTS}),
    "polska": Generated("Polska", "paper/polska", {"slots": SLOTS}),
    "gabriel": Generated("Gabriel", "paper/gabriel", {"slots": SLOTS}),
    "cost2": Generated("Cost2", "paper/cost2", {"slots": SLOTS}),
    "surge": Generated("Abilene, a surge", "paper/abilene", SURGE),
    "outage": Generated("Abilene, an outage", "paper/abilene", OUTAGE),
    "azure": Trace("Azure 2023, code", "azure", AZURE, 700.0, 5),
    "mooncake": Trace("Mooncake, conversation", "mooncake", MOONCAKE, 700.0, 5),
    "servegen": Trace("ServeGen, m-large", "servegen", "servegen", 90_000.0, 6),
    "long": Generated(f"Abilene, {LONG} slots", "paper/abilene", {"slots": LONG}, 5),
    "long-polska": Generated(f"Polska, {LONG} slots", "paper/polska", {"slots": LONG}, 5),
    "long-gabriel": Generated(f"Gabriel, {LONG} slots", "paper/gabriel", {"slots": LONG}, 5),
    "long-cost2": Generated(f"Cost2, {LONG} slots", "paper/cost2", {"slots": LONG}, 5),
}
PAPER = ("abilene", "polska", "gabriel", "cost2", "surge", "outage")  # generated, 96 slots
GRIDS: dict[str, dict[str, list[Any]]] = {
    "greedy_forecast": {"horizon_slots": [10, 20, 40, 90], "safety": [1, 2]},
    "robd": {"switching": [0.25, 0.5, 1, 2]},
    "lcp": {"safety": [1, 3, 6]},
    "torta_ot": {"safety": [1, 2], "patience_slots": ["", 40]},
    "skylb": {"safety": [1, 2], "patience_slots": ["", 40]},
}
UNTUNED = ("torta_plus:micro=program", "open_loop", "greedy_forecast", "round_robin")


ABLATED_SEEDS = range(3310, 3314)
ABLATIONS = {
    "open_loop": "as it is",
    "open_loop:shortage=1": "a request not served costs 1 instead of 1.5 expiry prices",
    "open_loop:shortage=2": "2 expiry prices",
    "open_loop:load=0.75": "plans count on 75 % of a server's time instead of 85 %",
    "open_loop:load=0.95": "95 %",
    "open_loop:spread=0.05": "σ of demand 0.05 instead of 0.15",
    "open_loop:spread=0.3": "σ 0.3",
    "open_loop:replan_slots=1": "a plan in every slot instead of every fourth",
    "open_loop:replan_slots=8": "in every eighth",
    "open_loop:span=32": "32 slots ahead instead of 128",
    "open_loop:threshold=0.5": "a part of a server above 0.5 counts as one instead of 0.6",
    "open_loop:micro=program": "assignment programs below it, greedy routing",
    "open_loop:micro=routed": "the same, routing chosen with them",
    "greedy_forecast:micro=program": "these programs below `greedy_forecast`",
    "greedy_forecast": "`greedy_forecast` itself",
}
VALUES = ("none", "cuts", "network")
MICROS = ("greedy", "learned", "program", "routed")
TIMED = {"abilene": 48, "cost2": 24}  # family: slots
TIMED_POLICIES = (AGAINST, "torta_plus:micro=program", "open_loop", "greedy_forecast")


def part(value: str, micro: str) -> str:
    """``open_loop`` with a value of servers and a way to hand out requests."""
    below = "" if micro == "greedy" else f":micro={micro}"
    return f"open_loop{below}" if value == "none" else f"torta_plus:value={value}:micro={micro}"


def specs(policy: str) -> list[str]:
    """All points of the grid of a policy; "" leaves a parameter as it is."""
    found = []
    for point in product(*GRIDS[policy].values()):
        pairs = zip(GRIDS[policy], point, strict=True)
        found.append(":".join([policy, *(f"{k}={v}" for k, v in pairs if v != "")]))
    return found


# --- tuning and running -------------------------------------------------------------------------


def tune(jobs: int) -> None:
    made = [generate("paper/abilene", seed, slots=SLOTS) for seed in TUNING_SEEDS]
    grid = [spec for policy in GRIDS for spec in specs(policy)]
    rows = experiment.compare(made, grid, [0], RESULTS / "online-tuning.jsonl", jobs, progress)
    experiment.raise_if_failed(rows)
    means = experiment.summary(rows, "cost")
    best = {policy: min(specs(policy), key=lambda each: means[each].mean) for policy in GRIDS}
    document = {
        "seeds": list(TUNING_SEEDS),
        "best": best,
        "cost": {spec: round(found.mean, 2) for spec, found in means.items()},
    }
    write_document(RESULTS / "online-tuned.json", document)
    (RESULTS / "online-tuning.jsonl").unlink()  # the means are kept


def policies() -> list[str]:
    """Specs in the order in which they run."""
    tuned = json.loads((RESULTS / "online-tuned.json").read_text())["best"]
    return list(dict.fromkeys([AGAINST, *UNTUNED[:2], *tuned.values(), *UNTUNED[2:]]))


def instances(given: argparse.Namespace) -> Iterator[tuple[str, int, Instance]]:
    """Family, number and instance, one of each family at a time."""
    names = given.families.split(",") if given.families else list(FAMILIES)
    for number in range(given.rounds):
        for name in names:
            if number < FAMILIES[name].most:
                instance = FAMILIES[name].instance(number, given.data)
                if instance is not None:
                    yield name, number, instance


def run(given: argparse.Namespace) -> None:
    table, index = RESULTS / "online.jsonl", RESULTS / "online-instances.json"
    chosen = given.policies.split(",") if given.policies else policies()
    known = json.loads(index.read_text()) if index.exists() else {}
    for name, number, instance in instances(given):
        (sha256,) = experiment.distinct([instance])
        known[sha256] = {"family": name, "number": number, "regions": len(instance.system.regions)}
        write_document(index, known)
        print(name, number, flush=True)
        experiment.compare([instance], chosen, [0], table, given.jobs, progress)
        if given.bounds:
            experiment.bounds([instance], BOUND, table, 1)


def ablate(jobs: int) -> None:
    made = [generate("paper/abilene", seed, slots=SLOTS) for seed in ABLATED_SEEDS]
    chosen = dict.fromkeys([*ABLATIONS, *(part(*each) for each in product(VALUES, MICROS))])
    rows = experiment.compare(
        made, list(chosen), [0], RESULTS / "online-ablated.jsonl", jobs, progress
    )
    experiment.raise_if_failed(rows)


def speed() -> None:
    """Processor seconds of each decision, that of the solver's threads included."""
    found = []
    for name, slots in TIMED.items():
        instance = FAMILIES[name].instance(0, None)
        assert instance is not None
        instance = instance.cut(0, slots)
        for spec in TIMED_POLICIES:
            policy = create(spec)
            seconds: list[float] = []
            decide = policy.decide

            def timed(observation: Any, decide: Any = decide, seconds: Any = seconds) -> Any:
                began = time.process_time()
                decision = decide(observation)
                seconds.append(time.process_time() - began)
                return decision

            policy.decide = timed  # type: ignore[method-assign]
            simulate(policy, instance)
            p50, p99 = np.quantile(seconds, [0.5, 0.99]).round(4).tolist()
            sizes = {"regions": len(instance.system.regions), "slots": slots}
            found.append({"family": name, "policy": spec, "p50": p50, "p99": p99, **sizes})
            print(found[-1], flush=True)
    write_document(RESULTS / "online-speed.json", {"decisions": found})


def forget(policy: str, families: str | None = None) -> None:
    """Delete the rows of a policy, of some families if they are named."""
    table, index = RESULTS / "online.jsonl", RESULTS / "online-instances.json"
    known = json.loads(index.read_text())
    some = set(families.split(",")) if families else set(FAMILIES)

    def stays(line: str) -> bool:
        row = json.loads(line)
        return row.get("policy") != policy or known[row["sha256"]]["family"] not in some

    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(filter(stays, lines)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stage", choices=["tune", "run", "ablate", "speed", "page", "forget"])
    parser.add_argument("policy", nargs="?", help="of forget")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=3, help="instances of each family")
    parser.add_argument("--families")
    parser.add_argument("--policies")
    parser.add_argument("--bounds", action="store_true", help="the merged bound of each instance")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    if given.stage == "tune":
        tune(given.jobs)
    elif given.stage == "run":
        run(given)
    elif given.stage == "ablate":
        ablate(given.jobs)
    elif given.stage == "speed":
        speed()
    elif given.stage == "forget":
        forget(given.policy, given.families)
    else:
        from online_page import page

        page()


if __name__ == "__main__":
    main()

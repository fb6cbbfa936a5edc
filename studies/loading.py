"""TORTA's loading times against those of a cluster: writes the tables of docs/loading.md.

    python studies/loading.py run [--topology NAME] [--jobs N]
    python studies/loading.py page

Each topology has ``SEEDS`` draws of demand; each draw is run twice, once with each preset of
loading times, on the same demand. ``run`` keeps a table of runs in ``--out`` and goes on where it
stopped. ``page`` writes the tables between the markers of docs/loading.md: the mean cost ratio of
each policy to the first, and of each policy under one preset to itself under the other, both paired
by draw.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from pages import progress, shown, write_between

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies import experiment

DOCS = Path(__file__).parents[1] / "docs" / "loading.md"
AGAINST = "greedy_forecast"
POLICIES = (AGAINST, "torta_ot", "skylb", "sdib", "round_robin")
PRESETS = ("torta", "cluster-2026")
TOPOLOGIES = {"abilene": "Abilene", "polska": "Polska"}
SEEDS, SLOTS = tuple(range(5)), 96


def instance(topology: str, preset: str, seed: int) -> Instance:
    return generate(f"paper/{topology}", seed, slots=SLOTS, loading=preset)


def run(topology: str, out: Path, jobs: int) -> None:
    """Costs by preset, policy and draw, and the bound of each instance."""
    table = out / f"loading-{topology}.jsonl"
    found: dict[str, Any] = {"topology": topology, "cost": {}, "switches": {}, "bound": {}}
    for preset in PRESETS:
        made = [instance(topology, preset, seed) for seed in SEEDS]
        rows = experiment.compare(made, list(POLICIES), [0], table, jobs, progress)
        experiment.raise_if_failed(rows)
        proved = experiment.bounds(made, "merged", table, jobs, progress)
        experiment.with_gaps(rows, proved)  # refuses a cost below the bound
        order = {row["sha256"]: n for n, row in enumerate(proved)}
        for name, value in (("cost", "cost"), ("switches", "switches")):
            found[name][preset] = {policy: [0.0] * len(made) for policy in POLICIES}
            for row in rows:
                number = row[value] if value in row else row["metrics"][value]
                found[name][preset][row["policy"]][order[row["sha256"]]] = float(number)
        found["bound"][preset] = [row["value"] for row in proved]
    (out / f"{topology}.json").write_text(json.dumps(found, indent=1) + "\n")


def table(found: dict[str, Any]) -> str:
    """Markdown of one topology."""
    cost = {p: {n: np.array(v) for n, v in by.items()} for p, by in found["cost"].items()}
    least, most = (cost[preset] for preset in PRESETS)
    draws = len(least[AGAINST])
    lines = [
        f"### {TOPOLOGIES[found['topology']]}, {SLOTS} slots of 45 s, {draws} draws\n",
        f"| policy | cost ÷ `{AGAINST}`, `{PRESETS[0]}` | the same, `{PRESETS[1]}` | "
        f"own cost, `{PRESETS[1]}` ÷ `{PRESETS[0]}` | gap at most, both | switches, both |",
        "|---|---|---|---|---|---|",
    ]
    for policy in sorted(POLICIES, key=lambda name: float((most[name] / most[AGAINST]).mean())):
        ratios = [
            "1" if policy == AGAINST else over(by[policy], by[AGAINST]) for by in (least, most)
        ]
        gaps = [
            f"{100 * float((1 - np.array(found['bound'][p]) / cost[p][policy]).mean()):.1f} %"
            for p in PRESETS
        ]
        switches = [f"{np.mean(found['switches'][p][policy]):.1f}" for p in PRESETS]
        own = over(most[policy], least[policy])
        lines.append(
            f"| `{policy}` | {ratios[0]} | {ratios[1]} | {own} | {', '.join(gaps)} | "
            f"{', '.join(switches)} |"
        )
    bounds = over(*(np.array(found["bound"][preset]) for preset in reversed(PRESETS)))
    lines.append(f"| bound (`merged`, certified) | | | {bounds} | | |")
    return "\n".join([*lines, ""])


def over(ones: np.ndarray, others: np.ndarray) -> str:
    """Mean ratio and 95 % interval over the draws."""
    return shown(experiment.interval((ones / others).tolist()))


def page(out: Path) -> None:
    """Write the tables into docs/loading.md."""
    found = [json.loads((out / f"{name}.json").read_text()) for name in TOPOLOGIES]
    write_between(DOCS, "tables", "\n".join(map(table, found)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=["run", "page"])
    parser.add_argument("--topology", choices=list(TOPOLOGIES))
    parser.add_argument("--out", type=Path, default=Path("loading-study"))
    parser.add_argument("--jobs", type=int, default=1)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.stage == "page":
        page(chosen.out)
        return
    for topology in [chosen.topology] if chosen.topology else TOPOLOGIES:
        print(topology)
        run(topology, chosen.out, chosen.jobs)


if __name__ == "__main__":
    main()

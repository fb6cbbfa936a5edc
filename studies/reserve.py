"""More servers in reserve: the section "The price of reserve" of docs/torta_plus.md.

    python studies/reserve.py tune
    python studies/reserve.py check
    python studies/reserve.py judge
    python studies/reserve.py page

With a surge or an outage, responses of ``torta_plus`` have a longer tail than those of
``greedy_forecast``, and some requests expire. ``tune`` runs ``open_loop``, which has the same
servers and takes seconds, over a grid of parameters that keep more of them, on surges and outages
of tuning seeds. ``check`` runs ``torta_plus`` with those that looked best on some of these
instances. ``judge`` runs the one that is left, with ``open_loop`` first, on the instances that
``online.py`` judges on; what it is compared with is read from the rows of that study. Rows are
added to ``studies/results/reserve-*.jsonl`` as they finish; a killed run goes on where it stopped.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import online
import online_page
from pages import progress, shown, write_between

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies import experiment

PAGE = Path(__file__).parents[1] / "docs" / "torta_plus.md"
RESULTS = Path(__file__).parent / "results"
EVENTS = {"surge": online.SURGE, "outage": online.OUTAGE}
TUNED_ON = list(product(range(101, 108), EVENTS))
CHECKED_ON = TUNED_ON[:4]
GRID = [
    f"load={load}:shortage={shortage}:replan_slots={slots}"
    for load, shortage, slots in product((0.85, 0.75, 0.65), (1.5, 3), (4, 1))
]
BEFORE = GRID[0]  # the defaults
CANDIDATES = tuple(
    f"load={load}:shortage={shortage}:replan_slots=4"
    for load, shortage in ((0.85, 3), (0.85, 5), (0.8, 3))
)
CHOSEN = CANDIDATES[0]
GREEDY = "greedy_forecast:horizon_slots=20:safety=1"
POLICIES = ("open_loop", "torta_plus")
FIGURES = {
    "response_mean_s": ("mean response, s", 1, 1),
    "response_p95_s": ("p95, s", 1, 1),
    "expired_share": ("expired, %", 100, 2),
    "energy_kwh": ("energy, kWh", 1, 1),
}


def instance(seed: int, event: str) -> Instance:
    return generate("paper/abilene", seed, **EVENTS[event])


def run(specs: list[str], on: list[tuple[int, str]], table: str) -> None:
    for seed, event in on:
        made = [instance(seed, event)]
        experiment.compare(made, specs, [0], RESULTS / f"reserve-{table}.jsonl", 1, progress)


def tune() -> None:
    points = [f"open_loop:{point}" for point in GRID]
    run([*points, GREEDY], TUNED_ON, "tuned")


def check() -> None:
    specs = [f"torta_plus:{point}" for point in (BEFORE, *CANDIDATES)]
    run([*specs, GREEDY], CHECKED_ON, "checked")


def judge() -> None:
    made = [(online.FIRST_SEED + number, event) for number, event in product(range(6), EVENTS)]
    for policy in POLICIES:
        run([f"{policy}:{CHOSEN}"], made, "judged")


# --- the page -----------------------------------------------------------------------------------


def means(rows: list[experiment.Row], specs: list[str], against: str) -> list[str]:
    """A line for each spec: cost relative to ``against``, paired, and the means of ``FIGURES``."""
    lines = [
        f"| | n | cost relative to `{against}` | "
        + " | ".join(title for title, _, _ in FIGURES.values())
        + " |",
        f"|---|---|---|{'---|' * len(FIGURES)}",
    ]
    usd = {(row["policy"], row["sha256"]): row["cost"] for row in rows}
    for spec in specs:
        own = [row for row in rows if row["policy"] == spec and (against, row["sha256"]) in usd]
        if not own:
            continue
        ratios = [row["cost"] / usd[against, row["sha256"]] for row in own]
        cost = "1" if spec == against else shown(experiment.interval(ratios))
        cells = [
            f"{factor * np.mean([row['metrics'][name] for row in own]):.{digits}f}"
            for name, (_, factor, digits) in FIGURES.items()
        ]
        lines.append(f"| `{spec}` | {len(own)} | {cost} | {' | '.join(cells)} |")
    return lines


def page() -> None:
    write_between(PAGE, "reserve", f"{tuning_table()}\n{judged_table()}")


def tuning_table() -> str:
    rows = experiment.read_table(RESULTS / "reserve-tuned.jsonl")
    own = means(rows, [*(f"open_loop:{point}" for point in GRID), GREEDY], f"open_loop:{BEFORE}")
    some = experiment.read_table(RESULTS / "reserve-checked.jsonl")
    specs = [f"torta_plus:{point}" for point in (BEFORE, *CANDIDATES)]
    below = means(some, [*specs, GREEDY], f"torta_plus:{BEFORE}")
    seeds = f"{TUNED_ON[0][0]} to {TUNED_ON[-1][0]}"
    return (
        f"Tuning, `open_loop`: Abilene, {online.SLOTS} slots, a surge and an outage, seeds "
        f"{seeds}:\n\n" + "\n".join(own) + "\n\nTuning, `torta_plus`, on the first "
        f"{len(CHECKED_ON)} of these instances:\n\n" + "\n".join(below) + "\n"
    )


def judged_table() -> str:
    """The chosen point beside the defaults and ``greedy_forecast``, by event."""
    rows: list[dict[str, Any]] = [
        *experiment.read_table(RESULTS / "reserve-judged.jsonl"),
        *online_page.read_rows(),
    ]
    defaults = {"open_loop": "open_loop", "torta_plus": online.AGAINST}
    parts = []
    for event, policy in product(EVENTS, POLICIES):
        specs = [f"{policy}:{CHOSEN}", defaults[policy], GREEDY]
        seen = {row["sha256"] for row in rows if row.get("family") == event}
        done = {row["sha256"] for row in rows if row["policy"] == specs[0]} & seen
        of_event = [row for row in rows if row["sha256"] in done]
        if done:
            title = f"{online.FAMILIES[event].title}, `{policy}`, judged:"
            parts.append(f"{title}\n\n" + "\n".join(means(of_event, specs, specs[1])))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stage", choices=["tune", "check", "judge", "page"])
    given = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    {"tune": tune, "check": check, "judge": judge, "page": page}[given.stage]()


if __name__ == "__main__":
    main()

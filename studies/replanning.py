"""How often ``open_loop`` should plan: the section "How often to plan" of docs/torta_plus.md.

    python studies/replanning.py tune
    python studies/replanning.py judge [--rounds 8]
    python studies/replanning.py page

``tune`` runs ``open_loop`` over a small grid on tuning seeds; the point with the least mean ratio
to the first point is the candidate. ``judge`` compares candidate and first point on seeds that
nothing else uses, once. ``torta_plus`` has the same servers. Rows are added to
``studies/results/replanning-*.jsonl`` as they finish; a killed run goes on where it stopped.
"""

from __future__ import annotations

import argparse
from itertools import chain, product
from pathlib import Path

import numpy as np
from pages import progress, shown, write_between

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies import experiment

PAGE = Path(__file__).parents[1] / "docs" / "torta_plus.md"
RESULTS = Path(__file__).parent / "results"
SLOTS, LONG = 96, 480
TUNED_ON = [(name, seed) for seed in range(101, 109) for name in ("abilene", "gabriel")]
PLANS = (4, 2, 1)
CHANGES = ("", ":threshold=0.5", ":threshold=0.7", ":shortage=2", ":load=0.8")
GRID = [f"replan_slots={slots}{change}" for slots, change in product(PLANS, CHANGES)]
CANDIDATE = "replan_slots=1"
# topology, first seed and slots of the instances judged on
JUDGED = {
    "Abilene": ("abilene", 3400, SLOTS),
    "Polska": ("polska", 3400, SLOTS),
    "Gabriel": ("gabriel", 3400, SLOTS),
    "Cost2": ("cost2", 3400, SLOTS),
    f"Abilene, {LONG} slots": ("abilene", 3450, LONG),
}
MOST = {SLOTS: 8, LONG: 4}  # instances of a column


def instance(name: str, seed: int, slots: int) -> Instance:
    return generate(f"paper/{name}", seed, slots=slots)


def tune() -> None:
    specs = [f"open_loop:{point}" for point in GRID]
    for name, seed in TUNED_ON:
        made = [instance(name, seed, SLOTS)]
        experiment.compare(made, specs, [0], RESULTS / "replanning-tuned.jsonl", 1, progress)


def judge(rounds: int) -> None:
    for number, (name, first, slots) in product(range(rounds), JUDGED.values()):
        if number < MOST[slots]:
            specs = [f"open_loop:{GRID[0]}", f"open_loop:{CANDIDATE}"]
            made = [instance(name, first + number, slots)]
            table = RESULTS / "replanning-judged.jsonl"
            experiment.compare(made, specs, [0], table, 1, progress)


def page() -> None:
    write_between(PAGE, "replanning", f"{tuning_table()}\n{judged_table()}")


def tuning_table() -> str:
    rows = experiment.read_table(RESULTS / "replanning-tuned.jsonl")
    ratio = experiment.ratios(rows, f"open_loop:{GRID[0]}", "cost")
    waiting = experiment.summary(_flat(rows), "waiting")
    expired = experiment.summary(_flat(rows), "expired")
    lines = [
        f"Tuning: `open_loop` on Abilene and Gabriel, {SLOTS} slots, seeds "
        f"{TUNED_ON[0][1]} to {TUNED_ON[-1][1]}; cost relative to `{GRID[0]}`, paired,\n"
        f"over those of the {len(TUNED_ON)} instances that were finished:\n",
        "| | cost | instances | waiting, $ | expired, % |",
        "|---|---|---|---|---|",
    ]
    for point in GRID:
        spec = f"open_loop:{point}"
        cost = "1" if point == GRID[0] else shown(ratio[spec])
        count = waiting[spec].count
        cells = (cost, count, f"{waiting[spec].mean:.1f}", f"{expired[spec].mean:.2f}")
        lines.append(f"| `{point}` | {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def judged_table() -> str:
    rows = experiment.read_table(RESULTS / "replanning-judged.jsonl")
    lines = [
        f"Judged on seeds that nothing else uses (3400 and following, {LONG} slots: 3450 and\n"
        f"following). Cost of `{CANDIDATE}` relative to `{GRID[0]}`, paired, and on how many\n"
        "instances it is cheaper:\n",
        f"| | {' | '.join(JUDGED)} | all |",
        f"|---|{'---|' * (len(JUDGED) + 1)}",
    ]
    columns = [_ratios(rows, *where) for where in JUDGED.values()]
    cells = [_cell(ratios) for ratios in [*columns, list(chain(*columns))]]
    lines.append(f"| `open_loop` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _flat(rows: list[experiment.Row]) -> list[experiment.Row]:
    """Rows with waiting and expiry as figures of their own."""
    return [
        {
            **row,
            "metrics": {
                "waiting": row["costs"]["waiting"],
                "expired": 100 * row["metrics"]["expired_share"],
            },
        }
        for row in rows
    ]


def _ratios(rows: list[experiment.Row], name: str, first: int, slots: int) -> list[float]:
    """Cost of the candidate divided by that of the first point, on each instance of a column."""
    cost = {(row["policy"], row["instance"]): row["cost"] for row in rows}
    pairs = [
        [cost.get((f"open_loop:{point}", f"paper/{name}@{seed}")) for point in (CANDIDATE, GRID[0])]
        for seed in range(first, first + MOST[slots])
    ]
    return [candidate / before for candidate, before in pairs if candidate and before]


def _cell(ratios: list[float]) -> str:
    if not ratios:
        return ""
    wins = f"{int(np.sum(np.array(ratios) < 1))} of {len(ratios)}"
    if len(ratios) == 1:
        return f"{ratios[0]:.3f}, {wins}"
    return f"{shown(experiment.interval(ratios))}, {wins}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stage", choices=["tune", "judge", "page"])
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    if given.stage == "tune":
        tune()
    elif given.stage == "judge":
        judge(given.rounds)
    else:
        page()


if __name__ == "__main__":
    main()

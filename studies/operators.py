"""What operators run, tuned and judged: writes the tables of docs/operators.md.

    python studies/operators.py tune --data FOLDER [--family NAME] [--jobs N]
    python studies/operators.py judge --data FOLDER [--family NAME] [--jobs N]
    python studies/operators.py page

Families: ``abilene``, generated; ``azure`` and ``mooncake``, windows of the public traces, imported
(FOLDER has ``azure_llm_2023/…code.csv`` and ``mooncake_fast25/conversation_trace.jsonl``);
``site``, days of the template of ``torta-opt new``: its hourly demand times a level of the day and
a noise that an hour shares with the next. Each policy has a small grid. ``tune`` runs all of the
grid on instances that ``judge`` never sees;
``judge`` runs on others the point of the grid with the least mean cost, ratios to the first policy
averaged over instances. Both keep a table of runs beside this file's ``--out`` folder and go on
where they stopped. ``page`` writes the tables between the markers of docs/operators.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from pages import progress, shown, write_between

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.instance.imports import import_trace
from torta_opt.allocation.policies import experiment
from torta_opt.allocation.site.build import build_site
from torta_opt.allocation.site.template import write_template

DOCS = Path(__file__).parents[1] / "docs" / "operators.md"
AGAINST = "greedy_forecast"
SEEDS = {"tune": (101, 102), "judge": (1, 2, 3, 4, 5, 6)}  # of Abilene, and days of the site
SLOTS = 48
# Windows of a trace: where the first begins, s from one to the next, slots of 15 s, how many.
WINDOWS = {"tune": (0, 690, 40, 2), "judge": (1380, 411, 27, 5)}
JUDGED_SLOTS = WINDOWS["judge"][2]
DAY_SIGMA, HOUR_SIGMA, HOUR_MEMORY = 0.2, 0.3, 0.8  # of the logarithm of a day's demand
TRACES = {
    "azure": "azure_llm_2023/AzureLLMInferenceTrace_code.csv",
    "mooncake": "mooncake_fast25/conversation_trace.jsonl",
}
EQ6: dict[str, list[Any]] = {"safety": [1, 2], "patience_slots": ["", 8]}
GRIDS: dict[str, dict[str, list[Any]]] = {
    "greedy_forecast": EQ6,
    "skylb": EQ6,
    "torta_ot": EQ6,
    "gorgo": {"safety": [1, 2], "queue_rate": [0.17, 1]},
    "fluid": {"safety": [1, 2], "target": [0.8, 0.95]},
    "hpa": {"target": [0.5, 0.8], "metric": ["utilisation", "inflight"]},
    "keda_cron": {"window_minutes": [5], "target": [0.5, 0.8], "reactive": ["true", "false"]},
    "wva": {"saturated": [0.6, 0.8], "period_s": [15, 60]},
    "sageserve": {
        "period_minutes": [5, 60],
        "scaling": ["immediate", "deferred"],
        "buffer": [0.1, 1],
    },
    "agh": {"target": [0.7, 0.9], "hold_s": [0, 300]},
}
# The bound of the gaps, certified: `merged`; on a few servers `whole` proves more.
BOUNDS = {"site": "whole"}
COMBINED = ("hpa", "wva", "sageserve", "agh")  # tuned with skylb, judged with other routings too
ROUTINGS = ("gorgo", "greedy_forecast")


def instances(family: str, stage: str, data: Path) -> list[Instance]:
    """The instances of a stage; no demand is in both stages."""
    if family == "abilene":
        return [generate("paper/abilene", seed, slots=SLOTS) for seed in SEEDS[stage]]
    if family == "site":
        return [site_day(seed) for seed in SEEDS[stage]]
    first_s, step_s, slots, count = WINDOWS[stage]
    made = []
    for window in range(count):
        options = {"start_s": float(first_s + step_s * window), "slots": slots}
        seed = window if stage == "tune" else WINDOWS["tune"][3] + window
        made.append(import_trace(family, data / TRACES[family], seed=seed, **options)[0])
    return made


def site_day(seed: int) -> Instance:
    """The template's site on another day: λ' = λ · exp(d + n[h]), Poisson around that.

    d is N(0, DAY_SIGMA²) for all; n is N(0, HOUR_SIGMA²) by region and model, with a correlation of
    HOUR_MEMORY from an hour to the next.
    """
    rng = np.random.default_rng(seed)
    day, state = rng.normal(0, DAY_SIGMA), {}
    fresh = float(np.sqrt(1 - HOUR_MEMORY**2))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "site"
        write_template(folder)
        with (folder / "demand.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:  # hour by hour
            key = row["region"], row["model"]
            noise = rng.normal(0, HOUR_SIGMA)
            state[key] = HOUR_MEMORY * state[key] + fresh * noise if key in state else noise
            mean = float(row["requests_per_hour"])
            row["requests_per_hour"] = f"{mean * np.exp(day + state[key]):.1f}"
        with (folder / "demand.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        text = (folder / "site.toml").read_text()
        for old, new in (("# seed = 0", f"seed = {seed}"), ('"even"', '"poisson"')):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (folder / "site.toml").write_text(text)
        return build_site(folder / "site.toml")[0]


def specs(policy: str) -> list[str]:
    """All points of the grid of a policy."""
    grid = GRIDS[policy]
    found = []
    for point in product(*grid.values()):
        chosen = [f"{name}={value}" for name, value in zip(grid, point, strict=True) if value != ""]
        found.append(":".join([policy, *chosen]))
    return found


def best(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Policy → point of its grid with the least mean ratio of costs to the defaults of AGAINST."""
    base = {row["sha256"]: row["cost"] for row in rows if row["policy"] == specs(AGAINST)[0]}
    ratios: dict[str, list[float]] = {}
    for row in rows:
        ratios.setdefault(row["policy"], []).append(row["cost"] / base[row["sha256"]])
    means = {spec: float(np.mean(values)) for spec, values in ratios.items()}
    return {policy: min(specs(policy), key=means.__getitem__) for policy in GRIDS}


def tune(family: str, data: Path, out: Path, jobs: int) -> None:
    table = out / f"tune-{family}.jsonl"
    grid = [spec for policy in GRIDS for spec in specs(policy)]
    rows = experiment.compare(instances(family, "tune", data), grid, [0], table, jobs, progress)
    experiment.raise_if_failed(rows)
    (out / f"best-{family}.json").write_text(json.dumps(best(rows), indent=1) + "\n")


def judge(family: str, data: Path, out: Path, jobs: int) -> None:
    chosen: dict[str, str] = json.loads((out / f"best-{family}.json").read_text())
    labels = {spec: policy for policy, spec in chosen.items()}
    for fleet, routing in product(COMBINED, ROUTINGS):
        labels[f"{chosen[fleet]}:routing={routing}"] = f"{fleet}:routing={routing}"
    made = instances(family, "judge", data)
    rows = experiment.compare(
        made, list(labels), [0], out / f"judge-{family}.jsonl", jobs, progress
    )
    experiment.raise_if_failed(rows)
    method = BOUNDS.get(family, "merged")
    proved = experiment.bounds(made, method, out / f"judge-{family}.jsonl", jobs, progress)
    rows = [{**row, "policy": labels[row["policy"]]} for row in experiment.with_gaps(rows, proved)]
    unit_of = experiment.units(made)
    ratio = experiment.ratios(rows, AGAINST, "cost", unit_of)
    figures = ("gap", "slo_share", "expired_share", "response_mean_s")
    means = {name: experiment.summary(rows, name, unit_of) for name in figures}
    document = {
        "family": family,
        "instances": len(set(unit_of.values())),
        "bound": method,
        "chosen": chosen,
        "rows": {
            policy: {
                "ratio": ratio[policy].to_document(),
                **{name: means[name][policy].mean for name in figures if policy in means[name]},
            }
            for policy in labels.values()
        },
    }
    (out / f"judged-{family}.json").write_text(json.dumps(document, indent=1) + "\n")


def page(out: Path) -> None:
    """Write the tables into docs/operators.md."""
    judged = [out / f"judged-{name}.json" for name in FAMILIES]
    tables = [table(json.loads(path.read_text())) for path in judged if path.exists()]
    write_between(DOCS, "tables", "\n".join(tables))


def table(document: dict[str, Any]) -> str:
    """Markdown of one family: the cheapest policy first."""
    title = FAMILIES[document["family"]]
    rows = document["rows"]

    lines = [
        f"### {title}, {document['instances']} instances\n",
        f"| policy | cost ÷ `{AGAINST}` (95 %) | gap (`{document['bound']}`) | "
        "within target | expired | response s |",
        "|---|---|---|---|---|---|",
    ]
    for policy in sorted(rows, key=lambda each: float(rows[each]["ratio"]["mean"])):
        row = rows[policy]
        mean, low, high, count = row["ratio"].values()  # as ``Interval.to_document`` has them
        ratio = "1" if policy == AGAINST else shown(experiment.Interval(mean, low, high, count))
        lines.append(
            f"| `{policy}` | {ratio} | {100 * row['gap']:.1f} % | {100 * row['slo_share']:.1f} % | "
            f"{100 * row['expired_share']:.2f} % | {row['response_mean_s']:.2f} |"
        )
    tuned = ", ".join(f"`{spec}`" for spec in document["chosen"].values())
    return "\n".join([*lines, "", f"Tuned: {tuned}.", ""])


FAMILIES = {
    "abilene": f"Abilene, generated, {SLOTS} slots of 45 s",
    "azure": f"Azure 2023 code trace, windows of {JUDGED_SLOTS} slots of 15 s",
    "mooncake": f"Mooncake conversation trace, windows of {JUDGED_SLOTS} slots of 15 s",
    "site": "The site of `torta-opt new`, days of 289 slots of 300 s",
}
STAGES: dict[str, Callable[[str, Path, Path, int], None]] = {"tune": tune, "judge": judge}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=[*STAGES, "page"])
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--family", choices=list(FAMILIES))
    parser.add_argument("--out", type=Path, default=Path("operators-study"))
    parser.add_argument("--jobs", type=int, default=1)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.stage == "page":
        page(chosen.out)
        return
    for family in [chosen.family] if chosen.family else FAMILIES:
        print(f"{chosen.stage} {family}")
        STAGES[chosen.stage](family, chosen.data, chosen.out, chosen.jobs)


if __name__ == "__main__":
    main()

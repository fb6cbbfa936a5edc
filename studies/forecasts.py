"""Coverage and CRPS of the forecasters, on generated instances never tuned on and on traces.

    python studies/forecasts.py                                   # generated instances
    python studies/forecasts.py --trace azure:AzureLLMInferenceTrace_code.csv -o rows.jsonl

An instance is one unit: means and 95 % intervals (Student's t) are over instances. A trace is one
unit too, so its values have no interval. Rows go to a table of JSON lines (-o), and a later run
with the same table only adds what it lacks. Printed as the tables of docs/forecasts.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.instance.imports import import_trace
from torta_opt.allocation.policies.experiment import interval
from torta_opt.allocation.policies.forecasts.calibration import BY_DEFAULT, HORIZONS, calibration

PRESETS = ("paper/abilene", "paper/polska+surge")
SEEDS = range(100, 110)
TRACE = "trace"  # the unit of a trace
SHOWN = ("coverage_50", "coverage_90", "crps")

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--presets", nargs="*", default=PRESETS)
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS))
    parser.add_argument("--slots", type=int, default=240)
    parser.add_argument("--trace", action="append", default=[], metavar="KIND:FILE")
    parser.add_argument("--forecasters", nargs="*", default=list(BY_DEFAULT))
    parser.add_argument("-o", "--output", type=Path, help="table of JSON lines, kept between runs")
    asked = parser.parse_args()
    units = {
        (preset, str(seed)): lambda preset=preset, seed=seed: generate(
            preset, seed, slots=asked.slots
        )
        for preset in asked.presets
        for seed in asked.seeds
    }
    for trace in asked.trace:
        kind, _, file = trace.partition(":")
        units[(f"{kind} {Path(file).name}", TRACE)] = lambda kind=kind, file=file: import_trace(
            kind, file
        )[0]
    rows = known(asked.output)
    for (group, unit), make in units.items():
        done = {row["forecaster"] for row in rows if (row["group"], row["unit"]) == (group, unit)}
        lacking = [name for name in asked.forecasters if name not in done]
        if unit == TRACE and "law_states" in lacking:
            lacking.remove("law_states")  # a fitted law hides nothing
        if lacking:
            found = scored(group, unit, make(), lacking)
            rows += found
            if asked.output is not None:
                with asked.output.open("a") as table:
                    table.writelines(json.dumps(row) + "\n" for row in found)
    for group in dict.fromkeys(group for group, _ in units):
        chosen = [row for row in rows if row["group"] == group]
        print(*page(chosen, group, asked.forecasters), sep="\n")


def known(table: Path | None) -> list[Row]:
    if table is None or not table.exists():
        return []
    return [json.loads(line) for line in table.read_text().splitlines()]


def scored(group: str, unit: str, instance: Instance, names: list[str]) -> list[Row]:
    rows = calibration(instance, names)
    return [{"group": group, "unit": unit, **dataclasses.asdict(row)} for row in rows]


def page(rows: list[Row], group: str, names: list[str]) -> Iterable[str]:
    """A table in Markdown for each kind of sum."""
    count = len({row["unit"] for row in rows})
    for of in ("all", "region"):
        yield f"\n**{group}**, {count} {'unit' if count == 1 else 'units'}, sums: {of}\n"
        yield "| forecaster | slots ahead | within 50 % | within 90 % | CRPS / requests |"
        yield "|---|---|---|---|---|"
        for name in names:
            for horizon in HORIZONS:
                wanted = (name, horizon, of)
                chosen = [
                    row for row in rows if (row["forecaster"], row["horizon"], row["of"]) == wanted
                ]
                if not chosen:
                    continue
                cells = [shown([row[key] for row in chosen]) for key in SHOWN]
                yield f"| `{name}` | {horizon} | {' | '.join(cells)} |"


def shown(values: list[float]) -> str:
    """Mean, and its interval if there are several units."""
    found = interval(values)
    if found.count < 2:
        return f"{found.mean:.3f}"
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


if __name__ == "__main__":
    main()

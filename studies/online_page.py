"""Tables of docs/torta_plus.md from the rows of ``online.py``.

Paired ratios of costs with 95 % intervals over instances (Student's t), never corrected for the
number of comparisons.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import online
from pages import shown, write_between

from torta_opt.allocation.policies import experiment

PAGE = Path(__file__).parents[1] / "docs" / "torta_plus.md"

FIGURES = {
    "response_mean_s": ("mean response, s", 1, 2),
    "response_p95_s": ("p95, s", 1, 1),
    "slo_share": ("within target, %", 100, 1),
    "expired_share": ("expired, %", 100, 2),
    "energy_kwh": ("energy, kWh", 1, 1),
    "starts": ("starts", 1, 0),
    "switches": ("switches", 1, 0),
}


def page() -> None:
    """Write the tables into docs/torta_plus.md."""
    rows = read_rows()
    done = {row["family"] for row in rows if row["policy"] == online.AGAINST}
    families = [name for name in online.FAMILIES if name in done]
    tables = [overview(rows, families), *(details(rows, name) for name in families), tuned_line()]
    write_between(PAGE, "online tables", "\n".join(tables))
    write_between(PAGE, "online parts", parts())
    write_between(PAGE, "online ablations", ablations())
    write_between(PAGE, "online speed", speeds())


def ablations() -> str:
    table = online.RESULTS / "online-ablated.jsonl"
    if not table.exists():
        return "Not measured yet.\n"
    rows = [row for row in experiment.read_table(table) if row["cost"] is not None]
    ratio = experiment.ratios(rows, next(iter(online.ABLATIONS)), "cost")
    waits = {
        name: np.mean([row["costs"]["waiting"] for row in rows if row["policy"] == name])
        for name in ratio
    }
    lines = ["| | | cost relative to `open_loop` | waiting, $ |", "|---|---|---|---|"]
    for name, what in online.ABLATIONS.items():
        if name in ratio:
            cost = "1" if name == "open_loop" else shown(ratio[name])
            lines.append(f"| `{name}` | {what} | {cost} | {waits[name]:.1f} |")
    return f"{where()}, paired by instance:\n\n" + "\n".join(lines) + "\n"


def parts() -> str:
    """Cost of the parts put together in every way, relative to ``open_loop``."""
    table = online.RESULTS / "online-ablated.jsonl"
    if not table.exists():
        return "Not measured yet.\n"
    rows = [row for row in experiment.read_table(table) if row["cost"] is not None]
    ratio = experiment.ratios(rows, "open_loop", "cost")
    micros = online.MICROS
    lines = [
        f"| value | {' | '.join(f'`micro={micro}`' for micro in micros)} |",
        f"|---|{'---|' * len(micros)}",
    ]
    for value in online.VALUES:
        cells = []
        for micro in micros:
            spec = online.part(value, micro)
            one = "1" if spec == "open_loop" else ""
            cells.append(one or (f"{shown(ratio[spec])}" if spec in ratio else ""))
        lines.append(f"| {value} | {' | '.join(cells)} |")
    return f"{where()}, cost relative to `open_loop`, paired:\n\n" + "\n".join(lines) + "\n"


def where() -> str:
    """The instances of the ablations."""
    seeds = f"{online.ABLATED_SEEDS[0]} to {online.ABLATED_SEEDS[-1]}"
    return f"Abilene, {online.SLOTS} slots, seeds {seeds}"


def speeds() -> str:
    file = online.RESULTS / "online-speed.json"
    if not file.exists():
        return "Not measured yet.\n"
    lines = ["| | regions | decisions | median, s | 99th percentile, s |", "|---|---|---|---|---|"]
    for row in json.loads(file.read_text())["decisions"]:
        cells = (row["regions"], row["slots"], f"{row['p50']:.3f}", f"{row['p99']:.3f}")
        lines.append(f"| `{row['policy']}` | {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def read_rows() -> list[dict[str, Any]]:
    """The runs, each with its family, and with its gap where a bound was computed."""
    table = online.RESULTS / "online.jsonl"
    known = json.loads((online.RESULTS / "online-instances.json").read_text())
    lines = [json.loads(line) for line in table.read_text().splitlines()]
    runs = [row for row in lines if "bound" not in row and row["cost"] is not None]
    runs = experiment.with_gaps(runs, [row for row in lines if "bound" in row])
    return [{**row, "family": known[row["sha256"]]["family"]} for row in runs]


def overview(rows: list[dict[str, Any]], families: list[str]) -> str:
    """Cost of ``online.AGAINST`` relative to each policy, by family."""
    head = (
        f"Cost of `{online.AGAINST}` divided by that of another policy on the same instance, mean\n"
        "and 95 % interval (none of a single instance); then on how many of the instances it is\n"
        "the cheaper one.\n"
    )
    events = [name for name in families if name in online.PAPER]
    others = [name for name in families if name not in online.PAPER]
    return "\n".join([head, *(ratios(rows, some) for some in (events, others) if some)])


def ratios(rows: list[dict[str, Any]], families: list[str]) -> str:
    """One table of the overview."""
    titles = [online.FAMILIES[name].title for name in families]
    lines = [f"| | {' | '.join(titles)} |", f"|---|{'---|' * len(families)}"]
    for policy in online.policies():
        if policy == online.AGAINST:
            continue
        cells = []
        for name in families:
            of_family = [row for row in rows if row["family"] == name]
            pairs = paired(of_family, policy)
            cells.append(cell(pairs) if pairs else "")
        lines.append(f"| `{policy}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def paired(rows: list[dict[str, Any]], policy: str) -> list[float]:
    """Cost of ``online.AGAINST`` divided by that of the policy, on each instance that has both."""
    cost = {(row["policy"], row["sha256"]): row["cost"] for row in rows}
    return [
        cost[online.AGAINST, sha256] / usd
        for (name, sha256), usd in cost.items()
        if name == policy and (online.AGAINST, sha256) in cost
    ]


def cell(ratios: list[float]) -> str:
    found = experiment.interval(ratios)
    wins = f"{sum(ratio < 1 for ratio in ratios)} of {len(ratios)}"
    if len(ratios) == 1:
        return f"{found.mean:.3f}, {wins}"
    return f"{shown(found)}, {wins}"


def details(rows: list[dict[str, Any]], family: str) -> str:
    """Means of one family over the instances that ``online.AGAINST`` has finished."""
    of_family = [row for row in rows if row["family"] == family]
    done = {row["sha256"] for row in of_family if row["policy"] == online.AGAINST}
    of_family = [row for row in of_family if row["sha256"] in done]
    gap = ["gap at most, %"] if all(row["gap"] is not None for row in of_family) else []
    titles = ["n", "cost, $", *gap, *(title for title, _, _ in FIGURES.values())]
    titles.append("p50, p99 of a decision, s")
    lines = [
        f"### {online.FAMILIES[family].title}\n",
        f"| | {' | '.join(titles)} |",
        f"|---|{'---|' * len(titles)}",
    ]
    for policy in online.policies():
        runs = [row for row in of_family if row["policy"] == policy]
        if runs:
            cells = [str(len(runs)), *figures(runs, bool(gap))]
            lines.append(f"| `{policy}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def figures(runs: list[dict[str, Any]], with_gap: bool) -> list[str]:
    """Means over runs of one policy; of p50 the mean, of p99 the largest."""
    cells = [f"{np.mean([row['cost'] for row in runs]):.1f}"]
    if with_gap:
        cells.append(f"{100 * np.mean([row['gap'] for row in runs]):.1f}")
    for name, (_, factor, digits) in FIGURES.items():
        values = [row["metrics"].get(name) for row in runs]
        known = [value for value in values if value is not None]
        cells.append(f"{factor * np.mean(known):.{digits}f}" if known else "")
    p50 = np.mean([row["decision_p50_s"] for row in runs])
    p99 = max(row["decision_p99_s"] for row in runs)
    return [*cells, f"{p50:.3f}, {p99:.2f}"]


def tuned_line() -> str:
    found = json.loads((online.RESULTS / "online-tuned.json").read_text())
    grids = "; ".join(
        f"`{policy}`: " + ", ".join(f"{k} {v}".replace("''", "default") for k, v in grid.items())
        for policy, grid in online.GRIDS.items()
    )
    seeds = ", ".join(map(str, found["seeds"]))
    return (
        f"Tuned on Abilene, {online.SLOTS} slots, seeds {seeds}, over grids ({grids}): "
        + ", ".join(f"`{spec}`" for spec in found["best"].values())
        + ".\n"
    )

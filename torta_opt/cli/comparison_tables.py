"""What ``compare`` prints: policies over instances, and each against one of them, paired."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from torta_opt.allocation.policies.experiment import Comparison, Interval, Row
from torta_opt.cli.tables import narrow_table
from torta_opt.io.text import money, number, percent

_MISSING = "-"


def comparison_tables(
    found: Comparison, units: int, systems: int, deterministic: Sequence[str], bounds: Sequence[Row]
) -> RenderableType:
    """Means, paired differences, and what the intervals are over.

    units, systems   how many the runs are of
    deterministic    policies that ran once on each instance, because of the seeds asked for they
                     would give the same schedule
    """
    parts: list[RenderableType] = [_means(found, units)]
    if len(found.cost) > 1 and found.against in found.cost:
        parts.append(_paired(found, units))
    parts += [Text(line) for line in _notes(found, units, systems, deterministic, bounds)]
    return Group(*parts)


def _means(found: Comparison, units: int) -> Table:
    columns: dict[str, tuple[str, Callable[[float | None], str]]] = {
        "gap": ("gap ≤", percent),
        "slo_share": ("within\ntarget", percent),
        "expired_share": ("expired", percent),
        "response_mean_s": ("response\ns", number),
    }
    shown = [name for name in columns if name in found.figures]
    titles = ("policy", "runs", "cost $", "95 %", *(columns[n][0] for n in shown))
    costs = money([each.mean for each in found.cost.values()])
    rows = []
    for (policy, each), cost in zip(found.cost.items(), costs, strict=True):
        means = [found.figures[name].get(policy) for name in shown]
        cells = [
            columns[name][1](None if mean is None else mean.mean)
            for name, mean in zip(shown, means, strict=True)
        ]
        rows.append((policy, str(found.runs[policy]), cost, _between(each, units), *cells))
    return narrow_table(titles, rows)


def _paired(found: Comparison, units: int) -> Table:
    titles = (f"against {found.against}", "cost $\nmore", "95 %", "ratio", "95 %")
    rows = []
    for policy, difference in found.difference.items():
        if policy == found.against:
            continue
        ratio = found.ratio[policy]
        cells = (
            _mean(difference),
            _between(difference, units),
            _mean(ratio),
            _between(ratio, units),
        )
        rows.append((policy, *cells))
    return narrow_table(titles, rows)


def _mean(found: Interval) -> str:
    return f"{found.mean:.5g}" if math.isfinite(found.mean) else _MISSING


def _between(found: Interval, units: int) -> str:
    """The interval, and over how many instances where that is not over all."""
    if found.count < 2:
        return _MISSING
    part = "" if found.count == units else f", {found.count} of {units}"
    return f"{found.low:.5g} to {found.high:.5g}{part}"


def _notes(
    found: Comparison, units: int, systems: int, deterministic: Sequence[str], bounds: Sequence[Row]
) -> Iterator[str]:
    if units == 1:
        yield "one instance: no interval, however many seeds ran on it"
    else:
        yield (
            f"{units} instances, each the mean over its seeds; intervals are Student's t over "
            "instances."
        )
    if units > 1 and systems < units:
        of = "one system" if systems == 1 else f"{systems} systems"
        yield f"They are of {of}: intervals speak of other demand there, not of other systems."
    for policy, (least, greatest) in found.seeds.items():
        count = found.runs[policy]
        yield f"{policy}: {least:.6g} to {greatest:.6g} over {count} seeds of one instance"
    if deterministic:
        yield f"run once an instance, because the seed changes nothing: {_names(deterministic)}"
    if bounds:
        sources = sorted({row["source"] for row in bounds})
        proof = "certified" if all(row["certified"] for row in bounds) else "not all certified"
        yield f"gaps are to the bound of each instance ({_names(sources)}, {proof})"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)

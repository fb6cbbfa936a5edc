"""Tables for people: what the command line prints, as rich renderables at most 100 columns wide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from torta_opt.cli.foresight_tables import attribution_tables, foresight_tables
from torta_opt.io.text import _MISSING, money, number, percent
from torta_opt.results import Check, Evaluation, GapReport, Result

if TYPE_CHECKING:
    from torta_opt.solvers import Progress

CLOSE = 0.01  # share of the cost: for smaller gaps, no way to narrow the range is shown
_SPLIT_POLICIES = 4  # policies side by side in one cost table


def gap_tables(report: GapReport, unit: str = "$") -> RenderableType:
    """Policies against the bound, the lines of floor and bound, and what each cost is made of."""
    parts: list[RenderableType] = [
        Text(report.instance, style="bold"),
        _results(report, unit),
        *_bound_lines(report, unit),
        *_broken_lines(report),
        *_splits(report, unit),
        *attribution_tables(report, unit),
        *foresight_tables(report, unit),
        *_sensitivity(report),
    ]
    return Group(*parts)


def solve_table(result: Result, unit: str = "$") -> RenderableType:
    """One schedule: what it costs, by component, and how it serves."""
    head = f"{result.schedule.method}: {money([result.cost])[0]} {unit} in {result.seconds:.2f} s"
    costs = result.evaluation.costs
    lines = [Text(head, style="bold")]
    if result.bound is not None:
        bound = money([result.bound])[0]
        proof = "certified" if result.certified else "not certified"
        proof = f"{result.source}, {proof}" if result.source else proof
        line = f"no schedule costs less than {bound} {unit} ({proof}): gap {percent(result.gap)}"
        lines.append(Text(line))
    return Group(
        *lines,
        pairs("cost", _shares(costs, unit)),
        pairs("metric", {name: number(value) for name, value in result.evaluation.metrics.items()}),
    )


def progress_line(name: str, sample: Progress, time_limit: float | None) -> str:
    """Progress of a run: cost of the best schedule, bound, gap, seconds spent and left."""
    parts = [f"{name}: {sample.phase}" if sample.phase else name]
    if math.isfinite(sample.incumbent):
        parts.append(f"best {sample.incumbent:,.6g}")
    if math.isfinite(sample.bound):
        parts.append(f"bound {sample.bound:,.6g}")
    if len(parts) == 3 and sample.incumbent:
        parts.append(f"gap {percent((sample.incumbent - sample.bound) / abs(sample.incumbent))}")
    left = "" if time_limit is None else f", {max(time_limit - sample.seconds, 0):.0f} s left"
    return "  ".join([*parts, f"{sample.seconds:.0f} s{left}"])


def check_table(check: Check, subject: str, unit: str = "$") -> RenderableType:
    """The verdict on a file, with the first violations."""
    if not check.ok and check.kind == "bound":
        return Text(f"{subject}: {check.problems[0]}", style="bold red")
    if not check.ok:
        total = sum(check.counts.values())
        lines = [Text(f"{subject}: violates rules in {total} places", style="bold red")]
        lines += [Text(f"  {problem}") for problem in check.problems]
        if total > len(check.problems):
            lines.append(Text(f"  and {total - len(check.problems)} more"))
        return Group(*lines)
    if check.evaluation is None:
        return Text(f"{subject}: a valid bound, {check.bound:.10g}", style="bold green")
    cost = f"{subject}: a valid schedule, cost {money([check.evaluation.cost])[0]}"
    return Group(
        Text(cost, style="bold green"), pairs("cost", _shares(check.evaluation.costs, unit))
    )


def facts_table(facts: Mapping[str, Any], lines: Mapping[str, str]) -> RenderableType:
    """Name, description and two columns."""
    head = [Text(facts["instance"], style="bold")]
    if facts.get("description"):
        head.append(Text(facts["description"]))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(name, value)
    return Group(*head, table)


def simulation_table(found: Mapping[str, Any]) -> RenderableType:
    """Metrics of simulated requests."""
    planned = found["planned_requests"]
    plan = "" if planned is None else f", planned for {planned} requests at once"
    head = (
        f"{found['instance']}: {found['method']} at {found['rate_per_s']:.4g} requests/s"
        f"{plan}, {found['delays']} delays"
    )
    entries = {name: number(value) for name, value in found["metrics"].items()}
    return Group(Text(head, style="bold"), pairs("metric", entries))


def pairs(title: str, entries: Mapping[str, Any]) -> Table:
    """Two columns: names, and values as they are."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(title)
    table.add_column("", justify="right", overflow="fold")
    for name, value in entries.items():
        table.add_row(name, str(value))
    return table


def rows_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Left-aligned columns that wrap."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for position, title in enumerate(titles):
        table.add_column(title, no_wrap=position == 0)
    for row in rows:
        table.add_row(*row)
    return table


def narrow_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Columns of numbers with nothing but a space between them, for terminals of 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0), collapse_padding=True)
    first, *others = titles
    table.add_column(first, overflow="fold", min_width=10, vertical="bottom")
    for title in others:
        table.add_column(title, justify="right", no_wrap=True, vertical="bottom")
    for row in rows:
        table.add_row(*row)
    return table


def _results(report: GapReport, unit: str) -> Table:
    titles = (
        "gap at\nleast",
        "gap at\nmost",
        "avoidable\ngap",
        "valid",
        "response\ns",
        "expired",
        "run s",
    )
    costs = money([result.cost for result in report.results])
    rows = []
    for result, cost in zip(report.results, costs, strict=True):
        metrics = result.evaluation.metrics if result.evaluation else {}
        response = metrics.get("response_mean_s")
        row = (
            result.policy,
            cost,
            percent(result.gap_at_least),
            percent(result.gap),
            percent(result.avoidable_gap),
            "yes" if result.feasible else "NO",
            _MISSING if response is None else f"{response:.3f}",
            percent(metrics.get("expired_share")),
            _MISSING if result.seconds is None else f"{result.seconds:.2f}",
        )
        rows.append(row)
    return narrow_table(("policy", f"cost {unit}", *titles), rows)


def _bound_lines(report: GapReport, unit: str) -> Iterator[Text]:
    floor, bound = money([report.floor.value, report.bound.value])
    proof = "certified" if report.bound.certified else "not certified"
    yield Text(f"floor {floor} {unit}: no schedule avoids it (closed form)")
    yield Text(
        f"bound {bound} {unit}: no schedule costs less "
        f"(source {report.bound.source}, {proof}, {report.bound.seconds:.2f} s)"
    )
    yield from _more_about_the_bound(report, unit)
    yield from _verdict(report, unit)
    if report.bound.source == report.floor.source:
        yield Text("The bound is the floor, so the avoidable gap is 100 % by definition.", "dim")
    if report.status != "done":
        yield Text(f"{report.status}: only complete results are shown", style="yellow")


def _more_about_the_bound(report: GapReport, unit: str) -> Iterator[Text]:
    """The certified bound beside an uncertified one, and what ``auto`` chose."""
    bound = report.bound
    if bound.beside is not None:
        value = money([bound.beside.value])[0]
        yield Text(f"certified bound {value} {unit} (source {bound.beside.source})")
    if bound.why:
        yield Text(f"auto chose {bound.why}")


def _verdict(report: GapReport, unit: str) -> Iterator[Text]:
    """Between which costs the optimum lies, in a sentence, and how to narrow the range."""
    best = report.cheapest
    if best is None or best.gap is None:
        return
    low, high = money([report.bound.value, best.cost])
    dearest = max(report.results, key=lambda each: each.gap_at_least or 0.0)
    saving = f"{best.policy} at most {percent(best.gap)}"
    if dearest.gap_at_least:
        between = f"{percent(dearest.gap_at_least)} to {percent(dearest.gap)}"
        saving = f"{dearest.policy} could save {between} of its cost, {saving}"
    else:
        saving = f"{best.policy} could save at most {percent(best.gap)} of its cost"
    yield Text(f"The best schedule costs {low} to {high} {unit}: {saving}.", "bold")
    if best.gap > CLOSE:
        yield from _hints(report)


def _hints(report: GapReport) -> Iterator[Text]:
    """How to narrow the range, from above and from below."""
    ways = []
    if report.bound.limited:
        ways.append("a higher limit")
    if report.bound.stronger:
        limit = " --time-limit 300" if report.bound.stronger == "milp" else ""  # it may not end
        ways.append(f"--bound {report.bound.stronger}{limit}")
    if report.cheaper:
        ways.append(f"{report.cheaper} among --policies")
    if ways:
        yield Text(f"To narrow the range: {', or '.join(ways)}.", "dim")


def _broken_lines(report: GapReport) -> Iterator[Text]:
    for result in report.results:
        for violation in result.verification.violations:
            yield Text(f"{result.policy}: {violation.rule}: {violation.message}", style="red")


def _splits(report: GapReport, unit: str) -> Iterator[Table]:
    """Cost by component, floor first; a few policies to a table so that it stays narrow."""
    priced = [
        (result.policy, result.evaluation)
        for result in report.results
        if result.evaluation is not None
    ]
    for first in range(0, len(priced), _SPLIT_POLICIES):
        yield _split(report, priced[first : first + _SPLIT_POLICIES], unit)


def _split(report: GapReport, results: Sequence[tuple[str, Evaluation]], unit: str) -> Table:
    columns = [report.floor.costs, *(evaluation.costs for _, evaluation in results)]
    names = [name for name in columns[-1] if any(column.get(name) for column in columns)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(f"cost split {unit}", no_wrap=True)
    for title in ("floor", *(policy for policy, _ in results)):
        table.add_column(title, justify="right", overflow="fold", max_width=16)
    every = money([column.get(name, 0.0) for name in names for column in columns])
    for row, name in enumerate(names):
        table.add_row(name, *every[row * len(columns) : (row + 1) * len(columns)])
    totals = [report.floor.value, *(evaluation.cost for _, evaluation in results)]
    table.add_section()
    table.add_row("all", *money(totals))
    return table


def _sensitivity(report: GapReport) -> Iterator[Table]:
    """Gaps at other weights beside those at the instance's own."""
    if not report.sensitivity:
        return
    others = list(report.sensitivity.values())
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("gap, avoidable gap at", no_wrap=True)
    for weights in ("its own weights", *report.sensitivity):
        table.add_column(weights, justify="right")
    for place, result in enumerate(report.results):
        entries = [result, *(each.results[place] for each in others if place < len(each.results))]
        cells = [f"{percent(one.gap)}, {percent(one.avoidable_gap)}" for one in entries]
        table.add_row(result.policy, *cells)
    yield table


def _shares(costs: Mapping[str, float], unit: str) -> dict[str, str]:
    total = sum(costs.values())
    amounts = money(list(costs.values()))
    return {
        name: f"{amount} {unit}  {percent(value / total) if total else _MISSING:>8}"
        for (name, value), amount in zip(costs.items(), amounts, strict=True)
        if value
    }

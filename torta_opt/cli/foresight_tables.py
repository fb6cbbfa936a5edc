"""Tables of what distances are made of: layers of a policy, and foresight."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from torta_opt.io.text import money
from torta_opt.report.verdict import on_average
from torta_opt.results import GapReport, Split
from torta_opt.results.gap_report import NEEDS_FUTURES


def attribution_tables(report: GapReport, unit: str) -> Iterator[RenderableType]:
    """Cost less bound by layer, in both orders of swapping."""
    parts = [each.attribution for each in report.results if each.attribution is not None]
    if not parts:
        return
    titles = ("swapped first", "servers", "requests", "learning", "bound")
    table = _table(f"cost less bound, {unit}", titles)
    for each in parts:
        table.add_row(each.policy, "servers", *_cells(each.servers_first))
        table.add_row("", "requests", *_cells(each.requests_first))
    yield table
    if report.nonanticipative is None:
        yield Text(f"{NEEDS_FUTURES} estimates over N futures how much of it is foresight.", "dim")


def _cells(split: Split) -> list[str]:
    return money([split.servers, split.requests, split.learning, split.bound])


def foresight_tables(report: GapReport, unit: str) -> Iterator[RenderableType]:
    """Policies beside the bounds for those who see ahead and those who do not."""
    bound = report.nonanticipative
    if bound is None or bound.interval is None:
        return
    value, low, high, clear = money([bound.value, *bound.interval, bound.clairvoyant])
    yield Text(
        f"{bound.scenarios} futures: no policy that cannot see ahead costs less than {value} "
        f"{unit} on average\n(an estimate, 95 % {low} to {high}); with the future known, {clear}"
    )
    table = _table(f"mean over futures, {unit}", ("cost", "cannot see ahead", "knows the future"))
    shown = [(each, each.foresight) for each in report.results if each.foresight is not None]
    for each, found in shown:
        ends = [_span(found.difference), _span(found.beyond)]
        table.add_row(each.policy, money([found.cost[1]])[0], *ends)
    yield table
    if not shown:
        return
    cheapest, found = min(shown, key=lambda pair: pair[1].cost[1])
    futures = {"nonanticipative": {"scenarios": bound.scenarios}}
    for sentence in on_average(cheapest.to_document(), futures):
        yield Text(sentence, "bold")
    least, most = money(list(found.of_which))
    yield Text(f"foresight accounts for {least} to {most} {unit} of the last column")


def _span(ends: tuple[float, float, float]) -> str:
    low, mean, high = money(list(ends))
    return f"{mean} ({low} to {high})"


def _table(title: str, titles: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(title)
    for name in titles:
        table.add_column(name, justify="right", overflow="fold")
    return table

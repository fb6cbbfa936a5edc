"""The command that turns a schedule into a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torta_opt.cli.console import check_not_read, say, show
from torta_opt.cli.options import FolderOutput, InstanceFile, Json, Slots, cut_to, slot_range

if TYPE_CHECKING:
    from torta_opt.allocation.plan.data import Plan, SiteFacts


def plan(
    instance: InstanceFile,
    schedule: Annotated[str, typer.Argument(metavar="SCHEDULE", help="schedule file")],
    output: FolderOutput,
    site: Annotated[
        str | None,
        typer.Option(metavar="SITE", help="the site file that the instance was built from"),
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="when slot 0 begins; default: the site's")
    ] = None,
    exports: Annotated[
        list[str] | None,
        typer.Option(
            "--export", metavar="KIND", help="csv, keda, hpa, skyserve or mooncake; repeatable"
        ),
    ] = None,
    step_minutes: Annotated[
        int, typer.Option(metavar="N", help="step of exported replicas", min=1, max=1440)
    ] = 60,
    slots: Slots = None,
    json_: Json = False,
) -> None:
    """Write a schedule as tables to read: servers, timetable, routing, response, the bill.

    Example: torta-opt plan fleet.json.gz schedule.json.gz -o plan --export keda
    """
    from torta_opt import api, families
    from torta_opt.allocation.plan.exports.registry import export
    from torta_opt.allocation.plan.make import make_plan, site_facts
    from torta_opt.allocation.plan.write import plan_document, plan_files, write_plan
    from torta_opt.allocation.site.files import read_site

    problem = cut_to(api.open_instance(instance), slots)
    families.require(problem, "allocation")
    facts = None if site is None else site_facts(site, problem)
    begin = _begin(start, facts, slots, problem.system.slot_ms)
    found = make_plan(problem, api.load_schedule(schedule, problem), facts, begin)
    files: dict[str, bytes] = {}
    for kind in dict.fromkeys(exports or ()):
        files |= export(kind, found, step_minutes)
    contents = plan_files(found, files)
    named = () if site is None else read_site(site).files
    for name in contents:
        check_not_read(Path(output) / name, instance, schedule, *named)
    written = write_plan(output, contents)
    document = {"output": output, "files": written, **plan_document(found, with_tables=False)}
    show(json_, document, lambda: _tables(found, output, len(written)))
    for warning in found.warnings:
        say(f"warning: {warning}")


def _begin(
    start: str | None, facts: SiteFacts | None, slots: str | None, slot_ms: int
) -> int | None:
    """When the plan's first slot begins: ``start`` and the site tell of slot 0 of the instance."""
    from torta_opt.allocation.site.files import time_ms

    if start is None and facts is None:
        return None
    zero = facts.start_ms if start is None and facts is not None else time_ms(str(start), "--start")
    return zero + (0 if slots is None else slot_range(slots)[0]) * slot_ms


def _tables(plan: Plan, output: str, files: int) -> Any:
    from rich.console import Group

    from torta_opt.cli.tables import rows_table
    from torta_opt.io.text import money

    bill = _bill(plan)
    usd = money([*(row[-1] for row in bill), plan.paid_usd])
    paid = [(*row[:-1], amount) for row, amount in zip(bill, usd, strict=False)]
    names = [row[0] for row in plan.priced.rows]
    priced = list(zip(names, money([row[1] for row in plan.priced.rows]), strict=True))
    return Group(
        rows_table(
            ("region", "type", "model", "servers on", "mean", f"most per {_part(plan)}"),
            _servers(plan),
        ),
        rows_table(
            ("class", "requests", "expired", "target s", "mean s", "p95 s", "within target"),
            _classes(plan),
        ),
        rows_table(("you pay", "region", "what", "quantity", "$"), paid),
        f"you pay {usd[-1]} $" + _emissions(plan),
        rows_table(("priced, not paid", "$"), priced),
        f"{output}: {files} files",
    )


def _servers(plan: Plan) -> list[tuple[str, ...]]:
    """Servers on and when, by region; of many, over all regions."""
    from torta_opt.allocation.plan.make import server_use

    found = server_use(plan)
    if len(found) > MOST_ROWS:
        found = server_use(plan, over_regions=True)
    return [
        (
            *(each.region, each.type, each.model),
            f"{each.least} to {each.most}",
            f"{each.mean:.2f}",
            " ".join(map(str, each.by_part)),
        )
        for each in found
    ]


def _part(plan: Plan) -> str:
    """How long the parts are in which servers are counted."""
    from torta_opt.allocation.plan.make import PARTS

    slots = plan.slots_with_demand
    minutes = slots / min(PARTS, slots) * plan.instance.system.slot_ms / 60_000
    return f"{minutes / 60:.3g} h" if minutes >= 60 else f"{minutes:.3g} min"


def _emissions(plan: Plan) -> str:
    """What the plan emits, where the carbon intensity is known; types without power are named."""
    metrics, system = plan.evaluation.metrics, plan.instance.system
    grams = metrics.get("carbon_g")
    if grams is None:
        return ""
    used = plan.on.any(axis=(0, 1, 3))
    blind = [system.types[k] for k in (used & (system.peak_kw == 0)).nonzero()[0].tolist()]
    but = f", without that of {', '.join(blind)}, whose power is not counted" if blind else ""
    return f"; {grams / 1000:,.5g} kg of CO2 from {metrics['energy_kwh']:,.5g} kWh{but}"


def _classes(plan: Plan) -> list[tuple[str, ...]]:
    from torta_opt.io.text import number, percent

    rows = plan.tables["classes"].rows
    return [
        (
            row[0],
            f"{row[2]:,}",
            f"{row[4]:,}",
            *(number(row[n]) for n in (5, 6, 7)),
            percent(row[11]),
        )
        for row in rows
    ]


def _bill(plan: Plan) -> list[tuple[Any, ...]]:
    """Rows of the bill; of many, the sums by item and, for servers, by type."""
    rows = plan.bill.rows
    if len(rows) > MOST_ROWS:
        sums: dict[tuple[str, str, str], list[float]] = {}
        for item, _, what, quantity, unit, usd in rows:
            key = item, what if item in ("rent", "paid anyway") else "", unit
            total = sums.setdefault(key, [0.0, 0.0])
            total[0] += quantity
            total[1] += usd
        rows = tuple((i, "all", w, q, u, usd) for (i, w, u), (q, usd) in sums.items())
    return [(*row[:3], f"{row[3]:,.1f} {row[4]}", row[5]) for row in rows]


MOST_ROWS = 30  # of a table on the terminal; the files have all

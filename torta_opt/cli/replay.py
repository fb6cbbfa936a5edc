"""The command that plays a schedule request by request: replay."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from torta_opt.cli.console import show
from torta_opt.cli.options import InstanceFile, Json, Seed, Slots, cut_to


def replay(
    instance: InstanceFile,
    schedule: Annotated[str, typer.Argument(metavar="SCHEDULE", help="schedule file")],
    times: Annotated[
        str | None,
        typer.Option(metavar="CSV", help="arrival times: columns time_s, origin, class"),
    ] = None,
    slots: Slots = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Simulate a schedule request by request; compare its response with the modelled one.

    Example: torta-opt replay abilene.json.gz schedule.json.gz
    """
    from torta_opt import api, families
    from torta_opt.allocation.replay import replay as play

    problem = cut_to(api.open_instance(instance), slots)
    families.require(problem, "allocation")
    plan = api.load_schedule(schedule, problem)
    played = play(problem, plan, seed, times)
    document = {
        "instance": problem.name,
        "schedule": schedule,
        "method": plan.method,
        "seed": None if times else seed,
        **played.to_document(),
    }
    show(json_, document, lambda: replay_table(document))


def replay_table(document: dict[str, Any]) -> Any:
    """Modelled and replayed response, all, by class and by load of the server."""
    from rich.console import Group
    from rich.text import Text

    from torta_opt.cli.tables import rows_table

    head = f"{document['instance']}, {document['method']}: seconds of response"
    titles = ("", "requests", "modelled", "replayed", "queue", "rounding", "p95", "p95", "late")
    parts = [("all", {"all": document["all"]}), ("class", document["by_class"])]
    tables: list[Any] = [Text(head, style="bold")]
    for title, figures in [*parts, ("load", document["by_load"])]:
        rows = [_row(name, each) for name, each in figures.items() if each["requests"]]
        tables.append(rows_table((title, *titles[1:]), rows))
    tables.append(Text("p95 of the model, then of the replay; late: after the slot planned for it"))
    return Group(*tables)


def _row(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    names = ("modelled_mean_s", "replayed_mean_s", "queue_mean_s", "rounding_mean_s")
    percentiles = ("modelled_p95_s", "replayed_p95_s")
    seconds = [f"{figures[each]:.2f}" for each in (*names, *percentiles)]
    return name, f"{figures['requests']:,}", *seconds, f"{100 * figures['late_share']:.1f} %"

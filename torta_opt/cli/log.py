"""What ``import log`` does: an operator's records become a legal schedule of an instance."""

from __future__ import annotations

from typing import Any

import typer

from torta_opt.cli.console import check_writable, show
from torta_opt.io import InvalidInput

LOG = "log"
SUMMARY = "what your system did, from routing records and replica counts: the nearest schedule"


def import_log(
    requests: str,
    output: str,
    instance: str | None,
    replicas: str | None,
    start_s: float,
    demand: str | None,
    bound: str,
    json_: bool,
) -> None:
    """Write the schedule; say what had to be bent, what it costs, and how far from the best."""
    from torta_opt import api, families, gaps
    from torta_opt.allocation.log import from_log

    if instance is None or replicas is None:
        missing = "--instance" if instance is None else "--replicas"
        raise InvalidInput("is required by import log", field=missing)
    check_writable(output, requests, instance, replicas)
    if demand is not None:
        check_writable(demand, requests, instance, replicas)
        if demand == output:
            raise InvalidInput("must name another file than -o", field="--demand")
    problem = api.open_instance(instance)
    families.require(problem, "allocation")
    problem, schedule, bent = from_log(problem, requests, replicas, start_s, demand is not None)
    if demand is not None:
        api.save_instance(problem, demand)
    api.save_schedule(schedule, problem, output)
    report = gaps.gap(problem, [], {LOG: schedule}, bound)
    document = {
        "instance": problem.name,
        "output": output,
        "demand": demand,
        "bent": bent.to_document(),
        "gap": report.to_document(),
    }
    show(json_, document, lambda: _table(document, report, demand or instance))
    if not report.results:
        raise typer.Exit(5)


def _table(document: dict[str, Any], report: Any, instance: str) -> Any:
    from rich.console import Group

    from torta_opt.cli.tables import gap_tables, pairs

    bent = {name.replace("_", " "): f"{number:,}" for name, number in document["bent"].items()}
    return Group(
        gap_tables(report),
        pairs("the log, and what was changed to make it legal", bent),
        f"next: torta-opt gap {instance} --schedule {document['output']} "
        "--policies greedy_forecast,clairvoyant",
    )

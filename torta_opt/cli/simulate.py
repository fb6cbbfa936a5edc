"""The command that simulates requests one by one: simulate."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from torta_opt.cli.console import check_writable, show
from torta_opt.cli.options import InstanceFile, Json, Seed
from torta_opt.io import InvalidInput


def simulate(
    instance: InstanceFile,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="a placement method; default: ws_rr")
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="take the placement from this schedule instead"),
    ] = None,
    requests: Annotated[
        int | None, typer.Option(metavar="N", help="number of requests; default: 1000")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="R", help="arrivals per second, all clients together")
    ] = None,
    trace: Annotated[
        str | None,
        typer.Option(metavar="CSV", help="arrivals, with columns arrival_s, client, tokens"),
    ] = None,
    delays: Annotated[
        str, typer.Option(metavar="zero|published", help="whether to add the authors' fixed delays")
    ] = "zero",
    give_up: Annotated[
        float | None, typer.Option(metavar="S", help="longest wait of a request in seconds")
    ] = None,
    jitter: Annotated[
        float, typer.Option(metavar="J", help="vary the time between retries by ± this share")
    ] = 0.0,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="CSV", help="write one line per request")
    ] = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Block placement: simulate requests that arrive one by one, wait and retry.

    Example: torta-opt simulate placement.json.gz
    """
    from torta_opt import api, families

    if method is not None and schedule is not None:
        raise InvalidInput("cannot be combined with --method", field="--schedule")
    if requests is not None and trace is not None:
        raise InvalidInput(
            "cannot be combined with --requests: the trace has its own", field="--trace"
        )
    if output is not None:
        check_writable(output, instance, trace, schedule)
    problem = api.open_instance(instance)
    families.require(problem, "placement")
    from torta_opt.placement.online.play import play, save_requests

    placed = method or "ws_rr" if schedule is None else api.load_schedule(schedule, problem)
    count = 1000 if requests is None else requests
    played = play(problem, placed, count, rate, trace, delays, give_up, jitter, seed)
    if output is not None:
        save_requests(played, problem, output)
    document = {"instance": problem.name, **played.to_document(), "output": output}

    def table() -> Any:
        from torta_opt.cli.tables import simulation_table

        return simulation_table(document)

    show(json_, document, table)

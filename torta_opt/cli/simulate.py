"""The command that plays requests one by one: simulate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from torta_opt.cli.console import check_writable, show
from torta_opt.cli.options import InstanceFile, Json, Seed
from torta_opt.io import InvalidInput

if TYPE_CHECKING:
    pass


def simulate(
    instance: InstanceFile,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="a placement method; ws_rr if none is named")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(metavar="FILE", help="place blocks as this schedule does instead")
    ] = None,
    requests: Annotated[
        int | None, typer.Option(metavar="N", help="how many arrive; 1000 if not given")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="R", help="arrivals per second, of all clients")
    ] = None,
    trace: Annotated[
        str | None, typer.Option(metavar="CSV", help="arrivals: arrival_s, client, tokens")
    ] = None,
    delays: Annotated[
        str, typer.Option(metavar="zero|published", help="the authors' fixed delays, or none")
    ] = "zero",
    give_up: Annotated[
        float | None, typer.Option(metavar="S", help="seconds a request waits at most")
    ] = None,
    jitter: Annotated[
        float, typer.Option(metavar="J", help="spreads gaps between tries by ± this share")
    ] = 0.0,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="CSV", help="one line a request")
    ] = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Block placement: requests come one by one, wait, try again, are served."""
    from torta_opt import api, families

    if method is not None and schedule is not None:
        raise InvalidInput("goes without --method", field="--schedule")
    if requests is not None and trace is not None:
        raise InvalidInput("goes without --requests: a trace has its own", field="--trace")
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

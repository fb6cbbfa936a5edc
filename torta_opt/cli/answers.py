"""Commands that find schedules and bounds: solve, bound."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torta_opt.cli.console import (
    check_writable,
    how_it_ended,
    say,
    show,
    warn_about,
    watching,
    watching_solver,
)
from torta_opt.cli.options import (
    Address,
    Backend,
    Block,
    Children,
    Folder,
    InstanceFile,
    Jobs,
    Json,
    Scenarios,
    Seed,
    Slots,
    Threads,
    TimeLimit,
    Way,
    Weights,
    Window,
    WorkLimit,
    cut_to,
    foresight_options,
    limits_of,
    priced_by,
    use_engine,
)
from torta_opt.io import InvalidInput
from torta_opt.io.status import DONE

if TYPE_CHECKING:
    from torta_opt.allocation.instance import Instance
    from torta_opt.results import BoundResult
    from torta_opt.solvers import Limits


def solve(
    context: typer.Context,
    instance: InstanceFile,
    method: Annotated[
        str,
        typer.Option(metavar="NAME", help="a policy, clairvoyant, optimal, or a placement method"),
    ],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="SCHEDULE", help="file to write")
    ] = None,
    gap: Annotated[
        float | None, typer.Option(metavar="G", help="optimal: stop at this gap, such as 0.01")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEDULE", help="optimal: a schedule to start from, or covering, or learned"
        ),
    ] = None,
    slots: Slots = None,
    time_limit: TimeLimit = None,
    work_limit: WorkLimit = None,
    threads: Threads = 1,
    backend: Backend = "loky",
    address: Address = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Find a schedule, verify it and price it.

    Example: torta-opt solve abilene.json.gz --method greedy_forecast -o schedule.json.gz
    """
    from torta_opt import api
    from torta_opt.families import family_of
    from torta_opt.family import Request

    if output is not None:
        check_writable(output, instance, start)
    limits = limits_of(time_limit, work_limit, threads, seed, gap)
    problem = cut_to(api.open_instance(instance), slots)
    _check_takes(problem, method, gap, start, (time_limit, work_limit) != (None, None))
    warn_about(problem)
    use_engine(context, backend, address, jobs=1, threads=threads)
    made = family_of(problem).starts.get(start or "")
    known = api.load_schedule(start, problem) if start is not None and made is None else None
    with watching() as watch, watching_solver(method, time_limit) as solver_watch:
        if made is not None:
            began = time.perf_counter()
            known = made(problem, Request(seed, limits))
            limits = _less(limits, time.perf_counter() - began)
        result = api.solve(
            problem, method, seed, watch, limits=limits, start=known, solver_watch=solver_watch
        )
    if output is not None:
        api.save_schedule(result.schedule, problem, output)
    if result.status != DONE:
        say(how_it_ended(result))
    document = {"instance": problem.name, **result.to_document(), "output": output}

    def table() -> Any:
        from torta_opt.cli.tables import solve_table

        return solve_table(result, family_of(problem).unit)

    show(json_, document, table)


def _less(limits: Limits | None, spent: float) -> Limits | None:
    """Limits without the seconds that the start took."""
    if limits is None:
        return None
    return replace(limits, seconds=max(0.0, limits.seconds - spent))


def _check_takes(
    problem: Instance, name: str, gap: float | None, start: str | None, limited: bool
) -> None:
    """Refuse options that the method cannot use."""
    from torta_opt.families import family_of

    takes = family_of(problem).method(name).takes
    if (gap is not None and "gap" not in takes) or (start is not None and "start" not in takes):
        raise InvalidInput(f"{name} takes no --gap and no --start", field="--method")
    if limited and "limits" not in takes:
        raise InvalidInput(f"{name} takes no --time-limit and no --work-limit", field="--method")


def bound(
    context: typer.Context,
    instance: InstanceFile,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="a bound that `methods` lists")
    ] = "auto",
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="bound file to write")
    ] = None,
    weights: Weights = None,
    slots: Slots = None,
    time_limit: TimeLimit = None,
    work_limit: WorkLimit = None,
    threads: Threads = 1,
    scenarios: Scenarios = None,
    way: Way = None,
    children: Children = None,
    block: Block = None,
    window: Window = None,
    folder: Folder = None,
    jobs: Jobs = 1,
    backend: Backend = "loky",
    address: Address = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Prove a bound: no schedule costs less. (nonanticipative estimates a mean.)

    Example: torta-opt bound abilene.json.gz --slots 0:24 --method lp -o bound.json.gz
    """
    from torta_opt import api
    from torta_opt.families import family_of
    from torta_opt.io import write_document

    if output is not None:
        check_writable(output, instance, weights)
    limits = limits_of(time_limit, work_limit, threads)
    problem = priced_by(cut_to(api.open_instance(instance), slots), weights)
    options = foresight_options(scenarios, way, children, block, window, folder, jobs)
    known = family_of(problem).bounds.get(method)
    if output is not None and known is not None and known.statistical:
        raise InvalidInput(f"{method} is statistical: it has no bound file", "--output")
    use_engine(context, backend, address, jobs, threads)
    with watching() as watch, watching_solver(method, time_limit) as solver_watch:
        proved = api.bound(
            problem,
            method,
            limits=limits,
            solver_watch=None if options else solver_watch,
            seed=seed,
            watch=watch if options else None,
            options=options,
        )
    if output is not None:
        write_document(output, api.bound_to_document(proved, problem))
    document = {
        "instance": problem.name,
        "value": proved.value,
        "source": proved.source,
        "certified": proved.certified,
        "certified_value": proved.certified_value,
        "status": proved.status,
        "seconds": proved.seconds,
        "costs": proved.costs,
        "output": output,
        **proved.statistics,
    }
    if proved.stopped:
        document["stopped"] = proved.stopped
    if proved.status != DONE:
        say(how_it_ended(proved))
    if proved.statistical:
        return show(json_, document, lambda: _estimated(problem, proved, weights))
    proof = "certified" if proved.certified else "not certified"
    unit = family_of(problem).unit_under(weights)
    line = f"{problem.name}: no schedule costs less than {proved.value:.10g} {unit}"
    beside = (
        ""
        if proved.beside is None
        else f"; the certified bound is {proved.beside.value:.10g} {unit}"
    )
    show(json_, document, lambda: f"{line} (source {proved.source}, {proof}){beside}")
    if output is not None and proved.beside is not None and proved.why:
        say(f"{output} holds the certified bound, {proved.beside.value:.10g} {unit}")


def _estimated(problem: Any, found: BoundResult, weights: str | None) -> str:
    """A statistical bound in words."""
    from torta_opt.families import family_of

    unit = family_of(problem).unit_under(weights)
    assert found.interval is not None
    low, high = found.interval
    return (
        f"{problem.name}: on average over futures, no policy that cannot see ahead costs less than "
        f"{found.value:.7g} {unit}\n"
        f"an estimate, not certified: 95 % interval {low:.7g} to {high:.7g} {unit}, "
        f"{found.scenarios} futures; knowing the future: {found.clairvoyant:.7g} {unit}"
    )

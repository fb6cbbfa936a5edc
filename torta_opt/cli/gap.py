"""The command that compares schedules with a bound: gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from torta_opt.cli.console import (
    check_writable,
    print_json,
    print_table,
    say,
    warn_about,
    watching,
    watching_solver,
)
from torta_opt.cli.options import (
    MOST_FUTURES,
    Address,
    Backend,
    Block,
    Children,
    Folder,
    Json,
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
    own_schedules,
    policy_list,
    priced_by,
    use_engine,
)
from torta_opt.cli.pictures import subject_of, write_page
from torta_opt.cli.provenance import with_origin
from torta_opt.io import Infeasible, InvalidInput
from torta_opt.io.status import DONE
from torta_opt.io.writing import descriptor_of

if TYPE_CHECKING:
    from torta_opt.results import GapReport

STDOUT = 1


def gap(
    context: typer.Context,
    instances: Annotated[list[str], typer.Argument(metavar="INSTANCE...", help="instance files")],
    policies: Annotated[
        str | None, typer.Option(metavar="A,B", help="policies to run; default: all")
    ] = None,
    schedule: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="your own schedule; may be repeated"),
    ] = None,
    bound_method: Annotated[
        str, typer.Option("--bound", metavar="NAME", help="the bound to compare with")
    ] = "auto",
    certificate: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="a bound file to compare with; it is checked first"),
    ] = None,
    page: Annotated[
        str | None, typer.Option("--report", metavar="FILE", help="HTML page to write")
    ] = None,
    weights: Weights = None,
    sensitivity: Annotated[
        bool,
        typer.Option("--sensitivity", help="repeat at a quarter and at 4 times the price of time"),
    ] = False,
    slots: Slots = None,
    time_limit: TimeLimit = None,
    work_limit: WorkLimit = None,
    threads: Threads = 1,
    foresight: Annotated[
        int | None,
        typer.Option(
            "--foresight",
            metavar="N",
            help="beside it, the bound for policies that cannot see ahead, over N futures",
            min=2,
            max=MOST_FUTURES,
        ),
    ] = None,
    attribute: Annotated[
        bool,
        typer.Option("--attribute", help="which layer of each policy its distance comes from"),
    ] = False,
    way: Way = None,
    children: Children = None,
    block: Block = None,
    window: Window = None,
    folder: Folder = None,
    jobs: Annotated[
        int,
        typer.Option(help="policies and futures side by side; 0: one per core", min=0, max=1024),
    ] = 1,
    backend: Backend = "loky",
    address: Address = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Compare schedules with a bound: how far from the optimum they are, at most and at least.

    Example: torta-opt gap abilene.json.gz --policies skylb,greedy_forecast --report report.html
    """
    from torta_opt import api, gaps
    from torta_opt.families import family_of

    if schedule and len(instances) > 1:
        raise InvalidInput("can only be used with one instance", field="--schedule")
    if sensitivity and weights is not None:
        raise InvalidInput("cannot be combined with --weights", field="--sensitivity")
    if certificate is not None and (len(instances) > 1 or bound_method != "auto"):
        raise InvalidInput(
            "can only be used with one instance and without --bound", field="--certificate"
        )
    if page is not None:
        check_writable(page, *instances, *(schedule or ()), certificate)
        if json_ and descriptor_of(page) == STDOUT:
            raise InvalidInput("is where --json writes: name a file for the page", field="--report")
    options = foresight_options(foresight, way, children, block, window, folder, jobs)
    if foresight is None and set(options) - {"jobs"}:
        raise InvalidInput("is missing", field="--foresight")
    if folder is not None and len(instances) > 1:
        raise InvalidInput("can only be used with one instance", field="--folder")
    names = None if policies is None else policy_list(policies)
    limits = limits_of(time_limit, work_limit, threads, seed)
    use_engine(context, backend, address, jobs, threads)
    reports, subjects = [], []
    for path in instances:
        problem = cut_to(api.open_instance(path), slots)
        own = own_schedules(schedule or [], problem)
        problem = priced_by(problem, weights)
        warn_about(problem)
        proved = None if certificate is None else api.load_bound(certificate, problem)
        with watching() as watch, watching_solver(bound_method, time_limit) as solver_watch:
            report = gaps.gap(
                problem,
                names,
                own,
                bound_method,
                seed,
                watch,
                limits=limits,
                sensitivity=gaps.SENSITIVITY if sensitivity else (),
                solver_watch=solver_watch,
                proved=proved,
                jobs=jobs,
            )
            if report.status == DONE and (foresight is not None or attribute):
                report = gaps.with_parts(
                    report,
                    problem,
                    foresight=options if foresight is not None else None,
                    attribute=attribute,
                    seed=seed,
                    limits=limits,
                    watch=watch,
                )
        reports.append(report)
        if report.status != DONE and not any(each.results for each in reports):
            raise KeyboardInterrupt  # a bound alone is no result: nothing was compared with it
        if page is not None:
            subjects.append(subject_of(report, problem, own, [path, *(schedule or ())]))
        if not json_:
            _show_report(report, family_of(problem).unit_under(weights))
        for why in report.left_out.values():
            say(f"left out: {why}")
        if report.status != DONE:
            say("interrupted")
            break
    if page is not None:
        write_page(subjects, page)
        say(f"report: {page}")
    documents = [report.to_document() for report in reports]
    if json_:
        print_json(with_origin(documents[0] if len(instances) == 1 else documents))
    if all(report.left_out and not report.results for report in reports):
        raise Infeasible("no method found a schedule")
    broken = [result for report in reports for result in report.results if not result.feasible]
    for result in broken:
        result.raise_if_infeasible()


def _show_report(report: GapReport, unit: str) -> None:
    from torta_opt.cli.tables import gap_tables

    print_table(gap_tables(report, unit))

"""The command that solves generalized assignment problems: assign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from torta_opt.cli.console import show
from torta_opt.cli.options import Json, Threads, TimeLimit, WorkLimit, limits_of

if TYPE_CHECKING:
    from torta_opt.allocation.assignment.generalized import Generalized
    from torta_opt.allocation.assignment.prove import Proven


def assign(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE…", help="problems in the form of the OR-Library or as JSON"),
    ],
    maximise: Annotated[
        bool, typer.Option("--maximise", help="the most instead of the least (OR-Library gap1-12)")
    ] = False,
    time_limit: TimeLimit = None,
    work_limit: WorkLimit = None,
    threads: Threads = 1,
    json_: Json = False,
) -> None:
    """Generalized assignment: jobs to agents within capacities, to a proven optimum.

    Example: torta-opt assign gap1.txt --maximise
    """
    from torta_opt.allocation.assignment.generalized import read_generalized
    from torta_opt.allocation.assignment.prove import prove
    from torta_opt.io.errors import Infeasible, LimitReached

    limits = limits_of(time_limit, work_limit, threads)  # of each problem
    problems = [each for file in files for each in read_generalized(file, maximise)]
    found = []
    for problem in problems:
        proven = prove(problem, limits)
        found.append(_document(problem, proven))
        if proven.status == "interrupted":
            break
    if found[-1]["status"] == "interrupted" and all(each["value"] is None for each in found):
        raise KeyboardInterrupt  # which the command line answers
    statuses = {each["status"] for each in found if each["value"] is None}
    if all(each["value"] is None for each in found) and statuses != {"infeasible"}:
        raise LimitReached("the limit came before an assignment was found")
    show(json_, {"problems": found}, lambda: _table(found))
    if all(each["status"] == "infeasible" for each in found):
        raise Infeasible("no problem has an assignment")


def _document(problem: Generalized, proven: Proven) -> dict[str, Any]:
    agents, jobs = problem.cost.shape
    return {
        "name": problem.name,
        "agents": agents,
        "jobs": jobs,
        "maximise": problem.maximise,
        "value": proven.value,
        "bound": None if proven.is_infeasible else _finite(proven.bound),
        "status": "infeasible" if proven.is_infeasible else proven.status,
        "seconds": proven.seconds,
        "agent": None if proven.agent is None else proven.agent.tolist(),
    }


def _finite(value: float) -> float | None:
    import math

    return value if math.isfinite(value) else None


def _table(found: list[dict[str, Any]]) -> Any:
    from torta_opt.cli.tables import rows_table

    rows = [
        [
            each["name"],
            f"{each['agents']}×{each['jobs']}",
            "-" if each["value"] is None else str(each["value"]),
            "-" if each["bound"] is None else f"{each['bound']:g}",
            f"{each['seconds']:.2f}",
            each["status"],
        ]
        for each in found
    ]
    return rows_table(["problem", "agents×jobs", "value", "bound", "s", "status"], rows)

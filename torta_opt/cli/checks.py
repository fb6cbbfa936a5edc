"""Commands that check files and write programs: verify, export."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from torta_opt.cli.console import check_writable, show
from torta_opt.cli.options import InstanceFile, Json, Slots, Weights, cut_to, priced_by


def export(
    instance: InstanceFile,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="file to write; .gz compresses")
    ],
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="mps|lp|latex", help="format, if the file name does not say it"
        ),
    ] = None,
    relaxed: Annotated[bool, typer.Option("--relaxed", help="allow fractions of servers")] = False,
    named: Annotated[bool, typer.Option("--named", help="model every server by itself")] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="leave out knapsack rows: a weaker program")
    ] = False,
    slots: Slots = None,
    json_: Json = False,
) -> None:
    """Write the program of an instance as MPS or LP for another solver, or as LaTeX to read.

    Example: torta-opt export polska.json.gz -o polska.tex
    """
    from torta_opt import api

    check_writable(output, instance)
    problem = cut_to(api.open_instance(instance), slots)
    size = api.export(problem, output, format_, relaxed=relaxed, named=named, plain=plain)
    document = {"instance": problem.name, "output": output, **size}
    if "equations" in size:
        text = "{equations} families of rows, {variables} of columns".format(**size)
        return show(json_, document, lambda: f"{output}: {text}")
    rows = f"{size['rows']:,} rows ({size['knapsack_rows']:,} knapsack)"
    line = "{columns:,} columns, {integers:,} integer, {entries:,} entries".format(**size)
    show(json_, document, lambda: f"{output}: {rows}, {line}")


def verify(
    instance: InstanceFile,
    file: Annotated[str, typer.Argument(metavar="FILE", help="schedule or bound file")],
    weights: Weights = None,
    slots: Slots = None,
    json_: Json = False,
) -> None:
    """Check a schedule against every rule, or derive a bound again without a solver.

    Example: torta-opt verify abilene.json.gz schedule.json.gz
    """
    from torta_opt import api
    from torta_opt.families import family_of

    problem = priced_by(cut_to(api.open_instance(instance), slots), weights)
    check = api.verify_file(problem, file)

    def table() -> Any:
        from torta_opt.cli.tables import check_table

        return check_table(check, file, family_of(problem).unit_under(weights))

    show(json_, {"file": file, **check.to_document()}, table)
    if not check.ok:
        raise typer.Exit(5)

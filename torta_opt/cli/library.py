"""The command for the library of instances: lists, makes, scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torta_opt.cli.console import check_writable, show
from torta_opt.cli.options import Json
from torta_opt.io import InvalidInput

if TYPE_CHECKING:
    from torta_opt.library import Library, Row, Score

LIST, MAKE, SCORE = "list", "make", "score"


def library(
    action: Annotated[str, typer.Argument(metavar="list|make|score", help="what to do")] = LIST,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="make, score: an instance of the library")
    ] = None,
    schedule: Annotated[
        str | None, typer.Argument(metavar="SCHEDULE", help="score: your schedule of this instance")
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="make: file to write")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            envvar="TORTA_DATA", metavar="FOLDER", help="folder of traces, for imported instances"
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option("--library", metavar="FILE", help="table to use instead of the bundled one"),
    ] = None,
    unsolved: Annotated[
        bool, typer.Option("--unsolved", help="list: only instances whose gap is open or unknown")
    ] = False,
    json_: Json = False,
) -> None:
    """List named instances with best known cost and bound, make one, or score a schedule.

    Example: torta-opt library make small-hot -o hot.json.gz
    """
    from torta_opt.library import Library

    _check_arguments(action, name, schedule, output)
    known = Library.read(table)
    folder = None if data is None else Path(data)
    if action == LIST:
        return _list(known, unsolved, json_)
    row = known.row(str(name))
    if action == MAKE:
        check_writable(str(output), table)
        return _make(row, str(output), folder, json_)
    _score(row, str(schedule), folder, json_)


def _check_arguments(
    action: str, name: str | None, schedule: str | None, output: str | None
) -> None:
    needed = {LIST: 0, MAKE: 1, SCORE: 2}
    if action not in needed:
        raise InvalidInput(f"{action!r:.40} must be {', '.join(needed)}", field="library")
    given = [each for each in (name, schedule) if each is not None]
    if len(given) != needed[action]:
        words = " and ".join(("NAME", "SCHEDULE")[: needed[action]]) or "nothing else"
        raise InvalidInput(f"takes {words}", field=f"library {action}")
    if (output is not None) != (action == MAKE):
        rule = "is required: the file to write" if action == MAKE else "is only for library make"
        raise InvalidInput(rule, field="--output")


def _list(known: Library, unsolved: bool, json_: bool) -> None:
    rows = [row for row in known.rows.values() if not unsolved or _is_unsolved(row)]

    def table() -> Any:
        from torta_opt.cli.tables import rows_table

        titles = ("instance", "best known", "bound", "gap", "found by", "certificate")
        return rows_table(titles, [_cells(row) for row in rows])

    show(json_, {"library": str(known.path), "instances": [_document(row) for row in rows]}, table)


def _is_unsolved(row: Row) -> bool:
    """Whether a better schedule or a higher bound may exist by more than the price of rounding."""
    return row.gap is None or row.gap > 1e-6


def _document(row: Row) -> dict[str, Any]:
    import dataclasses

    return {**dataclasses.asdict(row), "gap": row.gap}


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        row.cost_status if row.cost is None else f"{row.cost:.6g} {row.unit}",
        row.bound_status if row.bound is None else f"{row.bound:.6g} {row.unit}",
        "" if row.gap is None else f"{100 * row.gap:.2f} %",
        row.found_by,
        row.certificate,
    )


def _make(row: Row, output: str, data: Path | None, json_: bool) -> None:
    from torta_opt import api

    instance = _made(row, data)
    api.save_instance(instance, output)
    document = {"name": row.name, "recipe": row.recipe, "sha256": row.sha256, "output": output}
    show(json_, document, lambda: output)


def _score(row: Row, file: str, data: Path | None, json_: bool) -> None:
    from torta_opt import api
    from torta_opt.library import score

    instance = _made(row, data)
    found = score(row, instance, api.load_schedule(file, instance))
    show(json_, found.to_document(), lambda: _verdict(found, row))


def _made(row: Row, data: Path | None) -> Any:
    """The instance of a row, if it is the one that the library means."""
    from torta_opt.library import Recipe
    from torta_opt.library.score import check_same

    try:
        instance = Recipe.of(row.recipe).make(data)
    except InvalidInput as error:
        field = "--data" if error.field == "data" else error.field
        raise InvalidInput(error.rule, field, error.file) from None
    check_same(row, instance)
    return instance


def _verdict(found: Score, row: Row) -> str:
    cost = f"{found.name}: {found.cost:.10g} {row.unit}"
    gap = "" if found.gap is None else f"; gap {100 * found.gap:.3f} %"
    if found.best is None:
        return f"{cost}: no other schedule is known{gap}"
    beside = f"best known {found.best:.10g} by {row.found_by}"
    if found.verdict == "better":
        return f"{cost} BEATS the {beside}{gap}"
    if found.verdict == "equal":
        return f"{cost} equals the {beside}{gap}"
    above = 100 * (found.cost - found.best) / abs(found.best) if found.best else float("inf")
    return f"{cost}, {above:.3f} % above the {beside}{gap}"

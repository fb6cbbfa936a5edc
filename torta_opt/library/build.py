"""Fill the library in steps: make an instance, prove a bound, find a schedule.

Each step ends with the table written. Killed or interrupted, and started again, the build goes on
with the first step that is missing. What is done is kept, and so is what others have found: a step
replaces a number by a better one only.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torta_opt import __version__, api
from torta_opt.families import family_of
from torta_opt.family import Request
from torta_opt.io import Infeasible, LimitReached
from torta_opt.io.status import INTERRUPTED
from torta_opt.library.entries import BUNDLED
from torta_opt.library.recipe import IMPORT, Recipe, sha256_of_instance
from torta_opt.library.score import EQUAL, WORSE, check_same, score
from torta_opt.library.table import CERTIFIED, DONE, LIMIT, NOT_RUN, Library, Row
from torta_opt.results import BoundResult
from torta_opt.solvers import Limits

STEP_S = 60.0  # seconds of a step, if nothing else is asked for
Say = Callable[[str], None]


@dataclass(frozen=True)
class Methods:
    """What proves the bound of an instance, and what finds its schedule."""

    bound: str
    search: str


# By the first part of a name. The bounds are those with certificates. Where the exact search takes
# long, the offline search alone is run: its schedules are a few per cent above the bound.
METHODS = {
    "small": Methods("lp", "optimal"),
    "fig5": Methods("lp", "optimal"),
    "placement": Methods("tree", "optimal"),
}
LONG = Methods("merged", "clairvoyant")


def new_row(name: str, recipe: Recipe) -> Row:
    """A row of which nothing is computed yet."""
    return Row(name, "", recipe.text, "", "")


def reconciled(library: Library, entries: dict[str, Recipe]) -> Library:
    """The table with a row for each entry; one whose recipe has changed begins anew."""
    rows = {}
    for name, recipe in entries.items():
        row = library.rows.get(name)
        rows[name] = row if row and row.recipe == recipe.text else new_row(name, recipe)
    return Library(library.path, rows)


def build(
    library: Library,
    names: Iterable[str],
    data: Path | None = None,
    seconds: float = STEP_S,
    say: Say = lambda line: None,
) -> Library:
    """The library with the steps of ``names`` done that were not.

    data      folder of traces; rows that need one are left as they are without it
    seconds   limit of each step

    Raises KeyboardInterrupt after Ctrl-C; the table holds every step that ended before.
    """
    for name in names:
        before = library.row(name)
        is_out_of_reach = Recipe.of(before.recipe).command == IMPORT and data is None
        if is_out_of_reach or not _is_open(library, before):
            continue
        for row in _steps(library, before, data, seconds):
            library = library.with_row(row)
            library.write()
        say(_line(library.row(name)))
    return library


def _is_open(library: Library, row: Row) -> bool:
    return not row.sha256 or row.bound_status == NOT_RUN or _wants_schedule(library, row)


def _wants_schedule(library: Library, row: Row) -> bool:
    """Whether a search is to be run: none was, or its schedule should be there and is not.

    What others found is not searched for again: the methods here may never find it.
    """
    is_missing = row.name in BUNDLED and not library.schedule_path(row.name).exists()
    return row.cost_status == NOT_RUN or (
        is_missing and row.found_by in ("", methods_of(row).search)
    )


def methods_of(row: Row) -> Methods:
    return METHODS.get(row.name.partition("-")[0], LONG)


def _steps(library: Library, row: Row, data: Path | None, seconds: float) -> Iterable[Row]:
    """The row after each of its steps."""
    instance = Recipe.of(row.recipe).make(data)
    family = family_of(instance)
    if row.sha256:
        check_same(row, instance)
    else:
        sha256 = sha256_of_instance(instance)
        row = replace(row, family=family.name, unit=family.unit, sha256=sha256, version=__version__)
        yield row
    chosen = methods_of(row)
    known = None
    if row.bound_status == NOT_RUN:
        row, known = _with_bound(row, instance, chosen.bound, seconds)
        yield row
    if _wants_schedule(library, row):
        yield _with_cost(library, row, instance, chosen.search, known, seconds)


def _with_bound(
    row: Row, instance: Any, method: str, seconds: float
) -> tuple[Row, BoundResult | None]:
    """The row with a certified bound; without one if none came in time."""
    began = _processor_seconds()
    proved = api.bound(instance, method, limits=Limits(seconds=seconds))
    if proved.interrupted:
        raise KeyboardInterrupt
    spent = _processor_seconds() - began
    if not proved.certified:
        return replace(row, bound_status=LIMIT, proved_s=spent), proved
    status = LIMIT if proved.limited else DONE
    return replace(
        row,
        bound=proved.value,
        bound_status=status,
        proved_by=proved.source,
        certificate=CERTIFIED,
        proved_s=spent,
    ), proved


def _with_cost(
    library: Library,
    row: Row,
    instance: Any,
    method: str,
    known: BoundResult | None,
    seconds: float,
) -> Row:
    """The row with the cost of a verified schedule, which is kept if it comes with the library."""
    began = _processor_seconds()
    family = family_of(instance)
    request = Request(limits=Limits(seconds=seconds), known=known)
    try:
        found = api.run(family, instance, method, request)
    except (LimitReached, Infeasible):
        return _tried(row, LIMIT, _processor_seconds() - began)
    if found.status == INTERRUPTED:
        raise KeyboardInterrupt
    spent = _processor_seconds() - began
    scored = score(row, instance, found.schedule)  # verified, and held against the bound
    if scored.verdict == WORSE:
        return _tried(row, found.status, spent)
    if row.name in BUNDLED:
        path = library.schedule_path(row.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        api.save_schedule(found.schedule, instance, path)
    if scored.verdict == EQUAL:  # whoever found it first keeps the record
        return _tried(row, found.status, spent)
    return replace(
        row,
        cost=found.cost,
        cost_status=found.status,
        found_by=method,
        found_s=spent,
    )


def _tried(row: Row, status: str, spent: float) -> Row:
    """The row after a search that found nothing better: what a search said before stands."""
    return replace(row, cost_status=status, found_s=spent) if row.cost_status == NOT_RUN else row


def _processor_seconds() -> float:
    """Of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _line(row: Row) -> str:
    cost = f"cost {row.cost:.6g}" if row.cost is not None else f"cost: {row.cost_status}"
    bound = f"bound {row.bound:.6g}" if row.bound is not None else f"bound: {row.bound_status}"
    gap = "" if row.gap is None else f", gap {100 * row.gap:.2f} %"
    return f"{row.name}: {cost}, {bound}{gap}"

"""The library as a page: docs/library.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torta_opt.library.table import DONE, NOT_RUN, Library, Row, fields

INTRO = """# A library of instances

`torta_opt/library/data/library.csv` names {count} instances, each with the recipe that makes it. So
far {run} of them have been run: these have the hash of their file, the best known cost and a proven
bound. The others say `{not_run}`. The best known cost is that of a schedule that passed the
verifier. The bound was derived from its certificate by the checker, which uses no solver. The gap
is (cost − bound)/|cost|: the cost of an optimal schedule lies between the two.

```sh
torta-opt library list --unsolved
torta-opt library make abilene-plain-s11-t12 -o abilene.json.gz
torta-opt solve abilene.json.gz --method optimal --time-limit 60 -o mine.json.gz
torta-opt library score abilene-plain-s11-t12 mine.json.gz
```

`score` verifies the schedule, prices it, and says whether it beats the best known one. Instances
whose name begins with `import` are made from public traces that do not come with torta-opt:
`--data FOLDER` (or the variable `TORTA_DATA`) names a folder with the files in the recipe;
[imports.md](imports.md) says where they come from. The best schedules of {bundled} instances are
in the folder `library` beside it, and all of it comes with an installed package. `--library FILE`
(or the variable `TORTA_LIBRARY`) names another table than the bundled one.

A hash that does not agree means other data or another version. `make` and `score` then refuse to go
on.

## How it is made

`make library` fills the table. It makes an instance, proves a bound, finds a schedule, and writes
the table after each of these steps. After Ctrl-C or a kill it goes on with the first step that is
missing. Each step has a time limit (`python studies/library.py --step-limit S`), so another machine
may find better schedules in it. A value that nobody has computed is empty, and its status is
`{not_run}`.

A tiny instance has few servers, and the certified bound counts fractions of them: its gap may be
large though `optimal` has proved, without a certificate, that its schedule is optimal.

Tiny instances, Fig. 5 and block placement are searched with `optimal`; their bounds are `lp` and
`tree`. The paper's settings and the imports have the bound `merged` and the schedule of
`clairvoyant`. Minutes of `optimal` find better ones: these costs are there to be beaten.

## Columns

| column | |
|---|---|
"""


def page(library: Library) -> str:
    """The whole page."""
    rows = list(library.rows.values())
    bundled = sum(library.schedule_path(row.name).exists() for row in rows)
    run = sum(row.cost is not None and row.bound is not None for row in rows)
    parts = [INTRO.format(count=len(rows), run=run, bundled=bundled, not_run=NOT_RUN)]
    parts += [f"| `{name}` | {about} |\n" for name, about in fields()]
    parts += ["\n## Summary\n\n", _summary(rows), "\n## Instances\n\n"]
    parts += [
        _table(
            ("instance", "cost", "bound", "gap", "found by", "s", "proved by", "s"),
            map(_cells, rows),
        )
    ]
    return "".join(parts)


def _summary(rows: Sequence[Row]) -> str:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.name.partition("-")[0], []).append(row)
    return _table(
        ("group", "instances", "with a schedule", "with a bound", "greatest gap", "mean gap"),
        (_group(name, found) for name, found in groups.items()),
    )


def _group(name: str, rows: Sequence[Row]) -> tuple[str, ...]:
    gaps = [row.gap for row in rows if row.gap is not None]
    return (
        name,
        str(len(rows)),
        str(sum(row.cost is not None for row in rows)),
        str(sum(row.bound is not None for row in rows)),
        _percent(max(gaps)) if gaps else "",
        _percent(sum(gaps) / len(gaps)) if gaps else "",
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        row.cost_status if row.cost is None else f"{row.cost:.6g}",
        row.bound_status if row.bound is None else f"{row.bound:.6g}",
        "" if row.gap is None else _percent(row.gap),
        row.found_by + ("" if row.cost_status in (DONE, NOT_RUN) else f" ({row.cost_status})"),
        _seconds(row.found_s),
        row.proved_by + ("" if row.bound_status in (DONE, NOT_RUN) else f" ({row.bound_status})"),
        _seconds(row.proved_s),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3f} %"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)

"""The library as a page: docs/library.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torta_opt.library.table import DONE, NOT_RUN, Library, Row, fields

INTRO = """# A library of instances

`torta_opt/library/data/library.csv` lists {count} instances, each with the recipe that makes it.
{run} of them have both a best known cost and a certified bound. The best known cost is that of a
schedule that passed the verifier. The bound was derived from its certificate by the checker, which
uses no solver. The cost of an optimal schedule lies between bound and cost; the gap is
(cost − bound)/|cost|.

```sh
torta-opt library list --unsolved
torta-opt library make abilene-plain-s11-t12 -o abilene.json.gz
torta-opt solve abilene.json.gz --method optimal --time-limit 60 -o mine.json.gz
torta-opt library score abilene-plain-s11-t12 mine.json.gz
```

`score` verifies the schedule, prices it, and says whether it beats the best known one. Instances
whose name begins with `import` are made from public traces that do not come with torta-opt:
`--data FOLDER` (or the variable `TORTA_DATA`) names a folder that holds the files of the recipe;
[imports.md](imports.md) says where they come from. The best schedules of {bundled} instances are
in the folder `library` beside the table. Table and schedules come with an installed package.
`--library FILE` (or the variable `TORTA_LIBRARY`) selects another table.

If the hash of an instance differs from that of the table, the data or the version is another one.
`make` and `score` then end with an error.

## How it is made

`make library` fills the table. It makes an instance, proves a bound, finds a schedule, and writes
the table after each of these steps. After Ctrl-C or a kill it continues with the first missing
step. Each step has a time limit (`python studies/library.py --step-limit S`), so a faster machine
may find better schedules within it. A value that has not been computed is empty, and its status is
`{not_run}`.

A tiny instance has few servers, and the certified bound allows fractions of them. So its gap may be
large even if `optimal` has proved, without a certificate, that the schedule is optimal.

Schedules of tiny instances, Fig. 5 and block placement are those of `optimal`; their bounds are
`lp` and `tree`. The paper's settings and the imports have the bound `merged` and the schedule of
`clairvoyant`. `optimal` with more time is expected to find cheaper schedules for them.

## Columns

| column | |
|---|---|
"""


def page(library: Library) -> str:
    """The whole page."""
    rows = list(library.rows.values())
    bundled = sum(library.schedule_path(row.name).exists() for row in rows)
    run = sum(row.cost is not None and row.bound is not None for row in rows)
    both = "All" if run == len(rows) else str(run)
    parts = [INTRO.format(count=len(rows), run=both, bundled=bundled, not_run=NOT_RUN)]
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

"""A plan as a folder of CSV tables and one JSON document.

Text in CSV that a spreadsheet would take for a formula (it begins with = + - or @) gets an
apostrophe before it; numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

from torta_opt.allocation.plan.data import Plan, Table
from torta_opt.io.text import as_cell
from torta_opt.io.writing import whole_folder, write_all


def plan_files(plan: Plan, exports: dict[str, bytes] | None = None) -> dict[str, bytes]:
    """Contents by name: the tables, plan.json and the exported files."""
    tables = {**plan.tables, "bill": plan.bill, "priced": plan.priced}
    contents = {f"{name}.csv": csv_bytes(table) for name, table in tables.items()}
    contents["plan.json"] = (json.dumps(plan_document(plan), allow_nan=False) + "\n").encode()
    return contents | (exports or {})


def write_plan(folder: str | os.PathLike[str], contents: dict[str, bytes]) -> list[str]:
    """Write the files of a plan, all of them or none. Returns them."""
    target = Path(folder)
    with whole_folder(target) as place:
        for name in contents:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
        write_all((place / name, content) for name, content in contents.items())
    return [str(target / name) for name in contents]


def plan_document(plan: Plan, with_tables: bool = True) -> dict[str, Any]:
    """The plan as JSON; the tables as columns."""
    system = plan.instance.system
    document: dict[str, Any] = {
        "instance": plan.instance.name,
        "method": plan.schedule.method,
        "start": plan.time(0),
        "slots": plan.instance.slots,
        "slot_s": system.slot_s,
        "cost": plan.evaluation.cost,
        "paid_usd": plan.paid_usd,
        "priced_usd": float(sum(row[1] for row in plan.priced.rows)),
        "metrics": dict(plan.evaluation.metrics),
        "bill": plan.bill.to_document(),
        "priced": plan.priced.to_document(),
        "classes": plan.tables["classes"].to_document(),
        "warnings": list(plan.warnings),
    }
    if with_tables:
        others = {k: t.to_document() for k, t in plan.tables.items() if k != "classes"}
        document |= others
    return document


def csv_bytes(table: Table) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.titles)
    writer.writerows([_safe(cell) for cell in row] for row in table.rows)
    return text.getvalue().encode()


def _safe(cell: Any) -> Any:
    if cell is None:
        return ""
    return as_cell(cell) if isinstance(cell, str) else cell

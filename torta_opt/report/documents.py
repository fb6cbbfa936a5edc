"""What ``gap --json`` and ``solve --json`` print, read from files that anyone may have written."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from torta_opt.io.schema import Real, parse

MAX_RESULTS = 1000


class _Open(BaseModel):
    """Further fields are kept: later versions add some."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class Bound(_Open):
    value: Real
    source: str
    certified: bool
    certified_value: Real | None


class Row(_Open):
    policy: str
    cost: Real | None
    gap: Real | None
    gap_at_least: Real | None
    avoidable_gap: Real | None
    feasible: bool
    problems: list[str]
    seconds: Real | None
    costs: dict[str, Real]
    metrics: dict[str, Real | None]
    attribution: dict[str, Any] | None = None


class Report(_Open):
    instance: str
    floor: Real
    bound: Bound
    results: list[Row] = Field(max_length=MAX_RESULTS)
    sensitivity: dict[str, Report] = {}


class Sample(_Open):
    seconds: Real
    cost: Real | None
    bound: Real | None


class Solved(_Open):
    method: str
    cost: Real
    seconds: Real
    bound: Real | None = None
    trace: list[Sample] = []


def checked_report(document: dict[str, Any]) -> dict[str, Any]:
    """The document of a report. Raises InvalidInput that names the field."""
    checked: dict[str, Any] = parse(Report, document).model_dump()
    return checked


def checked_result(document: dict[str, Any]) -> dict[str, Any]:
    """The document of a result of ``solve``. Raises InvalidInput that names the field."""
    checked: dict[str, Any] = parse(Solved, document).model_dump()
    return checked

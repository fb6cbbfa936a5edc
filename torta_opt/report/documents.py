"""What commands and benchmarks print, read from files that anyone may have written.

That is what ``gap --json`` and ``solve --json`` print, and what benchmarks write with ``--curves``.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from torta_opt.io.schema import Name, Real, parse

MAX_RESULTS, MAX_CURVES, MAX_SIZES = 1000, 20, 1000
MAX_SIZE = 10**9  # slots, regions or requests of a benchmark


Share = Annotated[Real, Field(ge=-1e300, le=1e300)]  # shown in percent


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
    gap: Share | None
    gap_at_least: Share | None
    avoidable_gap: Share | None
    feasible: bool
    problems: list[str]
    seconds: Real | None
    costs: dict[str, Real]
    metrics: dict[str, Real | None]
    attribution: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.feasible and self.cost is None:
            raise ValueError("must have a cost if it is feasible")
        return self


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


class Curve(_Open):
    """Processor seconds of one way of solving, by the size of the problem."""

    name: Name
    sizes: list[Annotated[int, Field(ge=1, le=MAX_SIZE)]] = Field(
        min_length=1, max_length=MAX_SIZES
    )
    seconds: list[Annotated[Real, Field(gt=0)]] = Field(min_length=1, max_length=MAX_SIZES)

    @model_validator(mode="after")
    def _of_equal_length(self) -> Self:
        if len(self.sizes) != len(self.seconds):
            raise ValueError("must have as many seconds as sizes")
        return self


class Growth(_Open):
    growth: Name  # the benchmark
    title: Name
    size: Name  # what is counted: slots, regions
    machine: dict[str, Any]
    curves: list[Curve] = Field(min_length=1, max_length=MAX_CURVES)


def checked_report(document: dict[str, Any]) -> dict[str, Any]:
    """The document of a report. Raises InvalidInput that names the field."""
    checked: dict[str, Any] = parse(Report, document).model_dump()
    return checked


def checked_result(document: dict[str, Any]) -> dict[str, Any]:
    """The document of a result of ``solve``. Raises InvalidInput that names the field."""
    checked: dict[str, Any] = parse(Solved, document).model_dump()
    return checked


def checked_growth(document: dict[str, Any]) -> dict[str, Any]:
    """The document of a growth measurement. Raises InvalidInput that names the field."""
    checked: dict[str, Any] = parse(Growth, document).model_dump()
    return checked

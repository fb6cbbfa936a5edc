"""What pictures of reports read: the document that ``gap --json`` prints."""

from __future__ import annotations

from typing import Any

from torta_opt.io.errors import InvalidInput
from torta_opt.results import GapReport

COMPONENTS = {  # in the order of a bill: money first, priced time after it
    "rent": "rent",
    "energy": "energy",
    "transfer": "data transfer",
    "starts": "starts",
    "switches": "switches",
    "service": "service time",
    "network": "network time",
    "waiting": "waiting time",
    "rerouting": "re-routing",
    "frobenius": "change of routing",
    "expiry": "expired requests",
}
PAID = ("rent", "energy", "transfer", "starts", "switches")  # dollars that leave the account


def document_of(report: GapReport | dict[str, Any]) -> dict[str, Any]:
    """The document of a report. Raises InvalidInput."""
    document = report.to_document() if isinstance(report, GapReport) else report
    if not isinstance(document, dict) or "results" not in document or "bound" not in document:
        raise InvalidInput("is not a report: torta-opt gap --json prints one", field="report")
    return document


def feasible(report: GapReport | dict[str, Any]) -> list[dict[str, Any]]:
    """The results of schedules that keep every rule, the cheapest first. Raises InvalidInput."""
    results = [each for each in document_of(report)["results"] if each["feasible"]]
    if not results:
        raise InvalidInput("has no schedule that keeps every rule", field="report")
    return sorted(results, key=lambda each: each["cost"])


def components(costs: dict[str, float]) -> list[str]:
    """Names of components in the order of a bill; those of other families behind, as they come."""
    return [
        *(name for name in COMPONENTS if name in costs),
        *(c for c in costs if c not in COMPONENTS),
    ]


def label_of(component: str) -> str:
    return COMPONENTS.get(component, component)

"""One HTML page that shows a report: it needs no network and no other file.

Text is escaped by jinja2, data stand in the page as JSON, pictures as SVG that follows the colours
of the page, and the explorer draws with plotly.js, which is part of the page.
"""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torta_opt.io.text import money, number, percent
from torta_opt.report.explorer import explorer_data
from torta_opt.report.figures import FIGURES, draw, style
from torta_opt.report.figures.data import PAID, components, document_of, label_of
from torta_opt.report.verdict import verdict

if TYPE_CHECKING:
    from torta_opt.results import GapReport

PER_REPORT = ("gap", "costs", "frontier", "attribution")
PER_SCHEDULE = ("servers", "utilisation", "queues", "response", "routing", "flows", "blocks")
METRICS = {
    "response_mean_s": "mean response, s",
    "response_p95_s": "95 % of responses within, s",
    "slo_share": "within target",
    "expired_share": "expired",
    "energy_kwh": "energy, kWh",
    "load_balance": "balance of servers",
    "starts": "starts",
    "switches": "switches",
}
_SHARES = ("slo_share", "expired_share")


@dataclass(frozen=True, eq=False)
class Subject:
    """What a page is about: a report and, where known, the instance and the schedules behind it.

    Attributes
    ----------
    report : GapReport or dict
        The report, or the document that ``torta-opt gap --json`` prints.
    instance : object or None
        Without it the page has no pictures over time and no explorer.
    schedules : dict
        Schedules by the name they have in the report.
    own : tuple of str
        Names of schedules that the reader brought; the verdict is about them.
    provenance : dict
        What, in a word or two → value: where the numbers come from.
    """

    report: GapReport | dict[str, Any]
    instance: Any = None
    schedules: Mapping[str, Any] = field(default_factory=dict)
    own: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


def page(subjects: Sequence[Subject]) -> str:
    """The page of one report or several, as HTML text.

    Parameters
    ----------
    subjects
        Reports, in the order in which they are shown.

    Raises
    ------
    InvalidInput
        If a document is not a report.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset), autoescape=True, undefined=jinja2.StrictUndefined
    )
    sections = [_section(number, subject) for number, subject in enumerate(subjects)]
    data = [section["explorer"] for section in sections if section["explorer"]]
    return environment.get_template("page.html").render(
        title=", ".join(section["name"] for section in sections),
        sections=sections,
        style=_asset("page.css"),
        script=_asset("explorer.js"),
        plotly=_plotly() if data else "",
        data=_as_script(data),
    )


def _asset(name: str) -> str:
    return (importlib.resources.files("torta_opt.report") / "assets" / name).read_text("utf-8")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    text: str = get_plotlyjs()
    return text.replace("</script", "<\\/script")


def _as_script(data: Any) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _section(position: int, subject: Subject) -> dict[str, Any]:
    document = document_of(subject.report)
    return {
        "id": f"report-{position}",
        "position": position,
        "name": document["instance"],
        "verdict": verdict(document, subject.own),
        "bound": _bound(document),
        "results": _results(document),
        "bill": _bill(document),
        "metrics": _metrics(document),
        "pictures": _pictures(position, subject, document),
        "provenance": dict(subject.provenance),
        "explorer": explorer_data(subject.instance, subject.schedules),
    }


def _bound(document: dict[str, Any]) -> str:
    bound, floor = document["bound"], money([document["floor"]])[0]
    value = money([bound["value"]])[0]
    if bound["certified"]:
        state = "A certificate proves it: a checker without a solver derived it again."
    elif bound["certified_value"] is not None:
        proved = money([bound["certified_value"]])[0]
        state = f"A certificate proves {proved} $ of it; the rest is the solver's word."
    elif bound["source"] == "floor":
        state = "It is computed in closed form."
    else:
        state = "It is the solver's word: no certificate comes with it."
    return (
        f"No schedule costs less than {value} $ (method {bound['source']}). {state} "
        f"Of that, {floor} $ is the floor: each request alone on its cheapest server."
    )


def _results(document: dict[str, Any]) -> list[dict[str, str]]:
    costs = money([each["cost"] if each["feasible"] else None for each in document["results"]])
    return [
        {
            "policy": each["policy"],
            "cost": cost,
            "least": percent(each["gap_at_least"]),
            "most": percent(each["gap"]),
            "avoidable": percent(each["avoidable_gap"]),
            "rules": "keeps every rule" if each["feasible"] else "; ".join(each["problems"][:2]),
        }
        for each, cost in zip(document["results"], costs, strict=True)
    ]


def _bill(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Per schedule: what is paid, and what the weights price beside it."""
    rows = []
    for each in document["results"]:
        if not each["feasible"]:
            continue
        names = components(each["costs"])
        paid = [name for name in names if name in PAID]
        priced = [name for name in names if name not in PAID and each["costs"][name]]
        amounts = money([*each["costs"].values(), each["cost"]])
        by_name = dict(zip(each["costs"], amounts, strict=False))
        sums = [sum(each["costs"][name] for name in part) for part in (paid, priced)]
        rows.append(
            {
                "policy": each["policy"],
                "paid": [(label_of(name), by_name[name]) for name in paid],
                "priced": [(label_of(name), by_name[name]) for name in priced],
                "pay": money([sums[0], each["cost"]])[0],
                "price": money([sums[1], each["cost"]])[0],
            }
        )
    return rows


def _metrics(document: dict[str, Any]) -> dict[str, Any]:
    valid = [each for each in document["results"] if each["feasible"]]
    known = [
        name for name in METRICS if any(each["metrics"].get(name) is not None for each in valid)
    ]
    if not known:  # another family
        known = sorted({name for each in valid for name in each["metrics"]})[:8]
    rows = []
    for each in valid:
        values = [each["metrics"].get(name) for name in known]
        shown = [
            percent(value) if name in _SHARES else number(value)
            for name, value in zip(known, values, strict=True)
        ]
        rows.append((each["policy"], shown))
    return {"titles": [METRICS.get(name, name) for name in known], "rows": rows}


def _pictures(position: int, subject: Subject, document: dict[str, Any]) -> list[dict[str, str]]:
    kinds: list[tuple[str, dict[str, Any], str]] = []
    valid = [
        each["policy"]
        for each in sorted(document["results"], key=lambda each: each["cost"] or 0.0)
        if each["feasible"]
    ]
    if valid:
        kinds += [(kind, {"report": document}, "") for kind in ("gap", "costs")]
    if any(each["metrics"].get("response_mean_s") for each in document["results"]):
        kinds.append(("frontier", {"report": document}, ""))
    if any(each.get("attribution") for each in document["results"]):
        kinds.append(("attribution", {"report": document}, ""))
    kinds += _pictures_of_schedules(subject, valid)
    pictures = []
    with style.themed("light"):
        for kind, data, name in kinds:
            label = f"{FIGURES[kind].summary}{f' ({name})' if name else ''}"
            svg = style.inline_svg(draw(kind, **data), f"{position}-{kind}-{name}")
            pictures.append({"svg": svg, "label": label})
    return pictures


def _pictures_of_schedules(
    subject: Subject, valid: Sequence[str]
) -> list[tuple[str, dict[str, Any], str]]:
    """Over all schedules, then of the reader's own, or of the cheapest."""
    known = {name: subject.schedules[name] for name in valid if name in subject.schedules}
    if subject.instance is None or not known:
        return []
    name = next((name for name in subject.own if name in known), next(iter(known)))
    family = "allocation" if hasattr(subject.instance, "arrivals") else "placement"
    both = {"instance": subject.instance, "schedule": known[name]}
    kinds: list[tuple[str, dict[str, Any], str]] = []
    if family == "allocation":
        kinds.append(("demand", both, ""))
        if len(known) > 1:
            data = {"instance": subject.instance, "schedules": known}
            kinds.append(("above_cheapest", data, ""))
    kinds += [(kind, both, name) for kind in PER_SCHEDULE if FIGURES[kind].family == family]
    return kinds

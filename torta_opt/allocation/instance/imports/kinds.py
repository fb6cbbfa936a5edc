"""Which kind of trace a file is, by its first line and by the span of its times.

Traces of different publishers look alike and differ in units: the fields of Qwen-Bailian contain
those of Mooncake, but count seconds where Mooncake counts milliseconds. Read as the wrong kind, a
trace of two hours becomes one of seven seconds. So every reader looks at the first line and at the
span of the times before it believes a file.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path

from torta_opt.allocation.instance.imports.text import open_lines
from torta_opt.io import InvalidInput

UNITS_MS = {"s": 1000.0, "ms": 1.0, "us": 0.001}
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds"}

FEW_REQUESTS = 100  # too few to judge a rate by
SHORTEST_SPAN_S = 60.0  # of a trace of at least so many requests
HIGHEST_RATE_PER_S = 1000.0  # several times the largest published trace (ServeGen m-large)
LOWEST_RATE_PER_S = 0.01  # a twentieth of the sparsest published trace (BurstGPT)

SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 1.0, 86_400.0  # of rates; 600 s in all that is published

_SERVEGEN_FILE = re.compile(
    r"chunk-.+-(trace\.csv|dataset\.json)(\.gz)?|.+_(client_windows|total_rate|token_stats).*\.csv(\.gz)?"
)
_SERVEGEN_LAWS = {"gamma", "weibull", "exponential", "poisson", ""}


@dataclass(frozen=True)
class Form:
    """A kind of trace.

    name     with its article
    fields   titles or keys by which it is known, lower case
    kind     the importer that reads it; None if there is none
    unit     of its times, where these are numbers
    like     the importer that reads it if it is told the unit; its fields are all there
    """

    name: str
    fields: frozenset[str]
    kind: str | None = None
    unit: str | None = None
    like: str | None = None


def _form(name: str, fields: str, **more: str) -> Form:
    return Form(name, frozenset(fields.split(", ")), **more)


FORMS = (
    _form("an Azure trace", "timestamp, contexttokens, generatedtokens", kind="azure"),
    _form(
        "a BurstGPT trace",
        "timestamp, model, request tokens, response tokens",
        kind="burstgpt",
        unit="s",
    ),
    _form("a Mooncake trace", "timestamp, input_length, output_length", kind="mooncake", unit="ms"),
    _form(
        "a Qwen-Bailian trace",
        "chat_id, timestamp, input_length, output_length",
        kind="qwen",
        unit="s",
        like="mooncake",
    ),
    _form("a ServeGen workload", "client, t_s, rate_req_per_s, cv", kind="servegen"),
    _form("a ServeGen workload", "t_s, total_rate_req_per_s", kind="servegen"),
    _form("a ServeGen workload", "client, window_start_s, in_mean, out_mean", kind="servegen"),
    _form(
        "a BLIS TraceV2",
        "request_id, arrival_time_us, input_tokens, output_tokens",
        kind="blis",
        unit="us",
    ),
    _form("an AIPerf export", "metadata, metrics"),
    _form("a GenTD26 table", "gmt_create, exec_time_seconds"),
    _form("a GenTD26 table", "timestamp_anon, value, container_ip"),
)
_SERVEGEN = next(form for form in FORMS if form.kind == "servegen")


def form_of(first_line: str) -> tuple[Form, list[str]] | None:
    """The form whose fields the line has, the most special one, and those fields as they stand."""
    names = _fields(first_line)
    if names is None:
        return None
    if _is_servegen_row(names):
        return _SERVEGEN, []
    plain = {name.strip().lower(): name.strip() for name in names}
    fitting = [form for form in FORMS if form.fields <= plain.keys()]
    if not fitting:
        return None
    form = max(fitting, key=lambda form: len(form.fields))
    return form, [shown for low, shown in plain.items() if low in form.fields]


def check_form(kind: str, first_line: str, unit: str | None = None) -> None:
    """Refuse a first line that is one of another kind of trace than ``kind``.

    A trace of the same fields but another unit passes once ``unit`` says that the user knows.
    """
    found = form_of(first_line)
    if found is None or found[0].kind == kind:
        return
    form, fields = found
    if form.like == kind and unit is not None:
        return
    raise InvalidInput(_other_kind(kind, form, fields), field="line 1")


def check_file(kind: str, path: Path) -> None:
    """Refuse a folder, or a file of a ServeGen workload, where ``kind`` is a trace in one file."""
    if path.is_dir():
        there = any(_SERVEGEN_FILE.fullmatch(name) for name in _names_in(path))
        hint = f"; it holds {_SERVEGEN.name}: use import servegen" if there else ""
        raise InvalidInput(f"is a folder, not the file of {_own(kind).name}{hint}", file=str(path))
    if _SERVEGEN_FILE.fullmatch(path.name) and path.is_file():
        raise InvalidInput(
            f"has the name of a file of {_SERVEGEN.name}, not of {_own(kind).name}: "
            "use import servegen",
            file=str(path),
        )


def _names_in(folder: Path) -> list[str]:
    try:
        return [file.name for file in folder.iterdir()]
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", file=str(folder)) from None


def check_servegen_file(path: Path) -> None:
    """Refuse a file that is none of a ServeGen workload, whatever stands beside it."""
    if _SERVEGEN_FILE.fullmatch(path.name):
        return
    with open_lines(path) as lines:
        check_form("servegen", lines.first())
    raise InvalidInput(
        "is not a file of a ServeGen workload: neither chunk-N-trace.csv nor *_client_windows*.csv "
        "nor *_total_rate*.csv",
        file=str(path),
    )


def check_span(kind: str, requests: int, span_ms: int, fractions: int = 0) -> None:
    """Refuse times that make no sense in the unit of ``kind``.

    ``fractions`` of the times are no whole milliseconds, where the trace counts these.
    """
    unit = _own(kind).unit
    if unit is None:
        return
    span_s = max(span_ms, 1) / 1000
    rate = requests / span_s
    if unit == "ms" and requests > 1 and fractions > requests / 2:
        raise _suspicion(kind, unit, "most of its times are fractions", "s")
    if requests < FEW_REQUESTS:
        return
    told = f"{requests} requests within {span_s:.6g} s"
    if span_s < SHORTEST_SPAN_S or rate > HIGHEST_RATE_PER_S:
        raise _suspicion(kind, unit, told, "s")
    if rate < LOWEST_RATE_PER_S:
        raise _suspicion(kind, unit, told, "ms" if unit == "s" else "us")


def check_windows(window_s: float) -> None:
    """Refuse windows of rates that are not between a second and a day."""
    if not SHORTEST_WINDOW_S <= window_s <= LONGEST_WINDOW_S:
        raise InvalidInput(
            f"gives windows of {window_s:g} s: the times of {_SERVEGEN.name} are seconds, and its "
            f"windows {SHORTEST_WINDOW_S:g} to {LONGEST_WINDOW_S:g} s long",
            field="t_s",
        )


def _suspicion(kind: str, unit: str, why: str, other: str) -> InvalidInput:
    form, meant = _own(kind), UNIT_NAMES[unit]
    guess = "another unit" if other == unit else UNIT_NAMES[other]
    choices = f"--set unit={unit}" if other == unit else f"--set unit={other} or unit={unit}"
    return InvalidInput(
        f"{why} if the times are {meant}, as in {form.name}: they may be {guess}; "
        f"say which with {choices}",
        field="timestamp",
    )


def _own(kind: str) -> Form:
    """What is known of a kind; nothing but its name if another package reads it."""
    unknown = Form(f"a {kind} trace", frozenset(), kind=kind)
    return next((form for form in FORMS if form.kind == kind), unknown)


def _other_kind(kind: str, form: Form, fields: list[str]) -> str:
    own = _own(kind)
    if form.like == kind and form.unit and own.unit:
        special = sorted(name for name in fields if name.lower() not in own.fields)
        return (
            f"has the field {', '.join(special)}: this looks like {form.name}, in "
            f"{UNIT_NAMES[form.unit]}, not like {own.name}, in {UNIT_NAMES[own.unit]}; "
            f"use import {form.kind}, or --set unit={form.unit} to read it all the same"
        )
    seen = f"has the fields {', '.join(fields)}: this" if fields else "this"
    way = "no importer reads it" if form.kind is None else f"use import {form.kind}"
    return f"{seen} looks like {form.name}, not like {own.name}: {way}"


def _fields(first_line: str) -> list[str] | None:
    """Keys of a JSON object, or the cells of a CSV line."""
    text = first_line.strip()
    if text.startswith("{"):
        try:
            entry = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return [str(key) for key in entry]
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error:
        return None


def _is_servegen_row(cells: list[str]) -> bool:
    """``600,0.935,0.76,Weibull,1.33,1.17``: a window of a chunk, which has no titles."""
    if len(cells) != 6 or cells[3].strip().lower() not in _SERVEGEN_LAWS:
        return False
    return all(re.fullmatch(r"[0-9.eE+-]+", cell.strip()) for cell in cells[:2])

"""AIPerf (github.com/ai-dynamo/aiperf), the successor of genai-perf: profile_export_aiperf.json.

Every metric is an object with its own ``unit`` and the mean as ``avg``; times are milliseconds in
the files known, and are converted by their unit. One file is one load. Rates are of everything that
was benchmarked. The file does not say the GPU. A model whose name holds "mock" is a fake server:
MOCK; all others are MEASURED. genai-perf writes the same metrics (profile_export_genai_perf.json).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torta_opt.allocation.profiles.reading import (
    Collector,
    Entry,
    Reader,
    Settings,
    json_files,
    load_of,
    point,
    read_object,
)

SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0}
RATES = ("requests/sec", "requests/s")
MOST_FAILED = 0.1  # of the requests; what is left is not the load that was asked for


def _read(files: Sequence[Path], settings: Settings, collector: Collector) -> None:
    gpu, gpus = settings.need("gpu", collector.kind), settings.need("gpus", collector.kind)
    for file in json_files(files, "*perf.json"):
        report = read_object(file)
        rate = _metric(report, "request_throughput")
        if rate.values.get("unit") not in RATES:
            raise rate.fault(f"{rate.values.get('unit')!r:.40} must be requests/sec", "unit")
        model = settings.need("model", collector.kind, _model(report))
        basis = settings.basis or ("mock" if "mock" in model.lower() else "measured")
        _check_failures(report)
        found = point(
            report,
            input_tokens=_metric(report, "input_sequence_length").number("avg"),
            output_tokens=_metric(report, "output_sequence_length").number("avg"),
            requests_per_s=rate.number("avg") / settings.replicas,
            latency_s=_seconds(report, "request_latency"),
            ttft_s=_optional(report, "time_to_first_token"),
            tpot_s=_optional(report, "inter_token_latency"),
            concurrency=_in_flight(report, settings),
            detail=_load(report),
        )
        collector.add(model, gpu, gpus, basis, settings.engine or "", found)


def _metric(report: Entry, name: str) -> Entry:
    value = report.values.get(name)
    if not isinstance(value, Mapping):
        found = ", ".join(list(report.values)[:12])
        rule = "must be a metric with unit and avg" if report.has(name) else "is missing"
        raise report.fault(f"{rule}; the file has {found or 'nothing'}", name)
    return Entry(report.file, name, value)


def _seconds(report: Entry, name: str) -> float:
    metric = _metric(report, name)
    unit = metric.values.get("unit")
    if not isinstance(unit, str) or unit not in SECONDS:
        raise metric.fault(f"{unit!r:.40} must be one of {', '.join(SECONDS)}", "unit")
    return metric.number("avg") * SECONDS[unit]


def _optional(report: Entry, name: str) -> float | None:
    """None where a server that does not stream left it out."""
    return _seconds(report, name) if report.has(name) else None


def _in_flight(report: Entry, settings: Settings) -> float | None:
    if not report.has("effective_concurrency"):
        return None
    return _metric(report, "effective_concurrency").number("avg") / settings.replicas


def _check_failures(report: Entry) -> None:
    good = _count(report, "request_count")
    failed = _count(report, "error_request_count")
    if failed > MOST_FAILED * (failed + good):
        raise report.fault(
            f"{failed:g} of {failed + good:g} requests failed: no load to plan with",
            "error_request_count",
        )


def _count(report: Entry, name: str) -> float:
    return _metric(report, name).number("avg") if report.has(name) else 0.0


def _model(report: Entry) -> str | None:
    """The first model that the configuration names; versions differ in where."""
    places = (("models", "items"), ("endpoint", "model_names"), ("model_names",), ("model",))
    held = (_under(report.values, "input_config", *place) for place in places)
    names: Any = next((value for value in held if value), None)
    first = names[0] if isinstance(names, list) else names
    name = first.get("name") if isinstance(first, Mapping) else first
    return name if isinstance(name, str) else None


def _load(report: Entry) -> str:
    phases = _under(report.values, "input_config", "phases")
    listed = phases if isinstance(phases, list) else []
    known = [each for each in listed if isinstance(each, Mapping)]
    told = [each for each in known if each.get("kind") != "warmup"] or known
    first = told[0] if told else {}
    streams = load_of("concurrency {:g}", first.get("concurrency"))
    return streams or load_of("{:g} requests/s asked", first.get("rate"))


def _under(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


READER = Reader(
    "AIPerf and genai-perf: profile_export_aiperf.json (measured; a mock server is told apart)",
    (
        ("request_throughput", "requests per second of all replicas", "requests_per_s ÷ replicas"),
        ("request_latency", "ms, or as its unit says; avg", "latency_s"),
        ("time_to_first_token, inter_token_latency", "the same", "ttft_s, tpot_s"),
        ("input_sequence_length, output_sequence_length", "tokens", "lengths"),
        ("effective_concurrency", "requests in flight", "checked by Little's law"),
    ),
    _read,
)

"""vLLM serving benchmark (``vllm bench serve``, benchmark_serving.py): its result JSON.

Fields that end in ``_ms`` are milliseconds; forms without it (InferenceX's decode study) are
seconds. Rates are of everything that was benchmarked, so ``replicas`` divides them. The file does
not say the GPU. Without an end-to-end latency, it is ttft + tpot × (output tokens − 1), from means;
with it, ttft and tpot may be left out (``--percentile-metrics``). SGLang's bench_serving writes the
same fields, with its latency as ``mean_e2e_latency_ms``.
A sweep's summary is a list of such results, appended ones are lines. MEASURED, unless the user says
otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from torta_opt.allocation.profiles.data import LoadPoint
from torta_opt.allocation.profiles.reading import (
    Collector,
    Entry,
    Reader,
    Settings,
    entries,
    json_files,
    point,
    read_json_lines,
)

MOST_FAILED = 0.1  # of the requests; what is left is not the load that was asked for


def _read(files: Sequence[Path], settings: Settings, collector: Collector) -> None:
    gpu, gpus = settings.need("gpu", collector.kind), settings.need("gpus", collector.kind)
    for entry in _results(files):
        if entry.number("completed") == 0:
            collector.note(f"{os.path.basename(entry.file)}: no request was completed; left out")
            continue
        _check_failures(entry)
        collector.add(
            settings.need("model", collector.kind, entry.values.get("model_id")),
            gpu,
            gpus,
            settings.basis or "measured",
            settings.engine or str(entry.values.get("backend") or ""),
            _point(entry, settings, collector),
        )


def _results(files: Sequence[Path]) -> Iterator[Entry]:
    for file in json_files(files):
        value = read_json_lines(file)
        listed = value if isinstance(value, list) else [value]
        for entry in entries(str(file), "", listed):
            place = entry.path if isinstance(value, list) else ""
            yield Entry(entry.file, place, entry.values)


def _check_failures(entry: Entry) -> None:
    failed = entry.optional("failed") or 0.0
    asked = failed + entry.number("completed")
    if failed > MOST_FAILED * asked:
        raise entry.fault(
            f"{failed:g} of {asked:g} requests failed: no load to plan with", "failed"
        )


def _point(entry: Entry, settings: Settings, collector: Collector) -> LoadPoint:
    completed = entry.number("completed")
    tokens_in = entry.number("total_input_tokens") / completed
    tokens_out = entry.number("total_output_tokens") / completed
    ttft, tpot = _seconds(entry, "ttft", collector), _seconds(entry, "tpot", collector)
    whole = _seconds(entry, "e2el", collector) or _seconds(entry, "e2e_latency", collector)
    if whole is None:
        if ttft is None or tpot is None:
            lacking = "mean_ttft_ms" if ttft is None else "mean_tpot_ms"
            raise entry.fault("is missing, and mean_e2el_ms with it", lacking)
        whole = ttft + tpot * max(tokens_out - 1, 0)
        collector.note("no end-to-end latency: ttft + tpot × (output tokens − 1) is taken")
    if completed < (entry.optional("num_prompts") or 0) and not entry.has("failed"):
        collector.note("fewer requests completed than were asked for, and no count of failures")
    rate = entry.number("request_throughput") / settings.replicas
    _check_limit(entry, rate * whole)
    return point(
        entry,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        requests_per_s=rate,
        latency_s=whole,
        ttft_s=ttft,
        tpot_s=tpot,
        detail=_load(entry),
    )


def _seconds(entry: Entry, name: str, collector: Collector) -> float | None:
    """Mean (or median, if there is no mean) seconds of ttft, tpot or e2el."""
    for which in ("mean", "median"):
        for title, unit in ((f"{which}_{name}_ms", 1000.0), (f"{which}_{name}", 1.0)):
            value = entry.optional(title)
            if value is not None:
                if which == "median":
                    collector.note("medians are taken, as there are no means")
                return value / unit
    return None


def _check_limit(entry: Entry, in_flight: float) -> None:
    """No more requests are in flight than the client allows at once."""
    limit = entry.optional("max_concurrency")
    if limit is None or in_flight <= 1.5 * limit:
        return
    guess = "the times are ms, not s" if in_flight > 100 * limit else "several replicas or clients"
    raise entry.fault(
        f"is {limit:g}, but rate × latency gives {in_flight:.4g} requests in flight: probably "
        f"{guess}" + ("" if in_flight > 100 * limit else "; set replicas"),
        "max_concurrency",
    )


def _load(entry: Entry) -> str:
    rate = entry.values.get("request_rate")
    limit = entry.optional("max_concurrency")
    asked = "" if rate in (None, "inf") or (entry.optional("request_rate") or 0) >= 1e9 else rate
    parts = [f"{asked} requests/s" if asked else "", f"concurrency {limit:g}" if limit else ""]
    return ", ".join(part for part in parts if part)


READER = Reader(
    "vLLM serving benchmark: the JSON of `vllm bench serve`, or a sweep of them (measured)",
    (
        ("request_throughput", "requests per second of all replicas", "requests_per_s ÷ replicas"),
        ("mean_e2el_ms, mean_ttft_ms, mean_tpot_ms", "ms", "latency_s, ttft_s, tpot_s"),
        ("mean_e2el, mean_ttft, mean_tpot", "s (forms without _ms)", "latency_s, ttft_s, tpot_s"),
        ("total_input_tokens, total_output_tokens", "tokens", "÷ completed: lengths"),
        ("max_concurrency", "requests in flight per client", "checked by Little's law"),
    ),
    _read,
)

"""GuideLLM report, version 2 (github.com/vllm-project/guidellm): its JSON.

``request_latency`` is SECONDS; names that end in ``_ms`` are milliseconds. One benchmark is one
load. Of each metric, the mean over the successful requests is taken. The file does not say the GPU.
A model whose name holds "mock" is a fake server: MOCK; all others are MEASURED.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torta_opt.allocation.profiles.data import LoadPoint
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
from torta_opt.io import InvalidInput


def _read(files: Sequence[Path], settings: Settings, collector: Collector) -> None:
    gpu, gpus = settings.need("gpu", collector.kind), settings.need("gpus", collector.kind)
    for file in json_files(files):
        report = read_object(file)
        version = report.child("metadata").values.get("version")
        if version != 2:
            raise report.fault(f"must be 2, found {version!r:.20}", "metadata.version")
        for benchmark in report.children("benchmarks"):
            model = settings.need("model", collector.kind, _model(report, benchmark))
            basis = settings.basis or ("mock" if "mock" in model.lower() else "measured")
            if (found := _point(benchmark, settings)) is not None:
                engine = settings.engine or ""
                collector.add(model, gpu, gpus, basis, engine, found)
            else:
                collector.note(f"{benchmark.path}: no request succeeded; left out")


def _model(report: Entry, benchmark: Entry) -> str | None:
    for owner, path in (
        (benchmark, ("config", "backend")),
        (report, ("config", "spec", "backend")),
    ):
        try:
            return owner.child(*path).text("model")
        except InvalidInput:
            continue
    return None


def _point(benchmark: Entry, settings: Settings) -> LoadPoint | None:
    metrics = benchmark.child("metrics")
    if metrics.child("request_totals").number("successful") == 0:
        return None

    def mean(name: str) -> float:
        return metrics.child(name, "successful").number("mean")

    def milliseconds(name: str) -> float | None:
        """In seconds; None where a server that does not stream left it out."""
        found = metrics.values.get(name)
        good = found.get("successful") if isinstance(found, dict) else None
        if not isinstance(good, dict) or good.get("mean") is None or good.get("count") == 0:
            return None
        return mean(name) / 1000

    return point(
        benchmark,
        input_tokens=mean("prompt_token_count"),
        output_tokens=mean("output_token_count"),
        requests_per_s=mean("requests_per_second") / settings.replicas,
        latency_s=mean("request_latency"),
        ttft_s=milliseconds("time_to_first_token_ms"),
        tpot_s=milliseconds("inter_token_latency_ms"),
        concurrency=(
            mean("request_concurrency") / settings.replicas
            if metrics.has("request_concurrency")
            else None
        ),
        detail=_load(benchmark),
    )


def _load(benchmark: Entry) -> str:
    config = benchmark.values.get("config")
    strategy = config.get("strategy") if isinstance(config, dict) else None
    if not isinstance(strategy, dict):
        return ""
    kind = str(strategy.get("type_", ""))
    value = strategy.get("rate") or strategy.get("streams") or strategy.get("max_concurrency")
    return f"{kind} {load_of('{:g}', value)}".rstrip()


READER = Reader(
    "GuideLLM report version 2 (measured; a mock server is told apart)",
    (
        ("requests_per_second", "requests per second of all replicas", "requests_per_s ÷ replicas"),
        ("request_latency", "s", "latency_s"),
        ("time_to_first_token_ms", "ms", "ttft_s"),
        ("inter_token_latency_ms", "ms", "tpot_s"),
        ("prompt_token_count, output_token_count", "tokens", "lengths"),
        ("request_concurrency", "requests in flight", "checked by Little's law"),
    ),
    _read,
)

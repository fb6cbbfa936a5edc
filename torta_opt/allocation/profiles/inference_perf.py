"""inference-perf (github.com/kubernetes-sigs/inference-perf): stage_N_lifecycle_metrics.json.

Times are SECONDS, rates requests per second of the whole deployment. A stage is one load; the
summary mixes all stages and is left out. Neither GPU nor model are in these files: the model is
read from a config.yaml beside them, or one folder up, if it says ``model_name``. MEASURED.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from torta_opt.allocation.profiles.data import LoadPoint
from torta_opt.allocation.profiles.reading import (
    Collector,
    Entry,
    Reader,
    Settings,
    json_files,
    point,
    read_object,
)
from torta_opt.io import InvalidInput

PATTERN = "stage_*_lifecycle_metrics.json"
SATURATED = 0.9  # served ÷ asked for, below which a stage is called saturated


def _read(files: Sequence[Path], settings: Settings, collector: Collector) -> None:
    gpu, gpus = settings.need("gpu", collector.kind), settings.need("gpus", collector.kind)
    for file in _stages(files):
        stage = read_object(file)
        model = settings.need("model", collector.kind, _model_beside(file))
        found = _point(stage, settings, collector)
        if found is not None:
            basis, engine = settings.basis or "measured", settings.engine or ""
            collector.add(model, gpu, gpus, basis, engine, found)


def _stages(files: Sequence[Path]) -> Iterator[Path]:
    for file in json_files(files, PATTERN):
        if file.name.startswith("summary"):
            raise InvalidInput(
                "mixes all stages: name the stage_N_lifecycle_metrics.json files", file=str(file)
            )
        if "prometheus" in file.name:
            raise InvalidInput(
                "has the server's own metrics, averaged over other stages too: name the "
                "stage_N_lifecycle_metrics.json files",
                file=str(file),
            )
        yield file


def _model_beside(file: Path) -> str | None:
    for folder in (file.parent, file.parent.parent):
        config = folder / "config.yaml"
        if config.is_file():
            found = re.search(r"^\s*model_name:\s*(\S+)", config.read_text(errors="replace"), re.M)
            if found:
                return found[1].strip("\"'")
    return None


def _point(stage: Entry, settings: Settings, collector: Collector) -> LoadPoint | None:
    good = stage.child("successes")
    if good.number("count") == 0:
        collector.note(f"{Path(stage.file).name}: no request succeeded; left out")
        return None
    failed = stage.child("failures").number("count")
    if failed:
        collector.note(f"{Path(stage.file).name}: {failed:g} requests failed and do not count")
    latency = good.child("latency")
    served = good.child("throughput").number("requests_per_sec")
    load = stage.child("load_summary")
    asked, streams = load.optional("requested_rate"), load.optional("concurrency")
    if asked and served < SATURATED * asked:
        collector.note(f"{Path(stage.file).name}: {asked:g} requests/s asked, {served:.4g} served")
    return point(
        stage,
        input_tokens=good.child("prompt_len").number("mean"),
        output_tokens=good.child("output_len").number("mean"),
        requests_per_s=served / settings.replicas,
        latency_s=latency.child("request_latency").number("mean"),
        ttft_s=_mean(latency, "time_to_first_token"),
        tpot_s=_mean(latency, "time_per_output_token"),
        detail=_load(asked, streams),
    )


def _load(asked: float | None, streams: float | None) -> str:
    parts = (f"{asked:g} requests/s asked" if asked else "", streams and f"{streams:g} at once")
    return ", ".join(part for part in parts if part)


def _mean(latency: Entry, name: str) -> float | None:
    return latency.child(name).optional("mean") if latency.has(name) else None


READER = Reader(
    "inference-perf: stage_N_lifecycle_metrics.json, or the folder of them (measured)",
    (
        (
            "successes.throughput.requests_per_sec",
            "requests per second of all replicas",
            "requests_per_s ÷ replicas",
        ),
        ("successes.latency.request_latency.mean", "s", "latency_s"),
        ("time_to_first_token, time_per_output_token", "s", "ttft_s, tpot_s"),
        ("prompt_len, output_len", "tokens", "lengths"),
        ("load_summary.requested_rate", "requests per second", "names the load"),
    ),
    _read,
)

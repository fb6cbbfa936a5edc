"""llm-d planner (github.com/llm-d-incubation/llm-d-planner): benchmark JSON.

Times are MILLISECONDS; the means are taken. The rate is ``responses_per_second`` (served) where the
file has it, else ``requests_per_second`` (offered). One entry is one replica of ``hardware_count``
GPUs. Without ``e2e_mean``, the latency is ttft + itl × (output tokens − 1). The files' own metadata
call every figure simulated, interpolated or made up: MODELLED.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from torta_opt.allocation.profiles.reading import (
    Collector,
    Entry,
    Reader,
    Settings,
    json_files,
    point,
    read_object,
)


def _read(files: Sequence[Path], settings: Settings, collector: Collector) -> None:
    for file in json_files(files, alike=False):
        report = read_object(file)
        _note_origin(report, collector)
        for entry in report.children("benchmarks"):
            collector.attempt(functools.partial(_add, collector, entry, settings))
    if (settings.model or settings.gpu) and not collector.found:
        collector.note("no entry has the model, GPU and count asked for")


def _note_origin(report: Entry, collector: Collector) -> None:
    for name in ("_metadata", "metadata"):
        told = report.values.get(name)
        if isinstance(told, dict):
            source = told.get("source") or told.get("method") or told.get("description")
            collector.note(f"modelled, as the file says: {source}")


def _add(collector: Collector, entry: Entry, settings: Settings) -> None:
    model = entry.text("model_hf_repo", "model_id")
    gpu = entry.text("hardware", "hardware_type")
    gpus = entry.whole("hardware_count")
    asked = ((settings.model, model), (settings.gpu, gpu), (settings.gpus, gpus))
    if any(want is not None and want != has for want, has in asked):
        return
    out, first = entry.number("output_tokens"), entry.number("ttft_mean")
    step = entry.number("itl_mean")
    if step > (entry.optional("itl_p99") or step):
        collector.note("itl_mean lies above itl_p99 in some entries")
    if not entry.has("responses_per_second"):
        collector.note("only offered rates are given: they are taken as served")
    if entry.values.get("estimated"):
        collector.note("entries are marked as estimated")
    whole = entry.optional("e2e_mean")
    if whole is None:
        whole = first + step * max(out - 1, 0)
        collector.note("no e2e_mean in some entries: ttft + itl × (output tokens − 1) is taken")
    served = entry.number("responses_per_second", "requests_per_second")
    collector.add(
        model,
        gpu,
        gpus,
        settings.basis or "modelled",
        settings.engine or str(entry.values.get("framework") or ""),
        point(
            entry,
            input_tokens=entry.number("prompt_tokens"),
            output_tokens=out,
            requests_per_s=served,
            latency_s=whole / 1000,
            ttft_s=first / 1000,
            tpot_s=step / 1000,
            detail=_load(entry),
        ),
    )


def _load(entry: Entry) -> str:
    offered = entry.optional("requests_per_second")
    return "" if offered is None else f"{offered:.4g} requests/s offered"


READER = Reader(
    "llm-d planner benchmarks (modelled); model, gpu and gpus choose among the entries",
    (
        ("responses_per_second", "requests per second served by one replica", "requests_per_s"),
        ("e2e_mean, ttft_mean, itl_mean", "ms", "latency_s, ttft_s, tpot_s"),
        ("prompt_tokens, output_tokens", "tokens", "lengths"),
        ("hardware_count", "GPUs of one replica", "gpus"),
    ),
    _read,
)

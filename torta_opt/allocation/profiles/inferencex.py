"""InferenceX (github.com/SemiAnalysisAI/InferenceX): rows of its benchmarks API.

Times are SECONDS. ``tput_per_gpu`` is tokens per second of one GPU, in and out together, where
``output_tput_per_gpu`` is output tokens per second of one GPU that decodes. Without disaggregation,
``num_prefill_gpu`` and ``num_decode_gpu`` are the same GPUs, and each is tp × ep although experts
share the GPUs of the tensor parallel group: a replica has ``decode_tp`` GPUs. With it, a replica
has num_prefill_gpu + num_decode_gpu. The rate of the replica follows from the output tokens:

    requests_per_s = output_tput_per_gpu · (GPUs that decode) / osl .

Real lengths average about 0.9 of isl and osl, so this is the rate of requests of full length. Older
rows without ``output_tput_per_gpu`` take tput_per_gpu · GPUs / (isl + osl). Rows of single runs
(``agg_bmk.json``) have the metrics beside the rest, ``hw`` for ``hardware`` and ``tp`` for
``decode_tp``; where they lack isl and osl, ``input_tokens`` and ``output_tokens`` of the user stand
in. MEASURED.
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
    entries,
    json_files,
    point,
    read_json,
)
from torta_opt.io import InvalidInput


def _read(files: Sequence[Path], settings: Settings, collector: Collector) -> None:
    for file in json_files(files, alike=False):
        rows = read_json(file)
        if not isinstance(rows, list):
            raise InvalidInput("must be a list of benchmark rows", file=str(file))
        for entry in entries(str(file), "", rows):
            collector.attempt(functools.partial(_add, collector, entry, settings))
    collector.note("real lengths average about 0.9 of isl and osl; rates are those of full lengths")


def _add(collector: Collector, entry: Entry, settings: Settings) -> None:
    apart = entry.values.get("disagg") is True
    decoding = entry.whole("num_decode_gpu") if apart else entry.whole("decode_tp", "tp")
    gpus = decoding + (entry.whole("num_prefill_gpu") if apart else 0)
    gpu = entry.text("hardware", "hw").upper()
    model = entry.text("model")
    asked = ((settings.gpu, gpu), (settings.gpus, gpus))
    if any(want is not None and want != has for want, has in asked):
        return
    metrics = entry.child("metrics") if entry.has("metrics") else entry
    output = metrics.optional("output_tput_per_gpu")
    isl = _length(entry, "isl", settings.input_tokens)
    osl = _length(entry, "osl", settings.output_tokens)
    if not (isl >= 1 and osl >= 1):
        raise entry.fault(f"isl {isl:g} and osl {osl:g} must be at least 1")
    if output is not None:
        rate = output * decoding / osl
    else:
        rate = metrics.number("tput_per_gpu") * gpus / (isl + osl)
    mode = "disagg" if apart else "agg"
    drafts = entry.values.get("spec_method")
    parts = (
        *(entry.values.get(name) for name in ("framework", "precision")),
        *(mode, None if drafts == "none" else drafts),
    )
    engine = settings.engine or " ".join(str(part) for part in parts if part)
    collector.add(
        settings.model or model,
        gpu,
        gpus,
        settings.basis or "measured",
        engine,
        point(
            entry,
            input_tokens=isl,
            output_tokens=osl,
            requests_per_s=rate,
            latency_s=metrics.number("mean_e2el", "median_e2el"),
            ttft_s=metrics.optional("mean_ttft", "median_ttft"),
            tpot_s=metrics.optional("mean_tpot", "median_tpot"),
            concurrency=entry.number("conc"),
            detail=f"concurrency {entry.number('conc'):g}",
        ),
    )


def _length(entry: Entry, name: str, told: float | None) -> float:
    return told if told is not None and not entry.has(name) else entry.number(name)


READER = Reader(
    "InferenceX benchmark rows (measured); gpu and gpus choose among them",
    (
        (
            "output_tput_per_gpu",
            "output tokens per second of one decoding GPU",
            "× decoding GPUs ÷ osl: requests_per_s",
        ),
        ("mean_e2el, mean_ttft, mean_tpot", "s", "latency_s, ttft_s, tpot_s"),
        ("isl, osl", "tokens", "lengths"),
        ("decode_tp or tp; disagg: num_prefill_gpu + num_decode_gpu", "GPUs", "gpus"),
        ("conc", "requests in flight", "checked by Little's law"),
    ),
    _read,
)

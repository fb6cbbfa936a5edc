"""inferno and the workload-variant autoscaler: model-data.json, or system-data.json with all parts.

A replica of model m on an accelerator works on a batch of n requests of I tokens in and O out at
once. Three generations of the parameters exist, all in MILLISECONDS:

    decodeParms, prefillParms   prefill = gamma + delta·I·n,   per token = alpha + beta·n
    alpha, beta (flat)          no prefill;                     per token = alpha + beta·n
    perfParms                   step = alpha + n·(beta·(I + O)/(O + 1) + gamma·(I + O/2)),
                                prefill = step + (beta + gamma)·I,
                                per token = step + beta + gamma·(I + O/2)

(the last as in llm-inferno's queue analyzer, pkg/analyzer/queueanalyzer.go). A load point is a
batch size n: latency = prefill + (O − 1)·per token, rate = n / latency. The largest batch is
maxBatchSize·atTokens/O. Files differ in the case of keys, and resources of Kubernetes write numbers
as text: both are read. The GPUs of a replica are accCount times the accelerator's multiplicity.
Costs there are cents an hour and arrival rates requests a MINUTE; neither is used here. MODELLED.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torta_opt.allocation.profiles.reading import (
    Collector,
    Entry,
    Reader,
    Settings,
    json_files,
    point,
    read_object,
)

KEYS = (
    *("name", "acc", "accCount", "maxBatchSize", "atTokens"),
    *("perfParms", "decodeParms", "prefillParms", "alpha", "beta", "gamma", "delta"),
)
MOST_BATCH = 1_000_000
Times = Callable[[float], tuple[float, float]]  # batch → (prefill ms, ms per token)


def _read(files: Sequence[Path], settings: Settings, collector: Collector) -> None:
    tokens_in = settings.need("input_tokens", collector.kind)
    tokens_out = settings.need("output_tokens", collector.kind)
    paths = list(json_files(files, "model-data*.json"))
    multiplicity = _multiplicities(paths)
    for path in paths:
        report = read_object(path)
        owner = report.child("system") if report.has("system") else report
        owner = owner.child("modelData") if owner.has("modelData") else owner
        for entry in owner.children("models"):
            _add(collector, _plain(entry), settings, multiplicity, tokens_in, tokens_out)


def _plain(entry: Entry) -> Entry:
    """Keys in the case of ``KEYS``, and numbers that are written as text as numbers."""

    def plain(value: Any, name: str) -> Any:
        if isinstance(value, Mapping):
            known = {key.lower(): key for key in KEYS}
            named = ((known.get(str(key).lower(), str(key)), held) for key, held in value.items())
            return {key: plain(held, key) for key, held in named}
        if isinstance(value, str) and name not in ("name", "acc"):
            with contextlib.suppress(ValueError):
                return float(value)
        return value

    return Entry(entry.file, entry.path, plain(entry.values, ""))


def _multiplicities(paths: Sequence[Path]) -> dict[str, tuple[str, int]]:
    """accelerator → (card, cards), from the accelerator data beside the models."""
    found: dict[str, tuple[str, int]] = {}
    for path in paths:
        beside = sorted(path.parent.glob("accelerator-data*.json"))
        for report in (read_object(file) for file in (path, *beside)):
            owner = report.child("system") if report.has("system") else report
            if owner.has("acceleratorData"):
                owner = owner.child("acceleratorData")
            if owner.has("accelerators"):
                for each in owner.children("accelerators"):
                    cards = int(each.optional("multiplicity") or 1)
                    found[each.text("name")] = each.text("type", "name"), cards
    return found


def _add(
    collector: Collector,
    entry: Entry,
    settings: Settings,
    multiplicity: dict[str, tuple[str, int]],
    tokens_in: float,
    tokens_out: float,
) -> None:
    model, accelerator = entry.text("name"), entry.text("acc")
    gpu, cards = multiplicity.get(accelerator) or _by_name(accelerator)
    gpus = entry.whole("accCount") * cards
    asked = ((settings.model, model), (settings.gpu, gpu), (settings.gpus, gpus))
    if any(want is not None and want != has for want, has in asked):
        return
    times = _times(entry, tokens_in, tokens_out)
    largest = entry.number("maxBatchSize") * entry.number("atTokens") / tokens_out
    if largest > MOST_BATCH:
        raise entry.fault(f"times atTokens is more than {MOST_BATCH:,} requests", "maxBatchSize")
    for batch in _batches(max(int(max(largest, 1.0)), 1)):
        prefill_ms, token_ms = times(batch)
        latency_s = (prefill_ms + (tokens_out - 1) * token_ms) / 1000
        found = point(
            entry,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            requests_per_s=batch / latency_s,
            latency_s=latency_s,
            ttft_s=prefill_ms / 1000 if prefill_ms else None,
            tpot_s=token_ms / 1000,
            concurrency=batch,
            detail=f"batch {batch}",
        )
        basis, engine = settings.basis or "modelled", settings.engine or ""
        collector.add(model, gpu, gpus, basis, engine, found)


def _by_name(accelerator: str) -> tuple[str, int]:
    """``2xAIU2`` is two cards of AIU2."""
    count, cross, card = accelerator.partition("x")
    return (card, int(count)) if cross and count.isdigit() and card else (accelerator, 1)


def _times(entry: Entry, tokens_in: float, tokens_out: float) -> Times:
    if entry.has("decodeParms"):
        decode, prefill = entry.child("decodeParms"), entry.child("prefillParms")
        alpha, beta = decode.number("alpha"), decode.number("beta")
        gamma, delta = prefill.number("gamma"), prefill.number("delta")
        return lambda n: (gamma + delta * tokens_in * n, alpha + beta * n)
    if entry.has("perfParms"):
        parms = entry.child("perfParms")
        if parms.has("decodeParms"):  # as a VariantAutoscaling resource nests them
            return _times(Entry(entry.file, parms.path, parms.values), tokens_in, tokens_out)
        alpha, beta, gamma = (parms.number(name) for name in ("alpha", "beta", "gamma"))
        compute = (tokens_in + tokens_out) / (tokens_out + 1)
        memory = tokens_in + tokens_out / 2

        def stepwise(n: float) -> tuple[float, float]:
            step = alpha + n * (beta * compute + gamma * memory)
            return step + (beta + gamma) * tokens_in, step + beta + gamma * memory

        return stepwise
    alpha, beta = entry.number("alpha"), entry.number("beta")
    return lambda n: (0.0, alpha + beta * n)


def _batches(largest: int) -> list[int]:
    """1, 2, 4, ... and the largest."""
    powers = [1 << k for k in range(largest.bit_length()) if 1 << k < largest]
    return [*powers, largest]


READER = Reader(
    "inferno and WVA: model-data.json or system-data.json (modelled); needs token lengths",
    (
        (
            "alpha, beta, gamma, delta",
            "ms",
            "latency_s, ttft_s, tpot_s at batch sizes 1, 2, 4, ...",
        ),
        (
            "maxBatchSize at atTokens",
            "requests",
            "largest batch = maxBatchSize × atTokens ÷ output",
        ),
        ("accCount × multiplicity", "cards of one replica", "gpus"),
        ("arrivalRate, cost", "requests a minute, cents an hour", "not used"),
    ),
    _read,
)

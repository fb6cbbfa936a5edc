"""AIBrix GPU optimizer profile (github.com/vllm-project/aibrix): the JSON of gpu_optimizer.

``tputs[output][input]`` is the highest rate (requests per second) that meets the file's own target
at the token lengths ``indexes[0]`` (OUTPUT) and ``indexes[1]`` (input); 0 means that none does.
``e2e`` is the mean latency there in SECONDS. ``cost`` has no unit and is not used. Older files have
no ``e2e`` and are refused. Names with "simulator" are MODELLED.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

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
    gpus = settings.need("gpus", collector.kind)
    for file in json_files(files):
        report = read_object(file)
        name = report.text("gpu")
        basis = settings.basis or ("modelled" if "simulator" in name.lower() else "measured")
        model, gpu = settings.need("model", collector.kind), settings.gpu or name
        if settings.gpu is None:
            collector.note(f"{name!r} is the file's own label of the GPU: gpu gives it its name")
        if not report.has("e2e"):
            raise report.fault(
                "is missing: an older profile without latencies; make it anew with a later AIBrix",
                "e2e",
            )
        _note_target(report, collector)
        for entry, tokens, rate, seconds in _cells(report):
            if rate == 0:
                collector.note("cells with a rate of 0 meet the file's target at no load: left out")
                continue
            found = point(
                entry,
                input_tokens=tokens[1],
                output_tokens=tokens[0],
                requests_per_s=rate / settings.replicas,
                latency_s=seconds,
            )
            collector.add(model, gpu, gpus, basis, settings.engine or "", found)


def _note_target(report: Entry, collector: Collector) -> None:
    slos = report.values.get("slos")
    if isinstance(slos, dict):
        told = ", ".join(f"{key} {value}" for key, value in slos.items())
        collector.note(f"rates are the highest that meet the file's own target: {told} (e2e in s)")


def _is_table(value: Any) -> TypeGuard[list[list[Any]]]:
    return isinstance(value, list) and all(isinstance(row, list) for row in value)


def _cells(report: Entry) -> list[tuple[Entry, tuple[float, float], float, float]]:
    """(place, (output, input) tokens, requests per second, latency in s) of every cell."""
    indexes = report.values.get("indexes")
    if not (_is_table(indexes) and len(indexes) == 2):
        raise report.fault("must be [[output tokens], [input tokens]]", "indexes")
    outputs, inputs = indexes
    tables = {name: report.values.get(name) for name in ("tputs", "e2e")}
    for name, table in tables.items():
        fits = _is_table(table) and len(table) == len(outputs)
        if not fits or any(len(row) != len(inputs) for row in table or ()):
            size = f"{len(outputs)} rows (output tokens) of {len(inputs)} (input tokens)"
            raise report.fault(f"must have {size}, as indexes say", name)
    found = []
    for o, output in enumerate(outputs):
        for i, given in enumerate(inputs):
            values = {name: (table or [])[o][i] for name, table in tables.items()}
            entry = Entry(report.file, f"[{o}][{i}]", {**values, "in": given, "out": output})
            tokens = entry.number("out"), entry.number("in")
            found.append((entry, tokens, entry.number("tputs"), entry.number("e2e")))
    return found


READER = Reader(
    "AIBrix GPU optimizer profile with e2e (measured, or modelled by its simulator)",
    (
        ("tputs[output][input]", "requests per second at the file's target", "requests_per_s"),
        ("e2e[output][input]", "s, mean", "latency_s"),
        ("indexes", "[[output tokens], [input tokens]]", "lengths"),
        ("cost", "not stated", "not used"),
    ),
    _read,
)

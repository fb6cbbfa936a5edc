"""AIConfigurator (github.com/ai-dynamo/aiconfigurator): best_config_topn.csv and pareto.csv.

One row is one replica of ``num_total_gpus`` GPUs, whether prefill and decode share them (agg, 43
columns) or not (disagg, columns with (p), (d) and (e)). Times are milliseconds and hold no
queueing. ``seq/s`` is of the replica, ``seq/s/gpu`` of one of its GPUs. Figures are MODELLED.

Older versions have no ``request_latency``: it is ttft + tpot × (osl − 1). The model is in ``model``
or ``model_path``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from torta_opt.allocation.instance.imports.small_csv import Row, Table, read_table
from torta_opt.allocation.profiles.reading import (
    Collector,
    Entry,
    Reader,
    Settings,
    json_files,
    point,
)
from torta_opt.io import InvalidInput

NEEDED = ("isl", "osl", "ttft", "tpot", "seq/s", "num_total_gpus")


def _read(files: Sequence[Path], settings: Settings, collector: Collector) -> None:
    for file in json_files(files, "*.csv", alike=False):
        table = read_table(file)
        table.require(*NEEDED, "(d)system" if "(d)system" in table.titles else "system")
        for row in table:
            collector.attempt(functools.partial(_add, collector, table, row, settings))
    collector.note("times hold no queueing, as the model that made them says")
    if any("pareto" in path.name for path in json_files(files, "*.csv", alike=False)):
        collector.note("pareto.csv has rows that miss the targets it was made for")


def _add(collector: Collector, table: Table, row: Row, settings: Settings) -> None:
    disagg = "(d)system" in table.titles
    system = row.text("(d)system" if disagg else "system")
    backend = row.cells.get("(d)backend" if disagg else "backend") or ""
    model = settings.need("model", collector.kind, _first(row, "model", "model_path"))
    gpus = _gpus(row)
    if settings.gpus is not None and settings.gpus != gpus:
        collector.note(f"rows of replicas of other than {settings.gpus} GPUs are left out")
        return
    latency_ms = _latency_ms(row)
    _check_rate(row, gpus)
    mode = "disagg" if disagg else "agg"
    collector.add(
        model,
        settings.gpu or system.removesuffix("_sxm").removesuffix("_pcie").upper(),
        gpus,
        settings.basis or "modelled",
        settings.engine or f"{backend} {mode}".strip(),
        point(
            Entry(row.file, f"line {row.line}", {}),
            input_tokens=row.number("isl"),
            output_tokens=row.number("osl"),
            requests_per_s=row.number("seq/s"),
            latency_s=latency_ms / 1000,
            ttft_s=row.number("ttft") / 1000,
            tpot_s=row.number("tpot") / 1000,
            concurrency=row.number("concurrency") if row.cells.get("concurrency") else None,
        ),
    )


def _gpus(row: Row) -> int:
    """A whole number, which tables with gaps write as 8.0."""
    found = row.number("num_total_gpus")
    if found != int(found) or found < 1:
        raise row.fault(f"{found:g} is not a number of GPUs", "num_total_gpus")
    return int(found)


def _first(row: Row, *titles: str) -> str | None:
    return next((row.cells[title] for title in titles if row.cells.get(title)), None)


def _latency_ms(row: Row) -> float:
    """The latency of a request; where it is given, it is the sum of its parts."""
    parts = row.number("ttft") + row.number("tpot") * (row.number("osl") - 1)
    encoder = row.cells.get("encoder_latency") or "0"
    if encoder not in ("0", "0.0"):
        parts += row.number("encoder_latency")
    if not row.cells.get("request_latency"):
        return parts
    whole = row.number("request_latency")
    if abs(parts - whole) > 0.02 * whole:
        raise row.fault(
            f"{whole:g} ms is not ttft + tpot × (osl − 1) = {parts:.6g} ms: are all three in ms?",
            "request_latency",
        )
    return whole


def _check_rate(row: Row, gpus: int) -> None:
    """The rate is that of the replica, not of a GPU."""
    if row.cells.get("seq/s/gpu"):
        each, all_of_it = row.number("seq/s/gpu"), row.number("seq/s")
        if abs(each * gpus - all_of_it) > 0.02 * all_of_it + 0.001 * gpus + 0.01:
            raise InvalidInput(
                f"{all_of_it:g} is not num_total_gpus × seq/s/gpu = {gpus} × {each:g}: "
                "seq/s must be that of the whole replica",
                f"line {row.line}, seq/s",
                row.file,
            )


READER = Reader(
    "AIConfigurator: best_config_topn.csv or pareto.csv, agg and disagg (modelled)",
    (
        ("isl, osl", "tokens", "input and output tokens"),
        ("seq/s", "requests per second of one replica", "requests_per_s"),
        ("request_latency, else ttft + tpot × (osl − 1)", "ms", "latency_s"),
        ("ttft, tpot", "ms", "ttft_s, tpot_s"),
        ("concurrency", "requests in flight", "checked by Little's law"),
        ("num_total_gpus", "GPUs of one replica", "gpus"),
    ),
    _read,
)

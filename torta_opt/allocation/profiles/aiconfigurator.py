"""AIConfigurator (github.com/ai-dynamo/aiconfigurator): best_config_topn.csv and pareto.csv.

One row is one replica of ``num_total_gpus`` GPUs, whether prefill and decode share them (agg, 43
columns) or not (disagg, columns with (p), (d) and (e)). Times are milliseconds and hold no
queueing. ``seq/s`` is of the replica, ``seq/s/gpu`` of one of its GPUs. Figures are MODELLED.
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

NEEDED = ("model", "isl", "osl", "concurrency", "ttft", "tpot", "request_latency", "seq/s")


def _read(files: Sequence[Path], settings: Settings, collector: Collector) -> None:
    for file in json_files(files, "*.csv"):
        table = read_table(file)
        owner = "(d)" if "(d)system" in table.titles else ""
        table.require(*NEEDED, "num_total_gpus", f"{owner}system", f"{owner}backend")
        for row in table:
            collector.attempt(functools.partial(_add, collector, table, row, settings))
    collector.note("times hold no queueing, as the model that made them says")
    if any("pareto" in path.name for path in json_files(files, "*.csv")):
        collector.note("pareto.csv has rows that miss the targets it was made for")


def _add(collector: Collector, table: Table, row: Row, settings: Settings) -> None:
    disagg = "(d)system" in table.titles
    system = row.text("(d)system" if disagg else "system")
    backend = row.text("(d)backend" if disagg else "backend")
    gpus = row.whole("num_total_gpus")
    if settings.gpus is not None and settings.gpus != gpus:
        collector.note(f"rows of replicas of other than {settings.gpus} GPUs are left out")
        return
    _check_row(row, gpus)
    mode = "disagg" if disagg else "agg"
    collector.add(
        settings.model or row.text("model"),
        settings.gpu or system.removesuffix("_sxm").removesuffix("_pcie").upper(),
        gpus,
        settings.basis or "modelled",
        settings.engine or f"{backend} {mode}",
        point(
            Entry(row.file, f"line {row.line}", {}),
            input_tokens=row.number("isl"),
            output_tokens=row.number("osl"),
            requests_per_s=row.number("seq/s"),
            latency_s=row.number("request_latency") / 1000,
            ttft_s=row.number("ttft") / 1000,
            tpot_s=row.number("tpot") / 1000,
            concurrency=row.number("concurrency"),
        ),
    )


def _check_row(row: Row, gpus: int) -> None:
    """The latency is made of its parts, and the rate is that of the replica, not of a GPU."""
    parts = row.number("ttft") + row.number("tpot") * (row.number("osl") - 1)
    whole = row.number("request_latency")
    encoder = row.cells.get("encoder_latency") or "0"
    if encoder not in ("0", "0.0"):
        parts += row.number("encoder_latency")
    if abs(parts - whole) > 0.02 * whole:
        raise row.fault(
            f"{whole:g} ms is not ttft + tpot × (osl − 1) = {parts:.6g} ms: are all three in ms?",
            "request_latency",
        )
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
        ("request_latency", "ms", "latency_s"),
        ("ttft, tpot", "ms", "ttft_s, tpot_s"),
        ("concurrency", "requests in flight", "checked by Little's law"),
        ("num_total_gpus", "GPUs of one replica", "gpus"),
    ),
    _read,
)

"""Traces by kind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torta_opt.allocation.instance.imports import horizon, servegen_requests
from torta_opt.allocation.instance.imports.azure import read_azure
from torta_opt.allocation.instance.imports.burstgpt import read_burstgpt
from torta_opt.allocation.instance.imports.horizon import Part
from torta_opt.allocation.instance.imports.kinds import check_file, check_span, check_windows
from torta_opt.allocation.instance.imports.mooncake import SeenBlocks, read_mooncake
from torta_opt.allocation.instance.imports.parameters import ImportParameters
from torta_opt.allocation.instance.imports.rows import Progress, Tally
from torta_opt.allocation.instance.imports.servegen import read_servegen
from torta_opt.allocation.instance.imports.spool import Spool
from torta_opt.io import InvalidInput

TRACE_KINDS = ("azure", "burstgpt", "mooncake", "servegen")


@dataclass(frozen=True, eq=False)
class Trace:
    """A trace that has been read.

    spool           its requests, gone once the trace is closed
    part            the slots that are taken from it
    has_clock       times are milliseconds since 1970 UTC
    hot_permille    repeated prompt blocks in thousandths, where the trace tells
    first_ms, requests, out_of_order, has_clients    as in ``Spool``
    """

    spool: Spool
    tally: Tally
    part: Part
    has_clock: bool
    hot_permille: int | None
    first_ms: int
    requests: int
    out_of_order: int
    has_clients: bool

    @property
    def models(self) -> list[str]:
        return list(self.tally.models)


def check_kind(kind: str) -> None:
    if kind not in TRACE_KINDS:
        known = ", ".join(TRACE_KINDS)
        raise InvalidInput(
            f"{kind!r:.60} is not known; known: {known}; and tables, a folder of CSV files",
            field="kind",
        )


@contextmanager
def open_trace(
    kind: str,
    path: str | os.PathLike[str],
    parameters: ImportParameters,
    seed: int,
    progress: Progress | None = None,
) -> Iterator[Trace]:
    """Read a trace of any size and choose the part of it; its requests last while it is open."""
    check_kind(kind)
    if parameters.unit is not None and kind in ("azure", "servegen"):
        raise InvalidInput(
            f"is for burstgpt and mooncake only: the unit of the times of {kind} is known", "unit"
        )
    with Spool() as spool:
        if kind == "servegen":
            yield _drawn(path, parameters, seed, progress, spool)
        else:
            yield _read(kind, path, parameters, progress, spool)


def _read(
    kind: str,
    path: str | os.PathLike[str],
    parameters: ImportParameters,
    progress: Progress | None,
    spool: Spool,
) -> Trace:
    tally, seen, unit = Tally(), SeenBlocks(), parameters.unit
    check_file(kind, Path(path))
    if kind == "azure":
        batches = read_azure(path, tally, progress)
    elif kind == "burstgpt":
        batches = read_burstgpt(path, tally, progress, parameters.keep_failed, unit)
    else:
        batches = read_mooncake(path, tally, progress, seen, unit)
    for batch in batches:
        spool.append(batch)
    tally.check(parameters.max_bad_share, os.fspath(path))
    if unit is None:
        with _naming(path):
            check_span(kind, spool.requests, spool.last_ms - spool.first_ms, tally.fractions)
    part = horizon.choose_part(spool, parameters.slot_ms, parameters.start_s, parameters.slots)
    return Trace(
        spool=spool,
        tally=tally,
        part=part,
        has_clock=kind == "azure",
        hot_permille=seen.repeat_permille,
        first_ms=spool.first_ms,
        requests=spool.requests,
        out_of_order=spool.out_of_order,
        has_clients=spool.has_clients,
    )


@contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Complaints name the trace."""
    try:
        yield
    except InvalidInput as error:
        raise error.within(os.fspath(path)) from None


def _drawn(
    path: str | os.PathLike[str],
    parameters: ImportParameters,
    seed: int,
    progress: Progress | None,
    spool: Spool,
) -> Trace:
    tally = Tally()
    workload = read_servegen(path, tally, parameters.max_bad_share)
    with _naming(path):
        check_windows(workload.window_s)
    part = servegen_requests.choose_part(
        workload, parameters.slot_ms, parameters.start_s, parameters.slots
    )
    for batch in servegen_requests.draw_requests(workload, part, seed, tally, progress):
        spool.append(batch)
    if spool.requests == 0:
        raise InvalidInput("has no request in the chosen part", file=os.fspath(path))
    return Trace(
        spool=spool,
        tally=tally,
        part=part,
        has_clock=False,
        hot_permille=None,
        first_ms=servegen_requests.first_ms(workload),
        requests=spool.requests,
        out_of_order=0,
        has_clients=True,
    )

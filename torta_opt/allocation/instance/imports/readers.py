"""Traces by kind: ours, and those of other packages.

Another package adds a kind by an entry point of the group ``torta_opt.importers``: its name is the
kind's, its value an ``Importer`` (importer.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np

from torta_opt import plugins
from torta_opt.allocation.instance.imports import horizon
from torta_opt.allocation.instance.imports.horizon import Part
from torta_opt.allocation.instance.imports.importer import Importer, Reading
from torta_opt.allocation.instance.imports.kinds import check_file, check_span
from torta_opt.allocation.instance.imports.parameters import ImportParameters
from torta_opt.allocation.instance.imports.rows import MAX_TOKENS, Batch, Progress, Tally
from torta_opt.allocation.instance.imports.spool import Spool
from torta_opt.io import InvalidInput

IMPORTERS = {  # kind → the module here that holds its IMPORTER
    "azure": "azure",
    "burstgpt": "burstgpt",
    "mooncake": "mooncake",
    "servegen": "servegen_requests",
    "qwen": "qwen",
    "blis": "blis",
}
TRACE_KINDS = tuple(IMPORTERS)
TABLES = "tables"  # a folder of CSV tables, which is no trace
LATEST_MS = 10**14


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

    @property
    def origins(self) -> list[str]:
        return list(self.tally.origins)


def importer(kind: str) -> Importer:
    """The importer of a kind. Raises InvalidInput if there is none."""
    if kind in IMPORTERS:
        return import_module(f"{__package__}.{IMPORTERS[kind]}").IMPORTER
    theirs = _theirs()
    if kind in theirs:
        return plugins.load(theirs[kind], Importer)
    known = ", ".join([*IMPORTERS, *theirs])
    raise InvalidInput(
        f"{kind!r:.60} is not known; known: {known}; and tables, a folder of CSV files",
        field="kind",
    )


def summaries() -> dict[str, str]:
    """One line on each kind of trace; those of other packages are not loaded."""
    ours = {kind: importer(kind).summary for kind in IMPORTERS}
    return {**ours, **{kind: f"from {plugins.origin(each)}" for kind, each in _theirs().items()}}


def _theirs() -> dict[str, EntryPoint]:
    return plugins.entries(plugins.IMPORTERS, (*IMPORTERS, TABLES))


@contextmanager
def open_trace(
    kind: str,
    path: str | os.PathLike[str],
    parameters: ImportParameters,
    seed: int,
    progress: Progress | None = None,
) -> Iterator[Trace]:
    """Read a trace of any size and choose the part of it; its requests last while it is open."""
    chosen = importer(kind)
    if parameters.unit is not None and not chosen.has_unit:
        known = ", ".join(name for name in IMPORTERS if importer(name).has_unit)
        raise InvalidInput(f"is for {known} only: the unit of the times of {kind} is known", "unit")
    if parameters.origin is not None and not chosen.has_origin:
        known = ", ".join(name for name in IMPORTERS if importer(name).has_origin)
        raise InvalidInput(
            f"is for {known} only: a {kind} trace has no column with the region of a request",
            "origin",
        )
    if not chosen.in_folder:
        check_file(kind, Path(path))
    with Spool() as spool:
        yield _read(kind, chosen, path, Reading(parameters, seed, progress), spool)


def _read(
    kind: str, chosen: Importer, path: str | os.PathLike[str], reading: Reading, spool: Spool
) -> Trace:
    tally = reading.tally
    with _blamed(kind):
        for batch in chosen.read(path, reading):
            spool.append(batch if kind in IMPORTERS else _checked(batch, tally))
        if not isinstance(reading.part, Part | None):
            raise TypeError(f"part must be a Part, is {type(reading.part).__name__}")
    part = reading.part
    if part is None:
        part = _part_of(kind, path, reading, spool)
    elif spool.requests == 0:
        raise InvalidInput("asks for no request in this part", file=os.fspath(path))
    return Trace(
        spool=spool,
        tally=tally,
        part=part,
        has_clock=chosen.has_clock,
        hot_permille=reading.hot_permille,
        first_ms=spool.first_ms if reading.first_ms is None else reading.first_ms,
        requests=spool.requests,
        out_of_order=spool.out_of_order if reading.part is None else 0,
        has_clients=spool.has_clients,
    )


def _part_of(kind: str, path: str | os.PathLike[str], reading: Reading, spool: Spool) -> Part:
    """The part that is taken from the requests read, once their account is in order."""
    parameters, tally = reading.parameters, reading.tally
    if kind not in IMPORTERS:  # an importer that counts nothing but what it refuses
        tally.rows = max(tally.rows, spool.requests + tally.bad + tally.failed)
    tally.check(parameters.max_bad_share, os.fspath(path))
    if parameters.unit is None:
        try:
            check_span(kind, spool.requests, spool.last_ms - spool.first_ms, tally.fractions)
        except InvalidInput as error:
            raise error.within(os.fspath(path)) from None
    return horizon.choose_part(spool, parameters.slot_ms, parameters.start_s, parameters.slots)


def _blamed(kind: str) -> AbstractContextManager[None]:
    """Code of another package is named where it fails; what it refuses passes in its own words."""
    if kind in IMPORTERS:
        return nullcontext()
    return plugins.blamed_on(kind, "reading a trace", passing=plugins.ANY_OF_OURS)


def _checked(batch: Batch, tally: Tally) -> Batch:
    """A batch of another package, once its arrays are found to be what ``Batch`` says."""
    if not isinstance(batch, Batch):
        raise TypeError(f"must give batches of requests, gave {type(batch).__name__}")
    _check_whole("arrival_ms", batch.arrival_ms, batch.arrival_ms, LATEST_MS)
    _check_whole("input_tokens", batch.input_tokens, batch.arrival_ms, MAX_TOKENS)
    _check_whole("output_tokens", batch.output_tokens, batch.arrival_ms, MAX_TOKENS)
    if batch.model is not None:
        _check_whole("model", batch.model, batch.arrival_ms, len(tally.models) - 1)
    if batch.origin is not None:
        _check_whole("origin", batch.origin, batch.arrival_ms, len(tally.origins) - 1)
    if batch.client is not None:
        _check_whole("client", batch.client, batch.arrival_ms, 2**64 - 1)
    return batch


def _check_whole(name: str, values: np.ndarray, like: np.ndarray, most: int) -> None:
    values = np.asarray(values)
    if values.ndim != 1 or values.shape != np.shape(like):
        raise ValueError(f"{name} must be an array with one number for each request")
    if values.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold integers, holds {values.dtype}")
    if values.size and (int(values.min()) < 0 or int(values.max()) > most):
        raise ValueError(f"{name} must lie in [0, {most}]")

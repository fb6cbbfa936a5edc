"""Requests kept aside while a trace of any size is read: in memory first, then in a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np

from torta_opt.allocation.instance.imports.rows import Batch
from torta_opt.io import InvalidInput

MEMORY_BYTES = 64 << 20
CHUNK = 1 << 18  # requests handled at once
NO_MODEL = NO_ORIGIN = -1

_RECORD = np.dtype(
    [
        *(("ms", "<i8"), ("input", "<i4"), ("output", "<i4")),
        *(("model", "<i4"), ("client", "<u8"), ("origin", "<i4")),
    ]
)


class Spool:
    """Requests in the order in which they came; may be gone through again and again.

    requests             how many there are
    first_ms, last_ms    the earliest and the latest arrival
    out_of_order         requests that came after one that arrived later
    has_models, has_clients, has_origins    whether every request says its model, client, origin
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115
        self.requests = self.out_of_order = self.first_ms = self.last_ms = 0
        self.has_models = self.has_clients = self.has_origins = True

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, batch: Batch) -> None:
        """Keep the requests of ``batch``."""
        count = batch.arrival_ms.size
        if count == 0:
            return
        self._follow(batch.arrival_ms)
        self.has_models &= batch.model is not None
        self.has_clients &= batch.client is not None
        self.has_origins &= batch.origin is not None
        records = np.empty(count, _RECORD)
        records["ms"] = batch.arrival_ms
        records["input"], records["output"] = batch.input_tokens, batch.output_tokens
        records["model"] = NO_MODEL if batch.model is None else batch.model
        records["client"] = 0 if batch.client is None else batch.client
        records["origin"] = NO_ORIGIN if batch.origin is None else batch.origin
        try:
            self._file.write(records.tobytes())
        except OSError as error:
            folder = tempfile.gettempdir()
            raise InvalidInput(f"cannot be written: {error.strerror}", file=folder) from None
        self.requests += count

    def _follow(self, ms: np.ndarray) -> None:
        latest = np.maximum.accumulate(ms)
        if self.requests:
            latest = np.maximum(latest, self.last_ms)
            self.first_ms, self.last_ms = min(self.first_ms, int(ms.min())), int(latest[-1])
        else:
            self.first_ms, self.last_ms = int(ms.min()), int(latest[-1])
        self.out_of_order += int((ms < latest).sum())

    def batches(self, start_ms: int | None = None, end_ms: int | None = None) -> Iterator[Batch]:
        """The requests that arrive in [start_ms, end_ms), a quarter of a million at a time."""
        self._file.seek(0)
        while content := self._file.read(CHUNK * _RECORD.itemsize):
            batch = self._batch(np.frombuffer(content, _RECORD))
            if start_ms is None or end_ms is None:
                yield batch
                continue
            inside = (batch.arrival_ms >= start_ms) & (batch.arrival_ms < end_ms)
            if inside.any():
                yield batch if inside.all() else batch.where(inside)
        self._file.seek(0, 2)

    def _batch(self, records: np.ndarray) -> Batch:
        return Batch(
            arrival_ms=records["ms"],
            input_tokens=records["input"].astype(np.int64),
            output_tokens=records["output"].astype(np.int64),
            model=records["model"].astype(np.int64) if self.has_models else None,
            client=records["client"] if self.has_clients else None,
            origin=records["origin"].astype(np.int64) if self.has_origins else None,
        )

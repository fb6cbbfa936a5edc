"""BurstGPT traces (github.com/HPMLL/BurstGPT, arXiv 2401.17644, CC BY 4.0).

One request a row: Timestamp (seconds from 0:00 on the first day), Model (ChatGPT or GPT-4),
Request tokens, Response tokens, Total tokens, Log Type; from BurstGPT_3 on also Session ID and
Elapsed time. By its authors, a request with 0 response tokens failed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from torta_opt.allocation.instance.imports.csv_rows import Column, read_csv_columns
from torta_opt.allocation.instance.imports.importer import Importer, Reading
from torta_opt.allocation.instance.imports.kinds import UNITS_MS
from torta_opt.allocation.instance.imports.origins import positions, with_origin
from torta_opt.allocation.instance.imports.rows import Batch, Progress, Tally

COLUMNS = {
    "time": Column("Timestamp", "number"),
    "model": Column("Model", "text"),
    "input": Column("Request tokens", "tokens"),
    "output": Column("Response tokens", "tokens"),
    "session": Column("Session ID", "text", is_optional=True),
}


def read_burstgpt(
    path: str | os.PathLike[str],
    tally: Tally,
    progress: Progress | None = None,
    keep_failed: bool = False,
    unit: str | None = None,
    origin: str | None = None,
) -> Iterator[Batch]:
    """Requests of a BurstGPT trace, in the order of the file.

    Failed requests are counted and left out unless ``keep_failed``. ``unit`` is that of the times,
    seconds if it is None.
    """
    factor = UNITS_MS[unit or "s"]
    columns = with_origin(COLUMNS, origin)
    for rows in read_csv_columns(path, columns, tally, progress, kind="burstgpt", unit=unit):
        batch = Batch(
            arrival_ms=np.floor(rows["time"] * factor + 1e-6).astype(np.int64),
            input_tokens=rows["input"],
            output_tokens=rows["output"],
            model=_models(rows["model"], tally),
            client=_hashes(rows["session"]) if "session" in rows else None,
            origin=positions(rows, tally),
        )
        answered = batch.output_tokens > 0
        if not keep_failed:
            tally.failed += int((~answered).sum())
            batch = batch.where(answered)
        yield batch


def _models(names: np.ndarray, tally: Tally) -> np.ndarray:
    import pandas as pd

    codes, known = pd.factorize(np.asarray(names, dtype=object))
    positions = np.array(
        [tally.model(str(name).strip() or "unnamed") for name in known], dtype=np.int64
    )
    return positions[codes] if len(known) else codes.astype(np.int64)


def _hashes(sessions: np.ndarray) -> np.ndarray:
    """(n,) uint64, the same for equal names in every file and on every machine."""
    import pandas as pd

    return pd.util.hash_array(np.asarray(sessions, dtype=object))


def _read(path: str | os.PathLike[str], reading: Reading) -> Iterator[Batch]:
    keep, unit = reading.parameters.keep_failed, reading.parameters.unit
    origin = reading.parameters.origin
    return read_burstgpt(path, reading.tally, reading.progress, keep, unit, origin)


IMPORTER = Importer("BurstGPT trace: CSV, a request a row", _read, has_unit=True, has_origin=True)

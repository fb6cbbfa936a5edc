"""BLIS TraceV2 (github.com/inference-sim/inference-sim): its CSV, one request a row.

``arrival_time_us`` is microseconds; input_tokens and output_tokens are counts. ``model``, where it
is filled in, names the model, ``client_id`` the client. Rows whose ``status`` is neither empty nor
"ok" are the trace's own failures. The YAML header beside the CSV is not needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from torta_opt.allocation.instance.imports.csv_rows import Column, read_csv_columns
from torta_opt.allocation.instance.imports.importer import Importer, Reading
from torta_opt.allocation.instance.imports.kinds import UNITS_MS
from torta_opt.allocation.instance.imports.origins import positions, with_origin
from torta_opt.allocation.instance.imports.rows import Batch

COLUMNS = {
    "time": Column("arrival_time_us", "number"),
    "input": Column("input_tokens", "tokens"),
    "output": Column("output_tokens", "tokens"),
    "model": Column("model", "text", is_optional=True),
    "client": Column("client_id", "text", is_optional=True),
    "status": Column("status", "text", is_optional=True),
}


def _read(path: str | os.PathLike[str], reading: Reading) -> Iterator[Batch]:
    import pandas as pd

    tally, unit = reading.tally, reading.parameters.unit
    factor = UNITS_MS[unit or "us"]
    columns = with_origin(COLUMNS, reading.parameters.origin)
    for rows in read_csv_columns(path, columns, tally, reading.progress, kind="blis", unit=unit):
        batch = Batch(
            arrival_ms=np.floor(rows["time"] * factor + 1e-6).astype(np.int64),
            input_tokens=rows["input"],
            output_tokens=rows["output"],
            model=_models(rows["model"], reading) if "model" in rows else None,
            client=(
                pd.util.hash_array(np.asarray(rows["client"], dtype=object))
                if "client" in rows
                else None
            ),
            origin=positions(rows, tally),
        )
        if "status" in rows and not reading.parameters.keep_failed:
            good = np.isin(np.char.lower(np.char.strip(rows["status"].astype(str))), ("", "ok"))
            tally.failed += int((~good).sum())
            batch = batch.where(good)
        yield batch


def _models(names: np.ndarray, reading: Reading) -> np.ndarray:
    """Positions of the models named; an empty cell is a model called ``unnamed``."""
    import pandas as pd

    codes, known = pd.factorize(np.asarray(names, dtype=object))
    told = [str(name).strip() for name in known]
    places = [reading.tally.model("unnamed" if name in ("", "nan") else name) for name in told]
    return np.array(places, dtype=np.int64)[codes] if len(known) else codes.astype(np.int64)


IMPORTER = Importer(
    "BLIS TraceV2: CSV, times in microseconds", _read, has_unit=True, has_origin=True
)

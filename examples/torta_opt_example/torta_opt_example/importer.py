"""An importer: a CSV log with the columns second, prompt_tokens and answer_tokens."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from torta_opt.allocation.instance.imports import Batch, Importer, Reading
from torta_opt.allocation.instance.imports.csv_rows import Column, read_csv_columns

COLUMNS = {
    "second": Column("second", "number"),
    "input": Column("prompt_tokens", "tokens"),
    "output": Column("answer_tokens", "tokens"),
}


def read(path: str | os.PathLike[str], reading: Reading) -> Iterator[Batch]:
    """Requests in the order of the file; ``read_csv_columns`` counts rows and refuses bad ones."""
    for rows in read_csv_columns(path, COLUMNS, reading.tally, reading.progress):
        milliseconds = np.floor(rows["second"] * 1000).astype(np.int64)
        yield Batch(milliseconds, rows["input"], rows["output"])


REQUEST_LOG = Importer("log of requests: second, prompt_tokens, answer_tokens", read)

"""Azure LLM inference traces, 2023 to 2025 (github.com/Azure/AzurePublicDataset, CC BY 4.0).

One request a row: TIMESTAMP (date and time, UTC unless an offset follows; any number of decimals),
ContextTokens, GeneratedTokens. No model, no client, no place. NumImages of the multimodal trace
(2025) tells requests with images from those without: they are the models ``images`` and ``text``,
which ``model_map`` (or a site's ``models``) may give to different models. That images are work of
their own is left out, and the account of the import says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from torta_opt.allocation.instance.imports.csv_rows import Column, read_csv_columns
from torta_opt.allocation.instance.imports.importer import Importer, Reading
from torta_opt.allocation.instance.imports.origins import positions, with_origin
from torta_opt.allocation.instance.imports.rows import Batch, Progress, Tally

COLUMNS = {
    "time": Column("TIMESTAMP", "datetime"),
    "input": Column("ContextTokens", "tokens"),
    "output": Column("GeneratedTokens", "tokens"),
    "images": Column("NumImages", "tokens", is_optional=True),
}
NOTE = (
    "NumImages tells the models images and text apart (model_map); "
    "images add nothing to the work of a request"
)


def read_azure(
    path: str | os.PathLike[str],
    tally: Tally,
    progress: Progress | None = None,
    origin: str | None = None,
) -> Iterator[Batch]:
    """Requests of an Azure trace, in the order of the file; times are milliseconds since 1970."""
    columns = with_origin(COLUMNS, origin)
    for rows in read_csv_columns(path, columns, tally, progress, kind="azure"):
        model = None
        if "images" in rows:
            if NOTE not in tally.notes:
                tally.notes.append(NOTE)
            text, images = tally.model("text"), tally.model("images")
            model = np.where(rows["images"] > 0, images, text)
        where = positions(rows, tally)
        yield Batch(rows["time"], rows["input"], rows["output"], model, origin=where)


def _read(path: str | os.PathLike[str], reading: Reading) -> Iterator[Batch]:
    return read_azure(path, reading.tally, reading.progress, reading.parameters.origin)


IMPORTER = Importer(
    "Azure LLM inference trace: CSV, a request a row", _read, has_clock=True, has_origin=True
)

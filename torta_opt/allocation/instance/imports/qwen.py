"""Qwen-Bailian traces (github.com/alibaba-edu/qwen-bailian-usagetraces-anon, Apache-2.0).

One JSON object a line, with the fields of a Mooncake trace in other units: timestamp in SECONDS,
input_length, output_length, hash_ids (one per block of 16 prompt tokens); and chat_id,
parent_chat_id, turn, type (text, search, image, file, thinking), which are not used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from torta_opt.allocation.instance.imports.importer import Importer, Reading
from torta_opt.allocation.instance.imports.kinds import check_form
from torta_opt.allocation.instance.imports.mooncake import SeenBlocks, read_mooncake
from torta_opt.allocation.instance.imports.rows import Batch
from torta_opt.allocation.instance.imports.text import open_lines


def _read(path: str | os.PathLike[str], reading: Reading) -> Iterator[Batch]:
    unit = reading.parameters.unit
    with open_lines(path) as lines:
        check_form("qwen", lines.first(), unit)
    seen, origin = SeenBlocks(), reading.parameters.origin
    yield from read_mooncake(path, reading.tally, reading.progress, seen, unit or "s", origin)
    reading.hot_permille = seen.repeat_permille


IMPORTER = Importer(
    "Qwen-Bailian trace: JSON lines, times in seconds", _read, has_unit=True, has_origin=True
)

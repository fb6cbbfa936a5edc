"""What a reader of traces is: an ``Importer``, which gives the requests of a file in batches.

    def read(path, reading):                              requests, in the order of the file
        for times, inputs, outputs in blocks_of(path):
            yield Batch(times, inputs, outputs)           integer arrays; times in milliseconds

    IMPORTER = Importer("one request a line", read)

All that follows is the same for every kind of trace: which part is taken, classes of requests,
regions, fleet, prices. ``readers.IMPORTERS`` names the importers of this package.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from torta_opt.allocation.instance.imports.horizon import Part
from torta_opt.allocation.instance.imports.parameters import ImportParameters
from torta_opt.allocation.instance.imports.rows import Batch, Progress, Tally


@dataclass
class Reading:
    """What an importer is given, and what it says beside the requests.

    parameters    everything the user chose
    seed          of requests that are drawn
    progress      called with what has been read and how much there is; may be None
    tally         account of the rows: bad ones, columns that are not used, names of models and
                  origins
    hot_permille  repeated prompt blocks in thousandths, where the trace tells
    part, first_ms    set by an importer that draws requests, for the part that it draws and the
                  beginning of its trace; None: the part is chosen among the requests read
    """

    parameters: ImportParameters
    seed: int = 0
    progress: Progress | None = None
    tally: Tally = field(default_factory=Tally)
    hot_permille: int | None = None
    part: Part | None = None
    first_ms: int | None = None


@dataclass(frozen=True)
class Importer:
    """A kind of trace.

    summary     one line on it
    read        the requests of a file, in its order. Raises InvalidInput
    has_clock   times are milliseconds since 1970 UTC, not since the trace's own zero
    has_unit    times are numbers, whose unit a user may give: ``read`` heeds ``parameters.unit``
    in_folder   a trace may be a folder
    has_origin  a request may say its origin: ``read`` heeds ``parameters.origin``, the column
    """

    summary: str
    read: Callable[[str | os.PathLike[str], Reading], Iterator[Batch]]
    has_clock: bool = False
    has_unit: bool = False
    in_folder: bool = False
    has_origin: bool = False

"""An instance as pandas data frames, and back: exactly the same instance.

The frames are the tables of ``imports/tables.py`` with the same names and columns, so that a folder
of CSV files, a set of data frames and an instance are three forms of the same thing.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torta_opt.allocation.instance.imports.small_csv import Row, Table
from torta_opt.allocation.instance.imports.tables import OPTIONAL, TITLES, tables_of
from torta_opt.io.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

    from torta_opt.allocation.instance.data import Instance


def to_frame(instance: Instance, table: str) -> pd.DataFrame:
    """One table of an instance; ``TITLES`` has the names. Raises InvalidInput."""
    import pandas as pd

    if table not in TITLES:
        known = ", ".join(TITLES)
        raise InvalidInput(f"{table!r:.40} is not a table; known: {known}", field="table")
    rows = dict(tables_of(instance)).get(table, ())  # an optional one that is not known is empty
    return pd.DataFrame(list(map(tuple, rows)), columns=list(TITLES[table]))


def from_frames(frames: Mapping[str, pd.DataFrame]) -> Instance:
    """The instance that data frames describe. Raises InvalidInput that names frame and row."""
    from torta_opt.allocation.instance.imports.tables_reader import instance_of

    for name in frames:
        if name not in TITLES:
            known = ", ".join(TITLES)
            raise InvalidInput(f"{name!r:.40} is not a table; known: {known}", field="frames")
    missing = [name for name in TITLES if name not in frames and name not in OPTIONAL]
    if missing:
        raise InvalidInput(f"lacks {', '.join(missing)}", field="frames")
    return instance_of(
        {name: _table(name, frames[name]) if name in frames else _empty(name) for name in TITLES}
    )


def _empty(name: str) -> Table:
    return Table(_place(name), list(TITLES[name]), [])


def _place(name: str) -> str:
    return f"frames[{name!r}]"


def _table(name: str, frame: pd.DataFrame) -> Table:
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise InvalidInput(f"is a {type(frame).__name__}, not a DataFrame", field=_place(name))
    titles = [str(title) for title in frame.columns]
    columns = [[_cell(value) for value in frame.iloc[:, at]] for at in range(len(titles))]
    rows = [
        Row(_place(name), line, dict(zip(titles, cells, strict=True)))
        for line, cells in enumerate(zip(*columns, strict=True), start=1)
    ]
    table = Table(_place(name), titles, rows)
    table.require(*TITLES[name])
    return table


def _cell(value: Any) -> str:
    """As a CSV file has it: floats in the shortest form that reads back as the same number."""
    if value is None or value != value:  # NaN and NaT
        return ""
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        return repr(float(value))
    return str(value)

"""Origins that a trace names: the column, or key, that holds the region of each request.

The user names it (``origin``). A cell must hold a region of the instance; a row whose cell is empty
is bad. Without ``origin``, requests are spread over the regions as ``origins`` says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from torta_opt.allocation.instance.imports.csv_rows import Column
from torta_opt.allocation.instance.imports.rows import Tally
from torta_opt.io import InvalidInput

SHOWN = 5  # names that a message holds


def with_origin(columns: Mapping[str, Column], origin: str | None) -> dict[str, Column]:
    """``columns`` and, as ``origin``, the one of that title; it may hold clients or models too."""
    if origin is None:
        return dict(columns)
    title = origin.strip().lower()
    for column in columns.values():
        if column.title.lower() == title and column.kind not in ("text", "name"):
            raise InvalidInput(
                f"the column {column.title} holds times or numbers of a request, not its region",
                field="origin",
            )
    return {**columns, "origin": Column(origin.strip(), "name")}


def positions(rows: Mapping[str, np.ndarray], tally: Tally) -> np.ndarray | None:
    """(n,) position of each request's origin in ``tally.origins``; None if none was asked for."""
    import pandas as pd

    if "origin" not in rows:
        return None
    codes, known = pd.factorize(np.asarray(rows["origin"], dtype=object))
    places = np.array([tally.origin(str(name).strip()) for name in known], dtype=np.int64)
    return places[codes] if len(known) else codes.astype(np.int64)


def regions_of(
    names: Sequence[str],
    column: str,
    regions: Mapping[str, int],
    file: str | os.PathLike[str],
    where: str,
) -> np.ndarray:
    """(origins,) region of each origin. Raises InvalidInput if one is no region.

    ``where`` tells the user where the regions are chosen.
    """
    unknown = [name for name in names if name not in regions]
    if unknown:
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        known = list(regions)
        rest = ", ..." if len(known) > 12 else ""
        raise InvalidInput(
            f"the column {column} has {', '.join(map(repr, unknown[:SHOWN]))}{more}, which "
            f"{'are no regions' if len(unknown) > 1 else 'is no region'} of the instance; its "
            f"regions ({where}): {', '.join(known[:12])}{rest}",
            field="origin",
            file=os.fspath(file),
        )
    return np.array([regions[name] for name in names], dtype=np.int64)

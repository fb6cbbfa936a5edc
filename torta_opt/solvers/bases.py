"""A basis of the simplex method carried over to a program with other columns and rows."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np

Keys = tuple[np.ndarray, np.ndarray]  # (n,) of columns, (m,) of rows: whole numbers, none twice


def carried(basis: Any, old: Keys, new: Keys) -> Any:
    """The ``basis`` of a program with the keys ``old`` for one with the keys ``new``.

    A column or row with a key that is not among the old ones is at its lower bound, or loose.
    HiGHS completes what is left if it is no basis any more.
    """
    found, status = highspy.HighsBasis(), highspy.HighsBasisStatus
    found.valid = found.alien = True
    found.col_status = _moved(old[0], new[0], basis.col_status, status.kLower)
    found.row_status = _moved(old[1], new[1], basis.row_status, status.kBasic)
    return found


def _moved(old: np.ndarray, new: np.ndarray, status: list[Any], otherwise: Any) -> list[Any]:
    if not len(old):
        return [otherwise] * len(new)
    order = np.argsort(old)
    place = order[np.minimum(np.searchsorted(old[order], new), len(old) - 1)]
    from_old = np.where(old[place] == new, place, -1)
    return [status[n] if n >= 0 else otherwise for n in from_old.tolist()]

"""Forecasts several slots ahead, with their spread.

A forecaster is shown the slots one by one and says at any time what it expects of the next ones:
their mean, and paths drawn from what it thinks possible. Quantiles follow from the paths, also of
sums over regions or classes, because a path has all cells of all slots at once.

What a forecaster may know, the least first (``INFORMATION``):

past     the arrivals so far, and nothing of the law
law      the arrivals so far, and the law that demand is drawn from, with surges as they begin
states   the law, and also the hidden states of the slot before (levels of bursts, drift of the mix)
future   what is to come: to compare with; no policy can run on it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from torta_opt.allocation.law.base import MAX_HORIZON, MAX_PATHS, check_whole
from torta_opt.io.errors import InvalidInput
from torta_opt.io.seeds import check_seed

INFORMATION = ("past", "law", "states", "future")
GROUPS = ("cell", "region", "class", "all")


@dataclass(frozen=True, eq=False)
class Forecast:
    """What is expected of the next H slots.

    mean   (H, R, C) requests
    paths  (n, H, R, C) draws, all equally likely
    """

    mean: np.ndarray
    paths: np.ndarray

    def by(self, group: str) -> Forecast:
        """Of sums: by ``region`` (R,), by ``class`` (C,), or ``all`` (1,), in the last axis."""
        return Forecast(summed(self.mean, group), summed(self.paths, group))

    def quantiles(self, levels: Sequence[float]) -> np.ndarray:
        """(len(levels), H, …) the least value of a path that this share of the paths is within."""
        array = np.asarray(levels, float)
        if array.ndim != 1 or not ((array >= 0) & (array <= 1)).all():
            raise InvalidInput("must be numbers in [0, 1]", field="levels")
        return np.quantile(self.paths, array, axis=0, method="inverted_cdf")


class PathForecaster(Protocol):
    """Gets the arrivals (R, C) of slot after slot, and forecasts what follows."""

    information: str

    def see(self, arrivals: np.ndarray) -> None: ...

    def forecast(self, horizon: int, count: int, seed: int) -> Forecast:
        """Of the next ``horizon`` slots with ``count`` paths; the same arrivals and seed give the
        same forecast."""


def summed(cells: np.ndarray, group: str) -> np.ndarray:
    """(…, R, C) → the sums of a group of ``GROUPS`` in the last axis."""
    if group == "cell":
        return cells.reshape(*cells.shape[:-2], -1)
    if group == "region":
        return cells.sum(axis=-1)
    if group == "class":
        return cells.sum(axis=-2)
    if group == "all":
        return cells.sum(axis=(-2, -1))[..., None]
    raise InvalidInput(f"must be one of {', '.join(GROUPS)}, found {group!r:.40}", field="group")


def check_request(horizon: int, count: int, seed: int) -> None:
    """Arguments of ``forecast``. Raises InvalidInput."""
    check_whole("horizon", horizon, 1, MAX_HORIZON)
    check_whole("count", count, 1, MAX_PATHS)
    check_seed(seed)

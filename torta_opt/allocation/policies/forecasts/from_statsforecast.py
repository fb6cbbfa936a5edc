"""Means by statsforecast (Nixtla; Apache-2.0), a package of forecasting methods: exponential
smoothing chosen by information criterion (AutoETS) for the total of each region.

The class shares of a region are those of the last slots. The spread is learned from errors, as by
all forecasters that know the past alone. Models are chosen anew every ``REFIT`` slots, and carried
on between. The package is an extra: ``pip install torta-opt[forecast]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from torta_opt.allocation.policies.forecasts.from_past import PastForecaster
from torta_opt.io.errors import InvalidInput

LEAST = 12  # slots before the first model; the last slot again until then
REFIT, SHARES_OVER = 48, 24


class StatsForecast(PastForecaster):
    """AutoETS by region; see the module. Raises InvalidInput if the package is not installed."""

    def __init__(self) -> None:
        super().__init__()
        self._model = _auto_ets()
        self._seen: list[np.ndarray] = []
        self._fitted: list[Any] = []

    def learn(self, arrivals: np.ndarray) -> None:
        self._seen.append(arrivals)

    def means(self, horizon: int) -> np.ndarray:
        now = len(self._seen)
        if now < LEAST:
            return np.repeat(self._seen[-1][None], horizon, axis=0)
        totals = np.array(self._seen).sum(axis=2)
        if not self._fitted or now % REFIT == 0:
            self._fitted = [self._model().fit(y=column) for column in totals.T]
        ahead = [
            fitted.forward(y=column, h=horizon)["mean"]
            for fitted, column in zip(self._fitted, totals.T, strict=True)
        ]
        lately = np.sum(self._seen[-SHARES_OVER:], axis=0) + 1e-9
        share = lately / lately.sum(axis=1, keepdims=True)
        return np.maximum(np.array(ahead).T, 0.0)[:, :, None] * share


def _auto_ets() -> Any:
    try:
        from statsforecast.models import AutoETS
    except ImportError:
        raise InvalidInput(
            "needs the package statsforecast: pip install torta-opt[forecast]", field="forecaster"
        ) from None
    return lambda: AutoETS(season_length=1)

"""Forecasts from the law of demand: the best that can be had from what they know."""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.law.base import DemandLaw, Path
from torta_opt.allocation.policies.forecasts.base import Forecast, check_request


class FromLaw:
    """Infers what it cannot see from the arrivals; ``told`` announces the surges of a path."""

    information = "law"

    def __init__(self, law: DemandLaw, told: Path | None = None):
        self._law, self._told = law, told
        self._belief = self._hear(law.begin())

    def see(self, arrivals: np.ndarray) -> None:
        self._belief = self._hear(self._law.learn(self._belief, arrivals))

    def forecast(self, horizon: int, count: int, seed: int) -> Forecast:
        check_request(horizon, count, seed)
        mean = self._law.mean_from(self._belief, horizon)
        return Forecast(mean, self._law.paths_from(self._belief, horizon, count, seed))

    def _hear(self, belief: object) -> object:
        return belief if self._told is None else self._law.announced(belief, self._told)


class FromStates:
    """Knows what drove the arrivals of ``path`` up to now: what a bound over paths assumes."""

    information = "states"

    def __init__(self, law: DemandLaw, path: Path):
        self._law, self._path, self._slot = law, path, 0

    def see(self, arrivals: np.ndarray) -> None:
        self._slot += 1

    def forecast(self, horizon: int, count: int, seed: int) -> Forecast:
        check_request(horizon, count, seed)
        belief = self._law.known(self._path, self._slot)
        mean = self._law.mean_from(belief, horizon)
        return Forecast(mean, self._law.paths_from(belief, horizon, count, seed))

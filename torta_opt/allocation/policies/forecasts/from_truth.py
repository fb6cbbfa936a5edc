"""Forecasts from the true arrivals: what a study compares with, not what a policy could have."""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.policies.forecasts.base import Forecast, check_request
from torta_opt.io import InvalidInput


class Perfect:
    """The truth, without spread; no requests after the last slot of ``future`` (T, R, C)."""

    information = "future"

    def __init__(self, future: np.ndarray):
        self._future, self._slot = future, 0

    def see(self, arrivals: np.ndarray) -> None:
        self._slot += 1

    def forecast(self, horizon: int, count: int, seed: int) -> Forecast:
        check_request(horizon, count, seed)
        ahead = self._ahead(horizon)
        return Forecast(ahead, np.broadcast_to(ahead, (count, *ahead.shape)))

    def _ahead(self, horizon: int) -> np.ndarray:
        ahead = np.zeros((horizon, *self._future.shape[1:]))
        known = self._future[self._slot : self._slot + horizon]
        ahead[: len(known)] = known
        return ahead


class Corrupted(Perfect):
    """The truth with errors in every path and in the mean, such that the prediction accuracy
    exp(−mean |F − D| / D), Eq. (12) of arXiv 2507.10259, of each is ``accuracy``.

    F = D·(1 ± s) with s = −log accuracy and signs by chance for each slot and region; D·(1 + s)
    where s > 1.
    """

    def __init__(self, future: np.ndarray, accuracy: float):
        super().__init__(future)
        number = isinstance(accuracy, int | float) and not isinstance(accuracy, bool)
        if not (number and 0 < accuracy <= 1):
            raise InvalidInput(f"must lie in (0, 1], found {accuracy!r}", field="accuracy")
        self._share = float(-np.log(accuracy))

    def forecast(self, horizon: int, count: int, seed: int) -> Forecast:
        check_request(horizon, count, seed)
        ahead = self._ahead(horizon)
        rng = np.random.default_rng([seed, self._slot])
        signs = rng.choice([-1.0, 1.0], (count + 1, *ahead.shape[:2]))
        if self._share > 1:
            signs = np.ones(signs.shape)
        wrong = ahead * (1 + self._share * signs)[..., None]
        return Forecast(wrong[0], wrong[1:])

"""Forecasts of the next slot's arrivals, by name; TORTA's own network among them.

    smoothed            F ← F + a·(D − F)
    last                the last slot again
    mean_reverting      back from recent arrivals to their mean, as fast as the past has shown
    seasonal            the slot one season before; the last slot while there is none
    perfect             the truth: what a study compares with, not a policy one could run
    corrupted           the truth times exp(±s), such that the accuracy (12) is ``accuracy``
    mlp                 the paper's network (networks.torta), by origin; classes by smoothed shares
    none                nothing at all: F = 0

Equation (12) of arXiv 2507.10259 is PA = exp(−mean |F − D| / D). With F = D·(1 ± s), the signs by
chance, the mean is s where D > 0, so s = −log PA hits any accuracy in (0, 1]; where s > 1 a minus
would make F negative, and F = D·(1 + s) is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from torta_opt.allocation.policies.forecasting import Smoothing
from torta_opt.allocation.policies.forecasts.from_past import MeanReverting, NextSlot
from torta_opt.allocation.schedule.data import MAX_FORECAST
from torta_opt.io import InvalidInput


class Forecaster(Protocol):
    """Gets the arrivals (R, C) of each slot and forecasts those of the next slot (R, C)."""

    def update(self, arrivals: np.ndarray) -> np.ndarray: ...


class Last:
    """Forecasts the arrivals of the last slot."""

    def update(self, arrivals: np.ndarray) -> np.ndarray:
        return arrivals.astype(float)


class Nothing:
    """Forecasts no requests."""

    def update(self, arrivals: np.ndarray) -> np.ndarray:
        return np.zeros(arrivals.shape)


class Seasonal:
    """Forecasts the arrivals of one ``season`` (slots) before the forecast slot."""

    def __init__(self, season: int):
        if not (isinstance(season, int) and season >= 1):
            raise InvalidInput("must be a whole number of slots, at least 1", field="season")
        self.season = season
        self._seen: list[np.ndarray] = []

    def update(self, arrivals: np.ndarray) -> np.ndarray:
        self._seen.append(arrivals.astype(float))
        back = len(self._seen) - self.season
        return self._seen[back if back >= 0 else -1]


class Perfect:
    """Forecasts the true arrivals, given as ``future`` (T, R, C)."""

    def __init__(self, future: np.ndarray):
        self._future = future
        self._slot = 0

    def update(self, arrivals: np.ndarray) -> np.ndarray:
        self._slot += 1
        last = len(self._future) - 1
        return self._future[self._slot].astype(float) if self._slot <= last else arrivals * 0.0


class Corrupted(Perfect):
    """The true arrivals with errors, such that the prediction accuracy (12) is ``accuracy``."""

    def __init__(self, future: np.ndarray, accuracy: float, rng: np.random.Generator):
        super().__init__(future)
        number = isinstance(accuracy, int | float) and not isinstance(accuracy, bool)
        if not (number and 0 < accuracy <= 1):
            raise InvalidInput(f"must lie in (0, 1], found {accuracy!r}", field="accuracy")
        self._share, self._rng = -np.log(accuracy), rng

    def update(self, arrivals: np.ndarray) -> np.ndarray:
        truth = super().update(arrivals)
        signs = self._rng.choice([-1.0, 1.0], len(truth))
        if self._share > 1:
            signs = np.ones(len(truth))
        return truth * (1 + signs * self._share)[:, None]


class Learned:
    """A network's forecast by origin, split over classes as smoothed arrivals are.

    ``predict`` (R,) of the slot's state; the policy sets it slot by slot through ``see``.
    """

    def __init__(self, predict: Callable[[np.ndarray], np.ndarray], smoothing: float):
        self._predict = predict
        self._smoothing = Smoothing(smoothing)
        self._history: np.ndarray | None = None

    def see(self, history: np.ndarray) -> None:
        """(K, 3, R) utilisation, queue and arrivals of the last K slots."""
        self._history = history

    def update(self, arrivals: np.ndarray) -> np.ndarray:
        smoothed = self._smoothing.update(arrivals)
        if self._history is None:
            return smoothed
        total = smoothed.sum(axis=1, keepdims=True)
        share = np.where(total > 0, smoothed / np.where(total > 0, total, 1.0), 0.0)
        expected = np.maximum(self._predict(self._history), 0.0)
        if not (expected <= MAX_FORECAST).all():  # NaN too
            rule = f"the network expects more than {MAX_FORECAST:g} requests, or no number"
            raise InvalidInput(f"{rule}: its weights cannot be used", field="weights")
        return expected[:, None] * share


@dataclass(frozen=True, eq=False)
class Setting:
    """What forecasters are made from; each takes what it needs.

    future    (T, R, C) true arrivals, for those that are shown them
    """

    smoothing: float
    season: int = 1
    accuracy: float = 1.0
    future: np.ndarray | None = None
    rng: np.random.Generator | None = None

    def shown(self, name: str) -> np.ndarray:
        if self.future is None:
            raise InvalidInput(f"{name} must be given the instance first", field="forecaster")
        return self.future


def _corrupted(given: Setting) -> Forecaster:
    rng = given.rng or np.random.default_rng(0)
    return Corrupted(given.shown("corrupted"), given.accuracy, rng)


FORECASTERS: dict[str, Callable[[Setting], Forecaster]] = {
    "smoothed": lambda given: Smoothing(given.smoothing),
    "last": lambda given: Last(),
    "mean_reverting": lambda given: NextSlot(MeanReverting()),
    "seasonal": lambda given: Seasonal(given.season),
    "perfect": lambda given: Perfect(given.shown("perfect")),
    "corrupted": _corrupted,
    "none": lambda given: Nothing(),
}
SHOWN_THE_FUTURE = ("perfect", "corrupted")
LEARNED = "mlp"  # made by the policy whose network it is
NAMES = (*FORECASTERS, LEARNED)


def forecaster(name: str, smoothing: float, **given: Any) -> Forecaster:
    """The forecaster of that name, all but ``mlp``; ``given`` as in ``Setting``.

    Raises InvalidInput.
    """
    if name not in FORECASTERS:
        raise InvalidInput(
            f"must be one of {', '.join(NAMES)}, found {name!r:.40}", field="forecaster"
        )
    return FORECASTERS[name](Setting(smoothing, **given))

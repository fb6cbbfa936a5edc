"""Forecasts from the past alone: they learn their spread from their own errors.

A forecaster of this kind states a mean for every slot ahead. It remembers what it said 1, 2, 4, 8
and 16 slots ago and learns from each slot how far off that was: variances of factors common to all
cells, to a class, to a region, and of a cell (``law.noise``), for each of these distances. Paths
are Poisson around the mean times log-normal factors of these variances (between the distances by
interpolation in the logarithm of the distance, beyond 16 as at 16), correlated from slot to slot.
Errors fade from memory, so that the spread follows the demand.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.law.fit import grouped
from torta_opt.allocation.law.noise import Noise, Pairs, variances
from torta_opt.allocation.policies.forecasts.base import Forecast, check_request
from torta_opt.allocation.policies.settings import check_number
from torta_opt.io.errors import InvalidInput

DISTANCES = (1, 2, 4, 8, 16)
KEPT = 1 - 1 / 128  # of what was learned, from slot to slot
PRIOR_SLOTS, PRIOR_VARIANCE = 4.0, 0.2**2  # what is believed of errors before any was seen
SLOT_CORRELATION = 0.9  # of the factors of neighbouring slots ahead
SMOOTHINGS = (0.25, 0.5, 1.0)  # a of ``MeanReverting``
FADES, PULL_SLOTS = 0.95, 8.0  # slopes are pulled to FADES ** h, as if so many slots had shown it
LEAST = 0.02  # of the mean: no forecast is below it


class PastForecaster(ABC):
    """Means by a subclass, spread from errors; see the module."""

    information = "past"

    def __init__(self) -> None:
        self._slot = 0
        self._said: deque[np.ndarray] = deque(maxlen=DISTANCES[-1])
        self._errors: dict[int, _Errors] = {}

    @abstractmethod
    def learn(self, arrivals: np.ndarray) -> None:
        """One more slot (R, C)."""

    @abstractmethod
    def means(self, horizon: int) -> np.ndarray:
        """(horizon, R, C); only called once a slot has been seen."""

    def see(self, arrivals: np.ndarray) -> None:
        arrivals = np.asarray(arrivals, float)
        for distance in DISTANCES:
            if distance <= len(self._said):
                said = self._said[-distance][distance - 1]
                errors = self._errors.get(distance) or _Errors.begin(arrivals.shape)
                self._errors[distance] = errors.after(arrivals, said)
        self.learn(arrivals)
        self._slot += 1
        self._said.append(self.means(DISTANCES[-1]))

    def forecast(self, horizon: int, count: int, seed: int) -> Forecast:
        check_request(horizon, count, seed)
        if self._slot == 0:
            raise InvalidInput("needs a slot to have been seen", field="forecast")
        mean = self.means(horizon)
        rng = np.random.default_rng([seed, self._slot, zlib.crc32(b"past")])
        return Forecast(mean, rng.poisson(mean * self._factors(mean.shape, count, rng)))

    def _factors(self, shape: tuple[int, ...], count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, H, R, C) log-normal factors of mean 1."""
        known = [self._errors.get(d) or _Errors.begin(shape[1:]) for d in DISTANCES]
        parts = zip(*(errors.noise().parts() for errors in known), strict=True)
        exponent = np.zeros((count, *shape))
        for variance_by_distance in parts:
            spread = _between(np.log1p(np.array(variance_by_distance)), shape[0])
            normal = _correlated((count, *spread.shape), rng)
            exponent += np.sqrt(spread) * normal - spread / 2
        return np.exp(exponent)


def _between(values: np.ndarray, horizon: int) -> np.ndarray:
    """(H, …) from values at ``DISTANCES`` (5, …)."""
    at = np.log2(np.minimum(np.arange(1, horizon + 1), DISTANCES[-1]))
    lower = np.minimum(at.astype(int), len(DISTANCES) - 2)
    share = (at - lower).reshape(-1, *[1] * (values.ndim - 1))
    return (1 - share) * values[lower] + share * values[lower + 1]


def _correlated(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """(count, H, …) standard normal, AR(1) along the slots."""
    normal = rng.standard_normal(shape)
    for h in range(1, shape[1]):
        fresh = np.sqrt(1 - SLOT_CORRELATION**2) * normal[:, h]
        normal[:, h] = SLOT_CORRELATION * normal[:, h - 1] + fresh
    return normal


@dataclass(frozen=True, eq=False)
class _Errors:
    """Fading sums over slots, each divided by the square of what was expected in all."""

    residual: Pairs
    product: Pairs
    counts: np.ndarray

    @classmethod
    def begin(cls, shape: tuple[int, ...]) -> _Errors:
        """As if a few slots had shown errors of all cells at once."""
        even = np.full((1, *shape), 1 / np.prod(shape))
        product = Pairs.of(even * PRIOR_SLOTS**0.5)
        residual = Pairs.of(even * (PRIOR_SLOTS * PRIOR_VARIANCE) ** 0.5)
        return cls(residual, product, np.zeros(shape))

    def after(self, arrivals: np.ndarray, said: np.ndarray) -> _Errors:
        total = max(float(said.sum()), 1.0)
        residual = Pairs.of(((arrivals - said) / total)[None])
        product = Pairs.of((said / total)[None])
        return _Errors(
            self.residual.added(residual, KEPT),
            self.product.added(product, KEPT),
            KEPT * self.counts + arrivals / total**2,
        )

    def noise(self) -> Noise:
        return variances(self.residual, self.product, self.counts)


# --- means --------------------------------------------------------------------------------------


class LastSlot(PastForecaster):
    """The last slot again."""

    def learn(self, arrivals: np.ndarray) -> None:
        self._last = arrivals

    def means(self, horizon: int) -> np.ndarray:
        return np.repeat(self._last[None], horizon, axis=0)


class Seasonal(PastForecaster):
    """The slot one ``season`` before; the last slot while there is none."""

    def __init__(self, season: int):
        super().__init__()
        if isinstance(season, bool) or not (isinstance(season, int) and season >= 1):
            raise InvalidInput("must be a whole number of slots, at least 1", field="season")
        self._seen: list[np.ndarray] = []
        self._season = season

    def learn(self, arrivals: np.ndarray) -> None:
        self._seen.append(arrivals)

    def means(self, horizon: int) -> np.ndarray:
        now = len(self._seen)
        before = now + np.arange(horizon) % self._season - self._season
        return np.array([self._seen[at] if at >= 0 else self._seen[-1] for at in before])


class MeanReverting(PastForecaster):
    """Goes from what was there lately back to the mean, as fast as the past has shown.

        recent   S_g ← S_g + a·(N_g − S_g)       of all requests, of each class, of each region g
        mean     m ← m + (N − m)/min(t, memory)  of each cell
        ahead    F[t+h,i,c] = m_ic · (1 + β_all,h·u_all + β_class,h·u_c + β_region,h·u_i)

    with u_all = S_all/m_all − 1, and u_g = S_g/m_g − S_all/m_all of classes and regions. The slopes
    β are those of regressions of what came 1, 2, 4, 8, 16 slots later on u, over the past, with
    a slight pull to 0.95ʰ; of several a, the one that explained most is taken. Between these
    distances slopes are interpolated, beyond 16 they fade on.
    """

    def __init__(self, memory: float = 240.0):
        super().__init__()
        check_number("memory", memory, 1, 1e6)
        self._memory = memory
        self._mean: np.ndarray | None = None
        self._deviations: deque[np.ndarray] = deque(maxlen=DISTANCES[-1])
        self._across = np.zeros((len(DISTANCES), len(SMOOTHINGS), 3))
        self._up = np.zeros(self._across.shape)
        self._weight = np.zeros((len(DISTANCES), 1))

    def learn(self, arrivals: np.ndarray) -> None:
        if self._mean is None:
            shape = arrivals.shape
            self._mean = arrivals + 0.0
            self._recent = np.tile(grouped(arrivals), (len(SMOOTHINGS), 1))
            self._kinds = np.repeat(np.arange(3), (1, shape[1], shape[0]))
        else:
            self._learn_slopes(arrivals)
            self._recent += np.array(SMOOTHINGS)[:, None] * (grouped(arrivals) - self._recent)
            step = 1 / min(self._slot + 1, self._memory)
            self._mean = self._mean + step * (arrivals - self._mean)
        self._deviations.append(self._deviation(self._recent))

    def means(self, horizon: int) -> np.ndarray:
        assert self._mean is not None
        classes = self._mean.shape[1]
        ahead = np.maximum(np.arange(1, horizon + 1) - DISTANCES[-1], 0)
        pull = _between(self._expected_deviations(), horizon) * FADES ** ahead[:, None]
        of_class, of_region = pull[:, None, 1 : 1 + classes], pull[:, 1 + classes :, None]
        return self._mean * np.maximum(1 + pull[:, :1, None] + of_class + of_region, LEAST)

    def _deviation(self, groups: np.ndarray) -> np.ndarray:
        """(…, 1 + C + R) u of group sums."""
        assert self._mean is not None
        expected = grouped(self._mean)
        some = expected > 0
        ratio = np.where(some, groups / np.where(some, expected, 1.0), 1.0)
        return np.concatenate([ratio[..., :1] - 1, ratio[..., 1:] - ratio[..., :1]], axis=-1)

    def _learn_slopes(self, arrivals: np.ndarray) -> None:
        assert self._mean is not None
        came, expected = self._deviation(grouped(arrivals)), grouped(self._mean)
        weight = expected / max(float(expected[0]), 1e-12)
        of_kind = np.eye(3)[self._kinds]
        for k, distance in enumerate(DISTANCES):
            if distance > len(self._deviations):
                break
            was = self._deviations[-distance]
            self._across[k] = KEPT * self._across[k] + (weight * was * came) @ of_kind
            self._up[k] = KEPT * self._up[k] + (weight * was**2) @ of_kind
            self._weight[k] = KEPT * self._weight[k] + 1

    def _expected_deviations(self) -> np.ndarray:
        """(5, 1 + C + R) β·u at each distance."""
        prior = PULL_SLOTS * self._up / np.maximum(self._weight, 1)[:, None]
        across = self._across + prior * FADES ** np.array(DISTANCES)[:, None, None]
        up = self._up + prior
        explained = np.where(up > 0, across**2 / np.where(up > 0, up, 1.0), 0.0)
        best = explained.argmax(axis=1)[:, None]
        up, across = (
            np.take_along_axis(up, best, 1)[:, 0],
            np.take_along_axis(across, best, 1)[:, 0],
        )
        fade = FADES ** np.array(DISTANCES, float)[:, None]
        slope = np.where(up > 0, np.clip(across / np.where(up > 0, up, 1.0), 0, 1), fade)
        groups = np.arange(self._kinds.size)
        lately = self._deviations[-1][best[:, 0][:, self._kinds], groups]
        return slope[:, self._kinds] * lately

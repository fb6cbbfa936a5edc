"""Laws of token counts, drawn by their inverse distribution function."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

LEVELS = np.array([0.0, 0.5, 0.9, 0.99, 1.0])
_WIDTHS = np.diff(LEVELS).tolist()
LONGEST_TAIL = 100.0  # the longest request is at most this times the 99th percentile


@dataclass(frozen=True, eq=False)
class TokenLaw:
    """An inverse distribution function through (level, value) points.

    Between levels it is linear in the logarithm of the tokens if ``is_smooth``; otherwise it is the
    step function that takes ``values[i]`` with probability ``levels[i] − levels[i−1]``.
    """

    levels: np.ndarray
    values: np.ndarray
    is_smooth: bool

    def draw(self, uniform: np.ndarray) -> np.ndarray:
        """Whole tokens for numbers drawn uniformly from [0, 1)."""
        if self.is_smooth:
            return np.rint(np.exp(np.interp(uniform, self.levels, np.log(self.values)))).astype(int)
        place = np.searchsorted(self.levels, uniform, side="right")
        return self.values[np.minimum(place, self.values.size - 1)]


def quantile_law(mean: float, p50: float, p90: float, p99: float) -> TokenLaw:
    """Log-linear through the percentiles; the ends are chosen so that the mean comes out.

    First the longest request in [p99, 100·p99], with a bottom that mirrors the way from p50 to p90;
    where that does not do, the bottom in [1, p50]. A mean out of reach of both is missed.
    """
    p50, p90, p99 = (max(value, 1.0) for value in (p50, p90, p99))
    values = [max(1.0, p50 * p50 / p90), p50, p90, p99, p99]
    values[-1] = _solve(values, 4, p99, LONGEST_TAIL * p99, mean)
    values[0] = _solve(values, 0, 1.0, p50, mean)
    return TokenLaw(LEVELS, np.array(values), is_smooth=True)


def histogram_law(tokens: np.ndarray, shares: np.ndarray) -> TokenLaw:
    """The law that takes ``tokens[i]`` with a probability in proportion to ``shares[i]``."""
    if tokens.size == 0 or not (shares >= 0).all() or not 0 < shares.sum() < np.inf:
        raise ValueError("shares must be non-negative and not all 0")
    return TokenLaw(np.cumsum(shares / shares.sum()), tokens.astype(np.int64), is_smooth=False)


def _solve(values: list[float], place: int, low: float, high: float, mean: float) -> float:
    """The value at ``place`` in [low, high] that brings the mean closest, as it grows with it."""
    if math.isclose(_mean(values), mean, rel_tol=1e-9):
        return values[place]
    for _ in range(50):
        middle = (low + high) / 2
        if _mean([*values[:place], middle, *values[place + 1 :]]) < mean:
            low = middle
        else:
            high = middle
    return high


def _mean(values: list[float]) -> float:
    """Mean of the law through ``values``; between levels the logarithm is uniform."""
    total = 0.0
    for width, low, high in zip(_WIDTHS, values, values[1:], strict=False):
        ratio = math.log(high / low)
        total += width * ((high - low) / ratio if ratio > 1e-9 else low)
    return total

"""Laws of token counts, drawn by their inverse distribution function."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

LEVELS = np.array([0.0, 0.5, 0.9, 0.99, 1.0])
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
    """Log-linear through the percentiles; the top 1 % is as long as the mean asks, within bounds.

    The bottom mirrors the way from p50 to p90. The longest request lies in [p99, 100·p99]; where no
    length in there gives the mean, the percentiles are kept and the mean is missed.
    """
    p50, p90, p99 = (max(value, 1.0) for value in (p50, p90, p99))
    values = [max(1.0, p50 * p50 / p90), p50, p90, p99]
    values.append(_longest(mean, values))
    return TokenLaw(LEVELS, np.array(values), is_smooth=True)


def histogram_law(tokens: np.ndarray, shares: np.ndarray) -> TokenLaw:
    """The law that takes ``tokens[i]`` with a probability in proportion to ``shares[i]``."""
    if tokens.size == 0 or not (shares >= 0).all() or not 0 < shares.sum() < np.inf:
        raise ValueError("shares must be non-negative and not all 0")
    return TokenLaw(np.cumsum(shares / shares.sum()), tokens.astype(np.int64), is_smooth=False)


def _longest(mean: float, values: list[float]) -> float:
    """The value at level 1 that gives the mean; bisection, as the mean grows with it."""
    widths = np.diff(LEVELS).tolist()
    segments = zip(widths, values, values[1:], strict=False)
    below = sum(width * _segment_mean(low, high) for width, low, high in segments)
    wanted = (mean - below) / widths[-1]
    low, high = values[-1], LONGEST_TAIL * values[-1]
    for _ in range(50):
        middle = (low + high) / 2
        if _segment_mean(values[-1], middle) < wanted:
            low = middle
        else:
            high = middle
    return high


def _segment_mean(low: float, high: float) -> float:
    """Mean of a quantity whose logarithm is uniform on [log low, log high]."""
    ratio = math.log(high / low)
    return (high - low) / ratio if ratio > 1e-9 else low

"""Arrival times of a client from its rate and the variation of the time between its requests.

Within a window of rate λ and coefficient of variation cv, times between requests are drawn from the
Gamma law of mean 1/λ and that cv (shape k = 1/cv²; cv = 1 is a Poisson stream), the family that
ServeGen fits to most clients. The process is carried over from window to window by changing its
time to ∫λ, and starts stationary: the time to the first request is U·Gamma(k + 1)/k, so that the
expected number of requests is λ times the length from the first moment on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ClientRates:
    """Windows in which a client asks, in order of time.

    start_s, rate_per_s, cv    (n,)
    """

    start_s: np.ndarray
    rate_per_s: np.ndarray
    cv: np.ndarray

    def expected(self, window_s: float, start_s: float, end_s: float) -> float:
        """Expected requests in [start_s, end_s)."""
        inside = np.minimum(self.start_s + window_s, end_s) - np.maximum(self.start_s, start_s)
        return float((self.rate_per_s * np.maximum(inside, 0)).sum())


def renewal_times(
    rates: ClientRates, window_s: float, start_s: float, end_s: float, rng: np.random.Generator
) -> np.ndarray:
    """Times in [start_s, end_s) at which the client asks, in increasing order."""
    pieces: list[np.ndarray] = []
    left = ended_s = -1.0  # what is left of the time to the next request, and where it was left
    inside = (rates.start_s + window_s > start_s) & (rates.start_s < end_s)
    for w in np.flatnonzero(inside):
        begin_s, shape = float(rates.start_s[w]), float(rates.cv[w]) ** -2
        mean = float(rates.rate_per_s[w]) * window_s
        if begin_s != ended_s:
            left = rng.random() * rng.gamma(shape + 1) / shape
        points, left = _points(left, mean, shape, rng)
        ended_s = begin_s + window_s
        pieces.append(begin_s + points * (window_s / mean))
    times = np.concatenate(pieces) if pieces else np.zeros(0)
    return times[(times >= start_s) & (times < end_s)]


def _points(
    first: float, length: float, shape: float, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """(points in [0, length), distance of the next one beyond it) of a unit-rate process."""
    points = [np.array([first])]
    last = first
    while last < length:
        count = int((length - last) + 4 * np.sqrt((length - last) / shape)) + 16
        more = last + np.cumsum(rng.gamma(shape, 1 / shape, count))
        points.append(more)
        last = float(more[-1])
    everything = np.concatenate(points)
    beyond = int(np.searchsorted(everything, length))
    return everything[:beyond], float(everything[beyond]) - length

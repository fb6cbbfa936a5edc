"""What policies expect of the next slot."""

from __future__ import annotations

import numpy as np


class Smoothing:
    """Exponential smoothing of arrivals by origin and class: F ← F + a·(D − F).

    ``smoothing`` a = 1 expects the last slot again.
    """

    def __init__(self, smoothing: float):
        self.smoothing = smoothing
        self.expected: np.ndarray | None = None

    def update(self, arrivals: np.ndarray) -> np.ndarray:
        """Learn one slot's arrivals (R, C); what the next slot should bring."""
        if self.expected is None:
            self.expected = arrivals.astype(float)
        else:
            self.expected = self.expected + self.smoothing * (arrivals - self.expected)
        return self.expected

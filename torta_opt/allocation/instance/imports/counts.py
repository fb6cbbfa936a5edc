"""Exact counts of whole numbers that come in batches."""

from __future__ import annotations

import numpy as np


class Counts:
    """How often each value occurred.

    values, counts    (n,) distinct values in increasing order, and how often each occurred
    """

    def __init__(self) -> None:
        self.values = np.zeros(0, np.int64)
        self.counts = np.zeros(0, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Count some more values."""
        new, number = np.unique(values, return_counts=True)
        merged, place = np.unique(np.concatenate([self.values, new]), return_inverse=True)
        counts = np.concatenate([self.counts, number])
        self.values = merged
        self.counts = np.bincount(place, weights=counts, minlength=merged.size).astype(np.int64)

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def quantile(self, share: float) -> int:
        """The least value that at least ``share`` of all do not exceed."""
        reached = np.cumsum(self.counts) >= share * self.total * (1 - 1e-12)
        return int(self.values[np.argmax(reached)])

"""How good forecasts with a spread are: coverage of their intervals, and CRPS.

PIT       u = (paths below y + V·(paths equal to y + 1)) / (n + 1), V uniform: uniform in [0, 1] if
          y and the paths are draws of one distribution, also where that is discrete
coverage  the share of u within the middle p of [0, 1]: p, if the forecast is calibrated
CRPS      E|X − y| − E|X − X'|/2 over the paths, unbiased in their number; the absolute error of a
          forecast without spread. In requests; the less, the better (Gneiting and Raftery,
          J. Am. Stat. Assoc. 102, 2007)
"""

from __future__ import annotations

import numpy as np


def pit(paths: np.ndarray, outcome: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(…) of ``paths`` (n, …) and ``outcome`` (…)."""
    below, equal = (paths < outcome).sum(axis=0), (paths == outcome).sum(axis=0)
    return (below + rng.random(outcome.shape) * (equal + 1)) / (len(paths) + 1)


def covered(pit: np.ndarray, share: float) -> np.ndarray:
    """Whether the outcome lies in the central interval that should hold ``share`` of them."""
    return np.abs(pit - 0.5) <= share / 2


def crps(paths: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """(…) of ``paths`` (n, …) and ``outcome`` (…)."""
    n = len(paths)
    ordered = np.sort(paths, axis=0).astype(float)
    error = np.abs(ordered - outcome).mean(axis=0)
    if n == 1:
        return error
    rank = (2 * np.arange(1, n + 1) - n - 1).reshape(-1, *[1] * (paths.ndim - 1))
    spread = (rank * ordered).sum(axis=0) * 2 / (n * (n - 1))  # E|X − X'| over pairs
    return error - spread / 2

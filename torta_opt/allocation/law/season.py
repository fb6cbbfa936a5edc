"""The daily season of counts: what repeats every 24 hours.

    log E[N[t,i]] = a_i + Σ_k ( b_k cos 2πk t/day + d_k sin 2πk t/day ),   k = 1, 2, 3

by Poisson regression, from two days of counts on; shorter traces have no season here, and what
moves slowly in them is left to the autoregression. Regions share one season unless seasons of their
own lower the deviance by more than their number of parameters is worth (BIC, with the deviance
divided by its dispersion).
"""

from __future__ import annotations

import numpy as np

DAY_MS = 86_400_000
LEAST_DAYS = 2
HARMONICS = 3
NEWTON_STEPS = 30


def daily_season(counts: np.ndarray, slots: int, slot_ms: int) -> np.ndarray:
    """(slots, R) factors of mean 1 over the slots of ``counts`` (L, R); 1 where there is none."""
    length, regions = counts.shape
    if length * slot_ms < LEAST_DAYS * DAY_MS:
        return np.ones((slots, regions))
    waves = _waves(np.arange(slots), slot_ms)
    common, _ = _regression(counts.sum(axis=1), waves)
    shared = np.repeat(common[:, None], regions, axis=1)
    if regions == 1:
        return shared
    shared_deviance = sum(_deviance(n, n.mean() * common[:length]) for n in counts.T)
    own = [_regression(n, waves) for n in counts.T]
    own_deviance = sum(deviance for _, deviance in own)
    degrees = regions * (length - 2 * HARMONICS - 1)
    dispersion = max(own_deviance / degrees, 1.0)
    penalty = (regions - 1) * 2 * HARMONICS * np.log(length * regions)
    if (shared_deviance - own_deviance) / dispersion > penalty:
        return np.stack([season for season, _ in own], axis=1)
    return shared


def _waves(slot: np.ndarray, slot_ms: int) -> np.ndarray:
    """(slots, 2·HARMONICS)."""
    angle = 2 * np.pi * slot[:, None] * slot_ms / DAY_MS * np.arange(1, HARMONICS + 1)
    return np.hstack([np.cos(angle), np.sin(angle)])


def _regression(counts: np.ndarray, waves: np.ndarray) -> tuple[np.ndarray, float]:
    """((slots,) season, deviance over the counts)."""
    if counts.sum() == 0:
        return np.ones(len(waves)), 0.0
    known = np.hstack([np.ones((len(counts), 1)), waves[: len(counts)]])
    beta = np.zeros(known.shape[1])
    beta[0] = np.log(counts.mean())
    for _ in range(NEWTON_STEPS):
        mean = np.exp(known @ beta)
        step = np.linalg.solve((known.T * mean) @ known, known.T @ (counts - mean))
        beta = beta + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-10:
            break
    season = np.exp(waves @ beta[1:])
    season = season / season[: len(counts)].mean()
    return season, _deviance(counts, np.exp(known @ beta))


def _deviance(counts: np.ndarray, mean: np.ndarray) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(counts > 0, counts * np.log(counts / mean), 0.0)
    return float(2 * (terms - (counts - mean)).sum())

"""Residuals of a fitted law: what it says about the counts that it was fitted to, and misses.

For all requests and for each class, z[t] = (N − λ) / √Var with one-step mean and variance of the
law. Of a law that fits

    mean square z²   is about 1      above: real demand spreads more than the law says
    lag-1 correlation is about 0     within ±2/√T: the autoregression has taken up what repeats
    p                is not small    Ljung–Box over ten lags: the chance to see correlations as
                                     large if there are none
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from torta_opt.allocation.law.fit import Fit

LAGS = 10


def residual_rows(fit: Fit, counts: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """One row for all requests and for each class; ``counts`` (N, R, C)."""
    regions = counts.shape[1]
    means = fit.all_means(counts)
    shared = fit.noise.shared().reshape(regions, len(classes), regions, len(classes))
    rows = {"all": slice(None), **{name: slice(c, c + 1) for c, name in enumerate(classes)}}
    return [
        {
            "of": name,
            **_facts(_standardised(counts[:, :, of], means[:, :, of], shared[:, of, :, of])),
        }
        for name, of in rows.items()
    ]


def _standardised(counts: np.ndarray, means: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """(N,) residuals of the sum over cells, divided by their standard deviation."""
    cells = means.shape[1] * means.shape[2]
    flat, pairs = means.reshape(len(means), cells), shared.reshape(cells, cells)
    variance = flat.sum(axis=1) + ((flat @ pairs) * flat).sum(axis=1)
    off = (counts - means).sum(axis=(1, 2))
    return off / np.sqrt(np.maximum(variance, 1e-300))


def _facts(z: np.ndarray) -> dict[str, float]:
    from scipy.stats import chi2

    centred = z - z.mean()
    power = float((centred**2).sum())
    lags = min(LAGS, len(z) - 1)
    correlation = np.array(
        [(centred[k:] * centred[: len(z) - k]).sum() for k in range(1, lags + 1)]
    )
    correlation = correlation / power if power > 0 else np.zeros(lags)
    count = len(z)
    box = count * (count + 2) * float((correlation**2 / (count - np.arange(1, lags + 1))).sum())
    return {
        "mean_square": float((z**2).mean()),
        "lag1": float(correlation[0]),
        "p": float(chi2.sf(box, lags)),
    }

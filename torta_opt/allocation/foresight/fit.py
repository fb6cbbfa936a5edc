"""Coefficients of a penalty: those that make the clairvoyant pay most, on futures kept for that.

The mean inner value is concave in the coefficients β, being a mean of minima of linear functions:

    φ(β) = (1/N) Σ_n min_v (c_n + F_n·β)·v + k_n        supergradient  (1/N) Σ_n F_nᵀ·v_n

F_nᵀ·v_n is how a clairvoyant's states go with what surprises: that is what he makes of foresight.
φ is maximised by cutting planes, one for each future and round, within a box that halves when a
step gains nothing. Then shares of the coefficients are tried on other futures, so that what fits
noise alone is shrunk. Any coefficients are valid; these are only good ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from torta_opt.solvers import Problem, solve_lp

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the coefficients, tried on the other futures
FIRST_STEP = 0.5  # of the box, in units of ``scale``
BOX = 4.0  # half the width of the box that all coefficients lie in, likewise

# Value and supergradient of one future's inner problem at some coefficients.
Oracle = Callable[[np.ndarray], tuple[float, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Cut:
    """φ_n(β) ≤ value + slope·(β − at)."""

    future: int
    at: np.ndarray
    value: float
    slope: np.ndarray


def maximised(oracles: Sequence[Oracle], scale: np.ndarray, rounds: int) -> np.ndarray:
    """Coefficients near the maximum of the mean of the oracles, from 0 on."""
    best = np.zeros(len(scale))
    cuts, value = _asked(oracles, best)
    step = FIRST_STEP
    for _ in range(rounds):
        trial = _master(cuts, len(oracles), best, step, scale)
        further, found = _asked(oracles, trial)
        cuts += further
        if found > value:
            best, value = trial, found
        else:
            step /= 2
    return best


def shrunk(oracles: Sequence[Oracle], vector: np.ndarray) -> np.ndarray:
    """The share of the coefficients that does best on futures that they were not fitted to."""
    means = [float(np.mean([oracle(share * vector)[0] for oracle in oracles])) for share in SHARES]
    best: np.ndarray = SHARES[int(np.argmax(means))] * vector
    return best


def _asked(oracles: Sequence[Oracle], at: np.ndarray) -> tuple[list[Cut], float]:
    found = [oracle(at) for oracle in oracles]
    cuts = [Cut(n, at, value, slope) for n, (value, slope) in enumerate(found)]
    return cuts, float(np.mean([value for value, _ in found]))


def _master(
    cuts: Sequence[Cut], futures: int, centre: np.ndarray, step: float, scale: np.ndarray
) -> np.ndarray:
    """The coefficients within the step around ``centre`` that the cuts think best of."""
    used = scale > 0
    size = np.count_nonzero(used)
    slope = np.array([cut.slope[used] * scale[used] for cut in cuts])
    right = np.array([cut.value - cut.slope @ cut.at for cut in cuts])
    pick = sparse.csr_array(
        (np.ones(len(cuts)), (np.arange(len(cuts)), [cut.future for cut in cuts])),
        shape=(len(cuts), futures),
    )
    middle = centre[used] / scale[used]
    problem = Problem(
        matrix=sparse.csr_array(sparse.hstack([sparse.csr_array(-slope), pick])),
        row_lower=np.full(len(cuts), -np.inf),
        row_upper=right,
        col_lower=np.concatenate([np.maximum(middle - step, -BOX), np.full(futures, -np.inf)]),
        col_upper=np.concatenate([np.minimum(middle + step, BOX), np.full(futures, np.inf)]),
        cost=np.concatenate([np.zeros(size), np.full(futures, -1.0)]),
    )
    result = solve_lp(problem, "simplex").raise_if_interrupted()
    if result.x is None:
        return centre
    vector = np.zeros(len(scale))
    vector[used] = result.x[:size] * scale[used]
    return vector

"""Gaussian beliefs about stationary AR(1) states, learned from counts by Laplace's method.

State       x ∈ ℝⁿ,   x_{t+1} = ρ·x_t + √(1 − ρ²)·ε,   stationary with variance 1
Likelihood  log-concave in x: Poisson counts with log-linear means, or multinomial shares

Before the first count x ~ N(0, I). A slot's counts move the belief N(m, P) to the mode of the
posterior and the inverse of its Hessian there (Newton's method; the posterior is log-concave, so
the mode is unique). The true posterior is not Gaussian; with tens of counts a slot it is close,
and ``docs/forecasts.md`` shows how well the forecasts are calibrated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Curve = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]
NEWTON_STEPS = 50
SMALL_STEP = 1e-9


@dataclass(frozen=True, eq=False)
class Gaussian:
    """N(mean, covariance)."""

    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def stationary(cls, size: int) -> Gaussian:
        return cls(np.zeros(size), np.eye(size))

    @classmethod
    def certain(cls, mean: np.ndarray) -> Gaussian:
        return cls(mean, np.zeros((mean.size, mean.size)))

    def ahead(self, memory: float, steps: int = 1) -> Gaussian:
        """What is believed of the state ``steps`` slots later."""
        keep = memory**steps
        spread = (1 - keep**2) * np.eye(self.mean.size)
        return Gaussian(keep * self.mean, keep**2 * self.covariance + spread)

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, n)."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return self.mean + rng.standard_normal((count, self.mean.size)) @ root.T

    def given(self, likelihood: Curve) -> Gaussian:
        """The belief after counts; ``likelihood(x)`` gives its logarithm, gradient and Hessian."""
        precision = np.linalg.inv(self.covariance)
        x, (value, gradient, hessian) = self.mean, likelihood(self.mean)
        for _ in range(NEWTON_STEPS):
            slope = gradient - precision @ (x - self.mean)
            step = np.linalg.solve(precision - hessian, slope)
            x, value, gradient, hessian = _forward(self, precision, likelihood, x, value, step)
            if np.abs(step).max() < SMALL_STEP:
                break
        return Gaussian(x, np.linalg.inv(precision - hessian))


def _forward(
    prior: Gaussian,
    precision: np.ndarray,
    likelihood: Curve,
    x: np.ndarray,
    value: float,
    step: np.ndarray,
) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """A Newton step, halved until the posterior does not fall."""

    def prior_loss(at: np.ndarray) -> float:
        off = at - prior.mean
        return float(off @ precision @ off) / 2

    here = value - prior_loss(x)
    for _ in range(30):
        new_value, gradient, hessian = likelihood(x + step)
        if new_value - prior_loss(x + step) >= here - 1e-9 * abs(here):
            break
        step = step / 2
    return x + step, new_value, gradient, hessian


def poisson(counts: np.ndarray, base: np.ndarray, loading: np.ndarray) -> Curve:
    """Counts (k,) that are Poisson with means base · exp(loading @ x); ``loading`` (k, n)."""

    def at(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        exponent = loading @ x
        mean = base * np.exp(np.minimum(exponent, 100.0))
        value = float((counts * exponent - mean).sum())
        return value, loading.T @ (counts - mean), -(loading.T * mean) @ loading

    return at


def multinomial(counts: np.ndarray, tendency: np.ndarray, loading: np.ndarray) -> Curve:
    """Counts (k, C) split in each row by shares ∝ exp(tendency + loading @ x).

    ``tendency`` (k, C) is −∞ where nothing can fall; ``loading`` is (C, n).
    """
    totals = counts.sum(axis=1)

    def at(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        shift = loading @ x
        share, log_sum = softmax(tendency + shift)
        value = float((counts @ shift).sum() - totals @ log_sum)
        gradient = loading.T @ (counts - totals[:, None] * share).sum(axis=0)
        pulled = share @ loading
        weighted = (loading.T * (totals @ share)) @ loading
        return value, gradient, -(weighted - (pulled.T * totals) @ pulled)

    return at


def softmax(exponent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(shares along the last axis, logarithm of the sum that they were divided by)."""
    top = exponent.max(axis=-1, keepdims=True)
    weight = np.exp(exponent - top)
    total = weight.sum(axis=-1, keepdims=True)
    return weight / total, np.log(total[..., 0]) + top[..., 0]

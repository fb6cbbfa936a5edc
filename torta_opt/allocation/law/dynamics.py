"""Memory, gain and weight of a fitted law: those of the greatest Poisson quasi-likelihood.

    maximise  Σ N·log λ − λ      λ = b·Σ_k w_k·S_k      (see ``fit``)

over φ_k = φ_max·σ(a_k), α_k = φ_k·σ(b_k), w = softmax(c), with φ_max = 1 − 8/L: what is slower than
an eighth of the L slots cannot be learned from them. A slight pull of (a, b, c) to 0 keeps
parameters in place that change nothing. Gradients are exact: with s = S − 1, x = X − 1,

    s' = (φ − α)·s + α·x      ∂s'/∂φ = (φ − α)·∂s/∂φ + s      ∂s'/∂α = (φ − α)·∂s/∂α + x − s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.law.groups import KINDS, grouped, mixed, parts, recursion, relative

LONGEST_PART = 8
PULL = 0.01
STARTS = (1.0, 4.0)  # of a: memories of 0.73 and 0.98 times the longest
STEPS = 80

Found = tuple[np.ndarray, np.ndarray, np.ndarray]


def dynamics(counts: np.ndarray, base: np.ndarray) -> Found:
    """(φ, α, w), each by kind of group (4,), from counts (L, R, C) and what is usual of them."""
    from scipy.optimize import minimize

    likelihood = Likelihood.of(counts, base)
    kinds = likelihood.kinds.size
    starts = [np.repeat([memory, -1.0, 0.0], kinds) for memory in STARTS]
    options = {"maxiter": STEPS}
    found = [
        minimize(likelihood.loss, x, jac=True, method="L-BFGS-B", options=options) for x in starts
    ]
    return likelihood.unpacked(min(found, key=lambda each: float(each.fun)).x)


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The loss, and its parameters (a, b, c) of the kinds of groups that exist."""

    counts: np.ndarray
    base: np.ndarray
    observed: np.ndarray
    kinds: np.ndarray

    @classmethod
    def of(cls, counts: np.ndarray, base: np.ndarray) -> Likelihood:
        """One class: no groups of classes; one region: none of regions; cells if there are both."""
        classes, regions = counts.shape[2] > 1, counts.shape[1] > 1
        kinds = np.flatnonzero([True, classes, regions, classes and regions])
        return cls(counts, base, relative(counts, grouped(base)), kinds)

    @property
    def longest(self) -> float:
        return 1 - LONGEST_PART / len(self.counts)

    def unpacked(self, theta: np.ndarray) -> Found:
        memory, gain, weight = np.zeros((3, len(KINDS)))
        a, b, c = theta.reshape(3, -1)
        memory[self.kinds] = self.longest * _sigmoid(a)
        gain[self.kinds] = memory[self.kinds] * _sigmoid(b)
        weight[self.kinds] = np.exp(c - c.max()) / np.exp(c - c.max()).sum()
        return memory, gain, weight

    def loss(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """(loss, gradient)."""
        memory, gain, weight = self.unpacked(theta)
        shape = self.counts.shape[1], self.counts.shape[2]
        states, of_memory, of_gain = (np.zeros(self.observed.shape) for _ in range(3))
        for kind in self.kinds:
            part = parts(shape)[kind]
            x, keep = self.observed[:, part] - 1, memory[kind] - gain[kind]
            s = states[:, part] = recursion(gain[kind] * x, keep)
            of_memory[:, part], of_gain[:, part] = recursion(s, keep), recursion(x - s, keep)
        mean = np.maximum(self.base * mixed(1 + states, weight, shape), 1e-12)
        some = self.base > 0
        value = float(np.where(some, mean - self.counts * np.log(mean), 0.0).sum())
        pushed = grouped(np.where(some, self.base * (1 - self.counts / mean), 0.0))
        by = np.array(
            [
                [float((pushed[:, part] * each[:, part]).sum()) for part in parts(shape)]
                for each in (of_memory, of_gain, 1 + states)
            ]
        )
        slope = self._chained(theta, memory, gain, weight, by)
        return value + PULL * float(theta @ theta), slope + 2 * PULL * theta

    def _chained(
        self,
        theta: np.ndarray,
        memory: np.ndarray,
        gain: np.ndarray,
        weight: np.ndarray,
        by: np.ndarray,
    ) -> np.ndarray:
        """The gradient in (a, b, c) from that in (S by φ, S by α, w)."""
        at = self.kinds
        by_memory, by_gain = weight[at] * by[0, at], weight[at] * by[1, at]
        up, share = memory[at] * (1 - memory[at] / self.longest), _sigmoid(theta.reshape(3, -1)[1])
        by_weight = by[2, at] - float(weight @ by[2])
        return np.concatenate(
            [
                up * (by_memory + share * by_gain),
                gain[at] * (1 - share) * by_gain,
                weight[at] * by_weight,
            ]
        )


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))

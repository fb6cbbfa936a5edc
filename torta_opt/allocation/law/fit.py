"""A law fitted to the counts of an instance: season, autoregression, dispersion.

Groups      g: all requests · each class c · each region i
Observed    X_g = N_g / b_g, the requests of the group over what the season expects
State       S_g ← (1 − φ)·1 + (φ − α)·S_g + α·X_g,   0 ≤ α ≤ φ < 1, one pair for each kind of group
Mean        λ[t,i,c] = b[t,i,c]·(w₁·S_all + w₂·S_c + w₃·S_i),   w ≥ 0, Σ w = 1
Counts      N[t,i,c] ~ Poisson(λ[t,i,c] · Γ_all · Γ_c · Γ_i · Γ_ic)

Each Γ is gamma of mean 1 and is drawn anew in each slot.

The states follow from the counts, so nothing is hidden: who has seen the counts knows the law of
the next ones exactly, and its mean is λ. (A multivariate INGARCH(1,1) process; Ferland, Latour and
Oraichi, J. Time Series Anal. 27(6), 2006, have the univariate one.)

φ, α and w maximise the Poisson quasi-likelihood, which is consistent whatever the Γ are; their
variances follow from what is left (``noise``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from torta_opt.allocation.law.noise import Noise, learned_noise
from torta_opt.allocation.law.season import daily_season
from torta_opt.io.errors import InvalidInput

LEAST_SLOTS = 24
LEAST_REQUESTS = 100
LONGEST_PART = 8  # what is slower than this part of the slots cannot be learned from them
KINDS = ("all", "class", "region")


@dataclass(frozen=True, eq=False)
class Fit:
    """The parameters of the module's docstring.

    base                  (N, R, C) b over the N slots with arrivals
    memory, gain, weight  (3,) φ, α and w of the kinds of groups
    learned               slots that the parameters were fitted to
    """

    base: np.ndarray
    memory: np.ndarray
    gain: np.ndarray
    weight: np.ndarray
    noise: Noise
    learned: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.base.shape[1], self.base.shape[2]

    @cached_property
    def expected(self) -> np.ndarray:
        """(N, 1 + C + R) what the season expects of each group."""
        return grouped(self.base)

    def by_group(self, values: np.ndarray) -> np.ndarray:
        """(1 + C + R,) the parameter of each group from that of its kind."""
        regions, classes = self.shape
        return np.repeat(values, (1, classes, regions))

    def next_states(self, states: np.ndarray, counts: np.ndarray, slot: int) -> np.ndarray:
        """(…, 1 + C + R) after slot ``slot`` brought ``counts`` (…, R, C), or their mean."""
        observed = relative(counts, self.expected[slot])
        memory, gain = self.by_group(self.memory), self.by_group(self.gain)
        return (1 - memory) + (memory - gain) * states + gain * observed

    def means(self, states: np.ndarray, slot: int) -> np.ndarray:
        """(…, R, C) λ of slot ``slot``."""
        return self.base[slot] * mixed(states, self.weight, self.shape)

    def all_means(self, counts: np.ndarray) -> np.ndarray:
        """(L, R, C) one-step means λ of slots 0 to L − 1 given the counts before each."""
        base = self.base[: len(counts)]
        states = filtered(relative(counts, grouped(base)), self.memory, self.gain, self.shape)
        return base * mixed(states, self.weight, self.shape)


def grouped(cells: np.ndarray) -> np.ndarray:
    """(…, R, C) → (…, 1 + C + R) sums over all, classes and regions."""
    by_class, by_region = cells.sum(axis=-2), cells.sum(axis=-1)
    return np.concatenate([by_region.sum(axis=-1, keepdims=True), by_class, by_region], axis=-1)


def relative(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """X of ``counts`` (…, R, C): 1 for groups that nothing is ``expected`` (…, 1 + C + R) of."""
    some = expected > 0
    return np.where(some, grouped(counts) / np.where(some, expected, 1.0), 1.0)


def mixed(states: np.ndarray, weight: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(…, R, C) w₁·S_all + w₂·S_c + w₃·S_i."""
    classes = shape[1]
    of_all, of_class = states[..., :1, None], states[..., None, 1 : 1 + classes]
    of_region = states[..., 1 + classes :, None]
    return weight[0] * of_all + weight[1] * of_class + weight[2] * of_region


def filtered(
    observed: np.ndarray, memory: np.ndarray, gain: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """(L, 1 + C + R) states before each slot, from X of (L, 1 + C + R)."""
    from scipy.signal import lfilter

    regions, classes = shape
    states = np.empty(observed.shape)
    ends = np.cumsum([0, 1, classes, regions])
    for kind in range(len(KINDS)):
        part = slice(ends[kind], ends[kind + 1])
        keep = memory[kind] - gain[kind]
        states[:, part] = 1 + lfilter([0, gain[kind]], [1, -keep], observed[:, part] - 1, axis=0)
    return states


def fit(arrivals: np.ndarray, slot_ms: int, learned: int | None = None) -> Fit:
    """The law of ``arrivals`` (T, R, C), learned from the first ``learned`` slots of them.

    Slots at the end without any request are taken as slots that drain the queues. Raises
    InvalidInput if there is too little to learn from.
    """
    busy = int(np.flatnonzero(arrivals.any(axis=(1, 2)))[-1]) + 1 if arrivals.any() else 0
    counts = arrivals[: busy if learned is None else min(learned, busy)].astype(float)
    if len(counts) < LEAST_SLOTS or counts.sum() < LEAST_REQUESTS:
        raise InvalidInput(
            f"are too few to fit a law to: {len(counts)} slots with {int(counts.sum())} requests, "
            f"but it takes {LEAST_SLOTS} slots and {LEAST_REQUESTS} requests",
            field="arrivals",
        )
    base = _level(counts) * daily_season(counts.sum(axis=2), busy, slot_ms)[:, :, None]
    memory, gain, weight = _dynamics(counts, base[: len(counts)])
    silent = Noise.none(counts.shape[1], counts.shape[2])
    found = Fit(base, memory, gain, weight, silent, len(counts))
    noise = learned_noise(counts, found.all_means(counts))
    return Fit(base, memory, gain, weight, noise, len(counts))


def _level(counts: np.ndarray) -> np.ndarray:
    """(R, C) mean counts; one request is spread over the cells, so that none is impossible."""
    total = counts.sum(axis=0)
    prior = total.sum(axis=1, keepdims=True) * total.sum(axis=0) / total.sum() ** 2
    return (total + prior) * (total.sum() / (total.sum() + 1)) / len(counts)


def _dynamics(counts: np.ndarray, base: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(φ, α, w) of the greatest Poisson quasi-likelihood, from a few starting points."""
    from scipy.optimize import minimize

    shape = counts.shape[1], counts.shape[2]
    kinds = np.array([0, *([1] if shape[1] > 1 else []), *([2] if shape[0] > 1 else [])])
    observed, some = relative(counts, grouped(base)), base > 0
    longest = 1 - LONGEST_PART / len(counts)

    def unpacked(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        memory, gain, weight = np.zeros(3), np.zeros(3), np.zeros(3)
        a, b, c = theta.reshape(3, -1)
        memory[kinds] = longest / (1 + np.exp(-a))
        gain[kinds] = memory[kinds] / (1 + np.exp(-b))
        weight[kinds] = np.exp(c - c.max()) / np.exp(c - c.max()).sum()
        return memory, gain, weight

    def loss(theta: np.ndarray) -> float:
        memory, gain, weight = unpacked(theta)
        states = filtered(observed, memory, gain, shape)
        mean = np.maximum(base * mixed(states, weight, shape), 1e-12)
        fits = np.where(some, mean - counts * np.log(mean), 0.0).sum()
        return float(fits) + 0.01 * float(theta @ theta)  # a parameter that does nothing stays put

    starts = [np.repeat([memory, -1.0, 0.0], kinds.size) for memory in (1.0, 4.0)]
    found = [minimize(loss, start, method="L-BFGS-B", options={"maxiter": 80}) for start in starts]
    return unpacked(min(found, key=lambda each: float(each.fun)).x)

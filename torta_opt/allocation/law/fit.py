"""A law fitted to the counts of an instance: season, autoregression, dispersion.

Groups      g: all requests · each class c · each region i · each cell (i, c)
Observed    X_g = N_g / b_g, the requests of the group over what the season expects
State       S_g ← (1 − φ)·1 + (φ − α)·S_g + α·X_g,   0 ≤ α ≤ φ < 1, one pair for each kind of group
Mean        λ[t,i,c] = b[t,i,c]·(w₁·S_all + w₂·S_c + w₃·S_i + w₄·S_ic),   w ≥ 0, Σ w = 1
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

from torta_opt.allocation.law.dynamics import dynamics
from torta_opt.allocation.law.groups import filtered, grouped, mixed, relative
from torta_opt.allocation.law.noise import Noise, learned_noise
from torta_opt.allocation.law.season import daily_season
from torta_opt.io.errors import InvalidInput

LEAST_SLOTS = 24
LEAST_REQUESTS = 100


@dataclass(frozen=True, eq=False)
class Fit:
    """The parameters of the module's docstring.

    base                  (N, R, C) b over the N slots with arrivals
    memory, gain, weight  (4,) φ, α and w of the kinds of groups
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
        """(N, G) what the season expects of each group."""
        return grouped(self.base)

    def by_group(self, values: np.ndarray) -> np.ndarray:
        """(G,) the parameter of each group from that of its kind."""
        regions, classes = self.shape
        return np.repeat(values, (1, classes, regions, regions * classes))

    def next_states(self, states: np.ndarray, counts: np.ndarray, slot: int) -> np.ndarray:
        """(…, G) after slot ``slot`` brought ``counts`` (…, R, C), or their mean."""
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
            f"but it takes {LEAST_SLOTS} slots and {LEAST_REQUESTS} requests; import a longer part "
            "of the trace, or generate paper/... or a site of your own, whose law is known",
            field="arrivals",
        )
    base = _level(counts) * daily_season(counts.sum(axis=2), busy, slot_ms)[:, :, None]
    memory, gain, weight = dynamics(counts, base[: len(counts)])
    silent = Noise.none(counts.shape[1], counts.shape[2])
    found = Fit(base, memory, gain, weight, silent, len(counts))
    noise = learned_noise(counts, found.all_means(counts))
    return Fit(base, memory, gain, weight, noise, len(counts))


def _level(counts: np.ndarray) -> np.ndarray:
    """(R, C) mean counts; one request is spread over the cells, so that none is impossible."""
    total = counts.sum(axis=0)
    prior = total.sum(axis=1, keepdims=True) * total.sum(axis=0) / total.sum() ** 2
    return (total + prior) * (total.sum() / (total.sum() + 1)) / len(counts)

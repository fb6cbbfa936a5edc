"""Samples of the demand of slots ahead, all regions as one, from the past alone.

    D[t+h, c] = T[t+h] · mix[t+h, c]
    T[t+h]    = slow · exp( ρʰ·log(fast/slow) + σ·√(1 − ρ²ʰ)·u − σ²(1 − ρ²ʰ)/2 )
    mix[t+h]  ∝ mix[t] · exp( τ·√(1 − ω²ʰ)·z_m(c) )

fast, slow and mix are exponentially smoothed totals and shares of classes; u and z are standard
normal. The total reverts to its slow mean with memory ρ, the shares of the models drift. u and z
are stratified, drawn once per run and kept from slot to slot, so that plans of neighbouring slots
differ by what was learned and not by new noise.

The process is a picture of demand that varies around a level. The smoothed square of
(total − slow)/slow, less what whole requests vary by (Poisson), is the variance e^{σ̂²} − 1 of a
log-normal number; where σ̂ is more than ``REFUTED`` times σ, as with demand that comes and goes, the
past refutes the picture (``is_refuted``). Before the first request there is no level
(``has_level``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import System

REFUTED = 3.0


@dataclass(frozen=True)
class DemandProcess:
    """Parameters of the module's process: memories from slot to slot, σ and τ, and smoothings."""

    memory: float = 0.9
    spread: float = 0.15
    mix_memory: float = 0.98
    mix_spread: float = 0.2
    fast: float = 0.4
    slow: float = 0.03
    mix: float = 0.15


class DemandSamples:
    """Learns slot by slot; ``draw`` gives samples of one slot in each of several epochs."""

    def __init__(
        self, system: System, process: DemandProcess, epochs: int, samples: int, seed: int
    ):
        rng = np.random.default_rng(seed)
        self._model, self._process = system.class_model, process
        models = len(system.models)
        self._where = (_shuffled(epochs, samples, rng) + 0.5) / samples
        self._total = _normal(_shuffled(epochs, samples, rng), samples)
        drift = [_normal(_shuffled(epochs, samples, rng), samples) for _ in range(models)]
        self._drift = np.stack(drift, axis=2)
        self._seen = 0
        self._slow = 0.0

    @property
    def seen(self) -> int:
        """Slots learned from."""
        return self._seen

    @property
    def has_level(self) -> bool:
        """Some request has come. Slots without any do not say around what demand will vary."""
        return self._slow > 0

    def learn(self, arrivals: np.ndarray) -> None:
        """One more slot (R, C)."""
        process, requests = self._process, arrivals.sum(axis=0).astype(float)
        total = requests.sum()
        if self._seen == 0:
            self._fast = self._slow = total
            self._variance = 0.0
            self._mix = requests / max(total, 1.0)
        else:
            weight = max(process.slow, 1 / (self._seen + 5))
            self._fast += process.fast * (total - self._fast)
            self._slow += weight * (total - self._slow)
            slow = max(self._slow, 1.0)
            apart = (total / slow - 1) ** 2 - 1 / slow
            self._variance += max(process.slow, 1 / self._seen) * (apart - self._variance)
            if total > 0:
                self._mix = self._mix + process.mix * (requests / total - self._mix)
        self._seen += 1

    def is_refuted(self) -> bool:
        """Demand varied much more than the process says; see the module."""
        seen = np.sqrt(np.log1p(max(self._variance, 0.0)))
        return bool(seen > REFUTED * self._process.spread)

    def draw(self, slots: np.ndarray) -> np.ndarray:
        """(E, S, C) requests of a slot somewhere in each epoch; epochs follow each other and are
        ``slots`` (E,) long, the first begins with the next slot."""
        process = self._process
        begin = np.concatenate([[0.0], slots.cumsum()[:-1]])
        ahead = begin[:, None] + self._where * slots[:, None]
        keep = process.memory**ahead
        least = 1e-9
        apart = np.log(max(self._fast, least) / max(self._slow, least))
        variance = process.spread**2 * (1 - keep**2)
        total = self._slow * np.exp(keep * apart + np.sqrt(variance) * self._total - variance / 2)
        drift = process.mix_spread * np.sqrt(1 - process.mix_memory ** (2 * ahead))
        mix = self._mix * np.exp(drift[:, :, None] * self._drift)[:, :, self._model]
        share = mix / np.maximum(mix.sum(axis=2, keepdims=True), least)
        drawn: np.ndarray = total[:, :, None] * share
        return drawn


def _shuffled(epochs: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """(E, S) the numbers 0 to S − 1 in random order, epoch by epoch."""
    return rng.permuted(np.tile(np.arange(samples), (epochs, 1)), axis=1)


def _normal(rank: np.ndarray, samples: int) -> np.ndarray:
    """The quantiles of the standard normal in the middle of equally likely parts."""
    from scipy.special import ndtri

    quantiles: np.ndarray = ndtri((rank + 0.5) / samples)
    return quantiles

"""What the counts of a generated instance say about its next slots.

The counts of a region in a slot, given its bursts and mix, are a Poisson total split by the mix. So
levels of bursts and drift of the mix are independent given the counts, and each is learned from its
own part: the levels from the totals, the drift from the shares.

    E[D[t+h,i,c]] = Λ·weight_i·wave · E[burst_i] · E[mix_ic] · E[surge_i]

    E[burst_i]  = exp(σ·ρʰ·aᵢ'm + (σ²/2)·(ρ²ʰ·aᵢ'P aᵢ + 1 − ρ²ʰ) − σ²/2)          closed form
    E[mix_ic]   by Gauss–Hermite quadrature over the drift of the models          numeric
    E[surge_i]  known surges as they go; each other one by its chance to begin    closed form

with levels ~ N(m, P) after slot t, and aᵢ'x = √γ·x₀ + √(1 − γ)·xᵢ.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from torta_opt.allocation.instance.generate import demand
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.allocation.law.events import redraw_surges
from torta_opt.allocation.law.gaussian import Gaussian, multinomial, poisson, softmax
from torta_opt.io.topology import Topology

QUADRATURE = 12  # nodes in each direction


@dataclass(frozen=True, eq=False)
class Belief:
    """What is known before ``slot`` (of the generated instance).

    levels  of the bursts in the slot before; ``drift`` of the mix likewise
    surges  (n, 2) region and first slot of those that have begun, and are known to have
    """

    slot: int
    levels: Gaussian
    drift: Gaussian
    surges: np.ndarray

    def told(self, surges: np.ndarray) -> Belief:
        """One who is told of surges (n, 2) as they begin: those that began before ``slot``."""
        return dataclasses.replace(self, surges=surges[surges[:, 1] < self.slot])


@dataclass(frozen=True, eq=False)
class Forecasting:
    """The parts of the law that forecasts need; ``rate`` (N, R) is Λ · weight · wave."""

    topology: Topology
    parameters: PaperParameters
    rate: np.ndarray
    tendency: tuple[np.ndarray, np.ndarray]

    @cached_property
    def loading(self) -> np.ndarray:
        """(R, 1 + R) the logarithm of the burst of each region by level."""
        p, regions = self.parameters, len(self.topology.nodes)
        own = np.sqrt(1 - p.burst_common) * np.eye(regions)
        common = np.full((regions, 1), np.sqrt(p.burst_common))
        return p.burst_sigma * np.hstack([common, own])

    @cached_property
    def log_tendency(self) -> np.ndarray:
        """(R, C), −∞ for classes that nobody asks for."""
        mean, spread = self.tendency
        with np.errstate(divide="ignore"):
            return np.log(mean) + spread

    @cached_property
    def drift_loading(self) -> np.ndarray:
        """(C, M)."""
        models = len(self.parameters.model_shares)
        return self.parameters.mix_drift * np.repeat(np.eye(models), 2, axis=0)

    def begin(self) -> Belief:
        regions, models = len(self.topology.nodes), len(self.parameters.model_shares)
        none = np.zeros((0, 2), np.int64)
        return Belief(0, Gaussian.stationary(1 + regions), Gaussian.stationary(models), none)

    def prior(self, belief: Belief) -> tuple[Gaussian, Gaussian]:
        """Levels and drift in the slot to come."""
        p = self.parameters
        if belief.slot == 0:
            return belief.levels, belief.drift
        return belief.levels.ahead(p.burst_memory), belief.drift.ahead(p.mix_memory)

    def learn(self, belief: Belief, arrivals: np.ndarray) -> Belief:
        """After one more slot (R, C); a slot without expected arrivals says nothing."""
        levels, drift = self.prior(belief)
        t = belief.slot
        if t < len(self.rate):
            surge = self.surge_mean(belief, 1)[0]
            base = self.rate[t] * surge * np.exp(-(self.parameters.burst_sigma**2) / 2)
            levels = levels.given(poisson(arrivals.sum(axis=1), base, self.loading))
            drift = drift.given(multinomial(arrivals, self.log_tendency, self.drift_loading))
        return Belief(t + 1, levels, drift, belief.surges)

    # --- means ----------------------------------------------------------------------------------

    def mean(self, belief: Belief, horizon: int) -> np.ndarray:
        """(horizon, R, C)."""
        found = np.zeros((horizon, *self.log_tendency.shape))
        busy = min(horizon, len(self.rate) - belief.slot)
        if busy <= 0:
            return found
        surge = self.surge_mean(belief, busy)
        rate = self.rate[belief.slot : belief.slot + busy] * surge
        levels, drift = self.prior(belief)
        for h in range(busy):
            later = levels.ahead(self.parameters.burst_memory, h)
            shares = self.mix_mean(drift.ahead(self.parameters.mix_memory, h))
            found[h] = (rate[h] * self.burst_mean(later))[:, None] * shares
        return found

    def burst_mean(self, levels: Gaussian) -> np.ndarray:
        """(R,)."""
        centre = self.loading @ levels.mean
        variance = ((self.loading @ levels.covariance) * self.loading).sum(axis=1)
        return np.exp(centre + variance / 2 - self.parameters.burst_sigma**2 / 2)

    def mix_mean(self, drift: Gaussian) -> np.ndarray:
        """(R, C) by quadrature over what the models drift relative to the last of them."""
        last = drift.mean.size - 1
        contrast = np.eye(last, last + 1) - np.eye(1, last + 1, last)
        mean = contrast @ drift.mean
        values, vectors = np.linalg.eigh(contrast @ drift.covariance @ contrast.T)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        nodes, weights = _grid(last)
        at = np.zeros((len(nodes), last + 1))
        at[:, :last] = mean + nodes @ root.T
        shares, _ = softmax(self.log_tendency + (at @ self.drift_loading.T)[:, None, :])
        return np.tensordot(weights, shares, axes=1)

    def surge_mean(self, belief: Belief, horizon: int) -> np.ndarray:
        """(horizon, R) mean factor of all surges, given those that have begun."""
        p, t = self.parameters, belief.slot
        known = demand.factors_of_surges(self.topology, p, belief.surges)
        factor = known[t : t + horizon].copy()
        waiting = p.surges - len(belief.surges)
        latest = demand.latest_surge(p)
        if waiting > 0 and t < latest:
            factor *= self._chance(t, latest, horizon) ** waiting
        return factor

    def _chance(self, t: int, latest: int, horizon: int) -> np.ndarray:
        """(horizon, R) mean factor of one surge that begins in a slot from t to ``latest`` − 1."""
        p, regions = self.parameters, len(self.topology.nodes)
        since = np.arange(horizon)[:, None] - np.arange(latest - t)[None, :]
        excess = (demand.surge_course(p, since) - 1).mean(axis=1)
        reached = np.zeros(regions)
        for centre in range(regions):
            reached[demand.surge_regions(self.topology, p, centre)] += 1 / regions
        return 1 + excess[:, None] * reached

    # --- paths ----------------------------------------------------------------------------------

    def paths(
        self, belief: Belief, horizon: int, count: int, rng: np.random.Generator
    ) -> np.ndarray:
        """(count, horizon, R, C) counts."""
        p = self.parameters
        found = np.zeros((count, horizon, *self.log_tendency.shape), np.int64)
        busy = min(horizon, len(self.rate) - belief.slot)
        if busy <= 0:
            return found
        surge = self._surges(belief, busy, count, rng)
        prior_levels, prior_drift = self.prior(belief)
        levels, drift = prior_levels.draw(count, rng), prior_drift.draw(count, rng)
        for h in range(busy):
            if h > 0:
                levels = _next(levels, p.burst_memory, rng)
                drift = _next(drift, p.mix_memory, rng)
            burst = np.exp(levels @ self.loading.T - p.burst_sigma**2 / 2)
            shares, _ = softmax(self.log_tendency + (drift @ self.drift_loading.T)[:, None, :])
            mean = (self.rate[belief.slot + h] * burst * surge[:, h])[:, :, None] * shares
            found[:, h] = rng.poisson(mean)
        return found

    def _surges(
        self, belief: Belief, horizon: int, count: int, rng: np.random.Generator
    ) -> np.ndarray:
        """(count or 1, horizon, R) drawn factors."""
        p, t = self.parameters, belief.slot
        if p.surges == 0:
            return np.ones((1, horizon, len(self.topology.nodes)))
        latest, regions = demand.latest_surge(p), len(self.topology.nodes)
        waiting = p.surges - len(belief.surges) if t < latest else 0
        unborn = np.full((waiting, 2), t)
        drawn = []
        for _ in range(count):
            anew = redraw_surges(unborn, t, regions, latest, rng)
            all_ = np.concatenate([belief.surges, anew])
            drawn.append(demand.factors_of_surges(self.topology, p, all_)[t : t + horizon])
        return np.array(drawn)


def _next(state: np.ndarray, memory: float, rng: np.random.Generator) -> np.ndarray:
    return memory * state + np.sqrt(1 - memory**2) * rng.standard_normal(state.shape)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Hermite nodes (k, size) and weights (k,) for the standard normal in ``size`` dims."""
    node, weight = np.polynomial.hermite_e.hermegauss(QUADRATURE)
    weight = weight / weight.sum()
    nodes = np.stack(np.meshgrid(*[node] * size, indexing="ij"), axis=-1).reshape(-1, size)
    weights = np.ones(1)
    for _ in range(size):
        weights = np.multiply.outer(weights, weight).ravel()
    return nodes, weights

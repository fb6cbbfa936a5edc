"""Requests by slot, region and class: Poisson arrivals around a daily wave, bursts and surges.

    λ[t,i,c] = Λ · weight_i · wave(local hour of i in t) · burst[t,i] · mix[t,i,c]   ( · surge[t,i])

Λ scales the expected demand to the wanted load. Surges come on top of that.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.io.seeds import stream
from torta_opt.io.topology import Topology

RAMP_SLOTS = 4  # a surge comes and goes over this many slots


def node_weights(topology: Topology, parameters: PaperParameters, seed: int) -> np.ndarray:
    """(R,) share of demand and of servers that each region gets, sums to 1."""
    if topology.traffic is not None:
        weight = topology.traffic**parameters.weight_exponent
    else:
        rng = stream(seed, "weights")
        weight = np.exp(parameters.node_spread * rng.standard_normal(len(topology.nodes)))
    return weight / weight.sum()


def local_hours(topology: Topology, parameters: PaperParameters, hours: np.ndarray) -> np.ndarray:
    """(len(hours), R) local solar hour at each region, ``hours`` after the start of slot 0."""
    offset = (topology.longitude - topology.longitude.mean()) / 15
    return (parameters.start_hour + hours[:, None] + offset[None, :]) % 24


def class_mix(slots: int, regions: int, parameters: PaperParameters, seed: int) -> np.ndarray:
    """(slots, R, C) share of each class in a region's demand; sums to 1 over classes.

    Classes are ordered by model, short before long.
    """
    drift = mix_drift(slots, parameters, seed)
    return mix_shares(mix_tendency(regions, parameters, seed), drift, parameters)


def mix_tendency(
    regions: int, parameters: PaperParameters, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(C,) mean mix, and (R, C) the logarithm of what each region makes of it."""
    models = np.array(list(parameters.model_shares.values()), dtype=float)
    lengths = np.array([parameters.short_share, 1 - parameters.short_share])
    mean = np.outer(models / models.sum(), lengths).ravel()
    spread = stream(seed, "mix").standard_normal((regions, mean.size))
    return mean, parameters.mix_spread * spread


def mix_drift(slots: int, parameters: PaperParameters, seed: int) -> np.ndarray:
    """(slots, M) how far the share of each model has drifted, in standard deviations."""
    rng = stream(seed, "drift")
    return autoregression(rng, slots, len(parameters.model_shares), parameters.mix_memory)


def mix_shares(
    tendency: tuple[np.ndarray, np.ndarray], drift: np.ndarray, parameters: PaperParameters
) -> np.ndarray:
    """(slots, R, C) the mix under a ``drift`` (slots, M)."""
    mean, spread = tendency
    drift = np.repeat(drift, 2, axis=1)  # both lengths of a model alike
    mix = mean * np.exp(spread + parameters.mix_drift * drift[:, None, :])
    return mix / mix.sum(axis=2, keepdims=True)


def daily_wave(topology: Topology, parameters: PaperParameters) -> np.ndarray:
    """(slots, R) the daily wave around 1 in the slots with arrivals."""
    slots = parameters.slots - parameters.drain_slots
    middle = (np.arange(slots) + 0.5) * parameters.slot_ms / 3.6e6
    hours = local_hours(topology, parameters, middle)
    return 1 + parameters.daily_wave * np.cos((hours - parameters.peak_hour) * np.pi / 12)


def demand_shape(topology: Topology, parameters: PaperParameters, seed: int) -> np.ndarray:
    """(T, R, C) expected requests up to the factor Λ; without surges; 0 in the drain slots."""
    slots, regions = parameters.slots - parameters.drain_slots, len(topology.nodes)
    return combined(
        parameters.slots,
        daily_wave(topology, parameters),
        bursts(slots, regions, parameters, seed),
        node_weights(topology, parameters, seed),
        class_mix(slots, regions, parameters, seed),
    )


def combined(
    slots: int, wave: np.ndarray, burst: np.ndarray, weights: np.ndarray, mix: np.ndarray
) -> np.ndarray:
    """(slots, R, C) the product of the factors, 0 in the slots after them."""
    by_region = wave * burst
    by_region *= weights
    shape = np.zeros((slots, *mix.shape[1:]))
    shape[: len(mix)] = by_region[:, :, None] * mix
    return shape


def bursts(slots: int, regions: int, parameters: PaperParameters, seed: int) -> np.ndarray:
    """(slots, R) log-normal of mean 1, partly common to all regions."""
    return burst_factors(burst_levels(slots, regions, parameters, seed), parameters)


def burst_levels(slots: int, regions: int, parameters: PaperParameters, seed: int) -> np.ndarray:
    """(slots, 1 + R) the level common to all regions, and each region's own; variance 1."""
    return autoregression(stream(seed, "bursts"), slots, regions + 1, parameters.burst_memory)


def burst_factors(level: np.ndarray, parameters: PaperParameters) -> np.ndarray:
    """(slots, R) the factors that belong to levels (slots, 1 + R)."""
    common = parameters.burst_common
    mixed = np.sqrt(common) * level[:, :1] + np.sqrt(1 - common) * level[:, 1:]
    return np.exp(parameters.burst_sigma * mixed - parameters.burst_sigma**2 / 2)


def autoregression(rng: np.random.Generator, steps: int, series: int, memory: float) -> np.ndarray:
    """(steps, series) Gaussian AR(1) of variance 1, stationary from the first step."""
    noise = rng.standard_normal((steps, series))
    level = noise.copy()
    for t in range(1, steps):
        level[t] = memory * level[t - 1] + np.sqrt(1 - memory**2) * noise[t]
    return level


def surge_factors(topology: Topology, parameters: PaperParameters, seed: int) -> np.ndarray:
    """(T, R) ≥ 1: what each surge multiplies the demand of its regions by, ramps included."""
    return factors_of_surges(topology, parameters, surges(topology, parameters, seed))


def surges(topology: Topology, parameters: PaperParameters, seed: int) -> np.ndarray:
    """(n, 2) the region in the middle of each surge, and its first slot."""
    rng = stream(seed, "surges")
    regions, latest = len(topology.nodes), latest_surge(parameters)
    drawn = [(rng.integers(regions), rng.integers(latest)) for _ in range(parameters.surges)]
    return np.array(drawn, dtype=np.int64).reshape(-1, 2)


def latest_surge(parameters: PaperParameters) -> int:
    """Surges begin in a slot before this one, all equally likely."""
    return max(1, parameters.slots - parameters.drain_slots - parameters.surge_slots)


def factors_of_surges(
    topology: Topology, parameters: PaperParameters, found: np.ndarray
) -> np.ndarray:
    """(T, R) ≥ 1: the factors of surges (n, 2), which each region has within its reach."""
    slots = parameters.slots - parameters.drain_slots
    factor = np.ones((parameters.slots, len(topology.nodes)))
    for centre, begin in found:
        near = surge_regions(topology, parameters, centre)
        factor[:slots, near] *= surge_course(parameters, np.arange(slots) - begin)[:, None]
    return factor


def surge_regions(topology: Topology, parameters: PaperParameters, centre: int) -> np.ndarray:
    """The regions that a surge reaches."""
    reach = max(1, round(parameters.surge_reach * len(topology.nodes)))
    return np.argsort(topology.distance_km[centre], kind="stable")[:reach]


def surge_course(parameters: PaperParameters, since: np.ndarray) -> np.ndarray:
    """The factor of a surge ``since`` slots after its first."""
    left = parameters.surge_slots - 1 - since
    rise = np.clip((np.minimum(since, left) + 1) / RAMP_SLOTS, 0, 1)
    return 1 + (parameters.surge_factor - 1) * rise


def arrivals(expected: np.ndarray, seed: int) -> np.ndarray:
    """(T, R, C) Poisson counts with the given means."""
    return stream(seed, "arrivals").poisson(expected)


def outage_map(
    topology: Topology, server_region: np.ndarray, parameters: PaperParameters, seed: int
) -> np.ndarray:
    """(T, S) False where a region has lost all its servers; regions with more are hit first.

    An outage begins in the middle half of the horizon and hits a region that no other has hit.
    """
    found = outages(len(topology.nodes), server_region, parameters, seed)
    return availability(server_region, parameters, found)


def outages(
    regions: int, server_region: np.ndarray, parameters: PaperParameters, seed: int
) -> np.ndarray:
    """(n, 2) the region that each outage hits, and its first slot."""
    rng = stream(seed, "outages")
    size = np.bincount(server_region, minlength=regions).astype(float)
    drawn = []
    for _ in range(min(parameters.outages, int((size > 0).sum()))):
        region = int(rng.choice(size.size, p=size / size.sum()))
        size[region] = 0
        drawn.append((region, int(rng.integers(*outage_begins(parameters)))))
    return np.array(drawn, dtype=np.int64).reshape(-1, 2)


def outage_begins(parameters: PaperParameters) -> tuple[int, int]:
    """(first, end) of the slots in which an outage may begin, all equally likely."""
    return parameters.slots // 4, max(1, parameters.slots * 3 // 4)


def availability(
    server_region: np.ndarray, parameters: PaperParameters, found: np.ndarray
) -> np.ndarray:
    """(T, S) False where an outage of (n, 2) has taken the servers of its region."""
    up = np.ones((parameters.slots, server_region.size), bool)
    for region, begin in found:
        up[begin : begin + parameters.outage_slots, server_region == region] = False
    return up

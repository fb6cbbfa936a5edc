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
    models = np.array(list(parameters.model_shares.values()), dtype=float)
    lengths = np.array([parameters.short_share, 1 - parameters.short_share])
    mean = np.outer(models / models.sum(), lengths).ravel()
    spread = stream(seed, "mix").standard_normal((regions, mean.size))
    drift = autoregression(stream(seed, "drift"), slots, models.size, parameters.mix_memory)
    drift = np.repeat(drift, 2, axis=1)  # both lengths of a model alike
    mix = mean * np.exp(parameters.mix_spread * spread + parameters.mix_drift * drift[:, None, :])
    return mix / mix.sum(axis=2, keepdims=True)


def demand_shape(topology: Topology, parameters: PaperParameters, seed: int) -> np.ndarray:
    """(T, R, C) expected requests up to the factor Λ; without surges; 0 in the drain slots."""
    slots, regions = parameters.slots - parameters.drain_slots, len(topology.nodes)
    middle = (np.arange(slots) + 0.5) * parameters.slot_ms / 3.6e6
    hours = local_hours(topology, parameters, middle)
    wave = 1 + parameters.daily_wave * np.cos((hours - parameters.peak_hour) * np.pi / 12)
    by_region = wave * bursts(slots, regions, parameters, seed)
    by_region *= node_weights(topology, parameters, seed)
    mix = class_mix(slots, regions, parameters, seed)
    shape = np.zeros((parameters.slots, *mix.shape[1:]))
    shape[:slots] = by_region[:, :, None] * mix
    return shape


def bursts(slots: int, regions: int, parameters: PaperParameters, seed: int) -> np.ndarray:
    """(slots, R) log-normal of mean 1, partly common to all regions."""
    level = autoregression(stream(seed, "bursts"), slots, regions + 1, parameters.burst_memory)
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
    rng = stream(seed, "surges")
    slots = parameters.slots - parameters.drain_slots
    regions = len(topology.nodes)
    reach = max(1, round(parameters.surge_reach * regions))
    factor = np.ones((parameters.slots, regions))
    for _ in range(parameters.surges):
        centre = int(rng.integers(regions))
        begin = int(rng.integers(max(1, slots - parameters.surge_slots)))
        near = np.argsort(topology.distance_km[centre], kind="stable")[:reach]
        since = np.arange(slots) - begin
        left = parameters.surge_slots - 1 - since
        rise = np.clip((np.minimum(since, left) + 1) / RAMP_SLOTS, 0, 1)
        factor[:slots, near] *= (1 + (parameters.surge_factor - 1) * rise)[:, None]
    return factor


def arrivals(expected: np.ndarray, seed: int) -> np.ndarray:
    """(T, R, C) Poisson counts with the given means."""
    return stream(seed, "arrivals").poisson(expected)


def outage_map(
    topology: Topology, server_region: np.ndarray, parameters: PaperParameters, seed: int
) -> np.ndarray:
    """(T, S) False where a region has lost all its servers; regions with more are hit first.

    An outage begins in the middle half of the horizon and hits a region that no other has hit.
    """
    rng = stream(seed, "outages")
    up = np.ones((parameters.slots, server_region.size), bool)
    size = np.bincount(server_region, minlength=len(topology.nodes)).astype(float)
    for _ in range(min(parameters.outages, int((size > 0).sum()))):
        region = int(rng.choice(size.size, p=size / size.sum()))
        size[region] = 0
        begin = int(rng.integers(parameters.slots // 4, max(1, parameters.slots * 3 // 4)))
        up[begin : begin + parameters.outage_slots, server_region == region] = False
    return up

"""The regions of an imported instance: where they lie, how far apart, how much each asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from torta_opt.allocation.instance.generate.demand import node_weights
from torta_opt.allocation.instance.generate.paper import MEAN_LATENCY_MS
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.allocation.instance.imports.latency import read_latency
from torta_opt.allocation.instance.imports.parameters import ImportParameters
from torta_opt.allocation.instance.imports.places import place_of
from torta_opt.io import InvalidInput
from torta_opt.io.topology import (
    FIBRE_KM_PER_S,
    PLANE_ORIGIN,
    Topology,
    paper_topology,
    read_topology,
)

DEFAULT_TOPOLOGY = "abilene"


@dataclass(frozen=True, eq=False)
class Regions:
    """A topology, its latencies in seconds (R, R), and the share of demand by region (R,)."""

    topology: Topology
    latency_s: np.ndarray
    weights: np.ndarray
    unplaced: tuple[str, ...]

    @property
    def mean_longitude(self) -> float:
        return float(self.topology.longitude.mean())


def build_regions(parameters: ImportParameters, paper: PaperParameters, seed: int) -> Regions:
    """Regions as asked for: of a topology, of a file of latencies, or of both."""
    chosen = parameters.regions
    unplaced: tuple[str, ...] = ()
    if parameters.topology is None and parameters.latency is not None:
        names, latency_s = read_latency(parameters.latency, chosen)
        topology, unplaced = _topology_of(names, latency_s, parameters.latency)
    else:
        topology = _subset(_topology(parameters.topology or DEFAULT_TOPOLOGY), chosen)
        if parameters.latency is not None:
            _, latency_s = read_latency(parameters.latency, topology.nodes)
        else:
            latency_s = topology.latency_s(_mean_ms(parameters, paper))
    weights = node_weights(topology, paper, seed)
    return Regions(topology, latency_s, weights, unplaced)


def origin_shares(regions: Regions, origins: str | Mapping[str, float] | None) -> np.ndarray:
    """(R,) share of requests, or of clients, that each region asks for; sums to 1."""
    nodes = regions.topology.nodes
    if origins == "uniform":
        return np.full(len(nodes), 1 / len(nodes))
    if not isinstance(origins, Mapping):
        return regions.weights
    for name, weight in origins.items():
        if name not in nodes:
            raise InvalidInput(f"{name!r:.60} is not a region of the instance", field="origins")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < 1e9:
            raise InvalidInput("must be a number in [0, 1e9)", field=f"origins.{name}")
    share = np.array([origins.get(name, 0.0) for name in nodes], dtype=float)
    if not share.sum() > 0:
        raise InvalidInput("must not be all 0", field="origins")
    return share / share.sum()


def _topology(name: str | os.PathLike[str]) -> Topology:
    if isinstance(name, str) and name in MEAN_LATENCY_MS:
        return paper_topology(name)
    if isinstance(name, str) and not Path(name).suffix and not Path(name).exists():
        known = ", ".join(MEAN_LATENCY_MS)
        raise InvalidInput(
            f"{name!r:.60} is neither one of {known} nor a GML or GraphML file", field="topology"
        )
    return read_topology(name)


def _mean_ms(parameters: ImportParameters, paper: PaperParameters) -> float | None:
    """What the paper gives for its topologies; what the length of the links gives for others."""
    if paper.mean_latency_ms is not None or parameters.regions is not None:
        return paper.mean_latency_ms
    name = parameters.topology or DEFAULT_TOPOLOGY
    return MEAN_LATENCY_MS.get(name) if isinstance(name, str) else None


def _subset(topology: Topology, names: Sequence[str] | None) -> Topology:
    if names is None:
        return topology
    for name in names:
        if name not in topology.nodes:
            known = ", ".join(topology.nodes[:12])
            raise InvalidInput(f"{name!r:.60} is not in {topology.name}: {known}", field="regions")
    if len(names) < 2 or len(set(names)) < len(names):
        raise InvalidInput("must name at least 2 regions, each once", field="regions")
    kept = [topology.nodes.index(name) for name in names]
    return Topology(
        name=topology.name,
        source=f"{topology.source}, {len(kept)} of its {len(topology.nodes)} nodes",
        nodes=tuple(names),
        longitude=topology.longitude[kept],
        latitude=topology.latitude[kept],
        distance_km=topology.distance_km[np.ix_(kept, kept)],
        traffic=None if topology.traffic is None else topology.traffic[kept],
    )


def _topology_of(
    names: tuple[str, ...], latency_s: np.ndarray, file: str | os.PathLike[str]
) -> tuple[Topology, tuple[str, ...]]:
    """Regions of a latency file; those whose place is not known lie amid the others."""
    places = [place_of(name) for name in names]
    known = [place for place in places if place is not None] or [PLANE_ORIGIN]
    middle = tuple(np.mean(known, axis=0).tolist())
    points = np.array([place or middle for place in places])
    distance = np.nan_to_num(latency_s) * FIBRE_KM_PER_S
    name = Path(file).name
    topology = Topology(
        name=name.partition(".")[0],
        source=f"latencies in {name}",
        nodes=names,
        longitude=points[:, 0],
        latitude=points[:, 1],
        distance_km=distance,
    )
    unplaced = (n for n, place in zip(names, places, strict=True) if place is None)
    return topology, tuple(unplaced)

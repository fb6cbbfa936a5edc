"""Instances of the paper's setting: 480 slots of 45 s, its topologies, GPU mix, loading times."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import Initial, Instance, System, Weights
from torta_opt.allocation.instance.generate import demand, fleet, prices
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.allocation.instance.generate.weights import significant, with_default_weights
from torta_opt.allocation.instance.utilisation import least_load
from torta_opt.io.topology import Topology, paper_topology, read_topology

MEAN_LATENCY_MS = {"abilene": 25.0, "polska": 45.0, "gabriel": 80.0, "cost2": 150.0}  # Table I(a)


def paper_instance(topology: str, name: str, /, seed: int, **parameters: Any) -> Instance:
    """One of the paper's four topologies with its mean latency."""
    parameters = {"mean_latency_ms": MEAN_LATENCY_MS[topology], **parameters}
    return build(paper_topology(topology), name, PaperParameters.of(**parameters), seed)


def topology_instance(file: str | os.PathLike[str], seed: int = 0, **parameters: Any) -> Instance:
    """The same setting on a user's own GML or GraphML topology."""
    chosen = PaperParameters.of(**parameters)
    topology = read_topology(file)
    return build(topology, f"topology/{topology.name}", chosen, seed)


def build(topology: Topology, name: str, parameters: PaperParameters, seed: int) -> Instance:
    """The instance on ``topology``; everything random comes from ``seed``."""
    weights = demand.node_weights(topology, parameters, seed)
    shape = demand.demand_shape(topology, parameters, seed)
    mix = shape.sum(axis=(0, 1)) / shape.sum()
    price = prices.electricity_prices(topology, parameters, seed)
    system = _system(topology, weights, parameters, seed)
    system = with_default_weights(system, mix, price.max(axis=0), parameters)
    expected = shape * expected_requests(system, mix, parameters) / shape.sum()
    expected *= demand.surge_factors(topology, parameters, seed)[:, :, None]
    return Instance(
        name=name,
        description=_description(topology, parameters, seed),
        system=system,
        initial=_initial(system, mix, parameters, seed),
        arrivals=demand.arrivals(expected, seed),
        price_usd_per_kwh=price,
        up=demand.outage_map(topology, system.server_region, parameters, seed),
    )


def _system(
    topology: Topology, node_weights: np.ndarray, parameters: PaperParameters, seed: int
) -> System:
    models, types = tuple(parameters.model_shares), tuple(parameters.gpu_counts)
    classes = tuple(f"{model}/{length}" for model in models for length in ("short", "long"))
    region, kind = fleet.place_servers(node_weights, parameters, seed)
    tables = fleet.service_tables(parameters)
    return System(
        slot_ms=parameters.slot_ms,
        hot_permille=parameters.hot_permille,
        regions=topology.nodes,
        models=models,
        types=types,
        classes=classes,
        servers=_server_names(topology.nodes, types, region, kind),
        class_model=np.repeat(np.arange(len(models)), 2),
        deadline_slots=np.tile(
            [parameters.short_deadline_slots, parameters.long_deadline_slots], len(models)
        ),
        slo_s=_targets(tables["service_s"], kind, parameters),
        server_region=region,
        server_type=kind,
        latency_s=topology.latency_s(parameters.mean_latency_ms),
        transfer_usd=prices.transfer_prices(len(topology.nodes), parameters),
        rent_usd_per_hour=fleet.rent_table(len(topology.nodes), parameters, seed),
        weights=Weights(parameters.time_usd_per_s, 0.0, np.zeros(len(classes))),
        **tables,
        **fleet.power_tables(parameters),
        **fleet.loading_tables(parameters),
    )


def _server_names(
    regions: tuple[str, ...], types: tuple[str, ...], region: np.ndarray, kind: np.ndarray
) -> tuple[str, ...]:
    """Region, type and a count from 1, as in "Warsaw-T4-2"."""
    names: list[str] = []
    count: dict[tuple[int, int], int] = {}
    for pair in zip(region.tolist(), kind.tolist(), strict=True):
        count[pair] = count.get(pair, 0) + 1
        names.append(f"{regions[pair[0]]}-{types[pair[1]]}-{count[pair]}")
    return tuple(names)


def _targets(
    service_s: np.ndarray, server_type: np.ndarray, parameters: PaperParameters
) -> np.ndarray:
    """(C,) whole seconds: a multiple of the mean service time over the servers that can serve."""
    servers = np.bincount(server_type, minlength=service_s.shape[0])[:, None]
    able = ~np.isnan(service_s) * servers
    mean_s = np.nansum(service_s * servers, axis=0) / np.maximum(able.sum(axis=0), 1)
    return np.ceil(np.round(mean_s * parameters.slo_factor, 6))


def expected_requests(system: System, mix: np.ndarray, parameters: PaperParameters) -> float:
    """Expected requests in all, to four digits: what takes ``load`` of the fleet's time."""
    servers = np.bincount(system.server_type, minlength=len(system.types))
    per_slot = parameters.load / least_load(system, mix, servers)
    return significant(per_slot * (parameters.slots - parameters.drain_slots), 4)


def _initial(system: System, mix: np.ndarray, parameters: PaperParameters, seed: int) -> Initial:
    """Part of the fleet ready with models in demand; nothing waiting, sent or served yet."""
    work = np.zeros((len(system.types), len(system.models)))
    np.add.at(work.T, system.class_model, (mix * system.server_ms).T)
    start = Initial.all_off(len(system.servers), len(system.regions), len(system.classes))
    model = fleet.initial_models(system.server_type, work, parameters, seed)
    return dataclasses.replace(start, model=model)


def _description(topology: Topology, parameters: PaperParameters, seed: int) -> str:
    """One line that says how the instance came about."""
    defaults = PaperParameters()
    changed = [
        f"{entry.name}={getattr(parameters, entry.name)}"
        for entry in dataclasses.fields(parameters)
        if getattr(parameters, entry.name) != getattr(defaults, entry.name)
    ]
    parts = [f"topology: {topology.source}", f"seed {seed}", *changed]
    return "Generated by torta-opt. " + "; ".join(parts) + "."

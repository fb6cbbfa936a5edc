"""Demand of a site from a request trace, by any importer.

Requests of a model that the trace names go to the classes of the site's model (``models``); of a
trace that names none, to the classes of all models. Among these classes, a request belongs to the
one whose token counts are nearest in ratio. Origins are those in the column ``origin`` of the trace
(by name of the region, or of its cloud), or drawn by ``origins`` (default: all alike).
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.instance.imports.demand import scaled, spread
from torta_opt.allocation.instance.imports.origins import regions_of
from torta_opt.allocation.instance.imports.parameters import ImportParameters
from torta_opt.allocation.instance.imports.readers import open_trace
from torta_opt.allocation.instance.imports.rows import Batch
from torta_opt.allocation.site.faults import Faults
from torta_opt.allocation.site.files import Site
from torta_opt.allocation.site.schema import Trace
from torta_opt.io.topology import Topology


def demand_of_trace(site: Site, topology: Topology, faults: Faults, notes: list[str]) -> np.ndarray:
    """(T, R, C) requests; slots after the end of the trace bring none."""
    entry = site.document.demand.trace
    assert entry is not None
    shape = (site.slots, len(topology.nodes), len(site.document.classes))
    share = _origin_shares(topology, entry, faults)
    known = {model.name for model in site.document.models}
    for name, model in entry.models.items():
        if model not in known:
            faults.add(f"demand.trace.models.{name}", f"{model!r} is not in [[models]]")
    if faults.found:
        return np.zeros(shape, np.int64)
    parameters = ImportParameters.of(
        slot_seconds=site.document.horizon.slot_seconds,
        start_s=entry.start_s if entry.start_s is not None else 0.0,
        slots=site.slots,
        unit=entry.unit,
        origin=entry.origin,
    )
    seed = site.document.seed
    counts = np.zeros((site.slots, shape[1] if entry.origin else 1, shape[2]), np.int64)
    with (
        faults.catching("demand.trace.file"),
        open_trace(entry.kind, site.path(entry.file), parameters, seed) as trace,
    ):
        part = trace.part
        places, file = _places(site, topology), site.path(entry.file)
        told = regions_of(trace.origins, entry.origin or "", places, file, "name or cloud")
        for batch in trace.spool.batches(part.start_ms, part.end_ms):
            slot = (batch.arrival_ms - part.start_ms) // part.slot_ms
            kind = _class_of(site, entry, trace.models, batch)
            origin = np.zeros_like(slot) if batch.origin is None else told[batch.origin]
            np.add.at(counts, (slot, origin, kind), 1)
        used = int(counts.sum())
        notes.append(f"{entry.file}: {used} of its {trace.requests} requests, {part.slots} slots")
        if part.slots < site.slots:
            notes.append(f"{entry.file} ends after {part.slots} of {site.slots} slots")
    return spread(scaled(counts, entry.factor, seed), share, seed)


def _places(site: Site, topology: Topology) -> dict[str, int]:
    """Region of each name: its own, and that of its cloud where this is told and no other's."""
    own = {name: j for j, name in enumerate(topology.nodes)}
    clouds = [region.cloud for region in site.document.regions if region.cloud is not None]
    once = {
        region.cloud: own[region.name]
        for region in site.document.regions
        if region.cloud is not None and clouds.count(region.cloud) == 1
    }
    return {**once, **own}


def _origin_shares(topology: Topology, entry: Trace, faults: Faults) -> np.ndarray:
    if entry.origins is None:
        return np.full(len(topology.nodes), 1 / len(topology.nodes))
    for name in entry.origins:
        if name not in topology.nodes:
            faults.add(f"demand.trace.origins.{name}", "is not in [[regions]]")
    share = np.array([entry.origins.get(name, 0.0) for name in topology.nodes])
    if not share.sum() > 0:
        faults.add("demand.trace.origins", "must not be all 0")
        return np.full(share.size, 1 / share.size)
    return share / share.sum()


def _class_of(site: Site, entry: Trace, named: list[str], batch: Batch) -> np.ndarray:
    """(n,) class of each request: the nearest of its model's, by |log| of the token counts."""
    classes = site.document.classes
    tokens = np.log([[kind.input_tokens, kind.output_tokens] for kind in classes])
    asked = np.stack([batch.input_tokens, batch.output_tokens], axis=1)
    asked = np.log(np.maximum(asked, 1))
    distance = np.abs(asked[:, None, :] - tokens[None]).sum(axis=2)
    if batch.model is not None:
        for position, name in enumerate(named):
            model = entry.models.get(name)
            other = np.array([model is not None and kind.model != model for kind in classes])
            distance[np.ix_(batch.model == position, other)] = np.inf
    return distance.argmin(axis=1)

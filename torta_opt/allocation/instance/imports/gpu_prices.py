"""Rents by region and GPU type, from a CSV file in one of two forms.

    plain          region, type, usd_per_hour: of one server, that is of one GPU
    google cloud   machine_type, region, hour_usd, hour_spot_usd, attrs (the calculator's data,
                   github.com/Cyclenerd/google-cloud-pricing-cost-calculator): the cheapest machine
                   per GPU; ``a100-80gb=1;cpu=12`` in attrs names its GPUs

A price does not mean that the GPU can be had there: a second file (NAME;ZONE, as Google Cloud lists
accelerators) keeps only the regions that have it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.generate.hardware import GPUS
from torta_opt.allocation.instance.imports.places import bare_name, nearest, place_of
from torta_opt.allocation.instance.imports.small_csv import Row, Table, read_table
from torta_opt.io import InvalidInput
from torta_opt.io.topology import Topology

_GCP_ATTRS = {"a100-80gb": "A100", "h100-80gb": "H100", "v100": "V100", "t4": "T4"}
_GCP_NAMES = {
    "nvidia-a100-80gb": "A100",
    "nvidia-h100-80gb": "H100",
    "nvidia-tesla-v100": "V100",
    "nvidia-tesla-t4": "T4",
}

Rents = dict[tuple[str, str], float]  # $ per server-hour by (region without cloud and zone, GPU)


@dataclass(frozen=True, eq=False)
class RentTable:
    """(R, K) $ per server-hour, and whether the region has the type; NaN where no price is known
    anywhere."""

    usd_per_hour: np.ndarray
    is_offered: np.ndarray


def read_rents(
    path: str | os.PathLike[str],
    places: str | os.PathLike[str] | None = None,
    spot: bool = False,
) -> Rents:
    """Rents by region and GPU type; with ``places``, of the regions listed there only."""
    table = read_table(path)
    if {"machine_type", "region", "attrs"} <= set(table.titles):
        rents = _google_cloud(table, "hour_spot_usd" if spot else "hour_usd")
    else:
        table.require("region", "type", "usd_per_hour")
        rents = _plain(table)
    if places is not None:
        listed = _listed_places(places)
        rents = {key: usd for key, usd in rents.items() if key in listed}
    if not rents:
        raise InvalidInput("holds no price of a known GPU type", file=table.file)
    return rents


def rent_table(rents: Rents, topology: Topology, gpus: list[str], file: str) -> RentTable:
    """Rents of the regions of a topology.

    A region that the rents name has the types named with it, at their price. Any other region takes
    each type at the price of the nearest region that has it. A type without any price is NaN.
    """
    named = {region for region, _ in rents}
    shape = (len(topology.nodes), len(gpus))
    usd, offered = np.full(shape, np.nan), np.ones(shape, bool)
    for k, gpu in enumerate(gpus):
        having = sorted(region for region, other in rents if other == gpu)
        if not having:
            continue
        placed = [region for region in having if place_of(region) is not None]
        for i, node in enumerate(topology.nodes):
            region = bare_name(node)
            if region in named:
                offered[i, k] = (region, gpu) in rents
            elif placed:
                region = _nearest(topology, i, placed)
            else:
                raise InvalidInput(f"has no price for region {node!r:.60}", file=file)
            usd[i, k] = rents.get((region, gpu), 0.0)
    return RentTable(usd, offered)


def _nearest(topology: Topology, i: int, regions: list[str]) -> str:
    places = [place for region in regions if (place := place_of(region)) is not None]
    here = topology.longitude[i : i + 1], topology.latitude[i : i + 1]
    return regions[int(nearest(*here, places)[0])]


def _plain(table: Table) -> Rents:
    rents: Rents = {}
    for row in table:
        gpu = row.text("type")
        if gpu not in GPUS:
            raise row.fault(f"{gpu!r:.40} is not known; known: {', '.join(GPUS)}", "type")
        key = bare_name(row.text("region")), gpu
        if key in rents:
            raise row.fault(f"repeats {key[0]!r:.60}, {gpu}")
        rents[key] = _usd(row, "usd_per_hour")
    return rents


def _google_cloud(table: Table, title: str) -> Rents:
    table.require("machine_type", "region", "attrs", title)
    rents: Rents = {}
    for row in table:
        for attribute in row.cells["attrs"].split(";"):
            name, _, count = attribute.partition("=")
            if name not in _GCP_ATTRS or not row.cells[title].strip():
                continue
            is_whole = count.isascii() and count.isdigit() and len(count) < 6
            if not is_whole or int(count) == 0:
                raise row.fault(f"{attribute!r:.40} does not say how many GPUs", "attrs")
            key = bare_name(row.text("region")), _GCP_ATTRS[name]
            usd = round(_usd(row, title) / int(count), 6)
            rents[key] = min(usd, rents.get(key, usd))
    return rents


def _usd(row: Row, title: str) -> float:
    usd = row.number(title)
    if not 0 <= usd <= 1e6:
        raise row.fault(f"{usd:g} $ does not lie in [0, 1e6]", title)
    return usd


def _listed_places(path: str | os.PathLike[str]) -> set[tuple[str, str]]:
    table = read_table(path, delimiter=";")
    table.require("NAME", "ZONE")
    return {
        (bare_name(row.text("ZONE")), _GCP_NAMES[row.cells["NAME"]])
        for row in table
        if row.cells["NAME"] in _GCP_NAMES
    }

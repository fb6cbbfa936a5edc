"""Where the regions of a site lie, and how long a request takes between them.

A region of a cloud's name is known (imports/places.py). Without a file of latencies, a way of d km
takes d·detour/200,000 seconds, light in glass along a path longer than the great circle, plus
``local_ms`` inside each region. Latencies are one way, as everywhere in an instance.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.instance.imports.latency import read_latency
from torta_opt.allocation.instance.imports.places import place_of
from torta_opt.allocation.site.faults import Faults
from torta_opt.allocation.site.files import Site
from torta_opt.io.topology import FIBRE_KM_PER_S, Topology, great_circle_km


def topology_of(site: Site, faults: Faults) -> Topology:
    """The regions with their places; (0, 0) and a fault where none is known but is needed."""
    document = site.document
    needed = document.latency.file is None
    places = []
    for i, region in enumerate(document.regions):
        place = place_of(region.cloud or region.name)
        if region.longitude is not None and region.latitude is not None:
            place = region.longitude, region.latitude
        elif (region.longitude is None) != (region.latitude is None):
            faults.add(f"regions[{i}]", "needs both longitude and latitude, or neither")
        elif place is None and needed:
            faults.add(
                f"regions[{i}].longitude",
                f"is missing: {region.name!r} is not a cloud region that is known by name",
                "longitude = -77.5, latitude = 39.0 (or [latency] file)",
            )
        places.append(place or (0.0, 0.0))
    longitude, latitude = np.array(places, dtype=float).T
    km = great_circle_km(longitude[:, None], latitude[:, None], longitude, latitude)
    names = tuple(region.name for region in document.regions)
    return Topology(document.name, site.file, names, longitude, latitude, km)


def latency_of(site: Site, topology: Topology, faults: Faults) -> np.ndarray:
    """(R, R) seconds one way, NaN where forbidden."""
    latency = site.document.latency
    if latency.file is None:
        away = topology.distance_km * latency.detour / FIBRE_KM_PER_S
        seconds = np.round(away + latency.local_ms / 1000, 6)
    elif len(topology.nodes) == 1:
        seconds = np.array([[latency.local_ms / 1000]])
    else:
        seconds = np.zeros((len(topology.nodes),) * 2)
        with faults.catching("latency.file"):
            names = [r.cloud or r.name for r in site.document.regions]
            seconds = read_latency(site.path(latency.file), names)[1]
    for position, (origin, region) in enumerate(latency.forbidden):
        for name in (origin, region):
            if name not in topology.nodes:
                faults.add(f"latency.forbidden[{position}]", f"{name!r} is not a region")
        if {origin, region} <= set(topology.nodes):
            seconds[topology.nodes.index(origin), topology.nodes.index(region)] = np.nan
    return seconds

"""Networks between clients and servers: read from a file or taken from a package.

    read_network("Abvt.graph")              the REPETITA format: links with delays in microseconds
    read_network("Germany.gml")             GML or GraphML: links as long as their great circle
    topohub_network("topozoo/Bellcanada")   SNDlib, Topology Zoo and Gabriel graphs
    bundled_network("abovenet")             the link lists the authors' simulator reads

Lengths become delays at the speed of light in fibre. The delays in the .graph files follow from the
same lengths at about 600,000 km/s, three times that: the published settings keep them as they are.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from torta_opt.io import InvalidInput

FIBRE_KM_PER_MS = 200.0
EARTH_KM = 6371.0
MAX_FILE_BYTES = 50_000_000
BUNDLED = {"abovenet": "Abvt.graph", "bellcanada": "Bellcanada.graph"}


@dataclass(frozen=True, eq=False)
class Network:
    """Nodes and the one-way delay of the shortest path between any two.

    delay_ms   (N, N)
    """

    name: str
    nodes: tuple[str, ...]
    delay_ms: np.ndarray

    @property
    def rtt_ms(self) -> np.ndarray:
        """(N, N) bare round trips."""
        return 2 * self.delay_ms


def read_network(path: str | os.PathLike[str]) -> Network:
    """A ``.graph``, GML or GraphML file. Raises InvalidInput naming the file."""
    if Path(path).suffix == ".graph":
        try:
            return _parse_graph(_text_of(Path(path)), Path(path).stem)
        except InvalidInput as error:
            raise error.within(os.fspath(path)) from None
    from torta_opt.io.topology import read_topology

    topology = read_topology(path)
    return Network(topology.name, topology.nodes, topology.distance_km / FIBRE_KM_PER_MS)


def bundled_network(name: str) -> Network:
    """``abovenet`` or ``bellcanada``: link lists under the MIT licence that lies beside them."""
    folder = resources.files("torta_opt.placement.instance") / "topologies"
    return _parse_graph((folder / BUNDLED[name]).read_text(), name)


def topohub_network(*keys: str, name: str | None = None) -> Network:
    """One or more graphs of topohub, joined where nodes of two graphs are less than 30 km apart.

    Parts that are still apart are joined by the shortest link between them.
    """
    import topohub

    places: list[tuple[float, float]] = []
    labels: list[str] = []
    links: list[tuple[int, int]] = []
    for key in keys:
        try:
            graph = topohub.get(key)
        except KeyError:
            raise InvalidInput(f"{key!r} is not a graph of topohub", field="network") from None
        position = {}
        for node in graph["nodes"]:
            position[node["id"]] = _merged(places, labels, node)
        links += [(position[e["source"]], position[e["target"]]) for e in graph["edges"]]
    points = np.array(places)
    distance = _great_circle_km(points[:, None, :], points[None, :, :])
    links = _joined(links, distance)
    rows = [(a, b, distance[a, b] / FIBRE_KM_PER_MS) for a, b in links if a != b]
    return _network(name or keys[0], labels, rows)


def _merged(places: list[tuple[float, float]], labels: list[str], node: dict[str, Any]) -> int:
    """Position of a node: that of one less than 30 km away, or a new one."""
    here = np.array(node["pos"], float)
    if places:
        apart = _great_circle_km(np.array(places), here)
        nearest = int(np.argmin(apart))
        if apart[nearest] < 30.0:
            return nearest
    places.append((float(here[0]), float(here[1])))
    name = str(node.get("name") or node["id"])
    labels.append(name if name not in labels else f"{name} #{len(labels)}")
    return len(places) - 1


def _joined(links: list[tuple[int, int]], distance: np.ndarray) -> list[tuple[int, int]]:
    """``links`` and the shortest ones that make the graph connected."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = list(links)
    while True:
        tails, heads = np.array(links).T
        graph = coo_array((np.ones(len(links)), (tails, heads)), shape=distance.shape)
        parts, part = connected_components(graph, directed=False)
        if parts == 1:
            return links
        lone = part == part[-1]
        between = np.where(lone[:, None] & ~lone[None, :], distance, np.inf)
        a, b = np.unravel_index(np.argmin(between), between.shape)
        links.append((int(a), int(b)))


def _great_circle_km(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distances between points (longitude, latitude) in degrees; broadcasts over all but last.

    To the millimetre: processors differ in the last digits of sines.
    """
    lon, lat = np.radians(a[..., 0]), np.radians(a[..., 1])
    to_lon, to_lat = np.radians(b[..., 0]), np.radians(b[..., 1])
    half = (
        np.sin((to_lat - lat) / 2) ** 2
        + np.cos(lat) * np.cos(to_lat) * np.sin((to_lon - lon) / 2) ** 2
    )
    return np.round(2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1))), 6)


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidInput(f"is larger than {MAX_FILE_BYTES} bytes")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror or error}") from None


def _parse_graph(text: str, name: str) -> Network:
    """``NODES n``, a title, n lines ``label x y``; ``EDGES m``, a title, m lines with the delay."""
    lines = text.splitlines()
    nodes = _section(lines, "NODES")
    edges = _section(lines, "EDGES")
    labels = [row.split()[0] for row in nodes]
    links = []
    for row in edges:
        parts = row.split()
        try:
            tail, head, delay_us = int(parts[1]), int(parts[2]), float(parts[5])
        except (IndexError, ValueError):
            raise InvalidInput(f"is not 'label src dest weight bw delay': {row[:60]!r}") from None
        if not (0 <= tail < len(labels) and 0 <= head < len(labels)):
            raise InvalidInput(f"links an unknown node: {row[:60]!r}", field="EDGES")
        if not 0 <= delay_us < 1e9:
            raise InvalidInput(f"has a negative or absurd delay: {row[:60]!r}", field="EDGES")
        links.append((tail, head, delay_us / 1000))
    return _network(name, labels, links)


def _section(lines: list[str], title: str) -> list[str]:
    for number, line in enumerate(lines):
        words = line.split()
        if words[:1] == [title]:
            count = int(words[1]) if len(words) > 1 and words[1].isdigit() else -1
            if count < 0:
                raise InvalidInput("must be followed by a number of lines", title)
            rows = [row for row in lines[number + 2 : number + 2 + count] if row.strip()]
            if len(rows) != count:
                raise InvalidInput(f"must hold as many lines as it announces ({count})", title)
            return rows
    raise InvalidInput(f"has no line that begins with {title}")


def _network(name: str, labels: list[str], links: list[tuple[int, int, float]]) -> Network:
    """Shortest paths; a link counts in both directions, of parallel ones the fastest."""
    from scipy.sparse.csgraph import shortest_path

    if len(labels) < 2 or not links:
        raise InvalidInput("must hold at least two nodes and a link", field="network")
    nodes = tuple(
        label if labels.count(label) == 1 else f"{label} #{i}" for i, label in enumerate(labels)
    )
    weight = np.full((len(labels),) * 2, np.inf)
    for tail, head, delay_ms in links:
        least = min(weight[tail, head], max(delay_ms, 1e-9))  # a zero would be no link at all
        weight[tail, head] = weight[head, tail] = least
    delay = shortest_path(weight, directed=False)
    delay = np.minimum(delay, delay.T)  # sums in either order, rounded
    if not np.isfinite(delay).all():
        lone = nodes[int(np.argmax(~np.isfinite(delay[0])))]
        raise InvalidInput(f"must be connected: {nodes[0]!r} does not reach {lone!r}", "network")
    return Network(name, nodes, delay)

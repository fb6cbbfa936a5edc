"""Where the regions lie and how far apart they are.

Topologies come from the ``topohub`` package (SNDlib and synthetic Gabriel graphs) or from a user's
own GML or GraphML file. The distance of two regions is the length of the shortest path over the
links; a link is as long as the great circle between its ends.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt.io import InvalidInput

if TYPE_CHECKING:
    import networkx as nx

EARTH_KM = 6371.0
FIBRE_KM_PER_S = 200_000.0  # light in glass, about 2/3 of its speed in vacuum
LINK_KM = 1000.0  # length of every link where no node has coordinates
PLANE_ORIGIN = (10.0, 50.0)  # longitude, latitude at which graphs in a plane are placed
MAX_FILE_BYTES = 10_000_000
MAX_NODES = 1000


@dataclass(frozen=True, eq=False)
class Topology:
    """Regions by position.

    longitude, latitude   (R,) degrees
    distance_km           (R, R) shortest path over the links
    traffic               (R,) volume that starts or ends at each node; None if not known
    """

    name: str
    source: str
    nodes: tuple[str, ...]
    longitude: np.ndarray
    latitude: np.ndarray
    distance_km: np.ndarray
    traffic: np.ndarray | None = None

    def keep(self, count: int, name: str, source: str) -> Topology:
        """The ``count`` nodes with the most traffic; the others still carry traffic through."""
        if self.traffic is None:
            raise InvalidInput(
                "has no traffic, by which its nodes would be chosen", field=self.name
            )
        kept = np.sort(np.argsort(-self.traffic, kind="stable")[:count])
        return Topology(
            name=name,
            source=source,
            nodes=tuple(self.nodes[i] for i in kept),
            longitude=self.longitude[kept],
            latitude=self.latitude[kept],
            distance_km=self.distance_km[np.ix_(kept, kept)],
            traffic=self.traffic[kept],
        )

    def latency_s(self, mean_ms: float | None = None) -> np.ndarray:
        """(R, R) one-way seconds at the speed of light in fibre, to the microsecond.

        With ``mean_ms``, scaled so that the mean over pairs of different regions is that.
        """
        latency = self.distance_km / FIBRE_KM_PER_S
        if mean_ms is not None:
            apart = ~np.eye(len(self.nodes), dtype=bool)
            mean_s = latency[apart].mean()
            if mean_s < 1e-9:  # coinciding nodes are a millimetre apart
                raise InvalidInput("cannot be reached: all nodes coincide", field="mean_latency_ms")
            latency = latency * (mean_ms / 1000 / mean_s)
        return np.round(latency, 6)


def paper_topology(name: str) -> Topology:
    """One of the paper's four topologies, or what stands in for it.

    abilene, polska   SNDlib graphs of that name (12 nodes, 15 and 18 links)
    gabriel           TopoHub's synthetic Gabriel graph gabriel/25/0 (25 nodes, 40 links): the paper
                      cites SNDlib, which has no graph of that name
    cost2             SNDlib's cost266 (37 nodes, 57 links) with regions at the 32 nodes of most
                      traffic, the other five only passing traffic on: the paper's 32-node "Cost2"
                      is not identified, and no SNDlib graph has 32 nodes
    """
    keys = {
        "abilene": "sndlib/abilene",
        "polska": "sndlib/polska",
        "gabriel": "gabriel/25/0",
        "cost2": "sndlib/cost266",
    }
    topology = _from_topohub(keys[name], name)
    if name == "cost2":
        source = "SNDlib cost266 (topohub), its 32 nodes of most traffic, in place of Cost2"
        return topology.keep(32, name, source)
    return topology


def read_topology(path: str | os.PathLike[str]) -> Topology:
    """A GML or GraphML file. Raises InvalidInput naming the file.

    Nodes may carry longitude and latitude (Longitude/Latitude, lon/lat, lng/lat, long/lat, or a
    pair ``pos``), or x and y in kilometres. Nodes without coordinates lie amid their neighbours;
    if none has any, every link counts as 1000 km. Direction, loops and parallel links do not
    matter.
    """
    name = os.fspath(path)
    try:
        graph = _read_graph(Path(path))
        return _from_graph(graph, Path(path).stem, f"file {Path(path).name}")
    except InvalidInput as error:
        raise error.within(name) from None


def great_circle_km(
    longitude: np.ndarray, latitude: np.ndarray, to_longitude: np.ndarray, to_latitude: np.ndarray
) -> np.ndarray:
    """Distances on the globe between points in degrees (haversine formula); broadcasts."""
    lon, lat, to_lon, to_lat = map(np.radians, (longitude, latitude, to_longitude, to_latitude))
    half = (
        np.sin((to_lat - lat) / 2) ** 2
        + np.cos(lat) * np.cos(to_lat) * np.sin((to_lon - lon) / 2) ** 2
    )
    distance: np.ndarray = 2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
    return distance


# --- files --------------------------------------------------------------------------------------


def _read_graph(path: Path) -> nx.Graph:
    import networkx as nx

    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidInput(f"is larger than {MAX_FILE_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror or error}") from None
    is_xml = content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
    try:
        if is_xml:
            return nx.parse_graphml(content, force_multigraph=True)
        return nx.parse_gml(_as_multigraph(_decoded(content)), label="id")
    except RecursionError:
        raise InvalidInput("is nested too deeply") from None
    except Exception as error:  # the parsers raise whatever a malformed file makes them stumble on
        kind = "GraphML" if is_xml else "GML"
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InvalidInput(f"is not a {kind} graph: {reason}") from None


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _as_multigraph(text: str) -> str:
    """GML that holds parallel edges must say so before networkx reads it; many files do not."""
    text = re.sub(r"(?m)^(\s*)multigraph\s+\d+\s*$", r"\1", text, count=1)
    return re.sub(r"\bgraph\s*\[", "graph [\n  multigraph 1\n", text, count=1)


# --- graphs -------------------------------------------------------------------------------------


def _from_topohub(key: str, name: str) -> Topology:
    import networkx as nx
    import topohub

    graph = nx.node_link_graph(topohub.get(key), edges="edges")
    if key.startswith("gabriel/"):  # their positions are kilometres in a square
        for _, data in graph.nodes(data=True):
            data["x"], data["y"] = data.pop("pos")
    demands = graph.graph.get("demands") or {}
    order = {node: i for i, node in enumerate(graph.nodes)}
    traffic = np.zeros(len(order))
    for origin, row in demands.items():
        for target, volume in row.items():
            traffic[[order[origin], order[target]]] += volume
    source = f"SNDlib {name} (topohub)"
    if key.startswith("gabriel/"):
        source = f"synthetic Gabriel graph {key} (topohub), in place of Gabriel"
    return _from_graph(graph, name, source, traffic if demands else None)


def _from_graph(
    graph: nx.Graph, name: str, source: str, traffic: np.ndarray | None = None
) -> Topology:
    import networkx as nx

    simple = nx.Graph(graph)
    simple.remove_edges_from(list(nx.selfloop_edges(simple)))
    nodes = list(simple.nodes)
    if len(nodes) < 2:
        raise InvalidInput(f"must hold at least 2 nodes, found {len(nodes)}", field="graph")
    if len(nodes) > MAX_NODES:
        raise InvalidInput(
            f"must hold at most {MAX_NODES} nodes, found {len(nodes)}", field="graph"
        )
    names = _names(simple)
    _check_connected(simple, names)
    longitude, latitude = _coordinates(simple, names)
    return Topology(
        name=name,
        source=source,
        nodes=names,
        longitude=np.where(np.isnan(longitude), PLANE_ORIGIN[0], longitude),
        latitude=np.where(np.isnan(latitude), PLANE_ORIGIN[1], latitude),
        distance_km=_path_lengths(simple, longitude, latitude),
        traffic=traffic,
    )


def _names(graph: nx.Graph) -> tuple[str, ...]:
    """A name per node: its name or label, with its identifier where labels repeat."""
    labels = []
    for node, data in graph.nodes(data=True):
        given = next((data[key] for key in ("name", "label") if data.get(key)), node)
        labels.append(_printable(given)[:120] or _printable(node)[:40])
    count = Counter(labels)
    names = tuple(
        f"{label} ({_printable(node)[:40]})" if count[label] > 1 else label
        for label, node in zip(labels, graph.nodes, strict=True)
    )
    if len(set(names)) < len(names) or "" in names:
        return tuple(f"{label} #{i}".strip() for i, label in enumerate(labels))
    return names


def _printable(name: object) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in str(name)).split())


def _check_connected(graph: nx.Graph, names: tuple[str, ...]) -> None:
    import networkx as nx

    parts = sorted(nx.connected_components(graph), key=len, reverse=True)
    if len(parts) > 1:
        position = {node: i for i, node in enumerate(graph.nodes)}
        lone, main = (names[min(position[node] for node in part)] for part in (parts[-1], parts[0]))
        raise InvalidInput(
            f"must be connected, found {len(parts)} parts: {lone!r} does not reach {main!r}",
            field="graph",
        )


def _coordinates(graph: nx.Graph, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(longitude, latitude) in degrees; NaN everywhere if no node has coordinates."""
    found = [_place(data, names[i]) for i, (_, data) in enumerate(graph.nodes(data=True))]
    in_plane = {place[2] for place in found if place is not None}
    if len(in_plane) > 1:
        raise InvalidInput("must all be degrees or all be kilometres", field="coordinates")
    points = np.array([place[:2] if place is not None else (np.nan, np.nan) for place in found])
    if in_plane == {True}:
        points = _plane_to_globe(points)
    points = _fill_from_neighbours(graph, points)
    return points[:, 0], points[:, 1]


def _place(data: dict[str, Any], name: str) -> tuple[float, float, bool] | None:
    """(east, north, whether these are kilometres in a plane) of one node; None if not given."""
    values = {str(key).lower(): value for key, value in data.items()}
    pairs = [("longitude", "latitude"), ("lon", "lat"), ("lng", "lat"), ("long", "lat"), ("x", "y")]
    for east, north in pairs:
        if values.get(east) not in (None, "") and values.get(north) not in (None, ""):
            x, y = _number(values[east], name, east), _number(values[north], name, north)
            return _checked(x, y, name, in_plane=east == "x")
    if isinstance(values.get("pos"), list | tuple) and len(values["pos"]) == 2:
        x, y = (_number(value, name, "pos") for value in values["pos"])
        return _checked(x, y, name, in_plane=False)
    return None


def _number(value: Any, name: str, key: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput("must be a number", field=f"node {name!r}.{key}") from None
    if not -1e6 <= number <= 1e6:  # also refuses NaN
        raise InvalidInput("must lie in [-1e6, 1e6]", field=f"node {name!r}.{key}")
    return number


def _checked(x: float, y: float, name: str, in_plane: bool) -> tuple[float, float, bool]:
    if not in_plane and not (-180 <= x <= 180 and -90 <= y <= 90):
        raise InvalidInput(
            f"({x:g}, {y:g}) is not a longitude in [-180, 180] and a latitude in [-90, 90]",
            field=f"node {name!r}",
        )
    return x, y, in_plane


def _plane_to_globe(points: np.ndarray) -> np.ndarray:
    """Kilometres in a plane as degrees around PLANE_ORIGIN."""
    centred = points - np.nanmean(points, axis=0)
    degree_km = EARTH_KM * np.pi / 180
    origin = np.array(PLANE_ORIGIN)
    stretch = np.array([np.cos(np.radians(origin[1])), 1.0])
    placed: np.ndarray = origin + centred / degree_km / stretch
    return placed


def _fill_from_neighbours(graph: nx.Graph, points: np.ndarray) -> np.ndarray:
    """Nodes without a place lie at the mean of their placed neighbours, outwards from those."""
    if np.isnan(points).all():
        return points
    points = points.copy()
    position = {node: i for i, node in enumerate(graph.nodes)}
    neighbours = [[position[n] for n in graph.neighbors(node)] for node in graph.nodes]
    while (missing := np.flatnonzero(np.isnan(points[:, 0]))).size:
        known = points.copy()
        for i in missing:
            placed = [j for j in neighbours[i] if not np.isnan(known[j, 0])]
            if placed:
                points[i] = known[placed].mean(axis=0)
    return points


def _path_lengths(graph: nx.Graph, longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """(R, R) kilometres of the shortest paths."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import shortest_path

    position = {node: i for i, node in enumerate(graph.nodes)}
    tails, heads = np.array([(position[a], position[b]) for a, b in graph.edges]).T
    if np.isnan(longitude).all():
        length = np.full(len(tails), LINK_KM)
    else:
        ends = longitude[tails], latitude[tails], longitude[heads], latitude[heads]
        length = great_circle_km(*ends)
    # a stored zero would be no link at all, so links between coinciding nodes get a millimetre
    weights = coo_array((np.maximum(length, 1e-6), (tails, heads)), shape=(len(position),) * 2)
    shortest: np.ndarray = np.round(shortest_path(weights.tocsr(), directed=False), 6)
    return shortest

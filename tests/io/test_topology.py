from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from torta_opt.io import InvalidInput
from torta_opt.io.topology import (
    great_circle_km,
    paper_topology,
    read_topology,
)

ZOO = """Creator "Topology Zoo Toolset"
Version "1.0"
graph [
  directed 0
  GeoLocation "Europe"
  Note "two circuits between Vienna &#38; Graz"
  node [
    id 0
    label "Vienna"
    Country "Austria"
    Longitude 16.37208
    Internal 1
    Latitude 48.20849
  ]
  node [
    id 1
    label "Graz"
    Longitude 15.45
    Latitude 47.06667
  ]
  node [
    id 2
    label "Transit"
    hyperedge 1
  ]
  edge [
    source 0
    target 1
    LinkLabel "10 Gbit/s"
  ]
  edge [
    source 0
    target 1
    LinkLabel "1 Gbit/s"
  ]
  edge [
    source 1
    target 2
  ]
  edge [
    source 2
    target 2
  ]
]
"""


def write(folder: Path, content: str | bytes, name: str = "net.gml") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def gml(*nodes: str, edges: str = "0-1") -> str:
    parts = [f"node [ id {i} {text} ]" for i, text in enumerate(nodes)]
    for edge in edges.split():
        tail, head = edge.split("-")
        parts.append(f"edge [ source {tail} target {head} ]")
    return "graph [\n" + "\n".join(parts) + "\n]\n"


class TestPaperTopologies:
    @pytest.mark.parametrize(
        ("name", "nodes"), [("abilene", 12), ("polska", 12), ("gabriel", 25), ("cost2", 32)]
    )
    def test_sizes(self, name: str, nodes: int) -> None:
        topology = paper_topology(name)
        assert len(topology.nodes) == len(set(topology.nodes)) == nodes
        assert topology.distance_km.shape == (nodes, nodes)

    def test_distances_are_a_metric(self) -> None:
        km = paper_topology("cost2").distance_km
        np.testing.assert_allclose(km, km.T, atol=1e-5)
        assert (np.diag(km) == 0).all()
        assert (km[:, None, :] <= km[:, :, None] + km[None, :, :] + 1e-5).all()

    def test_abilene_paths_agree_with_topohub(self) -> None:
        """TopoHub states a mean shortest path of 1392 km and a diameter of 4707 km."""
        km = paper_topology("abilene").distance_km
        apart = ~np.eye(12, dtype=bool)
        assert km.max() == pytest.approx(4707, rel=0.01)
        new_york, los_angeles = 8, 7
        assert km[new_york, los_angeles] > 3900
        assert km[apart].min() > 100

    def test_cost2_keeps_the_busiest_nodes_and_the_distances_of_all(self) -> None:
        import topohub

        cost2 = paper_topology("cost2")
        graph = nx.node_link_graph(topohub.get("sndlib/cost266"), edges="edges")
        names = {data["name"] for _, data in graph.nodes(data=True)}
        assert set(cost2.nodes) < names
        assert {"London", "Paris", "Frankfurt"} <= set(cost2.nodes)
        assert cost2.traffic is not None
        by_name = nx.relabel_nodes(graph, nx.get_node_attributes(graph, "name"))
        km = dict(nx.all_pairs_dijkstra_path_length(by_name, weight="dist"))
        ours = cost2.distance_km[cost2.nodes.index("London"), cost2.nodes.index("Athens")]
        assert ours == pytest.approx(km["London"]["Athens"], rel=0.01)

    def test_gabriel_lies_in_a_plane(self) -> None:
        gabriel = paper_topology("gabriel")
        assert gabriel.traffic is None
        assert np.ptp(gabriel.longitude) < 10
        assert np.ptp(gabriel.latitude) < 10
        assert gabriel.distance_km.max() == pytest.approx(638, rel=0.02)  # TopoHub's diameter


def test_great_circle() -> None:
    paris_to_new_york = great_circle_km(2.3522, 48.8566, -74.0060, 40.7128)
    assert paris_to_new_york == pytest.approx(5837, abs=5)
    assert great_circle_km(0, 0, 180, 0) == pytest.approx(np.pi * 6371, rel=1e-9)
    assert great_circle_km(179.5, 0, -179.5, 0) == pytest.approx(111.2, abs=0.1)


class TestFiles:
    def test_topology_zoo_with_parallel_edges_and_no_multigraph(self, tmp_path: Path) -> None:
        path = write(tmp_path, ZOO)
        with pytest.raises(nx.NetworkXError, match="duplicated"):
            nx.read_gml(path, label="id")  # what makes the file awkward
        topology = read_topology(path)
        assert topology.nodes == ("Vienna", "Graz", "Transit")
        assert topology.name == "net"
        assert topology.distance_km[0, 1] == pytest.approx(145, abs=2)
        # a node without coordinates lies where its one neighbour does
        assert topology.distance_km[1, 2] < 0.01

    @pytest.mark.parametrize("flag", ["multigraph 1", "multigraph 0"])
    def test_multigraph_stated(self, tmp_path: Path, flag: str) -> None:
        path = write(tmp_path, ZOO.replace("directed 0", f"directed 0\n  {flag}"))
        assert len(read_topology(path).nodes) == 3

    def test_directed_edges_go_both_ways(self, tmp_path: Path) -> None:
        path = write(tmp_path, ZOO.replace("directed 0", "directed 1"))
        assert len(read_topology(path).nodes) == 3

    @pytest.mark.parametrize(
        ("east", "north"),
        [
            ("Longitude", "Latitude"),
            ("lon", "lat"),
            ("lng", "lat"),
            ("long", "lat"),
            ("LON", "LAT"),
        ],
    )
    def test_names_of_coordinates(self, tmp_path: Path, east: str, north: str) -> None:
        a, b = f'label "A" {east} 10 {north} 0', f'label "B" {east} 11 {north} 0'
        topology = read_topology(write(tmp_path, gml(a, b)))
        assert topology.longitude.tolist() == [10, 11]
        assert topology.distance_km[0, 1] == pytest.approx(111.19, abs=0.01)

    def test_kilometres_in_a_plane(self, tmp_path: Path) -> None:
        path = write(tmp_path, gml('label "A" x 0 y 0', 'label "B" x 300 y 400'))
        assert read_topology(path).distance_km[0, 1] == pytest.approx(500, rel=0.005)

    def test_no_coordinates_counts_links(self, tmp_path: Path) -> None:
        path = write(tmp_path, gml('label "A"', 'label "B"', 'label "C"', edges="0-1 1-2"))
        topology = read_topology(path)
        np.testing.assert_array_equal(
            topology.distance_km, [[0, 1000, 2000], [1000, 0, 1000], [2000, 1000, 0]]
        )
        assert np.isfinite(topology.longitude).all()

    def test_some_coordinates(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            gml('label "A" lon 0 lat 0', 'label "B"', 'label "C" lon 4 lat 0', edges="0-1 1-2"),
        )
        topology = read_topology(path)
        assert topology.longitude.tolist() == [0, 2, 4]

    def test_repeated_labels_stay_apart(self, tmp_path: Path) -> None:
        path = write(tmp_path, gml('label "PoP"', 'label "PoP"', 'label "Hub"', edges="0-1 1-2"))
        assert read_topology(path).nodes == ("PoP (0)", "PoP (1)", "Hub")

    def test_no_labels(self, tmp_path: Path) -> None:
        assert read_topology(write(tmp_path, gml("", ""))).nodes == ("0", "1")

    def test_accents_in_utf8_and_latin1(self, tmp_path: Path) -> None:
        text = gml('label "Zürich"', 'label "São Paulo"')
        for encoding in ("utf-8", "latin-1", "utf-8-sig"):
            path = write(tmp_path, text.encode(encoding))
            assert read_topology(path).nodes == ("Zürich", "São Paulo")

    def test_graphml(self, tmp_path: Path) -> None:
        graph = nx.MultiGraph()
        graph.add_node("n0", label="Oslo", Longitude=10.75, Latitude=59.91)
        graph.add_node("n1", label="Bergen", Longitude=5.32, Latitude=60.39)
        graph.add_edges_from([("n0", "n1"), ("n0", "n1")])
        path = tmp_path / "norway.graphml"
        nx.write_graphml(graph, path)
        topology = read_topology(path)
        assert topology.nodes == ("Oslo", "Bergen")
        assert topology.distance_km[0, 1] == pytest.approx(305, abs=5)

    def test_coinciding_nodes_are_linked(self, tmp_path: Path) -> None:
        path = write(tmp_path, gml('lon 1 lat 1 label "A"', 'lon 1 lat 1 label "B"'))
        topology = read_topology(path)
        assert topology.latency_s().max() == 0
        with pytest.raises(InvalidInput, match="all nodes coincide"):
            topology.latency_s(25)


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "two parts": (
        gml('label "A"', 'label "B"', 'label "C"'),
        "graph: must be connected, found 2 parts: 'C' does not reach 'A'",
    ),
    "one node": ("graph [ node [ id 0 ] ]", "graph: must hold at least 2 nodes, found 1"),
    "no node": ("graph [ ]", "graph: must hold at least 2 nodes, found 0"),
    "empty": ("", "is not a GML graph"),
    "text": ("hello world", "is not a GML graph"),
    "bytes": (bytes(range(256)), "is not a GML graph"),
    "json": ('{"format": "torta-opt/allocation"}', "is not a GML graph"),
    "cut off": (ZOO[: len(ZOO) // 2], "is not a GML graph"),
    "edge to nowhere": (gml("", "", edges="0-7"), "is not a GML graph"),
    "no id": ('graph [ node [ label "A" ] ]', "is not a GML graph"),
    "xml, no graph": ("<a><b/></a>", "is not a GraphML graph"),
    "xml, cut off": ("<graphml><graph>", "is not a GraphML graph"),
    "longitude out of range": (
        gml("lon 200 lat 0", "lon 1 lat 0"),
        "node '0': (200, 0) is not a longitude in [-180, 180] and a latitude in [-90, 90]",
    ),
    "longitude is text": (gml('lon "east" lat 0', ""), "node '0'.lon: must be a number"),
    "degrees and kilometres": (
        gml("lon 1 lat 0", "x 5 y 0"),
        "coordinates: must all be degrees or all be kilometres",
    ),
    "huge plane": (gml("x 1.0e300 y 0", "x 5 y 0"), "node '0'.x: must lie in"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case: str, tmp_path: Path) -> None:
    content, words = REFUSED[case]
    path = write(tmp_path, content)
    with pytest.raises(InvalidInput) as caught:
        read_topology(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert words in message
    assert "\n" not in message


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.gml: cannot be read: No such file"):
        read_topology(tmp_path / "none.gml")
    with pytest.raises(InvalidInput, match="cannot be read: Is a directory"):
        read_topology(tmp_path)


def test_too_many_nodes(tmp_path: Path) -> None:
    path = tmp_path / "big.gml"
    nx.write_gml(nx.path_graph(1001), path)
    with pytest.raises(InvalidInput, match="at most 1000 nodes, found 1001"):
        read_topology(path)

"""Networks: the bundled link lists, files of three kinds, and what is wrong with files."""

from __future__ import annotations

import numpy as np
import pytest
from support.real_data import real_data

from torta_opt.io import InvalidInput
from torta_opt.placement.instance.network import (
    bundled_network,
    read_network,
    topohub_network,
)

GRAPH = """NODES 3
label x y
a 0 0
b 1 0
c 2 0

EDGES 3
label src dest weight bw delay
e1 0 1 1 1000 2000
e2 1 2 1 1000 3000
e3 0 2 1 1000 9000
"""


def _write(tmp_path, text, name="net.graph"):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "nodes", "least", "most"),
    [("abovenet", 23, 0.100, 13.800), ("bellcanada", 48, 0.078, 6.160)],
)
def test_the_published_networks(name, nodes, least, most):
    """Nodes, and the fastest and slowest link, as the paper's table has them."""
    network = bundled_network(name)
    assert len(network.nodes) == nodes
    between = network.delay_ms[~np.eye(nodes, dtype=bool)]
    assert between.min() == pytest.approx(least, abs=5e-4)
    assert (network.delay_ms == network.delay_ms.T).all()
    via = (network.delay_ms[:, :, None] + network.delay_ms[None, :, :]).min(axis=1)
    assert np.allclose(via, network.delay_ms)  # no detour is shorter
    assert between.max() >= most


@pytest.mark.parametrize(("name", "file"), [("abovenet", "Abvt"), ("bellcanada", "Bellcanada")])
def test_the_bundled_lists_are_the_published_ones(name, file):
    published = read_network(real_data("petals_paper_topologies") / f"{file}.graph")
    assert (published.delay_ms == bundled_network(name).delay_ms).all()


def test_delays_are_shortest_paths_in_milliseconds(tmp_path):
    network = read_network(_write(tmp_path, GRAPH))
    assert network.name == "net"
    assert network.delay_ms.tolist() == [[0, 2, 5], [2, 0, 3], [5, 3, 0]]
    assert network.rtt_ms[0, 2] == 10


def test_of_parallel_links_the_fastest_counts(tmp_path):
    four = GRAPH.replace("EDGES 3", "EDGES 4")
    faster, slower = four + "e4 2 0 1 1000 1000\n", four + "e4 1 0 1 1000 8000\n"
    assert read_network(_write(tmp_path, faster)).delay_ms[0, 2] == 1
    assert read_network(_write(tmp_path, slower)).delay_ms[0, 1] == 2


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("e2 1 2 1 1000 3000\ne3 0 2 1 1000 9000", "e2 1 0 1 1 1\ne3 0 1 1 1 1", "connected"),
        ("3000", "-3000", "negative"),
        ("3000", "nan", "negative"),
        ("3000", "x", "label src dest"),
        ("e2 1 2", "e2 1 7", "unknown node"),
        ("EDGES 3", "EDGES 5", "as many lines as"),
        ("EDGES 3", "EDGES many", "a number of lines"),
        ("NODES 3", "KNOTS 3", "NODES"),
        ("e3 0 2 1 1000 9000\n", "", "as many lines as"),
        ("e3 0 2 1 1000 9000", "e3 0 2", "label src dest"),
    ],
)
def test_broken_files_are_named_in_one_line(old, new, text, tmp_path):
    assert old in GRAPH
    with pytest.raises(InvalidInput, match=text) as error:
        read_network(_write(tmp_path, GRAPH.replace(old, new)))
    assert "net.graph" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_an_empty_one(tmp_path):
    with pytest.raises(InvalidInput, match=r"none\.graph: cannot be read"):
        read_network(tmp_path / "none.graph")
    with pytest.raises(InvalidInput, match="NODES"):
        read_network(_write(tmp_path, ""))


def test_gml_takes_the_speed_of_light_in_fibre(tmp_path):
    text = """graph [
      node [ id 0 label "a" Longitude 0.0 Latitude 0.0 ]
      node [ id 1 label "b" Longitude 10.0 Latitude 0.0 ]
      edge [ source 0 target 1 ]
    ]"""
    network = read_network(_write(tmp_path, text, "two.gml"))
    assert network.delay_ms[0, 1] == pytest.approx(1111.95 / 200, rel=1e-3)


def test_topohub_graphs_can_be_joined():
    one = topohub_network("topozoo/GtsSlovakia")
    both = topohub_network("topozoo/GtsSlovakia", "topozoo/GtsHungary", name="two")
    assert both.name == "two"
    assert len(both.nodes) > len(one.nodes)
    assert np.isfinite(both.delay_ms).all()
    assert len(set(both.nodes)) == len(both.nodes)


def test_an_unknown_topohub_graph():
    with pytest.raises(InvalidInput, match="not a graph of topohub"):
        topohub_network("topozoo/Nowhere")

"""Presets: the published numbers are there, and a seed decides everything drawn."""

from __future__ import annotations

import numpy as np
import pytest
from support.processors import printed_elsewhere

from torta_opt.io import InvalidInput
from torta_opt.placement.instance.document import placement_sha256
from torta_opt.placement.instance.network import bundled_network
from torta_opt.placement.instance.presets import (
    BLOOM,
    LLAMA,
    PRESETS,
    clustered,
    helix_measured,
    network_instance,
    placement_preset,
    scattered,
    tiny,
    worst_case,
)
from torta_opt.placement.instance.rules import check_feasible


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_feasible_and_its_seed_decides_it(name):
    instance = placement_preset(name, seed=3)
    check_feasible(instance, instance.requests)
    assert placement_sha256(instance) == placement_sha256(placement_preset(name, seed=3))
    assert PRESETS[name].summary


@pytest.mark.parametrize("name", ["abovenet", "bellcanada", "gts-ce", "large", "tiny"])
def test_other_seeds_draw_other_nodes(name):
    assert placement_sha256(placement_preset(name, 0)) != placement_sha256(
        placement_preset(name, 1)
    )


PRINT_DIGESTS = """
from torta_opt.placement.instance.document import placement_sha256
from torta_opt.placement.instance.presets import PRESETS, placement_preset
for name in PRESETS:
    print(name, placement_sha256(placement_preset(name, 0)))
"""


def test_another_processor_gives_the_same_bytes(capsys):
    exec(PRINT_DIGESTS, {})
    assert printed_elsewhere(PRINT_DIGESTS) == capsys.readouterr().out.splitlines()


def test_an_unknown_preset():
    with pytest.raises(InvalidInput, match="not one of clustered"):
        placement_preset("nowhere")


def test_bloom_takes_what_the_authors_say():
    """s_m = 1.3234 GB; s_c = 0.00849 GB at 20 + 128 tokens, 0.00482 GB at 20 + 64."""
    assert BLOOM.block_bytes / 1e9 == pytest.approx(1.3234, abs=5e-5)
    instance = placement_preset("abovenet")
    assert instance.cache_bytes / 1e9 == pytest.approx(0.00849, abs=5e-6)
    short = placement_preset("abovenet", output_tokens=64)
    assert short.cache_bytes / 1e9 == pytest.approx(0.00482, abs=5e-6)


def test_scattered_delays_are_round_trips_with_overheads():
    network = bundled_network("abovenet")
    instance = placement_preset("abovenet", seed=5)
    place = {name: i for i, name in enumerate(network.nodes)}
    origin = place[instance.clients.nodes[0]]
    for j, node in enumerate(instance.servers.nodes):
        rtt = network.rtt_ms[origin, place[node]]
        assert instance.links.rtt_ms[0, j] == rtt
        assert instance.links.token_ms[0, j] == rtt + 100
        assert instance.links.prompt_ms[0, j] == pytest.approx(rtt + 67 + 0.7049 * 20)
    assert len({*instance.servers.nodes, *instance.clients.nodes}) == 10


@pytest.mark.parametrize(
    ("name", "servers", "fast"), [("abovenet", 9, 2), ("bellcanada", 19, 4), ("large", 26, 5)]
)
def test_how_many_servers_and_how_many_fast_ones(name, servers, fast):
    instance = placement_preset(name)
    kinds = [instance.servers.kinds[k] for k in instance.servers.kind]
    assert len(kinds) == servers
    assert kinds.count("A100") == fast


def test_fixed_delays_of_the_scripts():
    assert placement_preset("abovenet").delays.petals_ms == 250_000
    assert placement_preset("large").delays.petals_ms == 350_000
    assert placement_preset("large").delays.proposed_ms == 60_000


@pytest.mark.parametrize("client", [0, 1, 2])
def test_clusters(client):
    instance = clustered(client)
    near = {"A100": client == 1, "MIG": client == 2}
    for j, k in enumerate(instance.servers.kind):
        expected = 5 if near[instance.servers.kinds[k]] else 100
        assert instance.links.rtt_ms[0, j] == expected
        assert instance.links.token_ms[0, j] == expected + 50
    with pytest.raises(InvalidInput, match="client_cluster"):
        clustered(7)


def test_measured_layers_fit_the_memory_of_their_cards():
    instance = helix_measured()
    assert LLAMA.block_bytes * 80 == pytest.approx(2 * 68.5e9, rel=0.01)
    assert instance.host_limit[:4].tolist() == [23] * 4
    assert instance.servers.decode_ms[0] == 1.4


def test_the_worst_case_has_the_memory_it_needs():
    instance = worst_case(5)
    assert len(instance.servers) == instance.requests == 25
    assert (instance.servers.memory_bytes == 6 * instance.llm.block_bytes).all()


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("abovenet", {"nodes": 3}, "nodes"),
        ("abovenet", {"servers": "many"}, "servers"),
        ("abovenet", {"servers": True}, "servers"),
        ("abovenet", {"servers": 10**12}, "servers"),
        ("abovenet", {"network": 1}, "network"),
        ("abovenet", {"fast_share": 1.5}, "fast_share"),
        ("abovenet", {"fast_share": float("nan")}, "fast_share"),
        ("abovenet", {"clients": 0}, "clients"),
        ("abovenet", {"requests": -1}, "requests"),
        ("abovenet", {"rate_per_s": -1}, "rate_per_s"),
        ("abovenet", {"memory": 7}, "memory"),
        ("abovenet", {"output_tokens": 0}, "output_tokens"),
        ("clustered", {"slow": -1}, "fast, slow"),
        ("clustered", {"memory": "none"}, "memory"),
        ("clustered", {"requests": -1}, "requests, rate_per_s"),
        ("worst-case", {"blocks": 0}, "blocks"),
        ("worst-case", {"token_ms": "long"}, "token_ms"),
        ("tiny", {"servers": 0}, "servers"),
        ("helix-measured", {"speed": 1}, "speed"),
    ],
)
def test_a_wrong_parameter_is_named(name, changes, field):
    with pytest.raises(InvalidInput) as error:
        placement_preset(name, **changes)
    assert error.value.field == field


@pytest.mark.parametrize("seed", [-1, 0.5, "1"])
def test_a_wrong_seed(seed):
    with pytest.raises(InvalidInput, match="seed"):
        placement_preset("abovenet", seed=seed)
    with pytest.raises(InvalidInput, match="seed"):
        network_instance("topozoo/GtsSlovakia", seed=seed)


def test_parameters_change_what_they_say():
    instance = placement_preset("bellcanada", 2, servers=12, fast_share=0.5, clients=3, requests=7)
    assert (len(instance.servers), len(instance.clients), instance.requests) == (12, 3, 7)
    assert (instance.servers.most_blocks == 70).sum() == 6
    assert placement_preset("worst-case", blocks=3, token_ms=5).links.token_ms[0, 0] == 5


def test_servers_on_a_network_of_ones_own(tmp_path):
    path = tmp_path / "line.graph"
    path.write_text(
        "NODES 4\nlabel x y\na 0 0\nb 0 0\nc 0 0\nd 0 0\n\nEDGES 3\nlabel src dest w bw delay\n"
        "e 0 1 1 1 1000\ne 1 2 1 1 1000\ne 2 3 1 1 1000\n"
    )
    instance = network_instance(str(path), servers=3, fast_share=1.0)
    assert {*instance.servers.nodes, *instance.clients.nodes} == set("abcd")
    assert len(network_instance("topozoo/GtsSlovakia").servers) > 3
    with pytest.raises(InvalidInput, match="topohub"):
        network_instance("nowhere")


def test_scattered_refuses_what_cannot_be():
    network = bundled_network("abovenet")
    for servers in (0, 23):
        with pytest.raises(InvalidInput, match="servers"):
            scattered(network, servers=servers)
    with pytest.raises(InvalidInput, match="memory"):
        scattered(network, memory="plenty")


def test_tiny_instances_have_integer_times():
    for seed in range(5):
        times = tiny(seed).links.token_ms
        assert (times == np.round(times)).all()

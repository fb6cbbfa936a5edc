"""Every rule of an instance, broken one at a time; and what makes an instance infeasible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from support.small_placement import build, instances

from torta_opt.io import Infeasible, InvalidInput
from torta_opt.placement.instance.data import Delays
from torta_opt.placement.instance.rules import check_feasible
from torta_opt.placement.policies.cg_bp import cg_bp


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"decode": (1.0, -1.0, 1.0)}, "servers.decode_ms[1]"),
        ({"decode": (1.0, np.nan, 1.0)}, "servers.decode_ms"),
        ({"prefill": (1.0, 1.0, np.inf)}, "servers.prefill_ms"),
        ({"token": ((1.0, 2.0, -3.0),)}, "links.token_ms[0][2]"),
        ({"token": ((1.0, np.inf, 3.0),), "rtt": np.ones((1, 3))}, "links.token_ms"),
        ({"prompt": ((1.0, np.nan, 3.0),)}, "links.prompt_ms"),
        ({"prompt": ((1.0, 2.0),)}, "links.prompt_ms"),
        ({"rtt": ((1.0, 2.0, 2e9),)}, "links.rtt_ms[0][2]"),
        ({"between": np.full((3, 3), -1.0)}, "links.server_rtt_ms[0][0]"),
        ({"between": np.zeros((2, 2))}, "links.server_rtt_ms"),
        ({"memory": (1, -1, 1)}, "servers.memory_bytes[1]"),
        ({"memory": (1, 1 << 60, 1)}, "servers.memory_bytes[1]"),
        ({"most_blocks": (1, 2, -1)}, "servers.most_blocks[2]"),
        ({"rps": (1.0, 0.0, 1.0)}, "servers.forward_rps[1]"),
        ({"requests": (-1,)}, "clients.requests[0]"),
        ({"requests": (10**9,)}, "clients.requests"),
        ({"rates": (np.nan,)}, "clients.rate_per_s[0]"),
        ({"rates": (-1.0,)}, "clients.rate_per_s[0]"),
        ({"blocks": 0}, "llm.blocks"),
        ({"block_bytes": 0}, "llm.block_bytes"),
        ({"kv_groups": 0}, "llm.kv_groups"),
        ({"cache": 0}, "llm.cache_bytes_per_token"),
        ({"cache": 1 << 50, "tokens": (9, 9)}, "llm.cache_bytes_per_token"),
        ({"tokens": (0, 1)}, "input_tokens"),
        ({"tokens": (1, 0)}, "output_tokens"),
        ({"delays": Delays(start_ms=-1.0)}, "delays.start_ms"),
        ({"delays": Delays(petals_ms=float("nan"))}, "delays.petals_ms"),
    ],
)
def test_a_broken_rule_names_its_field(changes, field):
    with pytest.raises(InvalidInput) as error:
        build(**changes)
    assert error.value.field == field


def test_names_differ():
    instance = build()
    for part, names in (("servers", ("a", "b", "a")), ("clients", ("a", "a"))):
        with pytest.raises(InvalidInput):
            replace(instance, **{part: replace(getattr(instance, part), names=names)})


def test_servers_of_one_type_are_alike():
    servers = replace(build().servers, kind=[0, 0, 2])
    with pytest.raises(InvalidInput) as error:
        replace(build(), servers=servers)
    assert error.value.field == "servers.decode_ms[1]"


def test_types_are_known():
    with pytest.raises(InvalidInput, match="unknown type"):
        replace(build(), servers=replace(build().servers, kind=[0, 1, 3]))


def test_no_server_and_no_client():
    with pytest.raises(InvalidInput, match="servers"):
        build(memory=(), decode=(), token=((),))
    with pytest.raises(InvalidInput):
        build(requests=(), rates=(), token=np.zeros((0, 3)))


def test_uncovered_blocks_are_infeasible():
    with pytest.raises(Infeasible, match="2 of 4 blocks"):
        check_feasible(build(memory=(12, 12, 11)))


def test_caches_of_many_requests_can_be_infeasible():
    instance = build(memory=(24, 24, 24))
    check_feasible(instance)
    with pytest.raises(Infeasible, match="5 requests at once need"):
        check_feasible(instance, 5)


@given(instances())
def test_one_request_is_feasible_exactly_if_cg_bp_finds_room(instance):
    """The condition is necessary and sufficient for one request."""
    try:
        check_feasible(instance)
        feasible = True
    except Infeasible:
        feasible = False
    try:
        cg_bp(instance, 1)
        found = True
    except Infeasible:
        found = False
    assert feasible == found

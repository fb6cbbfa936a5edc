"""The contenders: which placement, which pool, which router; the simulator's penalty."""

from __future__ import annotations

import numpy as np
import pytest
from support.small_placement import build, hosting

from torta_opt.placement.instance.presets import placement_preset
from torta_opt.placement.online import routers
from torta_opt.placement.online.contenders import CONTENDERS, contender, session_latency
from torta_opt.placement.online.swarm import Swarm, own_pool, petals_pool
from torta_opt.placement.policies.cg_bp import block_counts
from torta_opt.placement.policies.cg_bprr import online_requests
from torta_opt.placement.policies.petals import petals_counts


@pytest.mark.parametrize("name", CONTENDERS)
def test_each_ablation_changes_one_thing(name):
    instance = placement_preset("bellcanada", 1)
    chosen = contender(instance, name, seed=1)
    own_counts = name in ("proposed", "opt_number")
    requests = online_requests(instance)
    counts = block_counts(instance, requests) if own_counts else petals_counts(instance)
    assert chosen.name == name
    assert (chosen.placement.count == counts).all()
    pool = own_pool if own_counts else petals_pool
    assert (chosen.pool == pool(instance, chosen.placement)).all()
    expected = {"proposed": routers.ws_rr, "opt_rr": routers.opt_rr}
    assert chosen.router is expected.get(name, session_latency)


def test_opt_rr_and_petals_share_a_placement():
    instance = placement_preset("abovenet", 1)
    one, two = (contender(instance, name, seed=6) for name in ("petals", "opt_rr"))
    assert (one.placement.first == two.placement.first).all()


def test_more_requests_can_be_asked_for():
    instance = placement_preset("bellcanada", 1)
    few, many = (contender(instance, "proposed", requests=r).placement for r in (1, 30))
    assert few.count.sum() > many.count.sum()


def test_the_penalty_falls_on_exactly_as_many_sessions_as_spans_fit():
    """Room for two spans of 4 blocks: none with 1 session, 10 s with 2, none again with 3."""
    instance = build(token=((10.0, 20.0, 30.0),), memory=(99, 99, 99), tokens=(1, 1))
    found = []
    for sessions in range(4):
        swarm = Swarm(instance, hosting((0, 4), (0, 4), (0, 0)), np.array([16, 80, 0]))
        for _ in range(sessions):
            swarm.hold((0,), [4], 2, 100.0)
        found.append(session_latency(swarm, 0, 1, 2, 0.0))
    assert found == [(0,), (0,), (1,), (0,)]

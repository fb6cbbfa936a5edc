"""Boxes and proofs: any prices, any splits, and what is no proof."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.placement_reference import Reference
from support.sizes import examples
from support.small_placement import build, instances

from torta_opt.io import Infeasible
from torta_opt.placement.bounds.combinatorial import lower_bound_ms
from torta_opt.placement.bounds.proof import Leaf, Pricing, Split, proved_ms
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.instance.presets import mix, tiny
from torta_opt.placement.policies.cg_bprr import cg_bprr
from torta_opt.placement.schedule.performance import prices


def _optimum_ms(instance):
    best = Reference(instance_to_document(instance)).optimum()
    if best is None:
        return None
    return float(best) * 1000 - instance.requests * instance.delays.start_ms


@pytest.mark.parametrize("seed", range(examples(40)))
def test_any_tree_with_any_prices_stays_below(seed):
    """Splits and prices drawn at random: the proof does not rest on where they come from."""
    instance = tiny(5000 + seed, servers=3, blocks=4, clients=1 + seed % 2, requests=2)
    best = _optimum_ms(instance)
    if best is None:
        return
    rng = np.random.default_rng(seed)
    paid = prices(instance)
    clients, servers = paid.visit.shape

    def drawn(depth):
        if depth == 0:
            scale = float(rng.choice([0.0, 1.0, 100.0]))
            block = tuple((j, scale * rng.random()) for j in range(servers))
            visit = tuple(
                (c, j, scale * rng.normal()) for c in range(clients) for j in range(servers)
            )
            return [Leaf(block, visit)]
        client = None if rng.random() < 0.5 else int(rng.integers(clients))
        split = Split(int(rng.integers(servers)), client, int(rng.integers(0, 3)))
        return [split, *drawn(depth - 1), *drawn(depth - 1)]

    assert proved_ms(instance, paid, tuple(drawn(seed % 4))) <= best * (1 + 1e-12)


@settings(max_examples=examples(100))
@given(instances(most_servers=5, most_blocks=7), st.data())
def test_a_schedule_lies_in_one_half(instance, data):
    try:
        schedule = cg_bprr(instance)
    except Infeasible:
        return
    hosted = np.minimum(schedule.placement.count, instance.use_limit)
    visits = np.zeros_like(instance.links.token_ms, dtype=int)
    for route in schedule.routes:
        visits[route.client, list(route.servers)] += 1
    clients, servers = visits.shape
    client = data.draw(st.none() | st.integers(0, clients - 1))
    split = Split(data.draw(st.integers(0, servers - 1)), client, data.draw(st.integers(-1, 8)))

    def holds(box):
        inside = (box.least <= hosted) & (hosted <= box.most)
        passed = (box.fewest <= visits) & (visits <= box.visitors)
        return bool(inside.all() and passed.all())

    whole = Pricing(instance, prices(instance)).whole()
    assert holds(whole)
    assert sum(holds(half) for half in split.halves(whole)) == 1


def test_visits_have_prices_by_hand():
    """Three requests, one of which may pass the only good server: the others pay 50 each."""
    instance = build(
        memory=(1000, 1000), blocks=1, decode=(1.0, 1.0), token=((10.0, 50.0),), requests=(3,)
    )
    paid = prices(instance)
    pricing = Pricing(instance, paid)
    box = dataclasses.replace(pricing.whole(), visitors=np.array([[1, 3]]))
    good, dear = paid.visit[0] + paid.block
    value, _ = pricing.bound(box, np.zeros(2), np.array([[dear - good, 0.0]]))
    assert value == pytest.approx(good + 2 * dear)
    forced = dataclasses.replace(pricing.whole(), fewest=np.array([[0, 2]]))
    value, _ = pricing.bound(forced, np.zeros(2), np.array([[0.0, good - dear]]))
    assert value == pytest.approx(good + 2 * dear)


@pytest.mark.parametrize(
    ("proof", "why"),
    [
        ((), "breaks off"),
        ((Split(0, None, 1), Leaf()), "breaks off"),
        ((Leaf(), Leaf()), "goes on"),
        ((Leaf(block=((0, -1.0),)),), "negative"),
        ((Leaf(block=((0, math.nan),)),), "no number"),
        ((Leaf(visit=((0, 0, math.inf),)),), "no number"),
        ((Leaf(block=((99, 1.0),)),), "no server"),
        ((Leaf(visit=((-1, 0, 1.0),)),), "no server"),
        ((Split(99, None, 1), Leaf(), Leaf()), "no server"),
        ((Split(0, 7, 1), Leaf(), Leaf()), "no server"),
    ],
)
def test_what_is_no_proof_is_refused(proof, why):
    instance = mix(1)
    with pytest.raises(ValueError, match=why):
        proved_ms(instance, prices(instance), proof)


def test_a_proof_without_prices_is_the_floor():
    instance = mix(1)
    paid = prices(instance)
    assert proved_ms(instance, paid, (Leaf(),)) == pytest.approx(
        lower_bound_ms(instance, paid, steps=1), rel=1e-9
    )

"""The tree of combinatorial bounds: against brute force, with any prices, and as a proof."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.placement_reference import Reference
from support.small_placement import build, instances

from torta_opt.io import Infeasible
from torta_opt.placement.cg_bprr import cg_bprr
from torta_opt.placement.document import instance_to_document
from torta_opt.placement.evaluate import total_ms
from torta_opt.placement.lower_bound import lower_bound_ms
from torta_opt.placement.performance import prices
from torta_opt.placement.presets import mix, tiny
from torta_opt.placement.tree import Leaf, Pricing, Split, Tree, proof_of, proved_ms


def _never():
    return False


def _grown(instance, boxes=200):
    tree = Tree(Pricing(instance, prices(instance)))
    tree.grow(math.inf, _never, boxes)
    return tree


def _optimum_ms(instance):
    best = Reference(instance_to_document(instance)).optimum()
    if best is None:
        return None
    return float(best) * 1000 - instance.requests * instance.delays.start_ms


@pytest.mark.parametrize("seed", range(100))
def test_it_never_exceeds_the_optimum(seed):
    shape = {"servers": 2 + seed % 2, "blocks": 2 + seed % 3, "clients": 1 + seed // 3 % 2}
    instance = tiny(4000 + seed, requests=1 + seed // 2 % 2, **shape)
    best = _optimum_ms(instance)
    tree = _grown(instance)
    if best is not None:
        assert tree.bound <= best * (1 + 1e-12)
    proved = proved_ms(instance, prices(instance), proof_of(tree))
    assert proved == pytest.approx(tree.bound, rel=1e-12)


@pytest.mark.parametrize("seed", range(40))
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


@settings(max_examples=100)
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


@settings(max_examples=40)
@given(instances(most_servers=5, most_blocks=7))
def test_it_lies_between_the_root_and_any_schedule(instance):
    paid = prices(instance)
    try:
        root = lower_bound_ms(instance, paid)
        cost = total_ms(paid, cg_bprr(instance))
    except Infeasible:
        return
    tree = _grown(instance, 40)
    assert tree.bound <= cost * (1 + 1e-12)
    assert tree.bound >= root - 1e-6 * abs(root)


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


def test_it_lifts_the_bound_where_memory_binds():
    instance = mix(1)
    tree = _grown(instance, 100)
    assert tree.bound > 1.05 * lower_bound_ms(instance, prices(instance))
    assert tree.count < 100
    assert not tree.can_grow


def test_it_goes_on_where_it_stopped():
    instance = mix(4)
    pieces = Tree(Pricing(instance, prices(instance)))
    for _ in range(6):
        pieces.grow(math.inf, _never, 5)
    assert pieces.count == 30
    assert pieces.bound == _grown(instance, 30).bound


def test_a_target_ends_it():
    instance = mix(4)
    target = 1.02 * lower_bound_ms(instance, prices(instance))
    tree = Tree(Pricing(instance, prices(instance)))
    tree.grow(target, _never)
    assert tree.bound >= target
    assert tree.count < 20


def test_ctrl_c_leaves_a_valid_bound(monkeypatch):
    from torta_opt.placement import tree as module

    instance = mix(4)
    tree = _grown(instance, 10)
    before = tree.bound

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "solve_lp", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tree.grow(math.inf, _never, 10)
    assert tree.bound == pytest.approx(before, rel=0.01)
    proved = proved_ms(instance, prices(instance), proof_of(tree))
    assert proved == pytest.approx(tree.bound, rel=1e-12)


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

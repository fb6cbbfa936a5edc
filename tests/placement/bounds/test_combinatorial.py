"""The combinatorial bound against brute force, the floor and schedules."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from support.placement_reference import Reference
from support.sizes import examples
from support.small_placement import build, instances

from torta_opt.io import Infeasible
from torta_opt.placement.bounds.combinatorial import (
    cache_room,
    least_with_blocks,
    lower_bound,
    most_processed,
)
from torta_opt.placement.bounds.floor import floor_s
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.instance.presets import clustered, placement_preset, tiny, worst_case
from torta_opt.placement.policies.cg_bprr import cg_bprr
from torta_opt.placement.schedule.evaluate import evaluate


@pytest.mark.parametrize("seed", range(examples(200)))
def test_it_never_exceeds_the_optimum(seed):
    shape = {"servers": 2 + seed % 2, "blocks": 2 + seed % 3, "clients": 1 + seed // 3 % 2}
    instance = tiny(seed, requests=1 + seed % 3 % 2, **shape)
    best = Reference(instance_to_document(instance)).optimum()
    try:
        bound = lower_bound(instance)
    except Infeasible:
        assert best is None
        return
    if best is not None:
        assert bound <= best


@settings(max_examples=examples(100))
@given(instances(most_servers=5, most_blocks=7))
def test_it_lies_between_floor_and_any_schedule(instance):
    try:
        bound = lower_bound(instance)
    except Infeasible:
        return
    assert bound >= floor_s(instance) * (1 - 1e-9)
    try:
        cost = evaluate(instance, cg_bprr(instance)).cost
    except Infeasible:
        return
    assert bound <= cost


@settings(max_examples=examples(60))
@given(instances(most_servers=3, most_blocks=4))
def test_the_sweep_is_the_best_split(instance):
    visit, block = instance.links.token_ms[0], instance.servers.decode_ms
    cost, counts = least_with_blocks(instance, visit, block)
    ranges = [range(limit + 1) for limit in instance.use_limit.tolist()]
    splits = [np.array(k) for k in itertools.product(*ranges) if sum(k) == instance.llm.blocks]
    if not splits:
        assert cost == np.inf
        return
    assert cost == pytest.approx(min(float(visit[k > 0].sum() + block @ k) for k in splits))
    assert counts.sum() == instance.llm.blocks
    assert (counts <= instance.use_limit).all()
    assert cost == pytest.approx(float(visit[counts > 0].sum() + block @ counts))


def test_room_by_hand():
    """s_m = 10, s_c = 2, M = 40, three requests: 2 blocks host 20 and leave room for 10 caches."""
    instance = build(memory=(40,), blocks=3, requests=(3,), decode=(1.0,), token=((1.0,),))
    assert cache_room(instance, 0, np.arange(4)).tolist() == [0, 3, 6, 5]
    assert most_processed(instance).tolist() == [6]


def test_prices_on_blocks_lift_it_above_the_floor():
    """The fast server has room for 6 of 9 blocks of three requests; the floor gives it all 9."""
    instance = build(
        memory=(40, 200), blocks=3, decode=(1.0, 50.0), token=((1.0, 1.0),), requests=(3,)
    )
    assert lower_bound(instance) > 1.5 * floor_s(instance)
    assert lower_bound(instance) <= Reference(instance_to_document(instance)).optimum()


def test_it_closes_the_published_settings():
    for instance in (clustered(), clustered(memory="test"), placement_preset("large")):
        cost = evaluate(instance, cg_bprr(instance)).cost
        assert lower_bound(instance) == pytest.approx(cost, rel=1e-9)


def test_it_knows_the_worst_case_is_not_bad():
    instance = worst_case(5)
    best = evaluate(instance, cg_bprr(instance)).cost
    assert lower_bound(instance) < best / 3


def test_no_requests_cost_nothing():
    assert lower_bound(build(requests=(0,))) == 0.0

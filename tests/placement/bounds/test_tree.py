"""The tree of combinatorial bounds: against brute force, and what ends it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from support.placement_reference import Reference
from support.sizes import examples
from support.small_placement import instances

from torta_opt.io import Infeasible
from torta_opt.placement.bounds.combinatorial import lower_bound_ms
from torta_opt.placement.bounds.proof import Pricing, proved_ms
from torta_opt.placement.bounds.tree import Tree, proof_of
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.instance.presets import mix, tiny
from torta_opt.placement.policies.cg_bprr import cg_bprr
from torta_opt.placement.schedule.evaluate import total_ms
from torta_opt.placement.schedule.performance import prices


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


@pytest.mark.parametrize("seed", range(examples(100)))
def test_it_never_exceeds_the_optimum(seed):
    shape = {"servers": 2 + seed % 2, "blocks": 2 + seed % 3, "clients": 1 + seed // 3 % 2}
    instance = tiny(4000 + seed, requests=1 + seed // 2 % 2, **shape)
    best = _optimum_ms(instance)
    tree = _grown(instance)
    if best is not None:
        assert tree.bound <= best * (1 + 1e-12)
    proved = proved_ms(instance, prices(instance), proof_of(tree))
    assert proved == pytest.approx(tree.bound, rel=1e-12)


@settings(max_examples=examples(40))
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
    from torta_opt.placement.bounds import tree as module

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

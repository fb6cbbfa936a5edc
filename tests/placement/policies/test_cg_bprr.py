"""CG-BPRR against the optimum by brute force; the rule for |R|."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from support.placement_reference import Reference
from support.sizes import examples
from support.small_placement import build, instances

from torta_opt.io import Infeasible
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.instance.presets import placement_preset, tiny, worst_case
from torta_opt.placement.policies.cg_bp import cg_bp
from torta_opt.placement.policies.cg_bprr import cg_bprr, one_request_s, online_requests
from torta_opt.placement.schedule.evaluate import evaluate
from torta_opt.placement.schedule.verify import verify


@pytest.mark.parametrize("seed", range(examples(25)))
def test_it_never_beats_the_optimum(seed):
    instance = tiny(seed)
    best = Reference(instance_to_document(instance)).optimum()
    try:
        schedule = cg_bprr(instance)
    except Infeasible:
        return
    assert best is not None
    assert verify(instance, schedule).ok
    assert evaluate(instance, schedule).cost >= float(best) * (1 - 1e-12)


def test_it_is_optimal_somewhere_and_not_everywhere():
    gaps = []
    for seed in range(examples(25)):
        instance = tiny(seed)
        try:
            cost = evaluate(instance, cg_bprr(instance)).cost
        except Infeasible:
            continue
        gaps.append(cost / float(Reference(instance_to_document(instance)).optimum()) - 1)
    assert min(gaps) < 1e-9
    assert max(gaps) > 0.05


def test_given_its_placement_the_routes_are_the_best_ones():
    """Lemma 3: shortest paths are optimal, and they fit, for the demand CG-BP planned for."""
    for seed in range(12):
        instance = tiny(seed, servers=4)
        try:
            schedule = cg_bprr(instance)
        except Infeasible:
            continue
        placement = schedule.placement
        hosts = list(zip(placement.first.tolist(), placement.count.tolist(), strict=True))
        best = Reference(instance_to_document(instance)).best_routing(hosts)
        assert evaluate(instance, schedule).cost == pytest.approx(float(best))


@pytest.mark.parametrize("blocks", [2, 4, 8])
def test_the_worst_case_has_no_bound(blocks):
    """CG-BPRR pays L(t + τ) a token, the optimum t + τL: the ratio grows with L."""
    instance = worst_case(blocks, token_ms=100.0, decode_ms=1.0)
    schedule = cg_bprr(instance)
    per_request = evaluate(instance, schedule).cost * 1000 / instance.requests
    assert verify(instance, schedule).ok
    assert per_request == pytest.approx(blocks * 101)
    assert all(len(route.servers) == blocks for route in schedule.routes)


def test_the_optimum_of_the_worst_case():
    """Every server hosts all blocks and serves one request; nothing can be cheaper."""
    from torta_opt.placement.schedule.data import Placement, PlacementSchedule, Route

    instance = worst_case(6, token_ms=100.0, decode_ms=1.0)
    count = len(instance.servers)
    whole = Placement([0] * count, [6] * count)
    schedule = PlacementSchedule("own", whole, tuple(Route(0, (j,)) for j in range(count)))
    assert verify(instance, schedule).ok
    assert evaluate(instance, schedule).cost * 1000 / count == pytest.approx(106)


def test_online_requests_by_hand():
    """T₁ = 15 + 4·2 + 3·(10 + 4·1) = 65 ms on server 0; λ T₁ = 6.5, √ = 2.55, 9.05 → 9."""
    instance = build(memory=(10_000,) * 3, tokens=(1, 4), rates=(100.0,))
    assert one_request_s(instance) == pytest.approx(0.065)
    assert online_requests(instance) == 9
    assert online_requests(instance.with_rate(110.0)) == 10  # 7.15 + 2.67 is rounded up
    assert online_requests(instance.with_rate(0.0)) == 1


def test_online_requests_end_at_what_memory_holds():
    instance = build(memory=(70, 70, 70), rates=(1e6,))
    most = (210 - 10 * 7) // (2 * 7)
    assert online_requests(instance) == most
    cg_bp(instance, most)


@given(instances())
def test_the_rule_for_requests_leaves_a_placement_that_exists(instance):
    try:
        cg_bp(instance, 1)
    except Infeasible:
        return
    requests = online_requests(instance)
    assert requests >= 1
    cg_bp(instance, requests)


def test_it_asks_for_more_requests_at_a_higher_rate():
    instance = placement_preset("bellcanada")
    found = [online_requests(instance.with_rate(rate)) for rate in (0.05, 0.1, 0.5, 1, 2)]
    assert found == sorted(found)
    assert not math.isclose(found[0], found[-1])

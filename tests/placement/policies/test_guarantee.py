"""Theorem 2's promise is kept on every run, and a broken one is noticed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.placement_reference import Reference
from support.sizes import examples
from support.small_placement import build, hosting, instances

from torta_opt.io import Infeasible, VerificationFailed
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.instance.presets import PRESETS, placement_preset
from torta_opt.placement.policies.cg_bp import cg_bp
from torta_opt.placement.policies.guarantee import check_guarantee, guarantee


@settings(max_examples=examples(300))
@given(instances(), st.integers(1, 5))
def test_the_promise_is_kept(instance, requests):
    try:
        found = cg_bp(instance, requests)
    except Infeasible:
        return
    promised = check_guarantee(instance, found)
    assert promised.kept
    reference = Reference(instance_to_document(instance))
    hosts = list(zip(found.placement.first.tolist(), found.placement.count.tolist(), strict=True))
    total = 0.0
    for c, asked in enumerate(reference.requests):
        chains = reference.chains(hosts)
        total += asked * float(min(reference.token_s(c, chain, hosts) for chain in chains))
    if sum(reference.requests):
        mean_ms = total / sum(reference.requests) * 1000
        assert promised.token_ms == pytest.approx(mean_ms)
        assert mean_ms <= promised.bound_ms * (1 + 1e-9)


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"tiny"}))
@pytest.mark.parametrize("requests", [1, 4, 8])
def test_it_is_kept_on_presets(name, requests):
    instance = placement_preset(name)
    assert check_guarantee(instance, cg_bp(instance, requests)).kept


def test_by_hand():
    """Servers 0 (t̃ = 1 + 10/3) and 1 (2 + 20/3) hold 6 of 4 blocks: 13 + 26 − 2·(6 − 4)."""
    instance = build(memory=(36, 36, 36), requests=(1,), tokens=(1, 1))
    found = cg_bp(instance, 1)
    assert found.needed == 2
    promised = guarantee(instance, found)
    assert promised.bound_ms == pytest.approx(13 + 26 - 2 * 2)
    assert promised.token_ms == pytest.approx((10 + 3 * 1) + (20 + 1 * 2))


def test_a_worse_placement_is_noticed():
    instance = build(memory=(36, 36, 36), tokens=(1, 1))
    found = cg_bp(instance, 1)
    worse = replace(found, placement=hosting((3, 1), (0, 1), (0, 3)))
    with pytest.raises(VerificationFailed, match="Theorem 2 promises"):
        check_guarantee(instance, replace(worse, order=(1,), needed=1))


def test_nobody_to_serve():
    instance = build(requests=(0,))
    assert guarantee(instance, cg_bp(instance, 1)).token_ms == 0

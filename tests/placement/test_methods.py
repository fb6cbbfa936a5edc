"""Methods by name: their schedules keep the rules, and refusals name the method."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.placement_reference import Reference
from support.small_placement import build, instances

from torta_opt.io import Infeasible, InvalidInput
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.instance.presets import placement_preset, tiny
from torta_opt.placement.methods import METHODS, played_at_once, solve_offline, ws_rr_schedule
from torta_opt.placement.schedule.evaluate import evaluate
from torta_opt.placement.schedule.verify import verify


@given(instances(roomy=True), st.sampled_from(sorted(METHODS)), st.integers(0, 2))
def test_every_schedule_keeps_the_rules_and_repeats(instance, method, seed):
    try:
        schedule = solve_offline(instance, method, seed)
    except Infeasible:
        return
    assert schedule.method == method
    assert verify(instance, schedule).ok
    again = solve_offline(instance, method, seed)
    assert again.routes == schedule.routes
    assert (again.placement.first == schedule.placement.first).all()


@pytest.mark.parametrize("name", ["clustered", "abovenet", "bellcanada", "helix-measured"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_solves_the_presets(name, method):
    instance = placement_preset(name, seed=1)
    schedule = solve_offline(instance, method, seed=1)
    assert verify(instance, schedule).ok


@pytest.mark.parametrize("method", METHODS)
def test_no_method_beats_the_optimum(method):
    for seed in range(12):
        instance = tiny(seed)
        best = Reference(instance_to_document(instance)).optimum()
        try:
            cost = evaluate(instance, solve_offline(instance, method, seed)).cost
        except Infeasible:
            continue
        assert best is not None
        assert cost >= float(best) - 1e-9


@pytest.mark.parametrize("method", METHODS)
def test_a_refusal_names_the_method(method):
    with pytest.raises(Infeasible, match=f"^{method}: ") as error:
        solve_offline(build(memory=(12, 12, 12)), method)
    assert "of 4 blocks" in str(error.value)


def test_an_unknown_method():
    with pytest.raises(InvalidInput, match="known: cg_bprr"):
        solve_offline(build(), "magic")


def test_ws_rr_hosts_more_than_cg_bprr_where_fewer_are_expected():
    instance = placement_preset("bellcanada").with_requests(20).with_rate(0.01)
    more = ws_rr_schedule(instance).placement.count.sum()
    assert more > solve_offline(instance, "cg_bprr").placement.count.sum()


def test_ws_rr_falls_back_on_the_placement_for_all_requests():
    instance = build(memory=(48, 48, 48), requests=(4,), rates=(0.0,))
    schedule = ws_rr_schedule(instance)
    assert verify(instance, schedule).ok


def test_at_once_nobody_can_wait():
    instance = placement_preset("abovenet").with_requests(500)
    with pytest.raises(Infeasible, match="would have to wait"):
        played_at_once(instance, "petals", 0)

"""The floor lies below every schedule, and is reached where requests leave each other room."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.placement_reference import Reference
from support.sizes import examples
from support.small_placement import build, instances

from torta_opt.io import Infeasible
from torta_opt.placement.bounds.floor import floor_costs, floor_s
from torta_opt.placement.instance.data import Delays
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.instance.presets import tiny, worst_case
from torta_opt.placement.methods import METHODS, solve_offline
from torta_opt.placement.schedule.evaluate import evaluate


@pytest.mark.parametrize("seed", range(examples(25)))
def test_it_never_exceeds_the_optimum(seed):
    instance = tiny(seed)
    best = Reference(instance_to_document(instance)).optimum()
    if best is None:
        return
    assert floor_s(instance) <= float(best) * (1 + 1e-12)


@given(instances(), st.sampled_from(sorted(METHODS)))
def test_no_method_beats_it(instance, method):
    try:
        schedule = solve_offline(instance, method)
    except Infeasible:
        return
    cost = evaluate(instance, schedule).cost
    assert floor_s(instance) <= cost + 1e-9


def test_by_hand():
    """Two blocks at most on server 0, three on 1: 0 alone is full, 1 takes the rest."""
    instance = build(blocks=4, memory=(24, 36, 0), tokens=(1, 1), requests=(2,), delays=Delays(2.0))
    alone = (15 + 2 * 2) + (25 + 2 * 4)
    assert floor_s(instance) == pytest.approx(2 * (alone + 2) / 1000)
    costs = {"network": 2 * 40 / 1000, "computation": 2 * 12 / 1000, "start": 0.004}
    assert floor_costs(instance) == pytest.approx(costs)


def test_one_request_alone_reaches_it_where_all_fits_on_one_server():
    instance = build(memory=(500, 500, 500))
    assert math.isclose(
        floor_s(instance), evaluate(instance, solve_offline(instance, "cg_bprr")).cost
    )


def test_it_is_the_optimum_of_the_worst_case():
    instance = worst_case(5, token_ms=100.0, decode_ms=1.0)
    assert floor_s(instance) * 1000 == pytest.approx(25 * 105)


def test_an_infeasible_instance_has_none():
    with pytest.raises(Infeasible, match="stay uncovered"):
        floor_s(build(memory=(12, 12, 12)))


def test_nobody_to_serve():
    assert floor_s(build(requests=(0,))) == 0

"""The evaluator against an independent one that reads the files, and its metrics by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.placement_reference import Reference
from support.small_placement import build, hosting, instances

from torta_opt.io import Infeasible
from torta_opt.placement.instance.data import Delays
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.instance.presets import PRESETS, placement_preset
from torta_opt.placement.policies.cg_bprr import cg_bprr
from torta_opt.placement.policies.petals import petals_schedule
from torta_opt.placement.schedule.data import PlacementSchedule, Route
from torta_opt.placement.schedule.document import schedule_to_document
from torta_opt.placement.schedule.evaluate import evaluate, is_petals_like, total_ms
from torta_opt.placement.schedule.performance import prices


def _agree(instance, schedule):
    reference = Reference(instance_to_document(instance))
    expected = reference.cost_s(schedule_to_document(schedule, instance))
    found = evaluate(instance, schedule)
    assert math.isclose(found.cost, float(expected), rel_tol=1e-12, abs_tol=1e-12)
    assert math.isclose(sum(found.costs.values()), found.cost, rel_tol=1e-12)


@given(instances(roomy=True), st.sampled_from([cg_bprr, petals_schedule]))
def test_it_agrees_with_the_reference(instance, method):
    try:
        schedule = method(instance)
    except Infeasible:
        assume(False)
    _agree(instance, schedule)


@pytest.mark.parametrize("name", PRESETS)
def test_it_agrees_on_every_preset(name):
    instance = placement_preset(name)
    _agree(instance, cg_bprr(instance))


INSTANCE = build(requests=(2,), tokens=(1, 4), delays=Delays(5.0, 60.0, 250.0))
PLACEMENT = hosting((0, 4), (0, 0), (0, 4))


def _schedule(method):
    return PlacementSchedule(method, PLACEMENT, (Route(0, (0,)), Route(0, (2,))))


def test_metrics_by_hand():
    one = (15 + 3 * 10) + 4 * (2 + 3 * 1) + 5
    two = (35 + 3 * 30) + 4 * (6 + 3 * 3) + 5
    metrics = evaluate(INSTANCE, _schedule("own")).metrics
    assert metrics["requests"] == 2
    assert metrics["servers_used"] == 2
    assert metrics["blocks_placed"] == 8
    assert metrics["response_max_s"] == pytest.approx(two / 1000)
    assert metrics["response_mean_s_zero"] == pytest.approx((one + two) / 2000)
    assert metrics["response_mean_s_published"] == pytest.approx((one + two) / 2000 + 0.06)
    assert metrics["token_mean_s_zero"] == pytest.approx((one + two) / 2000 / 4)
    first = (15 + 4 * 2 + 35 + 4 * 6) / 2000 + 0.005
    assert metrics["first_token_mean_s_zero"] == pytest.approx(first)
    assert metrics["first_token_mean_s_published"] == pytest.approx(first + 0.06)


def test_petals_and_its_kin_pay_their_own_fixed_delay():
    zero = evaluate(INSTANCE, _schedule("opt_order")).metrics
    added = zero["response_mean_s_published"] - zero["response_mean_s_zero"]
    assert added == pytest.approx(0.25)
    assert is_petals_like("petals_rebalanced")
    assert not is_petals_like("cg_bprr")


def test_server_to_server_is_never_dearer_here_and_prices_the_first_token():
    schedule = PlacementSchedule("own", hosting((0, 2), (2, 2), (0, 0)), (Route(0, (0, 1)),) * 2)
    relayed = evaluate(INSTANCE, schedule)
    direct = evaluate(INSTANCE, schedule, server_to_server=True)
    assert direct.cost < relayed.cost
    assert direct.costs["computation"] == relayed.costs["computation"]
    assert relayed.metrics["response_mean_s_server_to_server"] == pytest.approx(direct.cost / 2)
    first = "first_token_mean_s_zero"
    saved = (9 + 19) / 2 / 1000  # each link is used once, half a round trip
    assert relayed.metrics[first] - direct.metrics[first] == pytest.approx(saved)


def test_no_request_costs_nothing():
    nothing = evaluate(build(requests=(0,)), PlacementSchedule("own", PLACEMENT, ()))
    assert nothing.cost == 0
    assert nothing.metrics["response_max_s"] is None


def test_total_ms_is_what_a_program_minimises():
    total = total_ms(prices(INSTANCE, "decode"), _schedule("own"))
    assert total == 4 * (10 + 4 * 1) + 4 * (30 + 4 * 3)

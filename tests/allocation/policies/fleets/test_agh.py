"""The greedy plan, what it costs, and that consolidation never makes it dearer."""

from __future__ import annotations

import numpy as np
import pytest
from support.plain import make_instance
from support.tiny import random_tiny_instance

from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.fleets.agh import Agh, _Plan, _Prices
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import _Memory, run
from torta_opt.allocation.schedule import verify
from torta_opt.allocation.schedule.step import initial_state
from torta_opt.allocation.schedule.timeline import trace_servers


def rule_and_view(instance, **settings):
    rule = Agh(**settings)
    rule.reset(Tables(instance.system))
    return rule, rule.view(_Memory(instance).observe(0, initial_state(instance)))


def plans(draw: int):
    rng = np.random.default_rng(draw)
    instance = random_tiny_instance(rng, slots=2, regions=3, servers=8)
    rule, view = rule_and_view(instance)
    demand = rng.integers(0, 9, instance.arrivals.shape[1:]).astype(float)
    plan = _Plan(rule, view, _Prices.of(rule, view))
    for i, c in np.argwhere(demand > 0):
        plan.cover(int(i), int(c), demand[i, c])
    return instance, rule, view, demand, plan


def check(plan: _Plan, instance, rule, view, demand) -> None:
    """Servers that exist, time that they have, no more than was asked, nothing forbidden."""
    system, kind = instance.system, rule.kinds.kind
    up = np.bincount(rule.kinds.of_server, view.observation.up, rule.kinds.shape[0])
    assert (plan.servers.sum(axis=1) <= up).all()
    assert (plan.flow.sum(axis=1) <= demand + 1e-6).all()
    assert not plan.flow[~(system.allowed[:, rule.region])].any()
    used = np.zeros(rule.kinds.shape)
    for c, m in enumerate(system.class_model):
        used[:, m] += plan.flow[:, :, c].sum(axis=0) * system.server_ms[kind, c]
    assert (used <= rule.target * system.slot_ms * plan.servers + 1e-6).all()


@pytest.mark.parametrize("draw", range(12))
def test_plans_are_possible_and_consolidation_is_cheaper(draw: int):
    instance, rule, view, demand, plan = plans(draw)
    check(plan, instance, rule, view, demand)
    served, cost = plan.flow.sum(), plan.cost()
    plan.consolidate()
    check(plan, instance, rule, view, demand)
    assert plan.cost() <= cost + 1e-9
    assert plan.flow.sum() == pytest.approx(served)


def test_more_starts_are_never_dearer():
    for draw in range(5):
        _, rule, view, demand, _ = plans(draw)
        prices = _Prices.of(rule, view)
        costs = []
        for starts in (1, 6):
            rule.starts = starts
            found = []
            for order in rule._orders(prices, demand):
                plan = _Plan(rule, view, prices)
                for i, c in order:
                    plan.cover(int(i), int(c), float(demand[i, c]))
                plan.consolidate()
                found.append(plan.cost())
            costs.append(min(found, default=0.0))
        assert costs[1] <= costs[0] + 1e-9


def test_cost_per_coverage_prefers_the_server_that_is_filled():
    """A big server at 4 $/h covers 40 requests a slot, a small one at 1 $/h ten."""
    big_or_small = {"types": 2, "server_type": [0, 1, 1, 1, 1], "server_region": [0] * 5}
    for requests, expected in ((8, [0, 1]), (40, [1, 0])):
        instance = make_instance(
            [[[requests]]] * 2,
            server_ms=[[1125], [4500]],
            rent_usd_per_hour=[[4.0, 1.1]],
            weights={"time_usd_per_s": 1e-9, "expiry_usd": 5.0},
            **big_or_small,
        )
        made = run(create("agh:target=1:margin=0"), instance).schedule
        assert verify(instance, made).ok
        on = trace_servers(instance, made).on[0]
        assert [int(on[0]), int(on[1:].sum())] == expected

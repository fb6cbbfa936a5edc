"""Cuts never exceed what dynamic programming finds, and reach it; plans with them cost as much."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

from torta_opt import generate
from torta_opt.allocation.formulations.fleet_program import FleetCosts
from torta_opt.allocation.learning.server_stages import Chain, ServerStages

ON, START, SERVE, SHORT, SLOTS, STAGES, MOST = 1.0, 3.0, 0.1, 1.5, 2.0, 4, 5


def system():
    """Two types, one model, one class; a server works through three requests in a slot."""
    return generate("small/loading").system


def chain() -> Chain:
    """Low, middle, high: whole numbers of servers' work, so that whole servers are optimal."""
    demand = np.array([[3.0], [6.0], [15.0]])
    return Chain(demand, np.array([[0.6, 0.4, 0.0], [0.2, 0.5, 0.3], [0.1, 0.4, 0.5]]))


def stages(law: Chain | None = None) -> ServerStages:
    """Of the two types of the system only the first has servers."""
    one, two = np.ones(1), np.ones(2)
    costs = FleetCosts(
        SLOTS * one, ON * two[None], START * two, START * two, SERVE * two, SHORT * one, 0 * two
    )
    usable_ms = 3.0 * system().server_ms.max()
    return ServerStages(system(), law or chain(), costs, np.array([MOST, 0.0]), STAGES, usable_ms)


FIRST, NONE = np.array([1.0, 0.0]), np.zeros(2)


@cache
def dynamic_program(stage: int, node: int, ready: int) -> float:
    """Q by enumeration of whole stops and starts; written without the program."""
    if stage == STAGES:
        return 0.0
    law, found = chain(), np.inf
    demand = law.demand[node, 0]
    for left in range(ready + 1):
        served = min(demand, 3.0 * left)
        stage_usd = SLOTS * (ON * left + SERVE * served + SHORT * (demand - served))
        for started in range(MOST - left + 1):
            after = sum(
                p * dynamic_program(stage + 1, i, left + started)
                for i, p in enumerate(law.next[node])
            )
            found = min(found, stage_usd + START * started + after)
    return found


@cache
def improved(iterations: int) -> tuple[ServerStages, list[float]]:
    found, rng = stages(), np.random.default_rng(0)
    bounds = []
    for _ in range(iterations):
        bounds.append(found.bound(FIRST, 1))
        found.improve(FIRST, 1, rng)
    return found, bounds


def test_the_bound_grows_to_the_optimum_and_never_beyond():
    found, bounds = improved(12)
    best = dynamic_program(0, 1, 1)
    assert all(b <= a + 1e-9 for b, a in itertools.pairwise(bounds))
    assert max(bounds) <= best + 1e-6 * best
    assert bounds[0] < 0.9 * best
    assert found.bound(FIRST, 1) == pytest.approx(best, rel=1e-6)


def test_plans_with_cuts_cost_the_optimum_over_all_paths():
    found, _ = improved(12)
    law, expected, total = chain(), 0.0, 0.0
    for path in itertools.product(range(3), repeat=STAGES - 1):
        nodes = [1, *path]
        chance = np.prod([law.next[a, b] for a, b in itertools.pairwise(nodes)])
        if chance:
            expected += chance * found.walk(FIRST, nodes)[0]
            total += chance
    assert total == pytest.approx(1.0)
    assert expected == pytest.approx(dynamic_program(0, 1, 1), rel=1e-6)


def test_the_plan_hedges_against_what_it_cannot_know():
    """Knowing the path costs less: the bound is not one of perfect foresight."""
    found, _ = improved(12)
    law, known = chain(), 0.0
    for path in itertools.product(range(3), repeat=STAGES - 1):
        nodes = [1, *path]
        chance = np.prod([law.next[a, b] for a, b in itertools.pairwise(nodes)])
        if chance:
            known += chance * perfect(tuple(nodes))
    assert known < 0.999 * found.bound(FIRST, 1)


def perfect(nodes: tuple[int, ...]) -> float:
    """Least cost of a path that is known, by enumeration."""
    usd = {1: 0.0}
    for node in nodes:
        demand, after = chain().demand[node, 0], {}
        for ready, paid in usd.items():
            for left in range(ready + 1):
                served = min(demand, 3.0 * left)
                slot = SLOTS * (ON * left + SERVE * served + SHORT * (demand - served))
                for started in range(MOST - left + 1):
                    cost = paid + slot + START * started
                    key = left + started
                    after[key] = min(after.get(key, np.inf), cost)
        usd = after
    return min(usd.values())


def test_one_node_needs_one_way_back():
    law = Chain(np.array([[9.0]]), np.ones((1, 1)))
    found = stages(law)
    found.improve(NONE, 0, np.random.default_rng(0))
    paid, _ = found.walk(NONE, [0] * STAGES)
    for _ in range(5):
        found.improve(NONE, 0, np.random.default_rng(0))
    paid, _ = found.walk(NONE, [0] * STAGES)
    assert paid == pytest.approx(found.bound(NONE, 0), rel=1e-9)


@pytest.mark.parametrize("memory", [0.0, 0.6, 0.95])
def test_nodes_have_the_moments_asked_for(memory):
    spread, nodes = 0.3, 5
    law = Chain.mean_reverting(np.ones(1), spread, memory, nodes)
    assert law.next.sum(axis=1) == pytest.approx(np.ones(nodes))
    assert (law.next >= 0).all()
    share = np.linalg.matrix_power(law.next, 2000)[0]
    level = np.log(law.demand[:, 0])
    middle = share @ level
    variance = share @ (level - middle) ** 2
    assert variance == pytest.approx(spread**2)
    covariance = (share * (level - middle)) @ law.next @ (level - middle)
    assert covariance == pytest.approx(memory * spread**2)


def test_negative_costs_are_refused():
    one, two = np.ones(1), np.ones(2)
    costs = FleetCosts(one, -two[None], two, two, two, one, two)
    with pytest.raises(ValueError, match="below 0"):
        ServerStages(system(), chain(), costs, two, 2, 1000.0)

"""Schedules made of visit sets: against all ends, and what the tree suggests."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from support.sizes import examples

from torta_opt.placement.bounds.proof import Hint, Pricing
from torta_opt.placement.bounds.tree import Tree
from torta_opt.placement.instance.presets import mix, tiny
from torta_opt.placement.schedule.data import Placement, PlacementSchedule, Route
from torta_opt.placement.schedule.evaluate import total_ms
from torta_opt.placement.schedule.performance import prices
from torta_opt.placement.schedule.verify import verify
from torta_opt.placement.search.assembly import Group, arrange, schedules, visit_sets
from torta_opt.solvers import Limits


def _by_all_ends(instance, groups):
    """The least cost over all ends; every server hosts from where it is entered first."""
    paid, blocks = prices(instance), instance.llm.blocks
    servers = sorted(set().union(*(group.servers for group in groups)))
    best = math.inf
    for ends in itertools.product(range(1, blocks + 1), repeat=len(servers)):
        end = dict(zip(servers, ends, strict=True))
        first = dict.fromkeys(servers, blocks)
        routes = []
        for group in groups:
            chain = sorted(group.servers, key=end.__getitem__)
            here = 0
            for j in chain:
                first[j] = min(first[j], here)
                here = end[j]
            routes += [Route(group.client, tuple(chain))] * group.requests
        count = np.zeros(len(instance.servers), int)
        start = np.zeros(len(instance.servers), int)
        for j in servers:
            start[j], count[j] = first[j], end[j] - first[j]
        if (count < 0).any():
            continue
        schedule = PlacementSchedule("all ends", Placement(start, count), tuple(routes))
        if verify(instance, schedule).ok:
            best = min(best, total_ms(paid, schedule))
    return best


@pytest.mark.parametrize("seed", range(examples(60)))
def test_arranging_finds_the_best_ends(seed):
    rng = np.random.default_rng(seed)
    instance = tiny(seed, servers=4, blocks=5, clients=1 + seed % 2, requests=3)
    memory = instance.servers.memory_bytes * 3 // 2  # tight, but not hopeless
    instance = replace(instance, servers=replace(instance.servers, memory_bytes=memory))
    subsets = [frozenset(s) for n in (2, 3) for s in itertools.combinations(range(4), n)]
    demand = instance.clients.requests.tolist()
    groups = []
    for c, requests in enumerate(demand):
        chosen = rng.choice(len(subsets), size=min(2, requests), replace=False)
        parts = [requests - len(chosen) + 1] + [1] * (len(chosen) - 1)
        groups += [Group(c, subsets[s], n) for s, n in zip(chosen, parts, strict=True)]
    found = arrange(instance, prices(instance), groups, math.inf)
    best = _by_all_ends(instance, groups)
    if found is None:
        assert best == math.inf
        return
    assert verify(instance, found).ok
    assert total_ms(prices(instance), found) == pytest.approx(best, rel=1e-9)


def test_arranging_keeps_below_what_is_known():
    instance = tiny(4, servers=4, blocks=5, requests=2)
    paid = prices(instance)
    found = [
        arrange(instance, paid, [Group(0, frozenset(s), 2)], math.inf)
        for s in itertools.combinations(range(4), 2)
    ]
    schedule = next(each for each in found if each is not None)
    groups = [Group(0, frozenset(schedule.routes[0].servers), 2)]
    assert arrange(instance, paid, groups, total_ms(paid, schedule)) is None


def test_the_tree_suggests_better_schedules_than_one_chain():
    from torta_opt.placement.search.start import one_chain

    instance = mix(1)
    paid = prices(instance)
    known = total_ms(paid, one_chain(instance, paid))
    tree = Tree(Pricing(instance, paid))
    tree.grow(known, lambda: False, 80)
    hint = min(tree.hints, key=lambda hint: (not hint.is_whole, hint.bound))
    limits = Limits(work=20, gap=1e-3)
    found = list(schedules(instance, paid, hint, tree.ways(), lambda: known, limits, tries=2))
    assert found
    for schedule in found:
        assert verify(instance, schedule).ok
        assert tree.bound <= total_ms(paid, schedule) < 0.98 * known


def test_sets_are_the_ways_and_their_neighbours():
    instance = tiny(0, servers=4, blocks=4, requests=2)
    hosted = instance.use_limit
    way = np.array([4, 0, 0, 0])
    hint = Hint(0.0, hosted, np.zeros(4), way)
    sets = visit_sets(instance, prices(instance), hint, [(0, way)])
    for _, servers in sets:
        assert len(servers ^ {0}) <= 2
        assert hosted[list(servers)].sum() >= 4
    assert len(set(sets)) == len(sets)

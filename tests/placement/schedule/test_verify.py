"""Schedules of every method pass; schedules with one thing broken do not, and the rule is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.placement_reference import Reference
from support.small_placement import build, hosting, instances, placements

from torta_opt.io import Infeasible, VerificationFailed
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.instance.presets import placement_preset
from torta_opt.placement.policies.cg_bprr import cg_bprr
from torta_opt.placement.policies.petals import petals_schedule
from torta_opt.placement.schedule.data import Placement, PlacementSchedule, Route
from torta_opt.placement.schedule.document import schedule_to_document
from torta_opt.placement.schedule.verify import verify

INSTANCE = build(
    blocks=4, memory=(44, 44, 100), block_bytes=10, requests=(2,), most_blocks=(3, 3, 4)
)
GOOD = PlacementSchedule("own", hosting((0, 3), (2, 2), (0, 4)), (Route(0, (0, 1)), Route(0, (2,))))


def _broken(schedule, instance=INSTANCE):
    return set(verify(instance, schedule).counts)


def test_a_good_schedule_passes():
    found = verify(INSTANCE, GOOD)
    assert found.ok
    found.raise_if_broken("own")


@pytest.mark.parametrize(
    ("placement", "routes", "rule"),
    [
        (((0, 3), (3, 2), (0, 4)), None, "span"),
        (((0, 3), (2, 2), (-1, 4)), None, "span"),
        (((0, 4), (2, 2), (0, 4)), None, "limit"),
        (((0, 2), (3, 1), (0, 4)), None, "hop"),
        (((1, 2), (2, 2), (0, 4)), None, "start"),
        (((0, 3), (2, 2), (0, 3)), None, "finish"),
        (((0, 3), (2, 2), (0, 4)), ((2,),), "demand"),
        (((0, 3), (2, 2), (0, 4)), ((2,), (2,), (2,)), "demand"),
        (((0, 3), (2, 2), (0, 4)), ((0, 1), ()), "start"),
        (((0, 3), (2, 2), (0, 4)), ((1,), (2,)), "start"),
        (((0, 3), (2, 2), (0, 4)), ((0,), (2,)), "finish"),
        (((0, 3), (2, 2), (0, 4)), ((0, 2, 2), (2,)), "hop"),
        (((0, 3), (2, 2), (0, 4)), ((0, 0, 1), (2,)), "hop"),
    ],
)
def test_each_rule_is_named(placement, routes, rule):
    chains = ((0, 1), (2,)) if routes is None else routes
    broken = PlacementSchedule("own", hosting(*placement), tuple(Route(0, c) for c in chains))
    assert rule in _broken(broken)


def test_memory_counts_blocks_hosted_and_blocks_processed():
    instance = replace(INSTANCE, servers=replace(INSTANCE.servers, memory_bytes=[36, 22, 48]))
    assert verify(instance, GOOD).ok
    for j in range(3):
        memory = np.array([36, 22, 48])
        memory[j] -= 1
        tight = replace(INSTANCE, servers=replace(INSTANCE.servers, memory_bytes=memory))
        assert _broken(GOOD, tight) == {"memory"}


def test_clients_are_counted_one_by_one():
    instance = build(token=((1.0, 1, 1), (1, 1, 1)), requests=(2, 0), rates=(1.0, 1.0))
    whole = hosting((0, 0), (0, 0), (0, 4))
    swapped = PlacementSchedule("own", whole, (Route(0, (2,)), Route(1, (2,))))
    assert verify(instance, swapped).counts == {"demand": 2}


def test_the_complaint_is_one_line_and_counts_the_rest():
    bad = replace(GOOD, routes=(Route(0, ()),) * 3)
    with pytest.raises(VerificationFailed, match="own: start: 3 requests") as error:
        verify(INSTANCE, bad).raise_if_broken("own")
    assert "1 more" in str(error.value)


def test_only_the_first_of_many_are_described():
    servers = 40
    instance = build(memory=(40,) * servers, decode=(1.0,) * servers, token=((1.0,) * servers,))
    found = verify(instance, PlacementSchedule("own", hosting(*[(3, 2)] * servers), ()))
    assert found.counts["span"] == servers
    assert len([v for v in found.violations if v.rule == "span"]) == 20


def _matches_the_reference(instance, schedule):
    """Same verdict; the reference calls start, hop and finish a route."""
    reference = Reference(instance_to_document(instance))
    expected = reference.broken(schedule_to_document(schedule, instance))
    names = {"start": "route", "hop": "route", "finish": "route"}
    found = {names.get(rule, rule) for rule in verify(instance, schedule).counts}
    assert found == expected


@given(st.data())
def test_any_schedule_gets_the_verdict_of_the_reference(data):
    instance = data.draw(instances(most_servers=4, most_clients=2))
    placement = data.draw(placements(instance))
    servers = st.integers(0, len(instance.servers) - 1)
    chain = st.lists(servers, min_size=1, max_size=3).map(tuple)
    client = st.integers(0, len(instance.clients) - 1)
    routes = data.draw(st.lists(st.builds(Route, client, chain), max_size=4))
    _matches_the_reference(instance, PlacementSchedule("own", placement, tuple(routes)))


@given(st.data())
def test_good_schedules_with_one_thing_changed(data):
    """Every change is judged as the reference judges it; a shifted or lost route never passes."""
    instance = data.draw(instances(most_clients=2, roomy=True))
    method = data.draw(st.sampled_from([cg_bprr, petals_schedule]))
    try:
        schedule = method(instance)
    except Infeasible:
        assume(False)
    assert verify(instance, schedule).ok
    assume(schedule.routes)
    place = data.draw(st.integers(0, len(schedule.routes) - 1))
    routes = list(schedule.routes)
    kind = data.draw(st.sampled_from(["drop", "repeat", "shorten", "shift", "grow"]))
    placement = schedule.placement
    if kind == "drop":
        del routes[place]
    elif kind == "repeat":
        routes.append(routes[place])
    elif kind == "shorten":
        routes[place] = replace(routes[place], servers=routes[place].servers[:-1])
    else:
        first, count = placement.first.copy(), placement.count.copy()
        j = routes[place].servers[0]
        if kind == "shift":
            first[j] += 1
        else:
            count[j] = instance.llm.blocks - first[j] + 1
        placement = Placement(first, count)
    changed = replace(schedule, placement=placement, routes=tuple(routes))
    assert not verify(instance, changed).ok


@pytest.mark.parametrize("name", ["clustered", "abovenet", "bellcanada", "helix-measured"])
def test_presets_pass(name):
    instance = placement_preset(name)
    for method in (cg_bprr, petals_schedule):
        assert verify(instance, method(instance)).ok

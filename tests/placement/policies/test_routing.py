"""Routes under a given placement, against the best of all ways to route."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.placement_reference import Reference
from support.small_placement import build, hosting, instances, placements

from torta_opt.io import Infeasible
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.policies.routing import routes_in_turn, shortest_path_routes
from torta_opt.placement.schedule.data import PlacementSchedule, Route
from torta_opt.placement.schedule.evaluate import evaluate
from torta_opt.placement.schedule.performance import prices
from torta_opt.placement.schedule.verify import verify


def test_the_second_request_goes_elsewhere_when_memory_is_used_up():
    instance = build(memory=(48, 48, 99), requests=(3,), tokens=(1, 1))
    placement = hosting((0, 4), (0, 4), (0, 4))
    routes = routes_in_turn(instance, placement, prices(instance))
    assert routes == (Route(0, (0,)), Route(0, (1,)), Route(0, (2,)))
    assert shortest_path_routes(instance, placement, prices(instance)) == (Route(0, (0,)),) * 3


def test_clients_take_turns():
    token = ((10.0, 20.0, 30.0), (10.0, 20.0, 30.0))
    instance = build(token=token, memory=(48, 48, 99), requests=(2, 1), rates=(1.0, 1.0))
    routes = routes_in_turn(instance, hosting((0, 4), (0, 4), (0, 4)), prices(instance))
    assert [(route.client, route.servers) for route in routes] == [(0, (0,)), (1, (1,)), (0, (2,))]


def test_why_there_is_no_route():
    instance = build(memory=(48, 48, 99), requests=(9,))
    with pytest.raises(Infeasible, match="blocks stay uncovered"):
        routes_in_turn(instance, hosting((0, 3), (0, 3), (0, 0)), prices(instance))
    with pytest.raises(Infeasible, match="memory is used up"):
        routes_in_turn(instance, hosting((0, 4), (0, 4), (0, 0)), prices(instance))


@given(st.data())
def test_in_turn_keeps_the_rules_and_never_beats_the_best(data):
    instance = data.draw(instances(most_servers=3, most_blocks=4, most_clients=2, roomy=True))
    placement = data.draw(placements(instance))
    reference = Reference(instance_to_document(instance))
    hosts = list(zip(placement.first.tolist(), placement.count.tolist(), strict=True))
    try:
        routes = routes_in_turn(instance, placement, prices(instance))
    except Infeasible:
        return
    schedule = PlacementSchedule("own", placement, routes)
    broken = set(verify(instance, schedule).counts)
    assert broken <= {"memory", "limit"}  # of the placement itself
    if not broken and len(routes) <= 4:
        best = reference.best_routing(hosts)
        assert best is not None
        assert evaluate(instance, schedule).cost >= float(best) - 1e-9

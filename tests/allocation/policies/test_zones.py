"""Plans where residency forbids pairs of regions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.plain import make_instance
from support.tiny import random_tiny_instance

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies import open_loop
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.zones import Zones
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.io import InvalidInput

NAN = np.nan


def fleet(latency: list[list[float]], slots: int = 24) -> Instance:
    """Regions with four servers each; a server does 40 requests in a slot; demand of 60, 30, 10."""
    regions = len(latency)
    demand = np.array([60, 30, 10])[:regions, None]
    return make_instance(
        np.repeat(demand[None], slots, axis=0),
        server_region=np.repeat(np.arange(regions), 4),
        latency_s=latency,
        server_ms=[[1000]],
        rent_usd_per_hour=np.array([1.0, 2.0, 4.0])[:regions, None],
        initial={"model": np.zeros(4 * regions, int)},
        weights={"time_usd_per_s": 0.001, "expiry_usd": [1.0]},
    )


APART = [[0.0, NAN, NAN], [NAN, 0.0, NAN], [NAN, NAN, 0.0]]
ONE_WAY = [[0.0, 0.1, NAN], [NAN, 0.0, NAN], [NAN, NAN, 0.0]]


def test_where_all_pairs_are_allowed_the_plan_is_that_of_the_system_itself() -> None:
    system = generate("paper/abilene", slots=8).system
    zones = Zones(system)
    assert zones.system is system
    assert zones.are_few
    requests = np.arange(len(system.regions) * len(system.classes)).reshape(-1, len(system.classes))
    assert zones.arriving(requests).tolist() == requests.sum(axis=0).tolist()
    assert zones.waiting(requests).tolist() == requests.sum(axis=0).tolist()


def test_a_class_of_a_zone_is_served_where_its_requests_may_go() -> None:
    """On random systems: a type of the plan serves a class of it just where servers of that zone
    may take requests of that zone and the type can serve the class."""
    apart = 0
    for seed in range(60):
        whole = random_tiny_instance(np.random.default_rng(seed), regions=3, servers=4).system
        zones = Zones(whole)
        if zones.is_one:
            continue
        apart += 1
        plan = zones.system
        for origin in range(len(whole.regions)):
            for c in range(len(whole.classes)):
                one = np.zeros((len(whole.regions), len(whole.classes)), int)
                one[origin, c] = 1
                able = {
                    s
                    for s in range(len(whole.servers))
                    if whole.allowed[origin, whole.server_region[s]]
                    and whole.usable_by[whole.server_type[s], c]
                }
                found = np.flatnonzero(zones.arriving(one)).tolist()
                assert len(found) == bool(able)
                for number in found:
                    took = np.flatnonzero(plan.usable_by[plan.server_type, number])
                    assert set(took.tolist()) == able
                # what waits in a region is served there
                for number in np.flatnonzero(zones.waiting(one)).tolist():
                    here = whole.server_region == origin
                    could = here & whole.usable_by[whole.server_type, c]
                    assert not could.any() or plan.usable_by[plan.server_type, number][could].all()
    assert apart > 10


def test_what_waits_counts_for_the_origins_with_the_least_choice() -> None:
    """Region 1 serves requests of 0 and of 1; those of 0 may go to 0 as well."""
    zones = Zones(fleet(ONE_WAY).system)
    of_origin = [int(zones.arriving(np.eye(3, dtype=int)[:, [i]]).argmax()) for i in range(3)]
    waits = zones.waiting(np.array([[1], [20], [300]]))
    assert sorted(of_origin) == [0, 1, 2]
    assert waits[of_origin].tolist() == [1, 20, 300]


@pytest.mark.parametrize("latency", [APART, ONE_WAY], ids=["apart", "one way"])
def test_no_region_loses_the_servers_that_it_needs(
    latency: list[list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rent says to stop the dearest servers, of region 2; its ten requests have no others."""
    instance = fleet(latency)
    found = run(create("open_loop"), instance).schedule
    verify(instance, found).raise_if_broken("open_loop")
    priced = evaluate(instance, found)
    all_on = 4 * (1 + 2 + 4) * instance.slots * instance.system.slot_hours
    assert priced.metrics["expired_share"] == 0
    assert priced.costs["rent"] < 0.7 * all_on
    monkeypatch.setattr(open_loop, "Zones", AllAsOne)
    as_one = run(create("open_loop"), instance).schedule
    assert evaluate(instance, as_one).metrics["expired_share"] > 0.05


class AllAsOne(Zones):
    """A plan that does not see residency."""

    is_one = True  # type: ignore[assignment]


def test_with_too_many_zones_the_servers_are_those_of_greedy_forecast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instance = fleet(APART)
    monkeypatch.setattr("torta_opt.allocation.policies.zones.MOST_PAIRS", 2)
    found = run(create("open_loop"), instance).schedule
    expected = run(create("greedy_forecast"), instance).schedule
    assert np.array_equal(found.command, expected.command)
    assert Zones(instance.system).system is instance.system


def test_a_learned_value_is_refused_where_residency_forbids_pairs() -> None:
    instance = generate("paper/abilene", slots=8)
    latency = instance.system.latency_s.copy()
    latency[0, 1] = NAN
    system = dataclasses.replace(instance.system, latency_s=latency)
    with pytest.raises(InvalidInput, match="every region"):
        create("torta_plus:value=cuts").reset(system, 0)


def test_where_no_request_can_be_served_the_servers_are_those_of_greedy_forecast() -> None:
    """Requests arise where no server is, and may not go elsewhere."""
    instance = fleet([[0.0, NAN], [NAN, 0.0]], slots=4)
    system = dataclasses.replace(instance.system, server_region=np.ones(8, int))
    only_here = np.array(system.latency_s)
    only_here[1, 1] = NAN
    only_here[1, 0] = 0.1
    system = dataclasses.replace(system, latency_s=only_here)
    assert not Zones(system).are_few
    barred = dataclasses.replace(instance, system=system)
    schedule = run(create("open_loop"), barred).schedule
    assert verify(barred, schedule).ok
    assert np.array_equal(schedule.command, run(create("greedy_forecast"), barred).schedule.command)

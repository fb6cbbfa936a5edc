"""Greedy sends every request where serving it costs least."""

from __future__ import annotations

import numpy as np
from support.plain import make_instance

from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify

TWO_ON = {"model": [0, 0]}


def routes(instance) -> list[list[int]]:
    """Requests of the first region, slot by slot."""
    schedule = run(create("greedy_forecast:rule=none"), instance).schedule
    assert verify(instance, schedule).ok
    return schedule.routing[:, 0, :, 0].tolist()


def test_energy_against_distance():
    """1 kWh a request: 0.2 $ cheaper in the west, which lies 0.1 $ or 0.3 $ away."""
    for seconds, expected in ((0.1, [0, 5]), (0.3, [5, 0])):
        instance = make_instance(
            [[[5], [0]]],
            latency_s=[[0, seconds], [seconds, 0]],
            peak_kw=3600.0,
            price=[[0.4, 0.2]],
            weights={"time_usd_per_s": 1.0},
            initial=TWO_ON,
        )
        assert routes(instance) == [expected]


def test_prices_of_the_slot_are_followed():
    instance = make_instance(
        [[[5], [0]]] * 3,
        peak_kw=3600.0,
        price=[[0.4, 0.2], [0.1, 0.2], [0.4, 0.2]],
        initial=TWO_ON,
    )
    assert routes(instance) == [[0, 5], [5, 0], [0, 5]]


def test_rerouting_keeps_it_from_following_small_differences():
    instance = make_instance(
        [[[5], [0]]] * 3,
        peak_kw=3600.0,
        price=[[0.2, 0.21], [0.22, 0.21], [0.5, 0.21]],
        weights={"reroute_usd": 0.05},
        initial=TWO_ON,
    )
    assert routes(instance) == [[5, 0], [5, 0], [0, 5]]


def test_transfer_price_counts():
    transfer = np.zeros((2, 2, 1))
    transfer[0, 0] = 1.0
    assert routes(make_instance([[[5], [0]]], transfer_usd=transfer, initial=TWO_ON)) == [[0, 5]]


def test_full_servers_send_to_the_next_cheapest():
    instance = make_instance(
        [[[50], [0]]],
        latency_s=[[0, 1], [1, 0]],
        weights={"time_usd_per_s": 1.0},
        initial=TWO_ON,
    )
    assert routes(instance) == [[45, 5]]


def test_what_finds_no_time_goes_where_there_is_time_next():
    """East is busy for two slots; what is too much goes to the idle next slot of the west."""
    instance = make_instance(
        [[[45 + 45 + 30], [0]], [[0], [0]]],
        latency_s=[[0, 1], [1, 0]],
        weights={"time_usd_per_s": 1.0, "expiry_usd": 100.0},
        initial={"model": [0, -1]},
        deadline_slots=1,
        start_ms=45_000,
    )
    schedule = run(create("greedy_forecast:gradual=1"), instance).schedule
    assert verify(instance, schedule).ok
    assert evaluate(instance, schedule).metrics["expired"] == 0


def test_cheapest_server_of_a_region_works_first():
    instance = make_instance(
        [[[50]]],
        types=2,
        server_region=[0, 0],
        server_type=[0, 1],
        service_s=[[2.0], [1.0]],
        weights={"time_usd_per_s": 1.0},
        initial=TWO_ON,
    )
    schedule = run(create("greedy_forecast:rule=none"), instance).schedule
    assert schedule.processing[0, :, 0].tolist() == [5, 45]


def test_is_cheaper_than_round_robin_where_regions_differ():
    instance = make_instance(
        np.full((20, 3, 1), 8),
        latency_s=np.array([[0, 0.5, 1], [0.5, 0, 0.5], [1, 0.5, 0]]),
        peak_kw=300.0,
        price=[[0.1, 0.3, 0.5]] * 20,
        rent_usd_per_hour=4.0,
        weights={"time_usd_per_s": 0.01, "expiry_usd": 3.0},
    )
    costs = [
        evaluate(instance, run(create(name), instance).schedule).cost
        for name in ("greedy_forecast", "round_robin")
    ]
    assert costs[0] < costs[1]

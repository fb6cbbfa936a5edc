"""The floor never exceeds the cost of any schedule, and is exact where nothing else is charged."""

import dataclasses

import numpy as np
import pytest
from support.plain import make_instance
from support.sizes import examples
from support.tiny import (
    TINIEST,
    TINY,
    brute_force_optimum,
    random_feasible_schedule,
    random_tiny_instance,
)

from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.instance import Initial, Instance, System, Weights
from torta_opt.allocation.schedule import evaluate

CALM = dataclasses.replace(TINIEST, slots=2, hot=0.5)
EARNING = dataclasses.replace(TINY, negative_prices=1.0, rent=0.3)


@pytest.mark.parametrize("limits", [TINY, EARNING], ids=["any", "negative-prices"])
@pytest.mark.parametrize("seed", range(examples(300)))
def test_is_below_every_random_schedule(seed, limits):
    rng = np.random.default_rng([seed, 1])
    instance = random_tiny_instance(rng, limits)
    bound = floor(instance).value
    for _ in range(3):
        evaluation = evaluate(instance, random_feasible_schedule(instance, rng))
        scale = max(map(abs, evaluation.costs.values()))
        assert bound <= evaluation.cost + 1e-12 * scale


@pytest.mark.parametrize("seed", range(examples(60)))
def test_is_below_the_optimum_over_all_schedules(seed):
    instance = random_tiny_instance(np.random.default_rng([seed, 2]), CALM)
    optimum = brute_force_optimum(instance).cost
    assert floor(instance).value <= float(optimum) + 1e-9


def test_parts_add_up_and_bound_their_components():
    rng = np.random.default_rng(3)
    for _ in range(50):
        instance = random_tiny_instance(rng)
        found = floor(instance)
        assert found.value == pytest.approx(sum(found.costs.values()), abs=1e-12)
        assert found.costs["network"] >= 0


def test_the_value_does_not_hang_on_the_order_in_which_a_processor_adds():
    """Terms that are the same numbers in another order have the same sum, to the last bit."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        arrivals = rng.integers(0, 1000, (300, 1, 1))
        price = rng.normal(0.05, 0.1, (300, 1))
        fields = {"idle_kw": 0.3, "peak_kw": 0.7, "deadline_slots": 0}
        weights = {"time_usd_per_s": 0.1, "expiry_usd": 0.2}
        ahead, back = (
            floor(make_instance(arrivals[::way], price=price[::way], weights=weights, **fields))
            for way in (1, -1)
        )
        assert ahead == back


def _one_server(price: float, deadline: int, **changes: object) -> Instance:
    """One region, one server that starts in no time, rent-free, 36 kW above idle when busy."""
    system = System(
        slot_ms=10_000,
        hot_permille=0,
        regions=("here",),
        models=("m",),
        types=("k",),
        classes=("c",),
        servers=("s",),
        class_model=[0],
        deadline_slots=[deadline],
        slo_s=[10.0],
        server_region=[0],
        server_type=[0],
        latency_s=[[0.5]],
        transfer_usd=[[[0.01]]],
        service_s=[[3.0]],
        hot_service_s=[[2.0]],
        server_ms=[[1000]],
        rent_usd_per_hour=[[0.0]],
        idle_kw=[0.0],
        peak_kw=[36.0],
        start_ms=[[0]],
        switch_ms=[[0]],
        start_usd=[[0.0]],
        switch_usd=[[0.0]],
        weights=Weights(0.1, 0.0, [5.0]),
    )
    fields = {"arrivals": [[[4]], [[0]]], "price_usd_per_kwh": [[price], [price]]}
    return Instance(
        name="one",
        system=system,
        initial=Initial.all_off(1, 1, 1),
        up=np.ones((2, 1), bool),
        **{**fields, **changes},
    )


def test_charges_route_hot_service_and_marginal_energy():
    # 4 requests: 0.1·0.5 network + 0.01 transfer + 0.1·2 hot service + 36 kW·1 s·0.5 $/kWh
    found = floor(_one_server(price=0.5, deadline=1))
    assert found.value == pytest.approx(4 * (0.05 + 0.01 + 0.2 + 0.01 * 0.5))


def test_waits_for_a_price_that_falls_faster_than_waiting_costs():
    # Now: 0.01 kWh at 200 $ = 2. A slot later: at 10 $ = 0.1, plus 10 s of waiting at 0.1 $ = 1.
    waits = floor(_one_server(0.0, 1, price_usd_per_kwh=[[200.0], [10.0]]))
    assert waits.value == pytest.approx(4 * (0.06 + 0.2 + 0.1 + 1.0))
    must_not = floor(_one_server(0.0, 0, price_usd_per_kwh=[[200.0], [10.0]]))
    assert must_not.value == pytest.approx(4 * (0.06 + 0.2 + 2.0))


def test_lets_expire_what_is_dearer_to_serve():
    found = floor(_one_server(price=600.0, deadline=1))  # 6 $ of energy against 5 $ of expiry
    assert found.value == pytest.approx(4 * (0.06 + 5.0))
    assert found.costs["expiry"] == pytest.approx(20.0)


def test_credits_servers_only_while_they_are_up_and_running_pays():
    paid = _one_server(0.0, 1, price_usd_per_kwh=[[-1.0], [0.0]], arrivals=[[[0]], [[0]]])
    system = dataclasses.replace(paid.system, idle_kw=[36.0])  # 0.1 kWh a slot
    running = dataclasses.replace(paid, system=system)
    assert floor(running).value == pytest.approx(-0.1)
    rented = dataclasses.replace(system, rent_usd_per_hour=[[18.0]])  # 0.05 $ a slot
    assert floor(dataclasses.replace(running, system=rented)).value == pytest.approx(-0.05)
    down = dataclasses.replace(running, up=np.array([[False], [True]]))
    assert floor(down).value == 0.0

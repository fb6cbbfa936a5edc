"""The skeleton of our policies: forecast, activate, route, assign."""

from __future__ import annotations

import numpy as np
import pytest
from support.plain import make_instance

from torta_opt.allocation.policies.dispatch import SlotCapacity, Tables
from torta_opt.allocation.policies.layered import LayeredPolicy, assign_cheapest
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import verify
from torta_opt.io import InvalidInput


class Home(LayeredPolicy):
    """Every request stays where it arrives; the cheapest servers take it."""

    name = "home"

    def route(self, c, requests, desk):
        return np.diag(requests)

    def assign(self, c, wanted, desk):
        return assign_cheapest(c, wanted, desk, np.zeros(len(desk.free_ms)))


def test_what_is_due_is_served_first():
    """Two classes wait; only the one at its deadline gets the one slot of time there is."""
    instance = make_instance(
        np.zeros((1, 1, 2), int),
        server_ms=45_000,
        deadline_slots=[3, 1],
        initial={"model": [0], "backlog": [[[1, 0, 0], [1, 0, 0]]]},
    )
    schedule = run(Home(), instance).schedule
    assert schedule.processing[0, 0].tolist() == [0, 1]


def test_what_waits_comes_before_what_arrives():
    instance = make_instance(
        [[[0, 5]]],
        server_ms=9000,
        deadline_slots=2,
        initial={"model": [0], "backlog": [[[3], [0]]]},
    )
    schedule = run(Home(), instance).schedule
    assert schedule.processing[0, 0].tolist() == [3, 2]


def test_forecast_is_by_origin():
    instance = make_instance([[[4, 1], [0, 2]]] * 3, initial={"model": [0, 0]})
    schedule = run(Home(), instance).schedule
    assert schedule.forecast.tolist() == [[0, 0], [5, 2], [5, 2]]


def test_a_region_that_can_serve_is_preferred_to_one_that_never_can():
    instance = make_instance([[[1], [1]]], server_region=[1, 1])
    policy = Home()
    policy.reset(instance.system, 0)
    assert policy.open_to(0).tolist() == [[False, True], [False, True]]


def test_where_nobody_can_serve_all_allowed_are_open():
    latency = [[0.0, np.nan], [0.0, 0.0]]
    instance = make_instance([[[1], [1]]], server_region=[1, 1], latency_s=latency)
    policy = Home()
    policy.reset(instance.system, 0)
    assert policy.open_to(0).tolist() == [[True, False], [False, True]]


def test_reset_forgets():
    busy = make_instance([[[40]]] * 4, server_ms=4500)
    quiet = make_instance([[[1]]] * 4, server_ms=4500)
    policy = Home()
    first = run(policy, quiet).schedule
    run(policy, busy)
    again = run(policy, quiet).schedule
    assert np.array_equal(first.processing, again.processing)
    assert np.array_equal(first.forecast, again.forecast)


def test_loading_servers_take_what_is_left_of_the_slot():
    instance = make_instance(
        [[[30]]], start_ms=30_000, weights={"expiry_usd": 1.0}, deadline_slots=0
    )
    schedule = run(Home(), instance).schedule
    assert verify(instance, schedule).ok
    assert schedule.processing[0, 0, 0] == 15


def test_unknown_settings_are_refused():
    with pytest.raises(InvalidInput, match="colour: is not a parameter"):
        Home(colour="red")


def test_assign_cheapest_keeps_to_the_same_servers():
    instance = make_instance([[[1]]], server_region=[0, 0, 0])
    desk = SlotCapacity(
        Tables(instance.system), np.full(3, 3000), np.zeros(3, int), np.zeros((3, 1), int)
    )
    usd = np.array([2.0, 1.0, 3.0])
    assert assign_cheapest(0, np.array([5]), desk, usd).tolist() == [2, 3, 0]

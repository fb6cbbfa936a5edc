"""The program of the hour against an exhaustive search, and the forecast by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from support.plain import make_instance

from torta_opt.allocation.policies.fleets import sageserve
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import verify
from torta_opt.allocation.schedule.timeline import trace_servers


def two_types(requests: int, rent: tuple[float, float], on: int = 0):
    """One region; type 0 takes ten requests a slot, type 1 four; three servers of each."""
    return make_instance(
        [[[requests]]] * 3,
        types=2,
        server_region=[0] * 6,
        server_type=[0, 0, 0, 1, 1, 1],
        server_ms=[[4500], [11250]],
        rent_usd_per_hour=[list(rent)],
        start_usd=0.02,
        initial={"model": [0] * on + [-1] * (6 - on)},
        weights={"time_usd_per_s": 1e-6, "expiry_usd": 5.0},
    )


@pytest.mark.parametrize("rent", [(9.0, 1.0), (2.0, 1.0), (3.0, 1.2)])
@pytest.mark.parametrize("requests", [0, 3, 9, 17, 25, 41])
@pytest.mark.parametrize("on", [0, 2])
def test_the_cheapest_servers_that_cover_the_forecast(rent, requests, on, monkeypatch):
    monkeypatch.setattr(sageserve, "LIMITS", sageserve.Limits(gap=0.0))
    instance = two_types(requests, rent, on)
    made = run(create("sageserve:period_minutes=60:target=1:buffer=0"), instance).schedule
    assert verify(instance, made).ok
    found = trace_servers(instance, made).on[0]
    slots = 80
    costs = {}
    for a, b in product(range(4), repeat=2):
        missed = max(0, requests - 10 * a - 4 * b) * 5.0
        on_usd = (rent[0] * a + rent[1] * b) * 45 / 3600
        costs[a, b] = on_usd + 0.02 * (max(a - on, 0) + b) / slots + missed
    chosen = int(found[:3].sum()), int(found[3:].sum())
    assert costs[chosen] == pytest.approx(min(costs.values()), abs=1e-4)


def test_the_answer_holds_for_the_period():
    instance = two_types(17, (9.0, 9.0))
    made = run(create("sageserve:period_minutes=60"), instance).schedule
    on = trace_servers(instance, made).on
    assert (on == on[0]).all()


def test_deferred_moves_by_one_where_use_asks_for_it():
    instance = two_types(27, (1.0, 9.0), on=1)
    made = run(create("sageserve:scaling=deferred:target=1"), instance).schedule
    assert verify(instance, made).ok
    assert trace_servers(instance, made).on.sum(axis=1).tolist() == [1, 2, 3]


class TestForecast:
    def test_a_line_is_carried_on(self):
        history = 3.0 * np.arange(10)[:, None, None] * np.ones((1, 2, 1))
        assert sageserve.forecast_peak(history, 10) == pytest.approx(np.full((2, 1), 57.0))

    def test_a_falling_line_stays_at_its_present_value(self):
        history = 100 - 3.0 * np.arange(10)[:, None, None]
        assert sageserve.forecast_peak(history, 10) == pytest.approx(np.array([[73.0]]))

    def test_spread_is_added(self):
        history = np.array([4.0, 6.0] * 4)[:, None, None]
        assert sageserve.forecast_peak(history, 0).item() > 5.5

    def test_little_history_is_not_extrapolated(self):
        history = np.array([2.0, 8.0])[:, None, None]
        assert sageserve.forecast_peak(history, 50) == pytest.approx(np.array([[8.0]]))

"""Receding horizon control takes the first slot of a fresh plan every slot."""

from __future__ import annotations

import numpy as np
import pytest
from support.plain import make_instance

from torta_opt.allocation.bounds.lp import lp_bound
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify


def test_is_optimal_where_nothing_is_uncertain():
    """Constant arrivals that fill whole servers, a window over the whole horizon."""
    instance = make_instance(
        np.full((6, 2, 1), 20),
        server_region=[0, 0, 1, 1],
        server_ms=4500,
        start_usd=0.5,
        rent_usd_per_hour=80.0,
        peak_kw=50.0,
        price=[[0.4, 0.1]] * 6,
        latency_s=[[0, 0.1], [0.1, 0]],
        weights={"time_usd_per_s": 0.1, "expiry_usd": 9.0},
    )
    schedule = run(create("rhc:window=6:safety=0"), instance).schedule
    assert verify(instance, schedule).ok
    assert evaluate(instance, schedule).cost == pytest.approx(lp_bound(instance).value, rel=1e-6)


def test_prices_ahead_are_used():
    """Requests may wait a slot, in which electricity costs a tenth."""
    instance = make_instance(
        [[[6]], [[0]], [[0]]],
        deadline_slots=2,
        peak_kw=360.0,
        price=[[1.0], [0.1], [1.0]],
        initial={"model": [0]},
        weights={"time_usd_per_s": 1e-6, "expiry_usd": 9.0},
    )
    schedule = run(create("rhc:window=3:smoothing=0:safety=0"), instance).schedule
    assert schedule.processing[:, 0, 0].tolist() == [0, 6, 0]
    assert evaluate(instance, schedule).metrics["served"] == 6

"""ROBD: near the minimiser of the slot, and near where it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from support.plain import make_instance

from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.robd import balanced, minimiser
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.server_counts import Demand
from torta_opt.allocation.schedule.data import Command
from torta_opt.io import InvalidInput

POSITIVE = st.floats(0.01, 5)


def demand(wanted: int, on: float, unserved: float, start: float) -> Demand:
    return Demand(np.array([wanted]), *(np.array([usd]) for usd in (on, unserved, start)))


@given(st.integers(0, 6), st.floats(-1, 5), POSITIVE, POSITIVE, st.floats(0, 8), POSITIVE, POSITIVE)
def test_closed_form_is_the_minimum(wanted, on, unserved, start, before, switching, anchor):
    costs, most = demand(wanted, on, unserved, start), np.array([8])
    goal = float(minimiser(costs, most)[0])

    def total(x: float) -> float:
        hit = on * x + unserved * max(wanted - x, 0)
        return hit + start / 2 * (switching * (x - before) ** 2 + anchor * (x - goal) ** 2)

    found = float(balanced(costs, np.array([before]), most, switching, anchor)[0])
    assert 0 <= found <= 8
    best = minimize_scalar(total, bounds=(0, 8), method="bounded", options={"xatol": 1e-9})
    assert total(found) <= best.fun + 1e-6


@pytest.mark.parametrize(
    ("on", "unserved", "expected"), [(1, 2, 3), (2, 1, 0), (-1, 2, 8), (1, 1, 3)]
)
def test_minimiser(on: float, unserved: float, expected: int):
    assert minimiser(demand(3, on, unserved, 1), np.array([8])).tolist() == [expected]


def test_without_switching_weight_the_minimiser_is_followed():
    instance = make_instance(
        np.array([25, 0, 14, 0, 38])[:, None, None],
        server_region=[0] * 5,
        server_ms=4500,
        rent_usd_per_hour=80.0,
        start_usd=99.0,
        weights={"time_usd_per_s": 1.0, "expiry_usd": 500.0},
    )
    schedule = run(create("robd:switching=0:smoothing=1:safety=0"), instance).schedule
    change = (schedule.command == Command.START).astype(int) - (schedule.command == Command.STOP)
    assert change.sum(axis=1).cumsum().tolist() == [3, 0, 2, 0, 4]


def test_the_dearer_a_change_the_fewer():
    rng = np.random.default_rng(3)
    instance = make_instance(
        rng.integers(0, 50, (40, 1, 1)),
        server_region=[0] * 6,
        server_ms=4500,
        deadline_slots=3,
        rent_usd_per_hour=80.0,
        start_usd=5.0,
        weights={"time_usd_per_s": 1.0, "expiry_usd": 500.0},
    )
    changes = [
        np.count_nonzero(run(create(f"robd:switching={weight}"), instance).schedule.command)
        for weight in (0, 0.3, 30)
    ]
    assert changes[0] > changes[1] > changes[2]


@pytest.mark.parametrize("name", ["switching", "anchor"])
def test_bad_parameters_are_one_plain_line(name: str):
    with pytest.raises(InvalidInput, match=rf"{name}: must be a number in \[0, 1e\+06\], found -1"):
        create(f"robd:{name}=-1")

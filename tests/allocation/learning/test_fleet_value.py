"""Values of servers learned from duals: examples continue, and fitting comes nearer to them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import torta_opt
from torta_opt.allocation.formulations.server_value import Network
from torta_opt.allocation.learning.fleet_value import Teacher, fit_value, quality, teach
from torta_opt.allocation.policies.fleet_values import from_tensors, to_tensors


def quiet(*_: object) -> None:
    pass


def teacher() -> Teacher:
    fleet = {"A100": 10, "H100": 6, "RTX4090": 10, "V100": 14, "T4": 10}
    instance = torta_opt.generate("paper/abilene", seed=1, slots=20, gpu_counts=fleet)
    return Teacher(instance, 0.85, 1.5, 0.15)


@cache
def examples():
    return teach(teacher(), None, 10, 4, quiet)


def test_servers_are_worth_something_where_there_are_few():
    found = examples()
    assert (found.slope < 0).any()
    assert np.isfinite(found.usd).all()
    assert found.slope.shape == found.servers.shape


def test_examples_continue_where_they_stopped():
    """By another teacher, as after an interruption; solvers may differ in the last digits."""
    first = teach(teacher(), None, 3, 4, quiet)
    again = teach(teacher(), first, 5, 4, quiet)
    np.testing.assert_allclose(again.servers, examples().servers[:5])
    np.testing.assert_allclose(again.usd, examples().usd[:5], rtol=1e-6)


@pytest.mark.parametrize("kind", ["cuts", "network"])
def test_fitting_comes_nearer(kind):
    few = quality(fit_value(kind, examples(), 1, 0, quiet), examples())
    many = quality(fit_value(kind, examples(), 100, 0, quiet), examples())
    assert many["cost_usd"] < few["cost_usd"]


def test_what_is_fitted_can_be_stored_and_stays_convex():
    value = fit_value("network", examples(), 20, 0, quiet)
    assert isinstance(value, Network)
    assert all((layer.hidden >= 0).all() for layer in value.layers)
    again = from_tensors("network", to_tensors(value))
    n, f = examples().servers[0], examples().features[0]
    assert again(n, f) == pytest.approx(value(n, f), rel=1e-4)
    broken = to_tensors(value)
    broken["1.hidden"] = -broken["1.hidden"] - 1
    with pytest.raises(ValueError, match="no input-convex network"):
        from_tensors("network", broken)

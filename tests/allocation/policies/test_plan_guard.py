"""A learned plan is used only where it is cheaper for more than chance."""

from __future__ import annotations

import numpy as np
import pytest

from torta_opt import generate
from torta_opt.allocation.formulations.fleet_program import FleetPlan, FleetProgram
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.fleet_view import FleetView
from torta_opt.allocation.policies.plan_guard import LEAST, is_clearly_cheaper
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import first_observation
from torta_opt.io import InvalidInput

SAMPLES = 12
NOISE = np.random.default_rng(0).normal(size=SAMPLES)


def plan(by_sample: np.ndarray) -> FleetPlan:
    nothing = np.zeros((1, 1))
    return FleetPlan(float(by_sample.mean()), np.zeros(1), *[nothing] * 5, by_sample)


@pytest.mark.parametrize(
    ("gain", "noise", "used"),
    [
        (0.0, 0.0, False),  # the same plan
        (0.5 * LEAST * 100, 0.0, False),  # as good as the same
        (2 * LEAST * 100, 0.0, True),
        (2.0, 1.0, True),
        (0.5, 1.0, False),  # within three standard errors, .87 $
        (-2.0, 1.0, False),
    ],
)
def test_a_gain_has_to_stand_out(gain, noise, used):
    noise = noise * (NOISE - NOISE.mean()) / NOISE.std(ddof=1)
    plain = plan(np.full(SAMPLES, 100.0))
    assert is_clearly_cheaper(plan(plain.by_sample - gain + noise), plain, 3.0) is used


def test_what_could_not_be_priced_is_not_used():
    plain = plan(np.full(SAMPLES, 100.0))
    assert not is_clearly_cheaper(None, plain)
    assert not is_clearly_cheaper(plan(np.zeros(SAMPLES)), None)


def test_dollars_of_samples_are_those_of_their_own_demand():
    """The mean is the program's objective, and a sample with more demand costs more."""
    instance = generate("paper/abilene", 1, slots=6)
    system = instance.system
    program = FleetProgram(system, 2, 3, 0.85 * system.slot_ms)
    view = FleetView(Tables(system), program.kinds, first_observation(instance))
    demand = np.ones((2, 1, 1)) * np.array([1.0, 2.0, 40.0])[:, None]
    demand = demand * instance.arrivals.sum(axis=1).max(axis=0)
    costs = view.costs(np.array([2.0, 2.0]), 1.5, 0.0)
    found = program.solve(view.state(), costs, demand)
    assert found.by_sample.mean() == pytest.approx(found.usd)
    assert found.by_sample[0] < found.by_sample[1] < found.by_sample[2]
    alone = FleetProgram(system, 2, 1, 0.85 * system.slot_ms)
    for s in range(3):  # with the servers of the plan a sample costs what it costs alone
        own = alone.solve(view.state(), costs, demand[:, s : s + 1], first=found)
        assert own.usd <= found.by_sample[s] + 1e-6


def test_the_margin_is_a_number():
    with pytest.raises(InvalidInput, match="margin"):
        create("torta_plus:margin=-1")

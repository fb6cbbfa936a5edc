"""Averaging fixed horizon control does what the plans of the last slots do on average."""

from __future__ import annotations

import numpy as np
from support.plain import make_instance

from torta_opt.allocation.policies.afhc import Afhc
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.window import WindowPlan
from torta_opt.allocation.schedule import verify

INSTANCE = make_instance(np.full((4, 2, 1), 10), initial={"model": [0, 0]})


class Scripted(Afhc):
    """Plans of a script instead of the program's: all to the east in even slots, west in odd."""

    def solve(self, observation):
        levels = np.zeros((self.window, *self.kinds.shape))
        levels[:] = 1.0
        flow = np.zeros((self.window, 2, 2, 1))
        flow[:, :, observation.slot % 2] = 10.0
        return WindowPlan(observation.slot, levels, flow)


def test_mean_of_the_plans():
    schedule = run(Scripted(window=2), INSTANCE).schedule
    assert schedule.routing[0, :, :, 0].tolist() == [[10, 0], [10, 0]]
    assert schedule.routing[1:, :, :, 0].tolist() == [[[5, 5], [5, 5]]] * 3


def test_plans_are_followed_to_their_end_and_no_further():
    schedule = run(Scripted(window=3), INSTANCE).schedule
    to_east = schedule.routing[:, 0, 0, 0].tolist()
    assert to_east == [10, 5, 7, 3]  # of 1, 2, 3 and 3 plans: 1/1, 1/2, 2/3 and 1/3


def test_window_of_one_is_receding_horizon():
    afhc, rhc = (run(create(f"{name}:window=1"), INSTANCE).schedule for name in ("afhc", "rhc"))
    assert verify(INSTANCE, afhc).ok
    assert np.array_equal(afhc.routing, rhc.routing)
    assert np.array_equal(afhc.processing, rhc.processing)

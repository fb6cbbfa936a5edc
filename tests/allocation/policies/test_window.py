"""A few slots ahead as a linear program, and what is kept of its answer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.plain import make_instance
from support.sizes import examples
from support.tiny import random_tiny_instance

from torta_opt.allocation.formulations.lift import lift
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.instance.data import OFF
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.kinds import Kinds
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.window import levels_on, window_instance
from torta_opt.allocation.schedule import verify
from torta_opt.allocation.schedule.data import Command, Schedule
from torta_opt.allocation.schedule.step import (
    Decision,
    apply_commands,
    initial_state,
    slot_data,
    step,
)
from torta_opt.io import InvalidInput


def test_levels_are_the_servers_that_are_on():
    """Of a schedule lifted into the program, slot by slot."""
    for seed in range(examples(40)):
        instance = random_tiny_instance(np.random.default_rng(seed))
        up = np.repeat(instance.up[:1], instance.slots, axis=0)
        instance = dataclasses.replace(instance, up=up)
        schedule = run(create("greedy_forecast"), instance).schedule
        program = build_allocation_program(instance)
        kinds = Kinds(Tables(instance.system))
        found = levels_on(program, lift(instance, schedule), kinds)
        state = initial_state(instance)
        for t in range(instance.slots):
            data, decision = slot_data(instance, t), schedule_slot(schedule, t)
            fleet = apply_commands(
                instance.system, state, data.up, decision.command, decision.command_model
            )
            on = kinds.count(np.where(fleet.on, fleet.model, OFF))
            assert found[t] == pytest.approx(on), (seed, t)
            state = step(instance.system, state, data, decision).state


def schedule_slot(schedule: Schedule, t: int) -> Decision:
    names = ("routing", "command", "command_model", "processing")
    return Decision(**{name: getattr(schedule, name)[t] for name in names})


def test_window_instance_is_what_is_known():
    instance = make_instance([[[3], [1]]], initial={"model": [0, -1]}, down=[(0, 1)])
    observation = Observation(
        slot=0,
        arrivals=instance.arrivals[0],
        up=instance.up[0],
        past_arrivals=instance.arrivals[:0],
        past_up=instance.up[:0],
        price_ahead=np.array([[0.1, 0.2], [0.3, 0.4]]),
        state=initial_state(instance),
    )
    window = window_instance(instance.system, observation, np.array([[7], [8]]), 4, "window")
    assert window.arrivals[:, :, 0].tolist() == [[3, 1]] + 3 * [[7, 8]]
    assert window.price_usd_per_kwh.tolist() == [[0.1, 0.2]] + 3 * [[0.3, 0.4]]
    assert window.up.tolist() == 4 * [[True, False]]
    assert window.initial.model.tolist() == [0, -1]


@pytest.mark.parametrize("name", ["rhc", "afhc"])
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("window=0", r"window: must be a number in \[1, 1000\], found 0"),
        ("threshold=2", r"threshold: must be a number in \[0, 1\], found 2"),
        ("window=2.5", "window: must be a whole number, found 2.5"),
    ],
)
def test_bad_parameters_are_one_plain_line(name: str, setting: str, message: str):
    with pytest.raises(InvalidInput, match=message):
        create(f"{name}:{setting}")


@pytest.mark.parametrize("name", ["rhc", "afhc"])
def test_breaks_no_rule(name: str):
    for seed in range(examples(40)):
        instance = random_tiny_instance(np.random.default_rng(seed))
        found = verify(instance, run(create(name), instance).schedule)
        assert found.ok, (seed, found.violations)


@pytest.mark.parametrize("name", ["rhc", "afhc"])
class TestSees:
    """One server, off, that takes ten requests a slot; expiry 1 $ a request."""

    def starts(self, name: str, start_usd: float, window: int) -> int:
        instance = make_instance(
            np.full((6, 1, 1), 10),
            server_ms=4500,
            deadline_slots=0,
            start_usd=start_usd,
            weights={"expiry_usd": 1.0},
        )
        schedule = run(create(f"{name}:window={window}:safety=0"), instance).schedule
        return int((schedule.command == Command.START).sum())

    def test_a_start_pays_only_in_a_window_long_enough(self, name: str):
        """25 $ are three slots of requests."""
        assert self.starts(name, 25.0, window=2) == 0
        assert self.starts(name, 25.0, window=3) == 1

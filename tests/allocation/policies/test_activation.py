"""Which servers are on: as many as Eq. (6) asks for, stopped when starting again has paid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.plain import make_instance

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import Schedule, evaluate, verify
from torta_opt.allocation.schedule.data import Command


def one_region(requests: list[int], servers: int, **changes: Any) -> Instance:
    """Equal servers that take ten requests a slot each, in one region."""
    values = {
        "server_region": [0] * servers,
        "server_ms": 4500,
        "rent_usd_per_hour": 80.0,  # 1 $ per slot
        "deadline_slots": 2,
        "weights": {"time_usd_per_s": 0.01, "expiry_usd": 5.0},
    }
    return make_instance(np.array(requests)[:, None, None], **{**values, **changes})


def schedule(instance: Instance, settings: str = "", policy: str = "greedy_forecast") -> Schedule:
    made = run(create(policy + settings), instance).schedule
    assert verify(instance, made).ok
    return made


def on_after(made: Schedule) -> list[int]:
    """Servers on, slot by slot, if all were off at first and loading takes no time."""
    change = (made.command == Command.START).astype(int) - (made.command == Command.STOP)
    return change.sum(axis=1).cumsum().tolist()


class TestDemand:
    @pytest.mark.parametrize(("expected", "safety"), [(40, 0), (40, 1), (36, 2), (41, 0), (99, 1)])
    def test_equal_servers_are_as_many_as_equation_6_says(self, expected: int, safety: float):
        instance = one_region([expected] * 3, 20)
        made = schedule(instance, f":safety={safety}:gradual=1")
        asked = np.ceil(np.ceil(expected + safety * np.sqrt(expected)) / 10)
        assert on_after(made)[0] == min(20, asked)

    def test_never_more_than_there_are(self):
        assert on_after(schedule(one_region([500, 500], 3), ":gradual=1")) == [3, 3]

    def test_what_waits_counts(self):
        backlog = {"backlog": [[[37]]]}
        instance = one_region([0, 0], 9, initial=backlog)
        assert on_after(schedule(instance, ":gradual=1"))[0] == 4

    def test_gradually(self):
        instance = one_region([80] * 5, 8)
        assert on_after(schedule(instance, ":gradual=0.25:safety=0")) == [2, 4, 6, 8, 8]

    def test_at_least_one_however_gradually(self):
        instance = one_region([30] * 3, 3)
        assert on_after(schedule(instance, ":gradual=0:safety=0")) == [1, 2, 3]

    def test_least_warm_up_first(self):
        """Two types alike but for their start time."""
        instance = one_region(
            [10] * 3, 4, types=2, server_type=[0, 1, 0, 1], start_ms=[[40_000], [4000]]
        )
        started = schedule(instance, ":safety=0").command[0] == Command.START
        assert np.flatnonzero(started).tolist() == [1]

    def test_fittest_type_first(self):
        instance = one_region(
            [10] * 3, 4, types=2, server_type=[0, 1, 0, 1], service_s=[[9.0], [3.0]]
        )
        started = schedule(instance, ":safety=0").command[0] == Command.START
        assert np.flatnonzero(started).tolist() == [1]

    def test_model_that_is_wanted_is_switched_to(self):
        """A server that is ready with another model and has nothing to do takes over."""
        instance = make_instance(
            [[[0, 9]]] * 6,
            models=2,
            class_model=[0, 1],
            server_region=[0],
            deadline_slots=6,
            initial={"model": [0]},
            weights={"time_usd_per_s": 0.01, "expiry_usd": 5.0},
        )
        made = schedule(instance)
        assert (made.command == Command.SWITCH).sum() == 1
        assert evaluate(instance, made).metrics["expired"] == 0


class TestStop:
    """Spare servers: 1 $ per slot each."""

    @pytest.mark.parametrize(("start_usd", "slots"), [(0.5, 0), (3.5, 3), (6.5, 6)])
    def test_break_even(self, start_usd: float, slots: int):
        """On as long as keeping it costs no more than starting it again would."""
        instance = one_region([10] + [0] * 14, 1, start_usd=start_usd)
        on = on_after(schedule(instance, ":smoothing=1:safety=0"))
        # slot 0 works and slot 1 is the first without demand
        assert on.count(1) - 1 == slots

    def test_starting_time_counts_as_rent(self):
        """Two slots of loading are two slots of rent."""
        cheap = one_region([10] + [0] * 14, 1, start_usd=3.5, initial={"model": [0]})
        slow = one_region(
            [10] + [0] * 14, 1, start_usd=3.5, start_ms=90_000, initial={"model": [0]}
        )
        stops = [
            int(np.flatnonzero(schedule(each, ":smoothing=1:safety=0").command[:, 0])[0])
            for each in (cheap, slow)
        ]
        assert stops[1] - stops[0] == 2

    def test_given_patience(self):
        instance = one_region([10] + [0] * 14, 1, start_usd=3.5)
        on = on_after(schedule(instance, ":smoothing=1:safety=0:patience_slots=9"))
        assert on.count(1) - 1 == 9

    def test_never_while_running_earns(self):
        instance = one_region(
            [10] + [0] * 14, 1, idle_kw=1.0, rent_usd_per_hour=0.0, price=-0.1, start_usd=0.1
        )
        assert on_after(schedule(instance, ":smoothing=1"))[-1] == 1

    def test_least_used_first(self):
        """Of two that are spare, the one that last worked longer stays."""
        instance = one_region(
            [0] * 4,
            2,
            initial={"model": [0, 0], "processing": [[7], [3]]},
        )
        made = schedule(instance, ":patience_slots=0:gradual=0")
        assert [int(np.flatnonzero(row == Command.STOP)[0]) for row in made.command[:2]] == [1, 0]


class TestRules:
    def test_none_tells_no_server_anything(self):
        instance = one_region([30] * 4, 4, initial={"model": [0, -1, -1, 0]})
        assert not schedule(instance, ":rule=none").command.any()

    @pytest.mark.parametrize("policy", ["round_robin", "greedy_forecast"])
    def test_all_has_every_server_on_and_stops_none(self, policy: str):
        instance = one_region([3] * 6, 8)
        made = schedule(instance, ":rule=all:gradual=1", policy)
        assert on_after(made) == [8] * 6

    def test_all_after_an_outage(self):
        instance = one_region([3] * 6, 2, down=[(2, 0)])
        made = schedule(instance, ":rule=all:gradual=1")
        assert made.command[3, 0] == Command.START

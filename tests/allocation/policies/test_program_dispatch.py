"""``micro=program``: legal schedules, and never worse than greedy by the rules of the referee."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.plain import make_instance
from support.tiny import random_tiny_instance

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies import layered
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.greedy_forecast import GreedyForecast
from torta_opt.allocation.policies.program_dispatch import program_processing
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.slot_task import Slot
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.schedule.step import Decision, slot_data, step
from torta_opt.io import InvalidInput

PARTS = ("service", "waiting", "expiry")


@pytest.mark.parametrize("name", ["greedy_forecast", "torta_ot", "robd", "skylb"])
def test_every_policy_can_dispatch_by_it(name: str) -> None:
    for seed in range(4):
        instance = random_tiny_instance(np.random.default_rng(seed))
        found = run(create(f"{name}:micro=program"), instance)
        verify(instance, found.schedule).raise_if_broken(name)


def test_short_requests_come_first_where_time_is_short() -> None:
    """One server has time for one long request or nine short ones; greedy takes the long one."""
    arrivals = np.zeros((2, 1, 2), int)
    arrivals[0, 0] = 9, 1
    instance = make_instance(
        arrivals,
        server_ms=[[5_000, 45_000]],
        deadline_slots=[1, 1],
        weights={"time_usd_per_s": 0.001, "expiry_usd": 1.0},
        initial={"model": [0]},
    )
    waits = {}
    for micro in ("greedy", "program"):
        schedule = run(GreedyForecast(micro=micro, rule="none"), instance).schedule
        waits[micro] = evaluate(instance, schedule).metrics["wait_mean_s"]
        assert schedule.processing[0, 0].tolist() == ([0, 1] if micro == "greedy" else [9, 0])
    assert waits["program"] < waits["greedy"]


def test_no_slot_costs_more_than_greedy_by_the_rules_of_the_referee(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without look-ahead: the slot by ``step``, and what the program says of what is left."""
    cheaper = 0
    for seed in range(12):
        instance = random_tiny_instance(np.random.default_rng(seed), regions=2, servers=4)
        cheaper += _count_cheaper(instance, monkeypatch)
    assert cheaper > 3


def _count_cheaper(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> int:
    system, found = instance.system, []

    def both(tables: Tables, slot: Slot, *limits: Any) -> np.ndarray:
        ours, usd = program_processing(tables, slot, 0), []
        for processing in (ours, slot.greedy):
            t = slot.observation.slot
            told = policy.told
            decision = Decision(slot.routing, *told, processing)
            data = slot_data(instance, t)
            answer = step(system, slot.observation.state, data, decision)
            price = slot.observation.price[:, None]
            left = answer.state.waiting.sum(axis=2)
            usd.append(
                sum(answer.costs[part] for part in (*PARTS, "energy"))
                + (left * _left_usd(tables, slot, price)).sum()
            )
        if t < instance.slots - 1:  # the last slot lets everything expire, which no policy knows
            assert usd[0] <= usd[1] + 6e-4 * abs(usd[1]) + 1e-9
            found.append(usd[0] < usd[1] - 1e-9)
        return ours

    class Told(GreedyForecast):
        def commands(self, observation):  # type: ignore[no-untyped-def]
            self.told = super().commands(observation)
            return self.told

    monkeypatch.setattr(layered, "program_processing", both)
    policy = Told(micro="program")
    run(policy, instance)
    return sum(found)


def _left_usd(tables: Tables, slot: Slot, price: np.ndarray) -> np.ndarray:
    """(R, C) what the program charges for a request left: a slot's wait, the least service."""
    system = tables.system
    fits = slot.fleet.model[:, None] == system.class_model
    on = (slot.fleet.usable_ms > 0)[:, None]
    serve = np.where(fits & on & tables.can_serve, tables.serve_usd(price[:, 0]), np.inf)
    least = np.full((len(system.regions), len(system.classes)), np.inf)
    np.minimum.at(least, system.server_region, serve)
    wait = system.weights.time_usd_per_s * system.slot_s
    return np.where(np.isfinite(least), least + wait, 0.0)


@pytest.mark.parametrize("micro", ["program", "routed"])
def test_no_time_leaves_the_greedy_answer(micro: str) -> None:
    instance = generate("paper/abilene", seed=3, slots=5)
    late = run(GreedyForecast(micro=micro, micro_seconds=0), instance).schedule
    greedy = run(GreedyForecast(), instance).schedule
    ours = run(GreedyForecast(micro=micro), instance).schedule
    verify(instance, late).raise_if_broken(micro)
    for field in ("routing", "command", "processing"):
        assert np.array_equal(getattr(late, field), getattr(greedy, field))
    assert not np.array_equal(ours.processing, greedy.processing)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"micro": "magic"}, "must be one of greedy, learned, program, routed"),
        ({"micro_slots": -1}, "must be a number"),
        ({"micro_slots": 1.5}, "must be a whole number"),
        ({"micro_seconds": -1}, "must be a number"),
    ],
)
def test_wrong_parameters_are_refused(given: dict[str, object], rule: str) -> None:
    with pytest.raises(InvalidInput, match=rule):
        GreedyForecast(**given)

"""``micro=routed``: a bound on every routing, whole requests near it, and legal schedules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.plain import make_instance
from support.tiny import random_tiny_instance

from torta_opt.allocation.assignment.counted import counted
from torta_opt.allocation.assignment.rounding import rounded
from torta_opt.allocation.formulations.assignment import build_assignment_program
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies import layered, program_routing
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.greedy_forecast import GreedyForecast
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.slot_task import Slot, SlotPrograms, task_of
from torta_opt.allocation.schedule import verify
from torta_opt.allocation.schedule.step import Decision, slot_data, step
from torta_opt.solvers import Problem, solve_lp

FLOW = ("network", "transfer", "rerouting")


@pytest.mark.parametrize("name", ["greedy_forecast", "skylb"])
def test_every_policy_can_route_by_it(name: str) -> None:
    for seed in range(3):
        instance = random_tiny_instance(np.random.default_rng(seed))
        found = run(create(f"{name}:micro=routed"), instance)
        verify(instance, found.schedule).raise_if_broken(name)


def seen_slots(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tables, Slot]]:
    """What the program is asked on the way of a policy, this slot's commands included."""
    seen: list[tuple[Tables, Slot]] = []

    def watched(tables: Tables, slot: Slot, *rest: Any) -> Any:
        seen.append((tables, slot))
        return program_routing.routed(tables, slot, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(layered, "routed", watched)
        run(GreedyForecast(micro="routed"), instance)
    return seen


def test_no_routing_is_cheaper_than_the_program_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without look-ahead: the greedy routing by the referee, what it leaves by the program."""
    compared = 0
    for seed in range(7):
        instance = random_tiny_instance(np.random.default_rng(seed), regions=3, servers=5)
        for tables, slot in seen_slots(instance, monkeypatch):
            problem = joint(tables, slot)
            if problem is None:
                continue
            least = solve_lp(problem).objective
            data = slot_data(instance, slot.observation.slot)
            idle = np.zeros(len(data.up), int)
            decision = Decision(slot.routing, idle, idle - 1, np.zeros_like(slot.greedy))
            state = replace(slot.observation.state, loading_ms=np.zeros_like(idle))
            flow = sum(step(instance.system, state, data, decision).costs[part] for part in FLOW)
            come = slot.routing.sum(axis=0)[None].astype(float)
            task = task_of(tables, slot, come)
            if task is None:
                continue
            served = np.zeros(come.shape[1:], bool)
            served[task.region, task.kind] = True
            if come[0][~served].any():
                continue  # sent where no server has the model: the program has no price for it
            rest = solve_lp(build_assignment_program(task.data).problem.relaxed()).objective
            assert least <= flow + rest + 1e-6 * abs(rest)
            compared += 1
    assert compared > 7


def joint(tables: Tables, slot: Slot) -> Problem | None:
    """The program of this slot alone; None where there is none. What re-routing all requests would
    cost is left out of its prices and added to its cost."""
    if not slot.observation.arrivals.any():
        return None
    programs = SlotPrograms()
    task = programs.task(tables, slot, 0)
    if task is None:
        return None
    task = task.with_arrivals(program_routing.most_arrivals(tables, slot, 1))
    if not task.active.any():
        return None
    program, choice = program_routing.numbered(tables, slot, task, programs)
    return replace(program.problem, offset=choice.rerouted_usd)


def test_requests_go_where_servers_are_free() -> None:
    """Two origins; both are nearer to region 0, whose server has time for one of the two."""
    arrivals = np.zeros((3, 2, 1), int)
    arrivals[0] = 1
    instance = make_instance(
        arrivals,
        server_region=[0, 1],
        server_ms=[[30_000]],
        latency_s=[[0.0, 0.2], [0.1, 0.2]],
        deadline_slots=[2],
        weights={"time_usd_per_s": 0.001, "expiry_usd": 1.0},
        initial={"model": [0, 0]},
    )
    schedule = run(GreedyForecast(micro="routed", rule="none"), instance).schedule
    assert schedule.routing[0].sum(axis=(0, 2)).tolist() == [1, 1]
    assert schedule.processing[0].sum() == 2


def test_rounding_obeys_the_rows_and_serves_what_the_relaxation_serves() -> None:
    instance = generate("paper/abilene", seed=3, slots=5)
    seen: list[tuple[Tables, Slot]] = []
    with pytest.MonkeyPatch.context() as patch:
        seen = seen_slots(instance, patch)
    tables, slot = seen[0]
    task = task_of(tables, slot, slot.routing.sum(axis=0)[None].astype(float))
    assert task is not None
    program = build_assignment_program(counted(task.data)[0])
    x = solve_lp(program.problem.relaxed()).x
    assert x is not None
    family = program.columns["z"]
    for alike in (None, task.kind):
        total = rounded(program, x, alike)
        point = np.zeros(len(x))
        point[program.columns["pick"].numbers] = x[program.columns["pick"].numbers]
        point[family.number[0][family.mask[0]]] = total[family.mask[0]]
        slack = program.problem.row_upper - program.problem.matrix @ point
        for name in ("capacity", "fit", "hull"):
            assert (slack[program.rows[name].numbers] >= -1e-9).all()
        served = np.zeros(family.mask[0].shape)
        served[family.mask[0]] = x[family.number[0][family.mask[0]]]
        label = np.arange(served.shape[1]) if alike is None else alike
        by_label = np.bincount(label, served.sum(axis=0))
        assert (np.bincount(label, total.sum(axis=0)) <= np.ceil(by_label - 1e-6)).all()
        assert total.sum() >= 0.98 * served.sum()

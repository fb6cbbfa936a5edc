"""Assignments of single tasks: bounds hold, answers are assignments, the ways agree."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from support.tiny_fig5 import by_trying, random_instance

from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.single_slot.by_task import Tasks, build_fig5_program, tasks_of
from torta_opt.allocation.single_slot.solve import (
    is_assignment,
    priced_bound,
    solve_grouped,
    solve_naive,
    solve_tasks,
)
from torta_opt.solvers import Limits, Status, solve_lp


def all_different(tasks: Tasks, seed: int = 0) -> Tasks:
    """Every task with a size and costs of its own."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.6, 1.4, (len(tasks.cost), 1))
    load = np.where(tasks.load_ms >= 0, np.maximum(1, tasks.load_ms * size), tasks.load_ms)
    cost = tasks.cost * size * rng.uniform(0.9, 1.1, tasks.cost.shape)
    return replace(tasks, cost=cost, load_ms=load.astype(int))


@pytest.mark.parametrize("seed", range(20))
def test_any_prices_bound_the_optimum(seed: int):
    tasks = all_different(tasks_of(random_instance(seed, tasks=5))[0], seed)
    least = by_trying(tasks, 0.8)
    rng = np.random.default_rng(seed)
    for size in (0.0, 0.01, 1.0):
        prices = size * rng.random(len(tasks.region)), size * rng.random(tasks.region.max() + 1)
        assert priced_bound(tasks, *prices) <= least + 1e-9 * (1 + abs(least))


@pytest.mark.parametrize("seed", range(20))
def test_small_ones_against_trying_everything(seed: int):
    tasks = all_different(tasks_of(random_instance(seed, tasks=5))[0], seed)
    least = by_trying(tasks, 0.8)
    found = solve_tasks(tasks)
    assert found.bound <= least + 1e-6 * (1 + abs(least))
    if math.isinf(least):
        assert found.servers is None
        return
    assert is_assignment(tasks, found.servers)
    number = np.arange(len(found.servers))
    cost = tasks.cost[number, found.servers].sum() + tasks.idle_usd
    assert found.cost == pytest.approx(cost)
    assert found.cost == pytest.approx(least, rel=1e-3)  # few tasks: all are placed anew


def test_two_hundred_different_tasks():
    tasks = all_different(tasks_of(generate("fig5/200"))[0])
    found = solve_tasks(tasks, Limits(gap=2e-3))
    assert is_assignment(tasks, found.servers)
    assert 0 <= found.cost - found.bound <= 2e-3 * found.cost
    relaxed = solve_lp(build_fig5_program(tasks))
    assert found.bound == pytest.approx(relaxed.objective, rel=1e-7)


@pytest.mark.slow
def test_five_thousand_different_tasks_within_a_hundredth_of_a_per_cent():
    tasks = all_different(tasks_of(generate("fig5/5000"))[0])
    found = solve_tasks(tasks)
    assert is_assignment(tasks, found.servers)
    assert 0 <= found.cost - found.bound <= 1e-4 * found.cost


def test_what_is_no_assignment():
    tasks = tasks_of(random_instance(1, tasks=4))[0]
    found = solve_tasks(tasks)
    assert is_assignment(tasks, found.servers)
    assert not is_assignment(tasks, np.full(4, -1))
    crowded = replace(tasks, slot_ms=int(tasks.load_ms.max()))
    assert not is_assignment(crowded, np.full(4, int(found.servers[0])))


def test_limits_leave_no_schedule_rather_than_a_wrong_one():
    instance = generate("fig5/200")
    nothing = Limits(seconds=0.0)
    for solve in (solve_grouped, solve_naive):
        found = solve(instance, nothing)
        assert found.result.status != Status.INFEASIBLE
        assert (found.schedule is None) == (found.result.x is None)

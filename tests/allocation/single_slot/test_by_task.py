"""The program of Fig. 5, one binary a task and server."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from support.tiny_fig5 import by_trying, random_instance

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.single_slot.by_task import build_fig5_program, region_limits, tasks_of
from torta_opt.allocation.single_slot.solve import solve_naive
from torta_opt.io import InvalidInput
from torta_opt.solvers import Status, solve_milp


def test_it_has_the_size_of_the_figure():
    problem = build_fig5_program(tasks_of(generate("fig5/200"))[0])
    assert (problem.rows, problem.columns) == (200 + 55, 200 * 50)
    assert problem.integrality.all()


@pytest.mark.parametrize("share", [0.8, 1.0])
@pytest.mark.parametrize("seed", range(15))
def test_its_optimum_is_that_of_trying_everything(seed: int, share: float):
    tasks, _, _ = tasks_of(random_instance(seed, tasks=5))
    found = solve_milp(build_fig5_program(tasks, share))
    least = by_trying(tasks, share)
    if math.isinf(least):
        assert found.status == Status.INFEASIBLE
    else:
        assert found.objective == pytest.approx(least, rel=1e-6)


def test_trying_everything_met_both_outcomes():
    every = [by_trying(tasks_of(random_instance(seed, tasks=5))[0], 0.8) for seed in range(15)]
    assert any(map(math.isinf, every))
    assert sum(map(math.isfinite, every)) >= 5


@pytest.mark.parametrize("seed", range(15))
def test_the_evaluator_charges_its_objective(seed: int):
    instance = random_instance(seed, tasks=5)
    found = solve_naive(instance)
    if found.schedule is None:
        assert found.result.status == Status.INFEASIBLE
        return
    assert verify(instance, found.schedule).ok
    cost = evaluate(instance, found.schedule).cost
    assert cost == pytest.approx(found.result.objective, rel=1e-9)


def test_limits_of_regions_and_shares_that_are_none():
    assert region_limits(np.array([0, 0, 1]), 100, 0.8).tolist() == [160.0, 80.0]
    for share in (0.0, 1.1, math.nan):
        with pytest.raises(InvalidInput, match="region_share"):
            region_limits(np.array([0]), 100, share)


def changed(instance: Instance, **changes: object) -> Instance:
    return dataclasses.replace(instance, **changes)


def test_what_it_does_not_cover_is_refused():
    instance = random_instance(0, tasks=4)
    start, servers = instance.initial, len(instance.system.servers)
    off = dataclasses.replace(start, model=np.append(np.zeros(servers - 1, int), -1))
    double = np.repeat(instance.arrivals, 2, axis=0)
    prices = np.repeat(instance.price_usd_per_kwh, 2, axis=0)
    weights = dataclasses.replace(instance.system.weights, frobenius_usd=1.0)
    routed = dataclasses.replace(start, routing=np.eye(2, dtype=int))
    for other, words in (
        (changed(instance, initial=off), "ready"),
        (changed(instance, up=np.zeros((1, servers), bool)), "ready"),
        (changed(instance, initial=routed), "routing"),
        (instance.with_weights(weights), "frobenius"),
        (
            changed(
                instance,
                arrivals=double,
                price_usd_per_kwh=prices,
                up=np.ones((2, servers), bool),
            ),
            "one slot",
        ),
    ):
        with pytest.raises(InvalidInput, match=words):
            tasks_of(other)

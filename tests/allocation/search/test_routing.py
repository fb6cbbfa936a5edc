"""Requests go where they are processed: whole, all of them, and only where they may."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from support.all_pairs import over_all_pairs
from support.sizes import examples
from support.tiny import random_tiny_instance

from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate
from torta_opt.allocation.search import slot_routing
from torta_opt.allocation.search.merged_plan import plan_merged
from torta_opt.allocation.search.routing import route
from torta_opt.allocation.search.slot_routing import Router
from torta_opt.solvers import LinearSolver, Result, Status, solve_lp


def test_routing_delivers_what_was_planned() -> None:
    """Rows add up to arrivals, columns to what each region is to get; whole and where allowed."""
    rng = np.random.default_rng(33)
    for _ in range(examples(60)):
        instance = random_tiny_instance(rng)
        allowed = instance.system.allowed
        inflow = np.zeros_like(instance.arrivals)
        for t, i, c in np.argwhere(instance.arrivals):
            there = np.flatnonzero(allowed[i])
            share = rng.multinomial(instance.arrivals[t, i, c], np.full(len(there), 1 / len(there)))
            inflow[t, there, c] += share
        for until in (0.0, np.inf):
            routed = route(instance, inflow, branch_until=until)
            assert (routed.sum(axis=2) == instance.arrivals).all()
            assert (routed.sum(axis=1) == inflow).all()
            assert not routed[:, ~allowed].any()
        routed = route(instance, inflow, until=0.0)
        assert (routed.sum(axis=2) == instance.arrivals).all()
        assert not routed[:, ~allowed].any()
        if allowed.all():
            assert (routed.sum(axis=1) == inflow).all()


def test_pricing_finds_the_best_over_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that begins with few pairs ends at the optimum of one that has them all."""
    instance = generate("paper/polska", seed=6, slots=6)
    rng = np.random.default_rng(4)
    before = instance.initial.routing + rng.integers(0, 4, (12, 12)) * (rng.random((12, 12)) < 0.2)
    solved, added = LinearSolver.solve, []

    def counted(solver: LinearSolver, *arguments: Any, **options: Any) -> Result:
        added.append(solver.problem.columns)
        return solved(solver, *arguments, **options)

    for t in range(2):
        inflow = rng.permutation(instance.arrivals[t], axis=0)
        costs = []
        for nearest in (1, 3, 12):
            monkeypatch.setattr(slot_routing, "NEAREST", nearest)
            monkeypatch.setattr(LinearSolver, "solve", counted)
            program, x = Router(instance)._cheapest(instance.arrivals[t], inflow, before)
            monkeypatch.setattr(LinearSolver, "solve", solved)
            costs.append(float(program.problem.cost @ x))
        whole = over_all_pairs(Router(instance), instance.arrivals[t], inflow, before)
        assert costs == pytest.approx([solve_lp(whole, "simplex").objective] * 3, rel=1e-9)
    assert len(added) > 2 * 3 * 2  # pairs were priced in


def test_branching_reroutes_less() -> None:
    instance = generate("paper/polska", seed=4, slots=8)
    schedule = plan_merged(instance)
    assert schedule is not None
    inflow = schedule.routing.sum(axis=1)
    branched = dataclasses.replace(schedule, routing=route(instance, inflow, branch_until=np.inf))
    assert evaluate(instance, branched).cost < evaluate(instance, schedule).cost


def test_ctrl_c_while_requests_are_routed(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = generate("paper/polska", slots=12)

    def interrupted(*arguments: Any, **options: Any) -> Result:
        return Result(Status.INTERRUPTED)

    monkeypatch.setattr(LinearSolver, "solve", interrupted)
    with pytest.raises(KeyboardInterrupt):
        route(instance, instance.arrivals)


@pytest.mark.parametrize("until", [0.0, np.inf])
def test_routing_delivers_where_nothing_costs_anything(until: float) -> None:
    instance = generate("paper/polska", slots=6)
    system = instance.system
    weights = dataclasses.replace(
        system.weights, reroute_usd=0.0, expiry_usd=np.zeros(len(system.classes))
    )
    free = dataclasses.replace(
        instance,
        system=dataclasses.replace(
            system,
            weights=weights,
            latency_s=np.zeros_like(system.latency_s),
            transfer_usd=np.zeros_like(system.transfer_usd),
        ),
    )
    inflow = instance.arrivals[:, ::-1]  # each region is to get the arrivals of another
    assert (route(free, inflow, branch_until=until).sum(axis=1) == inflow).all()

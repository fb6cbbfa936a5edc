"""Distances in parts: they add up, both orders share their ends, and all schedules are legal."""

from __future__ import annotations

from functools import cache

import pytest
from support.optima import tiniest

import torta_opt
from torta_opt.allocation.bounds.merged import merged_bound
from torta_opt.allocation.foresight.attribution import (
    Attributor,
    exact_plan_of,
    with_servers_of,
)
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.search.clairvoyant import solve_clairvoyant
from torta_opt.gaps import with_parts
from torta_opt.io import InvalidInput


@cache
def attributor() -> Attributor:
    instance = torta_opt.generate(
        "paper/abilene", seed=3, slots=6, gpu_counts={"A100": 3, "T4": 3}, load=0.5
    )
    solved = merged_bound(instance)
    found = solve_clairvoyant(instance, solved=solved)
    return Attributor(instance, found.schedule, solved.value)


@pytest.mark.parametrize("name", ["skylb", "lcp", pytest.param("torta", marks=pytest.mark.slow)])
def test_the_parts_add_up_to_cost_less_bound_in_both_orders(name: str) -> None:
    work = attributor()
    found = work.split(name)
    cost = evaluate(work.instance, run(create(name), work.instance, 0).schedule).cost
    assert found.cost == cost
    for split in (found.servers_first, found.requests_first):
        assert split.total == pytest.approx(cost - work.bound, abs=1e-9 * (1 + cost))
    one, other = found.servers_first, found.requests_first
    assert one.servers + one.requests == pytest.approx(other.servers + other.requests, abs=1e-9)
    assert (one.learning, one.bound) == (other.learning, other.bound)
    assert one.requests >= 0  # the policy's own dispatch is one of those tried
    assert other.requests >= 0
    assert one.bound >= 0
    assert (one.learning != 0) == (name == "torta")


def test_the_dispatch_of_a_policy_under_its_own_servers_is_the_policy() -> None:
    instance = attributor().instance
    for name in ("skylb", "torta_ot"):
        own = run(create(name), instance, 0).schedule
        again = run(with_servers_of(create(name), own), instance, 0).schedule
        assert (again.command == own.command).all()
        assert (again.routing == own.routing).all()
        assert (again.processing == own.processing).all()


def test_the_best_requests_keep_the_servers_and_cost_no_more() -> None:
    work = attributor()
    for name in ("skylb",):
        schedule = run(create(name), work.instance, 0).schedule
        found = work.best_requests(schedule)
        assert (found.command == schedule.command).all()
        assert (found.command_model == schedule.command_model).all()
        assert verify(work.instance, found).ok
        assert work.cost(found) < work.cost(schedule)


def test_on_tiny_instances_no_part_goes_below_the_optimum() -> None:
    """C(s, r) of every step is the cost of a legal schedule: none is below the cheapest."""
    for instance, best in tiniest(3, 4):
        work = Attributor(instance, _greedy(instance), best)
        found = work.split("lcp")
        assert found.servers_first.bound >= -1e-9 * (1 + abs(best))
        assert found.servers_first.total == pytest.approx(found.cost - best, abs=1e-9)


def _greedy(instance: Instance) -> torta_opt.Schedule:
    return run(create("greedy_forecast"), instance, 0).schedule


def test_the_exact_plan_replaces_the_learned_one() -> None:
    assert exact_plan_of("torta") == "torta:plan=target"
    assert exact_plan_of("torta:plan=learned:split=sample") == "torta:split=sample:plan=target"
    assert exact_plan_of("torta_ot:split=sample") == "torta_ot:split=sample"


def test_a_policy_without_layers_is_refused() -> None:
    class Whole:
        name = "whole"

    with pytest.raises(InvalidInput, match="servers and requests at once"):
        with_servers_of(Whole(), _greedy(attributor().instance))  # type: ignore[arg-type]


def test_schedules_of_a_user_and_those_who_know_the_future_have_no_parts() -> None:
    instance = attributor().instance
    report = torta_opt.gap(instance, "clairvoyant", {"mine": _greedy(instance)}, "floor")
    found = with_parts(report, instance, attribute=True)
    assert [each.attribution for each in found.results] == [None, None]
    assert "attribution" not in found.results[0].to_document()

"""Work shared among regions anew: legal, the same in all, and cheaper where regions differ."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from support.optima import slack, tiniest
from support.sizes import examples
from support.tiny import random_tiny_instance

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.search import rebalance as balance
from torta_opt.allocation.search.merged_plan import plan_merged
from torta_opt.allocation.search.rebalance import rebalanced
from torta_opt.solvers import Limits, Result, Status, solve_lp, solve_milp


def work_by_type(instance: Instance, schedule: Schedule) -> np.ndarray:
    """(T, K, C) requests that servers of each type process."""
    kinds = len(instance.system.types)
    of_type = np.arange(kinds)[:, None] == instance.system.server_type
    return np.einsum("ks,tsc->tkc", of_type.astype(np.int64), schedule.processing)


@pytest.fixture(scope="module")
def planned() -> tuple[Instance, Schedule]:
    instance = generate("paper/polska", seed=1, slots=6)
    schedule = plan_merged(instance)
    assert schedule is not None
    return instance, schedule


@pytest.fixture(scope="module")
def shared_anew(planned: tuple[Instance, Schedule]) -> Schedule:
    return rebalanced(*planned)


def test_less_is_rerouted_and_the_work_stays(
    planned: tuple[Instance, Schedule], shared_anew: Schedule
) -> None:
    (instance, before), after = planned, shared_anew
    verify(instance, after).raise_if_broken("rebalanced")
    was, now = evaluate(instance, before), evaluate(instance, after)
    assert now.costs["rerouting"] < 0.9 * was.costs["rerouting"]
    assert now.cost < was.cost
    assert (work_by_type(instance, after) == work_by_type(instance, before)).all()
    assert (after.command == before.command).all()


def test_processes_do_not_matter(planned: tuple[Instance, Schedule], shared_anew: Schedule) -> None:
    one, two = shared_anew, rebalanced(*planned, Limits(threads=2))
    for field in ("routing", "processing", "command", "command_model"):
        assert (getattr(one, field) == getattr(two, field)).all()


def test_legal_whatever_the_instance() -> None:
    """Outages, residency, backlogs, loading servers: legal, and never below the optimum."""
    for instance, best in tiniest(count=examples(25)):
        schedule = plan_merged(instance)
        assert schedule is not None
        after = rebalanced(instance, schedule)
        verify(instance, after).raise_if_broken("rebalanced")
        assert evaluate(instance, after).cost >= best - slack(best)


@pytest.mark.slow
def test_thousands_are_legal() -> None:
    rng = np.random.default_rng(42)
    for _ in range(1000):
        instance = random_tiny_instance(rng)
        schedule = plan_merged(instance)
        assert schedule is not None
        verify(instance, rebalanced(instance, schedule)).raise_if_broken("rebalanced")


def test_without_time_the_work_is_kept(planned: tuple[Instance, Schedule]) -> None:
    instance, before = planned
    after = rebalanced(instance, before, Limits(seconds=0))
    verify(instance, after).raise_if_broken("rebalanced")
    assert (work_by_type(instance, after) == work_by_type(instance, before)).all()


def test_expiring_requests_keep_their_place() -> None:
    """What is to expire waits where its class is not processed, and nothing else is lost."""
    instance = generate("paper/abilene", seed=2, slots=6)
    busy = dataclasses.replace(instance, arrivals=(instance.arrivals * 1.5).astype(np.int64))
    before = plan_merged(busy)
    assert before is not None
    after = rebalanced(busy, before)
    verify(busy, after).raise_if_broken("rebalanced")
    was, now = evaluate(busy, before), evaluate(busy, after)
    assert was.costs["expiry"] > 0
    assert now.costs["expiry"] == pytest.approx(was.costs["expiry"])
    assert now.costs["waiting"] == pytest.approx(was.costs["waiting"])
    assert now.cost < was.cost


def test_three_classes_of_a_model_keep_their_work() -> None:
    """What they can process is no hull of pairs: a slot that does not fit stays as it is."""
    rng = np.random.default_rng(43)
    for _ in range(examples(15)):
        instance = random_tiny_instance(rng, models=1, classes=3, regions=2, servers=4)
        before = plan_merged(instance)
        assert before is not None
        after = rebalanced(instance, before)
        verify(instance, after).raise_if_broken("rebalanced")
        if not instance.initial.backlog.any() and instance.system.allowed.all():
            assert (after.processing.sum(axis=1) == before.processing.sum(axis=1)).all()


@pytest.mark.parametrize(("name", "solver"), [("solve_lp", solve_lp), ("solve_milp", solve_milp)])
def test_ctrl_c_ends_it(
    name: str, solver: Any, planned: tuple[Instance, Schedule], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any, **options: Any) -> Result:
        answer = solver(*arguments, **options)
        return dataclasses.replace(answer, status=Status.INTERRUPTED, x=None)

    monkeypatch.setattr(balance, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        rebalanced(*planned)

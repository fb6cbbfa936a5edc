"""The bound of the linear relaxation holds, however it was cut short."""

from __future__ import annotations

import _thread
import contextlib
import dataclasses
import math
import threading

import numpy as np
import pyomo.environ as pyo
import pytest
from support.optima import slack, tiniest
from support.programs import of_program, optimum
from support.sizes import examples
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds import lp
from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.bounds.lp import lp_bound, prove, relaxed_bound
from torta_opt.allocation.formulations.user_constraint import UserConstraint
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import Schedule
from torta_opt.io import Infeasible, LimitReached
from torta_opt.solvers import Limits, Result, Status


def test_no_schedule_beats_the_bound_and_it_is_the_optimum_of_the_relaxation() -> None:
    for instance, best in tiniest(count=examples(70)):
        found = lp_bound(instance)
        assert found.value <= best + slack(best)
        relaxed = optimum(of_program(found.program), relaxed=True)
        assert math.isclose(found.value, relaxed, rel_tol=1e-6, abs_tol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_no_schedule_beats_the_bound_on_thousands(seed: int) -> None:
    for instance, best in tiniest(500, seed=1100 + seed):
        assert lp_bound(instance).value <= best + slack(best)


def test_the_bound_is_at_least_the_floor() -> None:
    for instance, _ in tiniest(count=examples(50)):
        least = floor(instance).value
        assert lp_bound(instance).value >= least - 1e-6 * (1 + abs(least))


def test_the_bound_is_what_the_dual_vector_proves() -> None:
    for instance, best in tiniest(count=20):
        found = lp_bound(instance)
        assert found.dual is not None
        assert found.value == prove(found.program, found.dual)
        assert found.source == "lp"
        assert not found.interrupted
        assert found.x is not None
        assert found.program.objective(found.x) <= best + 1e-6 * (1 + abs(best))


# --- stopped early ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["simplex", "ipm", "hipo"])
def test_a_work_limit_weakens_the_bound_and_never_breaks_it(method: str) -> None:
    cut_short = 0
    for instance, best in tiniest(count=examples(15)):
        whole = lp_bound(instance, method=method).value
        for work in (0, 1, 2, 3, 5, 8, 20):
            try:
                found = lp_bound(instance, Limits(work=work), method=method)
            except LimitReached:
                continue
            assert found.value <= best + slack(best)
            cut_short += found.value < whole - 1e-3
    assert cut_short > 12


@pytest.mark.parametrize("seconds", [0.0, 1e-3, 0.02])
def test_a_time_limit_weakens_the_bound_and_never_breaks_it(seconds: float) -> None:
    instance = generate("small/loading")
    whole = lp_bound(instance).value
    with contextlib.suppress(LimitReached):
        assert lp_bound(instance, Limits(seconds=seconds)).value <= whole + slack(whole)


def test_garbage_for_duals_proves_little_but_nothing_wrong() -> None:
    rng = np.random.default_rng(14)
    for instance, best in tiniest(count=examples(40)):
        found = lp_bound(instance)
        rows = len(found.program.row_lower)
        size = np.abs(found.dual).max(initial=1.0)
        vectors = [
            np.zeros(rows),
            rng.normal(0, size, rows),
            found.dual + rng.normal(0, 0.01 * size, rows),
            found.dual * rng.choice([0.0, 1.0], rows),
            -found.dual,
            rng.permutation(found.dual),
            np.where(rng.random(rows) < 0.3, rng.choice([np.nan, np.inf, -np.inf]), found.dual),
        ]
        for dual in vectors:
            assert prove(found.program, dual) <= best + slack(best)
            assert prove(found.program, dual) <= found.value + 1e-6 * (1 + abs(best))


def test_a_solver_that_lies_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(15)
    honest = lp.solve_lp

    def lying(*arguments: object, **options: object) -> object:
        result = honest(*arguments, **options)
        dual = result.row_dual * rng.uniform(-2, 3, len(result.row_dual))
        return dataclasses.replace(result, row_dual=dual, bound=result.bound * 10 + 1e6)

    monkeypatch.setattr(lp, "solve_lp", lying)
    for instance, best in tiniest(count=30):
        found = lp_bound(instance)
        assert found.claim > best
        assert found.value <= best + slack(best)


@pytest.mark.parametrize(("share", "limited"), [(1.0, False), (0.9995, False), (0.9, True)])
def test_a_point_beside_the_rows_is_an_end_only_if_its_duals_prove_its_cost(
    share: float, limited: bool
) -> None:
    solved = lp_bound(generate("small/loading"))
    assert solved.dual is not None
    assert solved.x is not None
    result = Result(Status.BOUND_ONLY, near=solved.x, row_dual=share * solved.dual)
    found = relaxed_bound(solved.program, result, 0.0)
    assert found.value < solved.value or share == 1.0
    assert found.limited == limited


def test_ctrl_c_leaves_a_valid_bound_or_is_passed_on() -> None:
    instance = generate("paper/abilene").cut(0, 12)
    timer = threading.Timer(0.7, _thread.interrupt_main)
    timer.start()
    try:
        found = lp_bound(instance, Limits(threads=1), method="ipm")
    except KeyboardInterrupt:
        return
    finally:
        timer.cancel()
        timer.join()
    assert found.interrupted
    assert found.value <= lp_bound(instance).value + 1e-6 * abs(found.value)


# --- a user's constraints -----------------------------------------------------------------------


def at_most_expired(most: float) -> UserConstraint:
    def add(model: pyo.ConcreteModel, instance: Instance) -> None:
        model.lost = pyo.Constraint(expr=sum(model.expired.values()) <= most)

    def check(instance: Instance, schedule: Schedule) -> float:
        return 0.0

    return UserConstraint("few expire", add, check)


def test_constraints_that_leave_no_answer_are_infeasible() -> None:
    with pytest.raises(Infeasible, match="small/expiry: no schedule satisfies the constraints"):
        lp_bound(generate("small/expiry"), constraints=[at_most_expired(-1.0)])


def test_a_constraint_raises_the_bound() -> None:
    raised = 0
    rng = np.random.default_rng(16)
    for _ in range(30):
        instance = random_tiny_instance(rng)
        free = lp_bound(instance)
        lost = free.program.values(free.x)["expired"].sum()
        if lost < 0.5:
            continue
        try:
            bound = lp_bound(instance, constraints=[at_most_expired(lost / 2)]).value
        except Infeasible:
            continue
        assert bound >= free.value - slack(free.value)
        raised += bound > free.value + 1e-6
    assert raised > 3

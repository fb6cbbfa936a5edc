"""The exact program: its answers are the legal schedules, at their cost."""

from __future__ import annotations

import numpy as np
import pytest
from support.optima import slack, tiniest
from support.sizes import examples
from support.tiny import TINY, random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.formulations import exact
from torta_opt.allocation.formulations.exact import (
    build_exact_program,
    point,
    schedule_of,
    tangent_points,
)
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.solvers import Limits, Status, solve_milp


def assert_inside(program: exact.AllocationProgram, x: np.ndarray) -> None:
    row = program.matrix @ x
    near = 1e-9 * (1 + abs(program.matrix) @ np.abs(x))
    assert (row >= program.row_lower - near).all()
    assert (row <= program.row_upper + near).all()
    assert (x >= 0).all()
    assert (x <= program.upper + 1e-9).all()


@pytest.mark.parametrize("seed", range(examples(60)))
def test_a_schedule_is_an_answer_at_its_own_cost_and_comes_back(seed: int) -> None:
    rng = np.random.default_rng([70, seed])
    instance = random_tiny_instance(rng, TINY)
    schedule = random_feasible_schedule(instance, rng, forecast=False)
    program = build_exact_program(instance)
    assert program is not None
    program = with_knapsack_rows(program)
    x = point(program, schedule)
    assert_inside(program, x)
    costs = evaluate(instance, schedule).costs
    paid = sum(map(abs, costs.values()))
    assert abs(program.objective(x) - sum(costs.values())) <= 1e-9 * (1 + paid)
    again = schedule_of(program, x, "again")
    for name in ("routing", "command", "processing"):
        assert (getattr(again, name) == getattr(schedule, name)).all()
    assert evaluate(instance, again).costs == costs


def test_its_optimum_is_the_cheapest_of_all_schedules() -> None:
    for instance, best in tiniest(count=examples(20), servers=3, frobenius=0.6, deadline_slots=3):
        program = build_exact_program(instance)
        assert program is not None
        found = solve_milp(with_knapsack_rows(program).problem(), Limits(gap=0.0), cost_size=1024.0)
        assert found.status is Status.OPTIMAL
        schedule = schedule_of(program, found.x, "exact")
        assert verify(instance, schedule).ok
        assert evaluate(instance, schedule).cost == pytest.approx(best, rel=1e-9, abs=slack(best))


def test_the_oldest_are_served_first() -> None:
    """An answer of the allocation program that lets others expire is no answer here."""
    cut = 0
    for seed in range(60):
        rng = np.random.default_rng([72, seed])
        instance = random_tiny_instance(rng, TINY)
        program = build_exact_program(instance)
        mask = program.columns["overdue"].mask
        legal = point(program, random_feasible_schedule(instance, rng))
        values = program.values(legal)
        early = mask & (values["overdue"] == 0) & (values["inflow"] > 0)
        for t, j, c in np.argwhere(early).tolist():
            x = legal.copy()
            x[program.columns["overdue"].number[t, j, c]] = 1  # something older expires
            window = values["inflow"][max(0, t - instance.system.deadline_slots[c] + 1) : t + 1]
            waits = window[:, j, c].sum() + program.column_bounds.fresh_backlog[t, j, c]
            if waits > values["q"][t, j, c]:
                row = program.rows["oldest"].number[t, j, c]
                assert program.matrix[[row]] @ x > program.row_upper[row] + 0.5
                cut += 1
    assert cut > 5


def test_squares_with_too_many_values_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = generate("small/switch")
    squared = instance.with_weights(
        exact.dataclasses.replace(instance.system.weights, frobenius_usd=1.0)
    )
    assert tangent_points(squared)
    monkeypatch.setattr(exact, "MOST_POINTS", 0)
    assert tangent_points(squared) is None
    assert build_exact_program(squared) is None
    assert build_exact_program(instance) is not None

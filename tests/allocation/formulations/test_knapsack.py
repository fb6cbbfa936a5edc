"""Knapsack rows hold for every legal schedule, and are the hull of what one server can process."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from support.sizes import examples
from support.tiny import feasible_cases, random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.formulations.knapsack import (
    Facet,
    facets_of,
    maximal_points,
    with_knapsack_rows,
)
from torta_opt.allocation.formulations.lift import check_lift
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import Schedule

WORK = st.tuples(st.integers(1, 60), st.integers(1, 60))


@settings(max_examples=examples(120))
@given(feasible_cases(), st.booleans())
def test_legal_schedules_satisfy_them(case: tuple[Instance, Schedule], named: bool) -> None:
    instance, schedule = case
    program = with_knapsack_rows(build_allocation_program(instance, named=named))
    found = check_lift(program, schedule)
    assert found.ok, found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_legal_schedules_do(seed: int) -> None:
    rng = np.random.default_rng(500 + seed)
    rows = 0
    for _ in range(1000):
        instance = random_tiny_instance(rng, models=1, classes=2)
        program = with_knapsack_rows(build_allocation_program(instance))
        rows += len(program.rows.get("hull", ()))
        for _ in range(3):
            found = check_lift(program, random_feasible_schedule(instance, rng))
            assert found.ok, found
    assert rows > 500


def test_a_paper_instance_has_them_and_random_schedules_keep_them() -> None:
    instance = generate("paper/abilene+outage", slots=20)
    program = with_knapsack_rows(build_allocation_program(instance))
    assert len(program.rows["hull"]) > 1000
    schedule = random_feasible_schedule(instance, np.random.default_rng(0))
    assert check_lift(program, schedule).ok
    assert len(program.row_names) == len(set(program.row_names)) == program.matrix.shape[0]


@settings(max_examples=examples(200))
@given(WORK, st.integers(0, 200))
def test_right_hand_sides_are_exact(work: tuple[int, int], usable: int) -> None:
    facet = Facet((0, 1), work, (2, 3))
    points = [
        2 * a + 3 * b
        for a, b in itertools.product(range(usable // work[0] + 1), range(usable // work[1] + 1))
        if a * work[0] + b * work[1] <= usable
    ]
    assert facet.beta(usable) == max(points)


@settings(max_examples=examples(80))
@given(WORK, st.integers(20, 200), st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_with_them_the_relaxation_of_one_server_is_nearly_whole(
    work: tuple[int, int], usable: int, gain: tuple[int, int]
) -> None:
    """max gain·z over u·z ≤ L: linear with all facets, against whole by enumeration."""
    points = maximal_points(work, usable)
    whole = (points @ np.array(gain)).max()
    rows = [(alpha, Facet((0, 1), work, alpha).beta(usable)) for alpha in facets_of(work, usable)]
    rows += [((1, 0), usable // work[0]), ((0, 1), usable // work[1]), (work, usable)]
    answer = linprog(
        -np.array(gain, float),
        A_ub=np.array([row for row, _ in rows], float),
        b_ub=np.array([side for _, side in rows], float),
    )
    assert answer.status == 0
    assert whole - 1e-7 <= -answer.fun <= whole * 1.003 + 1e-7  # facets of depth ≤ MIN_CUT left out


def test_a_facet_that_is_too_low_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Facet, "beta", lambda self, ms: max(_beta(self, ms) - 1, 0))
    rng = np.random.default_rng(9)
    instances = (random_tiny_instance(rng, models=1, classes=2) for _ in range(200))
    assert any(
        not check_lift(
            with_knapsack_rows(build_allocation_program(instance)),
            random_feasible_schedule(instance, rng),
        ).ok
        for instance in instances
    )


_beta = Facet.beta

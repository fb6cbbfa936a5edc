"""Rows that count whole servers: they hold for every schedule, and cut off fractions of servers."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.optima import slack, tiniest
from support.sizes import examples
from support.tiny import feasible_cases, random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.bounds.merged import branched, merged_bound
from torta_opt.allocation.bounds.registry import compute
from torta_opt.allocation.formulations.lift import check_lift
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.merged import build_merged_program, check_merged
from torta_opt.allocation.formulations.whole_servers import with_whole_rows
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import Schedule
from torta_opt.solvers import Limits


@given(
    st.integers(1, 12),
    st.integers(1, 14),
    st.lists(st.integers(0, 12), min_size=1, max_size=3),
)
def test_the_rounding_holds_for_all_whole_numbers_of_servers(
    needed: int, divisor: int, able: list[int]
) -> None:
    """Σ G(a)·y + s ≥ r·W wherever Σ a·y + s ≥ N, y whole, s ≥ 0: tried out."""
    times = -(-needed // divisor)
    rest = needed - divisor * (times - 1)
    assert 1 <= rest <= divisor
    worth = [rest * (a // divisor) + min(rest, a % divisor) for a in able]
    for servers in product(range(4), repeat=len(able)):
        done = sum(a * y for a, y in zip(able, servers, strict=True))
        left = max(0, needed - done)
        assert sum(g * y for g, y in zip(worth, servers, strict=True)) + left >= rest * times


@settings(max_examples=examples(100))
@given(feasible_cases())
def test_legal_schedules_satisfy_them(case: tuple[Instance, Schedule]) -> None:
    instance, schedule = case
    program = with_whole_rows(build_allocation_program(instance))
    found = check_lift(program, schedule)
    assert found.ok, found
    merged = build_merged_program(instance)
    merged = dataclasses.replace(merged, program=with_whole_rows(merged.program))
    found = check_merged(merged, schedule)
    assert found.ok, found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_legal_schedules_do(seed: int) -> None:
    rng, rows = np.random.default_rng(700 + seed), 0
    for _ in range(1000):
        instance = random_tiny_instance(rng)
        program = with_whole_rows(build_allocation_program(instance))
        rows += len(program.rows.get("whole", ()))
        for _ in range(3):
            found = check_lift(program, random_feasible_schedule(instance, rng))
            assert found.ok, found
    assert rows > 500


def test_schedules_of_a_paper_instance_with_outages_keep_them() -> None:
    instance = generate("paper/abilene+outage", slots=20)
    program = with_whole_rows(build_allocation_program(instance))
    assert len(program.rows["whole"]) > 200
    assert check_lift(program, random_feasible_schedule(instance, np.random.default_rng(0))).ok
    assert len(program.row_names) == len(set(program.row_names)) == program.matrix.shape[0]


def test_no_schedule_beats_the_bounds() -> None:
    for instance, best in tiniest(count=examples(60)):
        found = merged_bound(instance, whole=True)
        assert found.value <= best + slack(best)
        assert branched(found, Limits(), began=0.0).value <= best + slack(best)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_no_schedule_beats_the_bounds_on_thousands(seed: int) -> None:
    for instance, best in tiniest(500, seed=2100 + seed):
        found = merged_bound(instance, whole=True)
        assert found.value <= best + slack(best)
        assert branched(found, Limits(), began=0.0).value <= best + slack(best)


def test_certificates_prove_what_the_rows_add() -> None:
    """small/loading needs one server where the relaxation starts a fraction of one."""
    instance = generate("small/loading")
    merged, whole = (compute(instance, method) for method in ("merged", "whole"))
    assert merged.certified
    assert whole.certified
    assert whole.value > 1.1 * merged.value
    assert whole.certificate is not None
    assert whole.certificate.roundings
    found = compute(instance, "merged_milp")
    assert found.value >= whole.value - 1e-6
    assert found.certified or found.beside is not None

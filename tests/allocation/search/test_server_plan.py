"""Whatever is proposed, the repaired start is whole, keeps every row, and the solver takes it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torta_opt import generate
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.merged import build_merged_program
from torta_opt.allocation.formulations.program import SERVERS, AllocationProgram
from torta_opt.allocation.search.coverage import covered
from torta_opt.allocation.search.server_plan import (
    ServerPlan,
    complete,
    pool_types,
    ready_by_type,
    whole_servers,
)
from torta_opt.solvers import Limits, solve_lp, solve_milp
from torta_opt.solvers.checks import is_feasible

SMALL = {"gpu_counts": {"A100": 4, "H100": 3, "RTX4090": 4, "V100": 4, "T4": 4}}
TYPES = len(SMALL["gpu_counts"])
PROGRAMS = ("merged", "merged, tiers", "regions apart", "outage", "loading")


@cache
def program(name: str) -> tuple[AllocationProgram, np.ndarray]:
    if name in ("merged", "merged, tiers"):
        instance = generate("paper/abilene+outage", 4, slots=6, **SMALL)
        merged = build_merged_program(instance, tiers=1 if name == "merged" else 3)
        return with_knapsack_rows(merged.program), pool_types(merged)
    preset = {"regions apart": "paper/abilene", "outage": "small/outage"}.get(name, "small/loading")
    instance = generate(preset, 4, slots=5, **SMALL) if "paper" in preset else generate(preset)
    apart = build_allocation_program(instance)
    return with_knapsack_rows(apart), apart.pools.type


def proposal(name: str, seed: int, size: float, gain: float) -> ServerPlan:
    found, kind = program(name)
    shape = len(found.pools.up), int(kind.max()) + 1, found.pools.holds.shape[1]
    rng = np.random.default_rng(seed)
    return ServerPlan(size * rng.normal(size=shape), gain * rng.normal(size=shape))


def check_start(name: str, plan: ServerPlan, cover: bool = False) -> np.ndarray:
    """The repaired start of a proposal: whole and feasible, or the test ends here."""
    found, kind = program(name)
    plan = covered(found, kind, plan) if cover else plan
    x = complete(found, whole_servers(found, kind, plan))
    assert x is not None
    for family in SERVERS:
        part = x[found.columns[family].numbers]
        assert np.abs(part - np.rint(part)).max(initial=0) == 0
    assert is_feasible(found.problem(), x)
    return x


@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from(PROGRAMS),
    st.integers(0, 2**16),
    st.sampled_from([0.0, 1.0, 30.0, 1e9]),
    st.sampled_from([0.0, 0.1, 10.0, 1e9]),
    st.booleans(),
)
def test_any_proposal_becomes_a_feasible_start(name, seed, size, gain, cover):
    check_start(name, proposal(name, seed, size, gain), cover)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["merged, tiers", "loading"])
def test_numbers_that_are_none_become_a_feasible_start(name, bad):
    plan = proposal(name, 0, 1.0, 1.0)
    broken = ServerPlan(np.full_like(plan.wanted, bad), np.full_like(plan.gain, bad))
    check_start(name, broken, cover=name == "loading")


@pytest.mark.parametrize("name", ["merged", "regions apart", "loading"])
def test_the_solver_accepts_the_start(name):
    """With no time for anything else, what it has is the start, or better."""
    found, _ = program(name)
    x = check_start(name, proposal(name, 1, 3.0, 1.0))
    cost = found.objective(x)
    result = solve_milp(found.problem(), Limits(work=0), start=x)
    assert result.x is not None
    assert result.objective <= cost + 1e-9 * abs(cost)
    best = solve_milp(found.problem(), Limits(gap=1e-9), start=x)
    again = solve_milp(found.problem(), Limits(gap=1e-9))
    assert best.objective == pytest.approx(again.objective, rel=1e-6)  # a start proves nothing


@pytest.mark.parametrize("name", ["merged", "merged, tiers", "regions apart"])
def test_servers_of_an_optimum_are_found_again(name):
    found, kind = program(name)
    best = solve_milp(found.problem(), Limits(gap=1e-9))
    ready = ready_by_type(kind, np.rint(found.values(best.x)["ready"]), TYPES)
    x = check_start(name, ServerPlan(ready, np.full(ready.shape, 1e3)))
    again = ready_by_type(kind, found.values(x)["ready"], TYPES)
    assert np.array_equal(again, ready)
    if name == "merged":  # with one pool for each type and outage the optimum itself
        assert found.objective(x) == pytest.approx(best.objective, rel=1e-6)


def test_a_proposal_is_followed_only_where_it_pays():
    found, kind = program("merged")
    relaxed = solve_lp(found.problem().relaxed())
    wanted = ready_by_type(kind, found.values(relaxed.x)["ready"], TYPES)
    nothing = whole_servers(found, kind, ServerPlan(wanted, np.zeros_like(wanted)))
    assert found.values(nothing)["start"].sum() == found.values(nothing)["enter"].sum() == 0
    much = whole_servers(found, kind, ServerPlan(np.full_like(wanted, 99.0), 1e4 + 0 * wanted))
    assert found.values(much)["ready"].sum() > found.values(nothing)["ready"].sum()


def test_a_plan_moves_on_and_repeats_its_last_slot():
    plan = ServerPlan(np.arange(4.0)[:, None, None], np.ones((4, 1, 1)))
    assert plan.shifted(2).wanted.ravel().tolist() == [2, 3, 3, 3]

"""Servers that cover the demand: enough of them, no more than pay, whatever is proposed."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest

from torta_opt import generate
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.merged import build_merged_program
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.search.coverage import covered
from torta_opt.allocation.search.server_plan import (
    ServerPlan,
    complete,
    pool_types,
    whole_servers,
)
from torta_opt.solvers import solve_lp


@cache
def paper() -> tuple[AllocationProgram, np.ndarray]:
    merged = build_merged_program(generate("paper/abilene", 4, slots=10), tiers=1)
    return with_knapsack_rows(merged.program), pool_types(merged)


def proposal(wanted: float, gain: float) -> ServerPlan:
    found, kind = paper()
    shape = len(found.pools.up), int(kind.max()) + 1, found.pools.holds.shape[1]
    return ServerPlan(np.full(shape, wanted), np.full(shape, gain))


def cost_of(plan: ServerPlan) -> float:
    found, kind = paper()
    x = complete(found, whole_servers(found, kind, plan))
    assert x is not None
    return found.objective(x)


def test_without_a_proposal_the_start_is_near_the_relaxation():
    found, kind = paper()
    least = solve_lp(found.problem().relaxed()).objective
    nothing = proposal(0.0, 0.0)
    assert least < cost_of(covered(found, kind, nothing)) < 1.6 * least
    assert cost_of(nothing) > 3 * least  # no server is worth its rent: requests expire


def test_few_requests_expire():
    found, kind = paper()
    plan = covered(found, kind, proposal(0.0, 0.0))
    x = complete(found, whole_servers(found, kind, plan))
    requests = found.instance.arrivals.sum()
    assert found.values(x)["expired"].sum() < 0.1 * requests
    without = complete(found, whole_servers(found, kind, proposal(0.0, 0.0)))
    assert found.values(without)["expired"].sum() > 0.5 * requests


def test_servers_that_gain_nothing_are_not_added():
    found, kind = paper()
    alone = covered(found, kind, proposal(0.0, 0.0)).wanted
    assert covered(found, kind, proposal(9.0, 0.0)).wanted == pytest.approx(alone, abs=1e-6)
    assert covered(found, kind, proposal(99.0, 50.0)).wanted.sum() > alone.sum() + 1


def test_nothing_to_serve_needs_no_server():
    instance = generate("paper/abilene", 4, slots=6)
    quiet = dataclasses.replace(instance, arrivals=np.zeros_like(instance.arrivals))
    merged = build_merged_program(quiet)
    kind = pool_types(merged)
    shape = 6, len(instance.system.types), len(instance.system.models)
    nothing = ServerPlan(np.zeros(shape), np.zeros(shape))
    assert covered(merged.program, kind, nothing).wanted.sum() == pytest.approx(0.0, abs=1e-6)

"""Random instances on which two solvers and brute force must agree, one function for each kind.

A step takes a seeded generator and the number of the instance, tries that instance, and returns
what it counted; it raises ``TooLarge`` where brute force would take too long, and ``Disagreement``
where two answers differ. ``STEPS`` names them all.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sparse

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from soundness_answers import (
    WAITING,
    Disagreement,
    agreed,
    at_most,
    close,
    equal,
    solved,
)
from soundness_bounds import SHAPE, bounds, constraint, placement_bounds
from soundness_programs import fleet, many_slots, rolling
from support.assignments import best_of_all, brute_force, random_assignment, random_problem
from support.certificates import as_one, corrupted, noise
from support.futures import best_of, random_tree
from support.optima import slack
from support.placement_reference import Reference
from support.tiny_fig5 import by_trying, random_instance
from support.tree_bounds import check_tree

from torta_opt.allocation.assignment.generalized import task_of
from torta_opt.allocation.bounds.certify import certificate_of, merged_certificate
from torta_opt.allocation.bounds.checker.check import certified_bound
from torta_opt.allocation.formulations.assignment import build_assignment_program
from torta_opt.allocation.formulations.exact import build_exact_program
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.search.optimal import solve_optimal
from torta_opt.allocation.single_slot.by_task import build_fig5_program, tasks_of
from torta_opt.allocation.single_slot.grouped import build_grouped_program
from torta_opt.io import InvalidInput
from torta_opt.placement.formulations.positions import position_program
from torta_opt.placement.formulations.published import published_program
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.instance.presets import tiny
from torta_opt.placement.schedule.performance import prices
from torta_opt.solvers import Problem, solve_lp
from torta_opt.transport.one_slot import transport


@dataclass(frozen=True)
class Step:
    """What is tried, and how many instances ``make soundness`` tries of it."""

    summary: str
    count: int
    run: Callable[[np.random.Generator, int], dict[str, int]]


# --- steps --------------------------------------------------------------------------------------


def allocation(rng: np.random.Generator, n: int) -> dict[str, int]:
    """The exact program, the program of pools with and without cuts, and regions as one."""
    instance, best = solved(rng)
    pooled = build_allocation_program(instance, integer=True)
    merged = as_one(instance, int(rng.integers(1, len(instance.system.regions) + 1)))
    relaxations = {
        "pools": pooled.problem(),
        "pools with knapsack rows": with_knapsack_rows(pooled).problem(),
        "regions as one": merged.program.problem(),
    }
    for name, problem in relaxations.items():
        at_most(agreed(problem, name), best, name, problem)
    seen = {"programs": len(relaxations)}
    exact = build_exact_program(instance)
    if exact is None:  # squares of routing changes with too many values
        return {**seen, "without an exact program": 1}
    problem = exact.problem()
    equal(agreed(problem, "exact"), best, "exact", problem)
    return {"programs": len(relaxations) + 1}


def optimal(rng: np.random.Generator, n: int) -> dict[str, int]:
    """``solve --method optimal`` to its end: the cheapest of all schedules, and no bound above."""
    instance, best = solved(rng, **WAITING)
    found = solve_optimal(instance)
    if found.interrupted:
        raise KeyboardInterrupt
    assert found.schedule is not None
    cost = evaluate(instance, found.schedule).cost
    if not verify(instance, found.schedule).ok or not close(cost, best):
        raise Disagreement(f"optimal found {cost!r}, brute force {best!r}")
    if found.bound > best + slack(best):
        raise Disagreement(f"optimal claims a bound of {found.bound!r}, brute force {best!r}")
    return {"schedules": 1, "not closed": int(not found.reached)}


def assignment(rng: np.random.Generator, n: int) -> dict[str, int]:
    """Requests on the servers of a region, some slots ahead."""
    data = random_assignment(rng, must_serve=0.1)
    problem = build_assignment_program(data).problem
    equal(agreed(problem, "assignment"), brute_force(data), "assignment", problem)
    return {"programs": 1}


def generalized(rng: np.random.Generator, n: int) -> dict[str, int]:
    """The generalized assignment problem, to its least or greatest value."""
    task = random_problem(int(rng.integers(2**31)), maximise=bool(n % 2))
    problem = build_assignment_program(task_of(task)).problem
    best = best_of_all(task) * (-1 if task.maximise else 1)
    equal(agreed(problem, "generalized assignment"), best, "generalized assignment", problem)
    return {"programs": 1}


def single_slot(rng: np.random.Generator, n: int) -> dict[str, int]:
    """One slot, by task and by group."""
    instance = random_instance(int(rng.integers(2**31)), tasks=int(rng.integers(1, 6)))
    tasks, share = tasks_of(instance)[0], float(rng.choice([0.6, 0.8, 1.0]))
    best = by_trying(tasks, share)
    for name, problem in (
        ("by task", build_fig5_program(tasks, share)),
        ("grouped", build_grouped_program(instance, share).problem),
    ):
        equal(agreed(problem, name), best, name, problem)
    return {"programs": 2}


def placement(rng: np.random.Generator, n: int) -> dict[str, int]:
    """Blocks on servers: the authors' program and the one by positions."""
    shape = {name: int(rng.integers(1, most)) for name, most in SHAPE.items()}
    instance = tiny(int(rng.integers(2**31)), **shape)
    best = Reference(instance_to_document(instance)).optimum()
    least = math.inf
    if best is not None:
        least = float(best) * 1000 - instance.delays.start_ms * instance.requests
    for name, problem in (
        ("published", published_program(instance, "response").problem),
        ("positions", position_program(instance, prices(instance)).problem),
    ):
        equal(agreed(problem, name), least, name, problem)
    return {"programs": 2}


def one_transport(rng: np.random.Generator, n: int) -> dict[str, int]:
    """Exact transport against the linear program in both solvers."""
    rows, cols = (int(size) for size in rng.integers(1, 6, 2))
    cost = np.round(rng.uniform(-1, 5, (rows, cols)), 2)
    supply, demand = rng.dirichlet(np.ones(rows)), rng.dirichlet(np.ones(cols))
    ours = float((cost * transport(cost, supply, demand).plan).sum())
    sums = np.vstack([np.kron(np.eye(rows), np.ones(cols)), np.kron(np.ones(rows), np.eye(cols))])
    side = np.concatenate([supply, demand])
    side[-1] = side[:rows].sum() - side[rows:-1].sum()  # or rounding leaves nothing feasible
    size = rows * cols
    none, most = np.zeros(size), np.full(size, math.inf)
    problem = Problem(sparse.csr_array(sums), side, side, none, most, cost.ravel())
    equal(agreed(problem, "transport", relaxed=True), ours, "transport", problem)
    return {"programs": 1}


def trees(rng: np.random.Generator, n: int) -> dict[str, int]:
    """Bounds for policies that cannot see ahead, against the best of them."""
    tree = random_tree(rng)
    best = best_of(tree)
    try:
        check_tree(tree, best, rng)
    except AssertionError as error:
        raise Disagreement(f"above the best policy, {best.cost!r}: {error}") from None
    return {"leaves": len(tree.leaves)}


def certificates(rng: np.random.Generator, n: int) -> dict[str, int]:
    """Certificates of noise, of the best numbers, and these corrupted."""
    instance, best = solved(rng)
    merged = as_one(instance, int(rng.integers(1, len(instance.system.regions) + 1)))
    seen = {"certificates": 0, "refused": 0}
    program = with_knapsack_rows(build_allocation_program(instance))
    best_dual = solve_lp(program.problem()).row_dual
    found = [certificate_of(program, noise(rng, program))]
    found.append(merged_certificate(merged, noise(rng, merged.program)))
    if best_dual is not None and (proof := certificate_of(program, best_dual)) is not None:
        found += [proof, corrupted(proof, rng)]
    for certificate in found:
        try:
            proved = certified_bound(certificate, instance)
        except InvalidInput:
            seen["refused"] += 1
            continue
        seen["certificates"] += 1
        if proved > best + slack(best):
            raise Disagreement(f"a certificate proves {proved!r}, a schedule costs {best!r}")
    return seen


STEPS = {
    "allocation": Step("exact, pools, cuts, regions as one", 1000, allocation),
    "optimal": Step("optimal, to its end", 500, optimal),
    "assignment": Step("requests on the servers of a region", 1000, assignment),
    "generalized": Step("the generalized assignment problem", 1000, generalized),
    "single_slot": Step("one slot, by task and by group", 1000, single_slot),
    "placement": Step("block placement, published and by positions", 1000, placement),
    "bounds": Step("every registered bound, and auto", 1000, bounds),
    "placement_bounds": Step("every registered bound of block placement", 1000, placement_bounds),
    "constraint": Step("a cap on CO₂, in three ways", 1000, constraint),
    "rolling": Step("a program advanced and built anew", 1000, rolling),
    "fleet": Step("the program of numbers of servers", 1000, fleet),
    "many_slots": Step("transport with a price on changes", 1000, many_slots),
    "transport": Step("exact transport", 1000, one_transport),
    "trees": Step("bounds for policies that cannot see ahead", 2000, trees),
    "certificates": Step("certificates, and corrupted ones", 1000, certificates),
}

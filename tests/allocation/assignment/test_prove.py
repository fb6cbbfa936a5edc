"""Optima of the generalized assignment problem, their proofs and the bounds below them."""

from __future__ import annotations

import csv
import math
from itertools import product

import numpy as np
import pytest
from support.assignments import best_of_all, random_problem
from support.real_data import real_data

import torta_opt.allocation.assignment.prove as proving
from torta_opt.allocation.assignment.generalized import Generalized, read_generalized
from torta_opt.allocation.assignment.lagrangian import SCALE, Knapsacks, best_prices
from torta_opt.allocation.assignment.local_search import improved, repaired
from torta_opt.allocation.assignment.prove import prove
from torta_opt.solvers import Limits, Problem, Result, solve_lp, solve_milp

JOBS = 14


def hard_problem(seed: int, slack: float = 0.8) -> Generalized:
    """Where little is needed much is paid, as in the classes D of the literature."""
    rng = np.random.default_rng(seed)
    agents, jobs = 3, JOBS
    need = rng.integers(1, 101, (agents, jobs))
    cost = 111 - need + rng.integers(-10, 11, (agents, jobs))
    return Generalized("hard", cost, need, (slack * need.sum(axis=1) / agents).astype(int))


@pytest.mark.parametrize("maximise", [False, True])
def test_the_optimum_is_that_of_trying_everything(maximise: bool) -> None:
    for seed in range(25):
        problem = random_problem(seed, maximise)
        found, best = prove(problem), best_of_all(problem)
        assert found.status == "done"
        if math.isinf(best):
            assert found.is_infeasible
            continue
        assert (found.value, found.bound) == (best, best), seed
        assert problem.is_assignment(found.agent)


@pytest.mark.slow
def test_the_optimum_is_that_of_trying_everything_on_many() -> None:
    for seed in range(25, 1000):
        problem = random_problem(seed, seed % 2 == 0)
        found, best = prove(problem), best_of_all(problem)
        assert found.is_infeasible if math.isinf(best) else found.value == found.bound == best


def test_the_bound_of_any_prices_is_below_every_assignment() -> None:
    """And what the penalties forbid costs as much as they say."""
    for seed in range(30):
        problem = random_problem(seed)
        agents, jobs = problem.cost.shape
        knapsacks = Knapsacks(problem.price, problem.need, problem.capacity)
        price = np.random.default_rng(seed).integers(-5, 25, jobs) * SCALE + seed
        bound = knapsacks.priced(price).bound
        inside, outside = knapsacks.penalties(price)
        for each in product(range(agents), repeat=jobs):
            agent = np.array(each)
            if not problem.is_assignment(agent):
                continue
            x = np.zeros((agents, jobs), bool)
            x[agent, np.arange(jobs)] = True
            rise = np.where(x, inside, outside).max()
            assert bound + max(rise, 0) <= problem.value(agent) * SCALE


def test_choices_attain_the_bound() -> None:
    problem = hard_problem(1)
    knapsacks = Knapsacks(problem.price, problem.need, problem.capacity)
    found = knapsacks.priced(np.full(JOBS, 90 * SCALE))
    value = found.price.sum() + ((problem.price * SCALE - found.price) * found.chosen).sum()
    assert found.bound == value
    assert ((problem.need * found.chosen).sum(axis=1) <= problem.capacity).all()


def test_better_prices_raise_the_bound() -> None:
    problem = hard_problem(2)
    knapsacks = Knapsacks(problem.price, problem.need, problem.capacity)
    start = np.full(JOBS, 60 * SCALE)
    best, _ = best_prices(knapsacks, start, 2000.0 * SCALE, 50)
    assert best.bound > knapsacks.priced(start).bound


def test_repair_and_improvement_give_assignments() -> None:
    made = 0
    for seed in range(20):
        problem = hard_problem(seed, slack=1.3)
        knapsacks = Knapsacks(problem.price, problem.need, problem.capacity)
        point = knapsacks.priced(np.full(JOBS, 80 * SCALE))
        agent = repaired(problem, point.chosen, problem.price * SCALE - point.price)
        if agent is None:
            continue
        better = improved(problem, agent)
        assert problem.is_assignment(agent)
        assert problem.is_assignment(better)
        assert problem.value(better) <= problem.value(agent)
        made += 1
    assert made > 5


@pytest.mark.parametrize("seed", range(3))
def test_hard_problems_are_proven(seed: int) -> None:
    found = prove(hard_problem(seed))
    assert found.status == "done"
    assert found.value == found.bound


def test_a_limit_leaves_a_bound_that_holds() -> None:
    problem = hard_problem(5)
    best, cut = prove(problem).value, prove(problem, Limits(seconds=0.0))
    assert cut.bound <= best
    assert cut.value is None or cut.value >= best


@pytest.mark.parametrize("cells", [0, 3e7])
def test_a_limit_before_any_bound_does_not_mean_infeasible(
    cells: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither without tables nor once the core holds all pairs."""
    monkeypatch.setattr(proving, "CELLS", cells)
    monkeypatch.setattr(proving, "_branch", lambda *_: -math.inf)
    monkeypatch.setattr(proving._Best, "offer", lambda *_: None)
    cut = prove(hard_problem(5))
    assert not cut.is_infeasible
    assert (cut.value, cut.status) == (None, "limit")


def test_work_limits_nodes_and_not_the_relaxation(monkeypatch: pytest.MonkeyPatch) -> None:
    of_lp, of_milp = [], []

    def lp(program: Problem, method: str, limits: Limits) -> Result:
        of_lp.append(limits.work)
        return solve_lp(program, method, limits)

    def milp(program: Problem, limits: Limits) -> Result:
        of_milp.append(limits.work)
        return solve_milp(program, limits)

    monkeypatch.setattr(proving, "CELLS", 0)
    monkeypatch.setattr(proving, "solve_lp", lp)
    monkeypatch.setattr(proving, "solve_milp", milp)
    prove(hard_problem(5), Limits(work=1))
    assert (of_lp, of_milp) == ([None], [1])


def test_without_tables_branch_and_bound_does_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torta_opt.allocation.assignment.prove.CELLS", 0)
    for seed in range(10):
        problem = random_problem(seed)
        found, best = prove(problem), best_of_all(problem)
        assert found.is_infeasible if math.isinf(best) else found.value == found.bound == best


def known_optima() -> dict[tuple[str, str], int]:
    with real_data("known_optima.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if "gap" in row["instance"]]
    return {(row["instance"], row["sense"]): int(row["value"]) for row in rows}


def test_published_optima_of_the_or_library() -> None:
    known, path = known_optima(), real_data("orlib_gap/gap1.txt")
    for sense in ("max", "min"):
        for number, problem in enumerate(read_generalized(path, sense == "max")[:2], 1):
            found = prove(problem)
            assert (
                found.value == found.bound == known[f"orlib_gap/gap1.txt problem {number}", sense]
            )


@pytest.mark.slow
def test_all_published_optima() -> None:
    known, seen = known_optima(), 0
    for folder, pattern in (("orlib_gap", "*.txt"), ("gap_yagiura_json", "*.json")):
        for path in sorted(real_data(folder).glob(pattern)):
            for sense in ("max", "min") if folder == "orlib_gap" else ("min",):
                for number, problem in enumerate(read_generalized(path, sense == "max"), 1):
                    name = f"{folder}/{path.name}"
                    name += f" problem {number}" if folder == "orlib_gap" else ""
                    found = prove(problem)
                    assert found.value == found.bound == known[name, sense], name
                    seen += 1
    assert seen == len(known)

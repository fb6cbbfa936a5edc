"""Every small instance has one optimum: in HiGHS, in SCIP, by brute force, and in ``optimal``.

Run as a script, this prints the table.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from support.second_opinion import by_scip
from support.tiny import brute_force_optimum

from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.bounds.lp import lp_bound
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.instance import load_instance
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.search.optimal import solve_optimal
from torta_opt.solvers import Limits, Status, solve_milp

FILES = sorted((Path(__file__).parents[3] / "instances" / "small").glob("*.json"))
TIGHT = Limits(gap=0.0)


@dataclass(frozen=True)
class Optima:
    """Dollars: closed form, linear relaxation, whole servers, named servers and whole requests."""

    floor: float
    relaxed: float
    pooled_highs: float
    pooled_scip: float
    exact_highs: float
    exact_scip: float
    brute_force: float
    optimal: float
    optimal_bound: float


@cache
def optima(file: Path) -> Optima:
    instance = load_instance(file)
    pooled = build_allocation_program(instance).problem()
    exact = build_allocation_program(instance, integer=True, named=True).problem()
    solved = [solve_milp(problem, TIGHT) for problem in (pooled, exact)]
    second = [by_scip(problem) for problem in (pooled, exact)]
    assert [result.status for result in solved] == [Status.OPTIMAL] * 2
    assert [opinion.status for opinion in second] == ["optimal"] * 2
    found = solve_optimal(instance, TIGHT)
    assert verify(instance, found.schedule).ok
    assert found.cost == evaluate(instance, found.schedule).cost
    best = brute_force_optimum(instance, max_states=1_000_000)
    assert evaluate(instance, best.schedule).cost == pytest.approx(float(best.cost), abs=1e-12)
    return Optima(
        floor=floor(instance).value,
        relaxed=lp_bound(instance).value,
        pooled_highs=solved[0].objective,
        pooled_scip=second[0].objective,
        exact_highs=solved[1].objective,
        exact_scip=second[1].objective,
        brute_force=float(best.cost),
        optimal=found.cost,
        optimal_bound=found.bound,
    )


def same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)


def test_there_are_small_instances() -> None:
    assert len(FILES) == 8


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
class TestSmall:
    def test_highs_and_scip_agree(self, file: Path) -> None:
        found = optima(file)
        assert same(found.pooled_highs, found.pooled_scip)
        assert same(found.exact_highs, found.exact_scip)

    def test_the_exact_program_is_the_cheapest_of_all_schedules(self, file: Path) -> None:
        found = optima(file)
        assert same(found.exact_highs, found.brute_force)
        assert same(found.optimal, found.brute_force)
        # branch and bound's claim, less the tolerances of the solver
        assert found.optimal_bound <= found.brute_force
        assert math.isclose(found.optimal_bound, found.brute_force, rel_tol=1e-5, abs_tol=1e-9)

    def test_each_bound_lies_below_the_next(self, file: Path) -> None:
        found = optima(file)
        chain = [found.floor, found.relaxed, found.pooled_highs, found.exact_highs]
        chain.append(found.brute_force)
        for low, high in itertools.pairwise(chain):
            assert low <= high + 1e-6 * (1 + abs(high))


if __name__ == "__main__":
    print("| instance | floor | lp | whole servers | named, whole requests | SCIP | brute force |")
    print("|---|---|---|---|---|---|---|")
    for path in FILES:
        row = optima(path)
        numbers = (row.floor, row.relaxed, row.pooled_highs, row.exact_highs, row.exact_scip)
        cells = " | ".join(f"{usd:.6f}" for usd in (*numbers, row.brute_force))
        print(f"| {path.stem} | {cells} |")

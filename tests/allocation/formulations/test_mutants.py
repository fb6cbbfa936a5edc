"""Breaking any row family, coefficient block or price of the matrix text is noticed.

Run as a script, this prints every mutant and what kills it: ``text``, the comparison with the Pyomo
text; ``lift``, legal schedules that no longer fit or are charged another sum; ``best``, the cost of
the cheapest of all schedules, which the program with named servers and whole requests must attain.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sparse
from support.mutants import Mutant, mutants
from support.optima import tiniest
from support.programs import Arrays, equal, of_model, of_program, solve
from support.sizes import examples
from support.tiny import random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.formulations import matrix as allocation_matrix
from torta_opt.allocation.formulations.lift import lift
from torta_opt.allocation.formulations.program import SERVERS
from torta_opt.allocation.formulations.pyomo_model import build_allocation_model
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.schedule import Schedule, evaluate

MUTANTS = mutants()


CASES = 60


@cache
def texts(count: int) -> list[tuple[Instance, Arrays]]:
    """The Pyomo text of instances; in 60 of them every rule is in play."""
    rng = np.random.default_rng(20)
    instances = [random_tiny_instance(rng) for _ in range(count)]
    return [(instance, of_model(build_allocation_model(instance))) for instance in instances]


@cache
def schedules(count: int) -> list[tuple[Instance, Schedule, float]]:
    rng, found = np.random.default_rng(21), []
    for instance, _ in texts(count):
        for _ in range(3):
            schedule = random_feasible_schedule(instance, rng)
            found.append((instance, schedule, evaluate(instance, schedule).cost))
    return found


@cache
def exact(count: int) -> list[tuple[Instance, float]]:
    """Instances whose exact program attains the optimum of all schedules."""
    found = []
    for instance, best in tiniest(count, frobenius=0.0):
        program = allocation_matrix.build_allocation_program(instance, integer=True, named=True)
        x = solve(of_program(program))
        if program.values(x)["expired"].sum() < 0.5:
            assert equal(program.objective(x), best)
            found.append((instance, best))
    return found


# --- killers ------------------------------------------------------------------------------------


def by_text(module: Any, count: int = CASES) -> bool:
    return any(
        differs(text, of_program(module.build_allocation_program(instance)))
        for instance, text in texts(count)
    )


def differs(text: Arrays, mutant: Arrays) -> bool:
    if set(text.rows) != set(mutant.rows) or not set(text.columns) <= set(mutant.columns):
        return True
    row = {name: n for n, name in enumerate(mutant.rows)}
    column = {name: n for n, name in enumerate(mutant.columns)}
    rows = np.array([row[name] for name in text.rows], int)
    columns = np.array([column[name] for name in text.columns], int)
    if mutant.matrix.nnz != mutant.matrix[rows][:, columns].nnz:
        return True
    pairs = [
        (oriented(text.matrix, text.row_lower, text.row_upper)),
        (oriented(mutant.matrix[rows][:, columns], mutant.row_lower[rows], mutant.row_upper[rows])),
    ]
    sides = [
        (text.cost, mutant.cost[columns]),
        (text.upper, mutant.upper[columns]),
        *zip(pairs[0][1:], pairs[1][1:], strict=True),
    ]
    if not np.isclose(text.constant, mutant.constant, rtol=1e-12, atol=0):
        return True
    if any(not np.allclose(a, b, rtol=1e-12, atol=0) for a, b in sides):
        return True
    return bool(abs(pairs[0][0] - pairs[1][0]).max() > 1e-12 * (1 + abs(text.matrix).max()))


def oriented(matrix: Any, lower: np.ndarray, upper: np.ndarray) -> tuple[Any, Any, Any]:
    """Rows with their first coefficient positive."""
    matrix = sparse.csr_array(matrix)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    filled = np.diff(matrix.indptr) > 0
    sign = np.ones(len(lower))
    sign[filled] = np.sign(matrix.data[matrix.indptr[:-1][filled]])
    low, high = np.where(sign > 0, lower, -upper), np.where(sign > 0, upper, -lower)
    return sparse.diags_array(sign) @ matrix, low, high


def by_lift(module: Any, count: int = CASES) -> bool:
    programs: dict[int, Any] = {}
    for instance, schedule, cost in schedules(count):
        if id(instance) not in programs:
            programs[id(instance)] = module.build_allocation_program(instance)
        program = programs[id(instance)]
        values = lift(instance, schedule, pools=program.pools)
        vector = program.vector(values)
        objective, slack = program.objective(vector), 1e-9 * (1 + abs(cost))
        counted = ("x", "inflow", "q", "expired", "z", *SERVERS)
        kept = program.values(vector)
        if any(abs(values[name] - kept[name]).sum() for name in counted):
            return True
        if of_program(program).violation(vector) > 1e-9 or objective > cost + slack:
            return True
        if not instance.system.weights.frobenius_usd and objective < cost - slack:
            return True
    return False


def by_best(module: Any, count: int = CASES) -> bool:
    for instance, best in exact(count):
        program = module.build_allocation_program(instance, integer=True, named=True)
        try:
            found = program.objective(solve(of_program(program)))
        except AssertionError:
            return True  # no answer at all
        if not equal(found, best):
            return True
    return False


KILLERS = {"text": by_text, "lift": by_lift, "best": by_best}


def killers_of(mutant: Mutant, wanted: tuple[str, ...] = tuple(KILLERS)) -> list[str]:
    module = mutant.load()
    try:
        return [name for name in wanted if KILLERS[name](module)]
    except (ValueError, IndexError, KeyError, TypeError) as error:
        return [f"crash ({type(error).__name__})"]


def test_the_text_itself_survives() -> None:
    """Nothing kills the unchanged text: the killers are no false alarm."""
    assert not any(killer(allocation_matrix, examples(CASES)) for killer in KILLERS.values())


def test_every_row_and_column_family_and_price_has_mutants() -> None:
    names = Counter(mutant.name.split(":")[0] for mutant in MUTANTS)
    assert names["server_rows"] + names["request_rows"] == 14
    assert names["server_bounds"] + names["request_bounds"] == 15
    assert names["fixed_costs"] + names["costs_by_price"] == 11
    assert len(MUTANTS) > 70


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_differs_from_the_pyomo_text(mutant: Mutant) -> None:
    assert killers_of(mutant, ("text",))


if __name__ == "__main__":
    for each in MUTANTS:
        print(f"| {each.name} | {', '.join(killers_of(each)) or 'SURVIVES'} |", flush=True)

"""Cheapest paths of servers: duals of their flows that prove most for given other duals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.optima import slack, tiniest
from support.programs import Arrays, of_program, optimum
from support.sizes import examples
from support.tiny import random_tiny_instance

from torta_opt.allocation.bounds.lp import lp_bound, prove
from torta_opt.allocation.bounds.merged import merged_bound
from torta_opt.allocation.bounds.merged_duals import unmerged
from torta_opt.allocation.bounds.shortest_path_duals import FLOWS, with_shortest_path_duals
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.program import SERVERS, AllocationProgram
from torta_opt.allocation.instance.generate import generate


def near(value: float) -> float:
    return 1e-9 * (1 + abs(value))


def noise(program: AllocationProgram, rng: np.random.Generator) -> np.ndarray:
    """Duals of all signs, usable ones only."""
    dual = rng.normal(0, 0.05, len(program.row_lower))
    dual = np.where(np.isfinite(program.row_lower), dual, np.minimum(dual, 0.0))
    return np.where(np.isfinite(program.row_upper), dual, np.maximum(dual, 0.0))


def server_columns(program: AllocationProgram) -> np.ndarray:
    return np.concatenate(
        [
            np.arange(0),
            *(
                np.arange(program.columns[name].numbers.start, program.columns[name].numbers.stop)
                for name in SERVERS
            ),
        ]
    )


def test_no_server_column_is_left_a_negative_reduced_cost() -> None:
    rng = np.random.default_rng(81)
    for _ in range(examples(80)):
        program = build_allocation_program(random_tiny_instance(rng))
        dual = with_shortest_path_duals(program, noise(program, rng))
        reduced = program.cost - program.matrix.T @ dual
        assert reduced[server_columns(program)].min(initial=0.0) >= -1e-12


def test_it_is_the_best_dual_of_the_flows() -> None:
    """The flows alone, servers at their reduced costs, are solved to the same optimum."""
    rng = np.random.default_rng(82)
    for _ in range(examples(40)):
        program = build_allocation_program(random_tiny_instance(rng))
        dual = noise(program, rng)
        flows = np.concatenate([np.arange(len(dual))[program.rows[name].numbers] for name in FLOWS])
        dual[flows] = 0.0
        columns = server_columns(program)
        reduced = (program.cost - program.matrix.T @ dual)[columns]
        alone: Arrays = of_program(program)
        alone = dataclasses.replace(
            alone,
            columns=[alone.columns[n] for n in columns],
            rows=[alone.rows[n] for n in flows],
            cost=reduced,
            constant=0.0,
            lower=alone.lower[columns],
            upper=alone.upper[columns],
            integer=alone.integer[columns],
            matrix=alone.matrix[flows][:, columns],
            row_lower=alone.row_lower[flows],
            row_upper=alone.row_upper[flows],
        )
        best = with_shortest_path_duals(program, dual)
        found = float(best[flows] @ program.row_lower[flows])
        assert found == pytest.approx(optimum(alone, relaxed=True), abs=1e-6)


def test_it_proves_no_less_than_what_came_in() -> None:
    rng = np.random.default_rng(83)
    gained = 0
    for _ in range(30):
        program = build_allocation_program(random_tiny_instance(rng))
        dual = noise(program, rng)
        before, after = (
            prove(program, dual),
            prove(program, with_shortest_path_duals(program, dual)),
        )
        assert after >= before - near(before)
        gained += after > before + 1e-6
    assert gained > 20


def test_an_optimal_dual_stays_optimal() -> None:
    rng = np.random.default_rng(84)
    for _ in range(30):
        found = lp_bound(random_tiny_instance(rng))
        after = prove(found.program, with_shortest_path_duals(found.program, found.dual))
        assert after >= found.value - near(found.value)


def test_no_schedule_beats_what_noise_proves() -> None:
    rng = np.random.default_rng(85)
    for instance, best in tiniest(count=examples(40)):
        program = build_allocation_program(instance)
        for _ in range(3):
            dual = with_shortest_path_duals(program, noise(program, rng))
            assert prove(program, dual) <= best + slack(best)


def test_merged_duals_prove_about_as_much_of_the_whole_program() -> None:
    kept = []
    for instance, best in tiniest(count=examples(40)):
        program = with_knapsack_rows(build_allocation_program(instance))
        merged = merged_bound(instance)
        value = prove(program, unmerged(program, merged))
        assert value <= best + slack(best)
        kept.append(value >= merged.value - 1e-6 * (1 + abs(best)))
    assert np.mean(kept) > 0.6


def test_on_a_paper_instance_they_prove_more_than_the_merged_program() -> None:
    instance = generate("paper/abilene").cut(0, 6)
    merged = merged_bound(instance)
    program = with_knapsack_rows(build_allocation_program(instance))
    assert prove(program, unmerged(program, merged)) > merged.value

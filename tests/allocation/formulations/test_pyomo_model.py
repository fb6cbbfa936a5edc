"""The allocation program is a relaxation, tight where it can be, and every part of it matters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyomo.environ as pyo
import pyscipopt
import pytest
from support.optima import tiniest
from support.programs import Arrays, at_most, equal, of_model, of_program, optimum, solve
from support.sizes import examples
from support.tiny import (
    brute_force_optimum,
    random_feasible_schedule,
    random_tiny_instance,
)

from torta_opt.allocation.formulations.lift import lift
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.program import SERVERS
from torta_opt.allocation.formulations.pyomo_model import COSTS, build_allocation_model
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate, preset_names
from torta_opt.allocation.schedule import evaluate

SMALL = [name for name in preset_names() if name.startswith("small/")]
PROGRAMS = ({}, {"integer": True}, {"integer": True, "named": True})


# --- a relaxation -------------------------------------------------------------------------------


def assert_relaxation(instance: Instance, best: float) -> list[float]:
    """LP ≤ server counts integer ≤ requests integer ≤ servers named ≤ best schedule of all."""
    relaxed = of_program(build_allocation_program(instance))
    values = [optimum(relaxed, relaxed=True)]
    values += [optimum(of_program(build_allocation_program(instance, **o))) for o in PROGRAMS]
    for low, high in zip(values, [*values[1:], best], strict=True):
        assert at_most(low, high), (values, best)
    return values


def test_no_schedule_beats_the_program() -> None:
    for instance, best in tiniest(count=examples(40)):
        assert_relaxation(instance, best)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_no_schedule_beats_the_program_on_thousands(seed: int) -> None:
    for instance, best in tiniest(500, seed=100 + seed):
        assert_relaxation(instance, best)


def test_the_program_is_exact_with_named_servers_unless_requests_expire() -> None:
    exact = 0
    for instance, best in tiniest(count=60, frobenius=0.0):
        program = build_allocation_program(instance, integer=True, named=True)
        vector = solve(of_program(program))
        if program.values(vector)["expired"].sum() < 0.5:
            assert equal(program.objective(vector), best)
            exact += 1
    assert exact > 12


def test_the_pyomo_text_bounds_every_schedule_too() -> None:
    for instance, best in tiniest(count=examples(20)):
        arrays = of_model(build_allocation_model(instance))
        assert at_most(optimum(arrays, relaxed=True), optimum(arrays))
        assert at_most(optimum(arrays), best)


def test_more_tangents_give_a_better_bound() -> None:
    better = 0
    for instance, best in tiniest(count=15, frobenius=1.0):
        points = (1.0,), (0.25, 0.5, 1.0), tuple(np.arange(1, 41) / 40)
        one, few, many = (
            optimum(of_program(build_allocation_program(instance, tangents=tangents)))
            for tangents in points
        )
        assert at_most(one, few)
        assert at_most(few, many)
        assert at_most(many, best)
        better += many > one + 1e-6
    assert better > 2


# --- small presets ------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", SMALL)
def test_every_small_preset_is_solved_to_the_optimum(preset: str) -> None:
    """HiGHS and SCIP agree, on the cost of the cheapest of all schedules."""
    instance = generate(preset)
    best = float(brute_force_optimum(instance, max_states=1_000_000).cost)
    assert_relaxation(instance, best)
    exact = of_model(build_allocation_model(instance, integer=True, named=True))
    assert equal(optimum(exact), best)
    assert equal(scip_optimum(exact), best)


def scip_optimum(arrays: Arrays) -> float:
    model = pyscipopt.Model()
    model.hideOutput()
    columns = [
        model.addVar(lb=low, ub=high, obj=usd, vtype="I" if whole else "C")
        for low, high, usd, whole in zip(
            arrays.lower, arrays.upper, arrays.cost, arrays.integer, strict=True
        )
    ]
    matrix = arrays.matrix
    for n, (low, high) in enumerate(zip(arrays.row_lower, arrays.row_upper, strict=True)):
        cells = slice(matrix.indptr[n], matrix.indptr[n + 1])
        terms = zip(matrix.data[cells], matrix.indices[cells], strict=True)
        body = pyscipopt.quicksum(value * columns[c] for value, c in terms)
        if np.isfinite(low):
            model.addCons(body >= low)
        if np.isfinite(high):
            model.addCons(body <= high)
    model.setParam("limits/gap", 0.0)
    model.optimize()
    assert model.getStatus() == "optimal"
    return model.getObjVal() + arrays.constant


# --- every part matters -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Case:
    """The Pyomo text of an instance as arrays, its LP optimum, and legal schedules lifted."""

    instance: Instance
    model: pyo.ConcreteModel
    arrays: Arrays
    relaxed: float
    lifted: list[np.ndarray]
    costs: list[dict[str, float]]

    def lifts_fit(self, arrays: Arrays) -> bool:
        return all(arrays.violation(vector) < 1e-9 for vector in self.lifted)


@cache
def corpus() -> list[Case]:
    """Fixed instances in which every rule is in play."""
    rng = np.random.default_rng(20)
    return [case_of(random_tiny_instance(rng), rng) for _ in range(70)]


def case_of(instance: Instance, rng: np.random.Generator) -> Case:
    model = build_allocation_model(instance)
    arrays, program = of_model(model), build_allocation_program(instance)
    lifted, costs = [], []
    for _ in range(4):
        schedule = random_feasible_schedule(instance, rng)
        vector = program.vector(lift(instance, schedule))
        by_name = dict(zip(program.column_names, vector.tolist(), strict=True))
        lifted.append(np.array([by_name[name] for name in arrays.columns]))
        costs.append(evaluate(instance, schedule).costs)
    return Case(instance, model, arrays, optimum(arrays, relaxed=True), lifted, costs)


def families_of(kind: type) -> list[str]:
    names = {part.name for case in corpus() for part in case.model.component_objects(kind)}
    return sorted(names)


def test_the_corpus_holds_the_program_to_its_schedules() -> None:
    for case in corpus():
        assert case.lifts_fit(case.arrays)
        for vector, costs in zip(case.lifted, case.costs, strict=True):
            objective, cost = case.arrays.objective(vector), sum(costs.values())
            if case.instance.system.weights.frobenius_usd:
                assert objective <= cost + 1e-9
            else:
                assert abs(objective - cost) < 1e-9
            assert at_most(case.relaxed, cost)


def test_every_row_family_lifts_the_optimum() -> None:
    """Without it, the optimum of some program of the corpus is lower."""
    for family in families_of(pyo.Constraint):
        assert any(
            optimum(case.arrays.without_rows(family), relaxed=True) < case.relaxed - 1e-6
            for case in corpus()
            if len(case.arrays.family(family))
        ), family


def test_no_row_family_could_be_tighter() -> None:
    """Right-hand sides moved by 1 (shares: by 0.3) cut off some legal schedule."""
    for family in families_of(pyo.Constraint):
        by = 0.3 if family == "change" else 1.0
        assert any(not case.lifts_fit(case.arrays.shifted_rows(family, by)) for case in corpus()), (
            family
        )


def test_every_coefficient_is_noticed() -> None:
    """A block of coefficients ×½ or ×1.5 cuts off a legal schedule or lowers an optimum."""
    pairs: Counter[tuple[str, str]] = Counter()
    for case in corpus():
        entries = case.arrays.matrix.tocoo()
        rows = [name.split("[")[0] for name in case.arrays.rows]
        columns = [name.split("[")[0] for name in case.arrays.columns]
        pairs.update({(rows[r], columns[c]) for r, c in zip(entries.row, entries.col, strict=True)})
    assert len(pairs) == 38
    for (family, column), _ in pairs.items():
        for factor in (0.5, 1.5):
            assert any(noticed(case, family, column, factor) for case in corpus()), (
                family,
                column,
                factor,
            )


def noticed(case: Case, family: str, column: str, factor: float) -> bool:
    changed = case.arrays.scaled_rows(family, column, factor)
    if (changed.matrix != case.arrays.matrix).nnz == 0:
        return False
    if not case.lifts_fit(changed):
        return True
    return optimum(changed, relaxed=True) < case.relaxed - 1e-6


def test_every_upper_bound_is_reached_by_some_schedule() -> None:
    for family in families_of(pyo.Var):
        assert any(reached(case, family) for case in corpus()), family


def reached(case: Case, family: str) -> bool:
    chosen = np.array([name.startswith(f"{family}[") for name in case.arrays.columns], bool)
    return any((vector >= case.arrays.upper - 1e-9)[chosen].any() for vector in case.lifted)


def test_every_cost_component_is_that_of_the_evaluator() -> None:
    seen: Counter[str] = Counter()
    for case in corpus():
        columns = {c.name: c for c in case.model.component_data_objects(pyo.Var)}
        for column in columns.values():
            column.set_value(0, skip_validation=True)
        for vector, costs in zip(case.lifted, case.costs, strict=True):
            for name, value in zip(case.arrays.columns, vector.tolist(), strict=True):
                columns[name].set_value(value, skip_validation=True)
            for name in COSTS:
                charged = pyo.value(case.model.costs[name])
                seen[name] += abs(charged) > 1e-6
                if name == "frobenius":
                    assert charged <= costs[name] + 1e-9
                else:
                    assert abs(charged - costs[name]) < 1e-9, name
    assert set(costs) == set(COSTS)
    assert all(seen[name] > 5 for name in COSTS)


def test_every_price_is_noticed() -> None:
    """A column family whose price is dropped charges some schedule another sum."""
    for family in families_of(pyo.Var):
        priced = [case for case in corpus() if dropped(case, family).any()]
        free = {"inflow", "off", "stop", "leave"}
        assert bool(priced) == (family not in free), family
        if priced:
            assert any(
                abs(dropped(case, family) @ vector) > 1e-6
                for case in priced
                for vector in case.lifted
            ), family


def dropped(case: Case, family: str) -> np.ndarray:
    chosen = [name.startswith(f"{family}[") for name in case.arrays.columns]
    return np.where(np.array(chosen, bool), case.arrays.cost, 0.0)


# --- what a user sees ---------------------------------------------------------------------------


def test_server_counts_are_integers_and_requests_on_request() -> None:
    instance = generate("small/switch")
    for integer in (False, True):
        model = build_allocation_model(instance, integer=integer)
        for part in model.component_objects(pyo.Var):
            whole = all(column.is_integer() for column in part.values())
            if part.name in SERVERS:
                assert whole
            elif part.name in ("x", "inflow", "q", "expired", "z", "hot") and len(part):
                assert whole == integer


def test_columns_are_found_by_name() -> None:
    instance = generate("small/loading")
    model = build_allocation_model(instance)
    east = instance.system.regions[0]
    names = {index[2] for index in model.x if index[:2] == (2, east)}
    assert names == set(instance.system.regions)
    assert {p.split("/")[0] for _, p in model.off} == set(instance.system.regions)


def test_energy_and_servers_on_are_expressions_of_the_model() -> None:
    rng = np.random.default_rng(8)
    for _ in range(10):
        instance = random_tiny_instance(rng)
        model = build_allocation_model(instance)
        schedule = random_feasible_schedule(instance, rng)
        program = build_allocation_program(instance)
        vector = program.vector(lift(instance, schedule))
        columns = {c.name: c for c in model.component_data_objects(pyo.Var)}
        for name, value in zip(program.column_names, vector.tolist(), strict=True):
            columns[name].set_value(value, skip_validation=True)
        kwh = sum(pyo.value(e) for e in model.energy_kwh.values())
        assert kwh == pytest.approx(evaluate(instance, schedule).metrics["energy_kwh"])

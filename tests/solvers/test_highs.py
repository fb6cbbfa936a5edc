"""HiGHS through its one door, against SCIP and SciPy, and under every limit."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import scipy.sparse as sparse
from support.random_problems import anything, hard_knapsack, solvable
from support.second_opinion import by_scip, by_scipy
from support.sizes import examples

from torta_opt.io.errors import InvalidInput
from torta_opt.solvers import (
    METHODS,
    Limits,
    LinearSolver,
    Problem,
    SolverFailed,
    Status,
    available_methods,
    checks,
    highs,
    solve_lp,
    solve_milp,
)

LOCAL = [name for name in available_methods() if "pdlp" not in name]  # these: test_pdlp.py
HERE = {"optimal": Status.OPTIMAL, "infeasible": Status.INFEASIBLE, "unbounded": Status.UNBOUNDED}


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)


# --- linear programs ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(examples(25)))
def test_every_method_agrees_with_scip(seed: int):
    problem = solvable(seed)
    other = by_scip(problem)
    for method in LOCAL:
        found = solve_lp(problem, method)
        assert found.status == Status.OPTIMAL, found.message
        assert found.method == (method if method != "auto" else "simplex")
        assert close(found.objective, other.objective)
        assert close(found.bound, other.objective)
        assert found.objective == checks.objective(problem, found.x)
        assert found.bound <= found.objective
        assert close(checks.dual_bound(problem, found.row_dual), found.bound)
        assert checks.is_feasible(problem, found.x)


@pytest.mark.parametrize("seed", range(examples(120)))
def test_statuses_of_linear_programs_agree_with_scipy(seed: int):
    problem = anything(seed)
    found, other = solve_lp(problem), by_scipy(problem)
    assert found.status == HERE[other.status]
    if found.status == Status.OPTIMAL:
        assert close(found.objective, other.objective)
    else:
        assert found.x is None
        assert "HiGHS" not in found.message  # proved, or seen without a solver
        assert found.bound == (math.inf if found.status == Status.INFEASIBLE else -math.inf)


def test_the_random_problems_cover_every_status():
    seen = {by_scipy(anything(seed)).status for seed in range(120)}
    assert seen == set(HERE)


def test_integrality_is_dropped_by_solve_lp():
    problem = solvable(4, integers=1.0)
    assert close(solve_lp(problem).objective, by_scip(problem, relaxed=True).objective)


def test_a_small_cost_is_not_lost_in_the_tolerances():
    """Costs of 1e-9, as of milliseconds in $: HiGHS alone would call any vertex optimal."""
    given = solvable(7)
    problem = Problem(
        given.matrix,
        given.row_lower,
        given.row_upper,
        given.col_lower,
        given.col_upper,
        given.cost / np.abs(given.cost).max() * 1e-9,
    )
    larger = Problem(
        given.matrix,
        given.row_lower,
        given.row_upper,
        given.col_lower,
        given.col_upper,
        given.cost / np.abs(given.cost).max(),
    )
    found = solve_lp(problem)
    assert found.status == Status.OPTIMAL
    assert found.objective * 1e9 == pytest.approx(by_scip(larger).objective, rel=1e-6)


def test_limits_of_a_linear_program():
    problem = hard_knapsack().relaxed()
    early = solve_lp(problem, "simplex", Limits(seconds=0.0))
    assert early.status in (Status.FEASIBLE, Status.BOUND_ONLY)
    least = by_scipy(problem).objective
    assert early.bound <= least + 1e-9
    few = solve_lp(problem, "simplex", Limits(work=0))
    assert few.status in (Status.FEASIBLE, Status.BOUND_ONLY)
    assert few.bound <= least + 1e-9 <= few.objective + 2e-9


def test_the_same_work_limit_gives_the_same_answer():
    problem = solvable(11, rows=30, columns=40)
    runs = [solve_lp(problem, "simplex", Limits(work=5)) for _ in range(2)]
    assert runs[0].status == runs[1].status
    assert (runs[0].objective, runs[0].bound) == (runs[1].objective, runs[1].bound)


def test_unknown_methods_and_pdlp_for_integers_are_refused():
    with pytest.raises(InvalidInput, match="must be one of"):
        solve_lp(solvable(0), "gurobi")
    with pytest.raises(InvalidInput, match="basis"):
        solve_milp(solvable(0, integers=1.0), relaxation="pdlp")


def test_a_basis_of_another_size_is_refused():
    basis = solve_lp(solvable(1, rows=3, columns=4)).basis
    with pytest.raises(InvalidInput, match="warm"):
        solve_lp(solvable(1), warm=basis)
    with pytest.raises(InvalidInput, match="warm"):
        solve_lp(solvable(1), warm="no basis")


def test_a_warm_start_needs_no_iterations():
    problem = solvable(2, rows=20, columns=30)
    first = solve_lp(problem, "simplex")
    again = solve_lp(problem, warm=first.basis)
    assert first.iterations > 0
    assert again.iterations == 0
    assert close(again.objective, first.objective)


@pytest.mark.parametrize("method", [name for name in LOCAL if name != "auto"])
def test_presolve_changes_no_optimum_and_lasts_for_one_call(method: str):
    problem = solvable(3)
    solver = LinearSolver(problem)
    for presolve, option in ((False, "off"), (True, "choose")):
        found = solver.solve(method, presolve=presolve)
        assert solver._open.getOptionValue("presolve")[1] == option
        assert close(found.objective, by_scipy(problem).objective)


# --- a linear program that changes --------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_changes_are_the_same_as_a_new_problem(seed: int):
    rng = np.random.default_rng(seed)
    solver = LinearSolver(solvable(seed))
    solver.solve()
    rows, columns = solver.problem.rows, solver.problem.columns
    chosen = rng.choice(columns, 3, replace=False)
    solver.change_costs(chosen, rng.normal(size=3))
    assert close(solver.solve().objective, by_scipy(solver.problem).objective)
    low = solver.problem.col_lower[chosen]
    solver.change_col_bounds(chosen, low - 1, solver.problem.col_upper[chosen] + 1)
    assert close(solver.solve().objective, by_scipy(solver.problem).objective)
    every = np.arange(rows)
    low, high = solver.problem.row_lower - 0.5, solver.problem.row_upper + 0.25
    solver.change_row_bounds(every, low, high)
    assert close(solver.solve().objective, by_scipy(solver.problem).objective)
    best = solver.solve()
    cut = sparse.csr_array(solver.problem.cost[None, :])
    worse = best.objective - solver.problem.offset + 0.1
    solver.add_rows(cut, np.array([worse]), np.array([math.inf]))
    found = solver.solve()
    assert solver.problem.rows == rows + 1
    other = by_scipy(solver.problem)
    assert found.status == HERE[other.status]
    if found.status == Status.OPTIMAL:
        assert close(found.objective, other.objective)
        assert found.objective >= best.objective + 0.1 - 1e-6


@pytest.mark.parametrize("seed", range(10))
def test_added_columns_are_those_of_a_program_that_had_them(seed: int):
    whole = solvable(seed, columns=8)
    whole = dataclasses.replace(whole, col_lower=np.minimum(whole.col_lower, 0.0))
    whole.col_lower[5:] = 0.0
    whole.col_upper[5:] = np.abs(whole.col_upper[5:])
    first = dataclasses.replace(
        whole,
        matrix=whole.matrix[:, :5],
        col_lower=whole.col_lower[:5],
        col_upper=whole.col_upper[:5],
        cost=whole.cost[:5],
        integrality=None,
    )
    solver = LinearSolver(first)
    solver.solve()
    solver.add_columns(whole.matrix[:, 5:], whole.cost[5:], whole.col_upper[5:])
    found, other = solver.solve(), by_scipy(whole)
    assert found.status == HERE[other.status]
    if found.status == Status.OPTIMAL:
        assert close(found.objective, other.objective)


def test_changes_outside_the_problem_are_refused():
    solver = LinearSolver(solvable(0))
    with pytest.raises(InvalidInput, match="between 0 and"):
        solver.change_costs(np.array([solver.problem.columns]), np.array([1.0]))
    with pytest.raises(InvalidInput, match="NaN"):
        solver.change_costs(np.array([0]), np.array([math.nan]))
    with pytest.raises(InvalidInput, match="NaN"):
        solver.change_row_bounds(np.array([0]), np.array([math.nan]), np.array([1.0]))


def test_rows_get_names_if_the_others_have_some():
    given = solvable(0, rows=1, columns=2)
    sides = (given.row_lower, given.row_upper, given.col_lower, given.col_upper, given.cost)
    solver = LinearSolver(Problem(given.matrix, *sides, row_names=["first"]))
    solver.add_rows(sparse.csr_array(np.ones((1, 2))), np.array([-math.inf]), np.array([99.0]))
    assert solver.problem.row_names == ["first", "row_1"]


# --- integer programs ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(examples(25)))
def test_integer_programs_agree_with_scip(seed: int):
    problem = solvable(seed, integers=0.7)
    found, other = solve_milp(problem), by_scip(problem)
    assert found.status == Status.OPTIMAL, found.message
    assert close(found.objective, other.objective)
    assert found.bound <= found.objective
    assert found.fraction <= checks.FEASIBILITY
    assert checks.is_feasible(problem, found.x)


@pytest.mark.parametrize("seed", range(examples(60)))
def test_statuses_of_integer_programs_agree_with_scip(seed: int):
    problem = anything(seed, integers=0.6)
    found, other = solve_milp(problem), by_scip(problem, seconds=5.0)
    if other.status not in HERE:  # SCIP: "inforunbd"
        assert found.status in (Status.INFEASIBLE, Status.UNBOUNDED)
        return
    assert found.status == HERE[other.status], found.message
    if found.status == Status.OPTIMAL:
        assert close(found.objective, other.objective)


def test_integers_between_which_there_is_none():
    """2x − 2y = 1 has solutions, none of them integers."""
    matrix = sparse.csr_array([[2.0, -2.0]])
    both = np.ones(2, bool)
    problem = Problem(matrix, [1.0], [1.0], [0, 0], [9, 9], [1.0, 1.0], integrality=both)
    assert solve_lp(problem).status == Status.OPTIMAL
    assert solve_milp(problem).status == Status.INFEASIBLE


def test_a_node_limit_keeps_incumbent_and_bound():
    problem = hard_knapsack()
    runs = [solve_milp(problem, Limits(work=30, gap=0.0)) for _ in range(2)]
    for found in runs:
        assert found.status == Status.FEASIBLE
        assert found.x is not None
        assert found.bound < found.objective
        assert "Limit" in found.message
    assert (runs[0].objective, runs[0].bound) == (runs[1].objective, runs[1].bound)


def test_a_time_limit_keeps_incumbent_and_bound():
    found = solve_milp(hard_knapsack(), Limits(seconds=1.0, gap=0.0))
    assert found.status == Status.FEASIBLE
    assert found.bound <= found.objective == checks.objective(hard_knapsack(), found.x)
    assert found.gap > 0


def test_no_time_at_all_knows_nothing():
    found = solve_milp(hard_knapsack(), Limits(seconds=0.0))
    assert found.status in (Status.BOUND_ONLY, Status.FEASIBLE)
    assert found.bound <= found.objective


def test_a_wide_gap_counts_as_solved():
    found = solve_milp(hard_knapsack(), Limits(gap=0.2))
    assert found.status == Status.OPTIMAL
    assert found.gap <= 0.2


# --- starts and progress ------------------------------------------------------------------------


def test_a_start_is_taken_and_kept():
    problem = hard_knapsack()
    good = solve_milp(problem, Limits(work=30, gap=0.0))
    kept = solve_milp(problem, Limits(work=0, gap=0.0), start=good.x)
    assert kept.objective <= good.objective
    none = solve_milp(problem, Limits(seconds=0.0), start=good.x)
    assert none.objective <= good.objective


def test_a_start_is_rounded_and_moved_to_its_bounds():
    problem = hard_knapsack()
    start = np.full(problem.columns, -1e-7)
    start[0] = 1 + 1e-7
    found = solve_milp(problem, Limits(seconds=0.0), start=start)
    assert found.objective <= problem.cost[0]


def test_a_start_that_breaks_rows_is_no_answer():
    problem = hard_knapsack()
    start = np.ones(problem.columns)
    found = solve_milp(problem, Limits(work=5), start=start)
    assert found.x is None or checks.is_feasible(problem, found.x)
    assert found.objective > checks.objective(problem, start)


def test_half_a_start_is_completed():
    problem = solvable(3, integers=1.0)
    best = solve_milp(problem)
    start = best.x.copy()
    start[::2] = math.nan
    assert close(solve_milp(problem, start=start).objective, best.objective)


@pytest.mark.parametrize("start", [np.zeros(3), np.full(40, math.inf), np.zeros((40, 1))])
def test_a_start_of_another_kind_is_refused(start: np.ndarray):
    with pytest.raises(InvalidInput, match="start"):
        solve_milp(hard_knapsack(), start=start)


def test_incumbents_never_rise_and_bounds_never_fall():
    problem, told = hard_knapsack(), []
    found = solve_milp(problem, Limits(work=200, gap=0.0), on_progress=told.append)
    assert told
    for stream in (told, found.trace):
        seconds = [sample.seconds for sample in stream]
        incumbents = [sample.incumbent for sample in stream]
        bounds = [sample.bound for sample in stream]
        nodes = [sample.nodes for sample in stream]
        assert seconds == sorted(seconds)
        assert incumbents == sorted(incumbents, reverse=True)
        assert bounds == sorted(bounds)
        assert nodes == sorted(nodes)
    last = found.trace[-1]
    assert (last.incumbent, last.bound) == (found.objective, found.bound)


@pytest.mark.parametrize("way", [-math.inf, math.inf])
def test_incumbents_never_rise_where_numpy_adds_up_another_cost(way: float, monkeypatch):
    """By the last bit, as on another processor: HiGHS's own sums lie above or below ours."""
    exact = checks.objective
    monkeypatch.setattr(checks, "objective", lambda *point: math.nextafter(exact(*point), way))
    found = solve_milp(hard_knapsack(), Limits(work=30, gap=0.0))
    incumbents = [sample.incumbent for sample in found.trace]
    bounds = [sample.bound for sample in found.trace]
    assert incumbents == sorted(incumbents, reverse=True)
    assert bounds == sorted(bounds)
    assert (incumbents[-1], bounds[-1]) == (found.objective, found.bound)


def test_progress_speaks_of_the_costs_as_given():
    """The objective is scaled inside HiGHS; the stream must not show that."""
    given = hard_knapsack()
    cheap = Problem(
        given.matrix,
        given.row_lower,
        given.row_upper,
        given.col_lower,
        given.col_upper,
        given.cost * 1e-6,
        offset=1.0,
        integrality=given.integrality,
    )
    told = []
    found = solve_milp(cheap, Limits(work=30, gap=0.0), on_progress=told.append)
    finite = [sample for sample in told if math.isfinite(sample.incumbent)]
    assert finite
    for sample in finite:
        assert sample.bound <= found.objective + 1e-9
        assert found.objective - 1e-9 <= sample.incumbent <= 1.0


def test_an_error_in_on_progress_ends_the_run():
    def complain(_: object) -> None:
        raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        solve_milp(hard_knapsack(), Limits(seconds=20.0, gap=0.0), on_progress=complain)


# --- methods ------------------------------------------------------------------------------------


def test_hipo_is_used_where_it_is_installed_and_refused_where_not(monkeypatch):
    assert set(available_methods()) <= set(METHODS)
    monkeypatch.setattr(highs, "available_methods", lambda: ("auto", "simplex", "ipm", "pdlp"))
    with pytest.raises(InvalidInput, match="highspy-extras"):
        solve_lp(solvable(0), "hipo")


def test_hipo_is_not_believed_to_be_there(monkeypatch):
    """Without its library HiGHS takes another solver: no iterations of an interior point."""
    assert highs._has_hipo() == ("hipo" in available_methods())
    monkeypatch.setattr(highs, "set_option", _without_hipo(highs.set_option))
    assert not highs._has_hipo()


def _without_hipo(set_option):
    def changed(solver, name, value):
        set_option(solver, name, "simplex" if value == "hipo" else value)

    return changed


def test_hipo_refused_by_highs_is_not_there(monkeypatch):
    def refuse(solver, name, value):
        raise SolverFailed("no")

    monkeypatch.setattr(highs, "set_option", refuse)
    assert not highs._has_hipo()

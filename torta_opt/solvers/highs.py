"""The one door to HiGHS: linear programs (``solve_lp``, ``LinearSolver``),
integer programs (``solve_milp``).

No status is taken on trust: see ``judging.py``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import highspy
import numpy as np
import scipy.sparse as sparse

from torta_opt.io.errors import InvalidInput
from torta_opt.solvers import checks, rays
from torta_opt.solvers.judging import (
    NO_OPTIMUM,
    STOPPED,
    Claim,
    judged,
    judged_integer,
    without_solver,
)
from torta_opt.solvers.loading import check, cost_scale, load, set_option
from torta_opt.solvers.pdlp import run_pdlp
from torta_opt.solvers.problem import Limits, Problem, Progress, Result, SolverFailed, Status
from torta_opt.solvers.running import Run

METHODS = ("auto", "simplex", "ipm", "hipo", "pdlp", "hipdlp")
_FIRST_ORDER = ("pdlp", "hipdlp")
# HiGHS's "ipm" is HiPO where HiPO is installed: IPX has to be asked for by its own name.
_NAMES = {"simplex": "simplex", "ipm": "ipx", "hipo": "hipo"}
_WORK = {"simplex": "simplex_iteration_limit", "ipm": "ipm_iteration_limit"}
_WORK["hipo"] = _WORK["ipm"]
_FAR = ("feasibility_jump", "root_reduced_cost")
_HEURISTICS = {"all": (*_FAR, "rens", "rins"), "near": ("rens", "rins"), "none": ()}
_UNBOUNDED = "proved by a feasible point and a primal ray"
# Tolerances of the interior point method, and of rows and bounds.
DEFAULT_TOLERANCE, HIPO_TOLERANCE = (1e-8, 1e-7), (1e-9, 1e-9)
SMALL = 20_000  # entries up to which "auto" takes the simplex method, see solve_lp


# --- linear programs ----------------------------------------------------------------------------


def solve_lp(
    problem: Problem,
    method: str = "auto",
    limits: Limits | None = None,
    *,
    warm: Any = None,
    crossover: bool = True,
    presolve: bool = True,
) -> Result:
    """Solve a linear program, or the linear relaxation of an integer one.

    method     simplex | ipm (IPX) | hipo | pdlp (cuPDLP-C) | hipdlp; auto takes simplex for small
               programs and warm starts, and ipm otherwise: on allocation programs it is ten times
               faster from 12 slots on, and two to three times faster than hipo
    warm       ``basis`` of an earlier result; for simplex
    crossover  after ipm and hipo, move to a basic solution; bounds do not need one
    presolve   let HiGHS reduce the program first, if it finds that worth it
    """
    solver = LinearSolver(problem, warm=warm)
    return solver.solve(method, limits, crossover=crossover, presolve=presolve)


class LinearSolver:
    """A linear program that stays inside HiGHS while its numbers change.

    After a change the simplex method goes on from the last basis.
    """

    def __init__(self, problem: Problem, *, warm: Any = None, scaled: bool = True) -> None:
        """
        scaled   HiGHS may scale rows and columns; programs whose numbers are of like size already
                 take fewer iterations without
        """
        self.problem = problem if not problem.is_integer.any() else problem.relaxed()
        self._scale = cost_scale(self.problem)
        self._highs: highspy.Highs | None = load(self.problem, self._scale)
        if not scaled:
            set_option(self._highs, "simplex_scale_strategy", 0)
        if warm is not None:
            self._set_basis(warm)

    def change_row_bounds(self, rows: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> None:
        rows = _numbers(rows, self.problem.rows)
        self.problem = self.problem.with_numbers(
            row_lower=_with(self.problem.row_lower, rows, lower),
            row_upper=_with(self.problem.row_upper, rows, upper),
        )
        low, high = self.problem.row_lower[rows], self.problem.row_upper[rows]
        highs: Any = self._open  # highspy's stubs leave this call out
        check(highs.changeRowsBounds(len(rows), rows, low, high), "changeRowsBounds")

    def change_col_bounds(self, columns: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> None:
        columns = _numbers(columns, self.problem.columns)
        self.problem = self.problem.with_numbers(
            col_lower=_with(self.problem.col_lower, columns, lower),
            col_upper=_with(self.problem.col_upper, columns, upper),
        )
        low, high = self.problem.col_lower[columns], self.problem.col_upper[columns]
        check(self._open.changeColsBounds(len(columns), columns, low, high), "changeColsBounds")

    def change_costs(self, columns: np.ndarray, cost: np.ndarray) -> None:
        columns = _numbers(columns, self.problem.columns)
        self.problem = self.problem.with_numbers(cost=_with(self.problem.cost, columns, cost))
        scaled = self.problem.cost[columns] * self._scale
        check(self._open.changeColsCost(len(columns), columns, scaled), "changeColsCost")

    def change_numbers(self, problem: Problem) -> None:
        """Make it ``problem``, which has the same matrix: other sides, bounds and costs."""
        highs: Any = self._open  # highspy's stubs leave calls out
        old = self.problem
        if problem.matrix is not old.matrix:
            raise InvalidInput("must be the matrix of the program in the solver", "matrix")
        changed = np.flatnonzero(problem.cost != old.cost).astype(np.int32)
        cost = problem.cost[changed] * self._scale
        check(highs.changeColsCost(len(changed), changed, cost), "changeColsCost")
        for axis, change in (("row", "changeRowsBounds"), ("col", "changeColsBounds")):
            lower, upper = getattr(problem, f"{axis}_lower"), getattr(problem, f"{axis}_upper")
            moved = lower != getattr(old, f"{axis}_lower")
            moved |= upper != getattr(old, f"{axis}_upper")
            changed = np.flatnonzero(moved).astype(np.int32)
            taken = getattr(highs, change)(len(changed), changed, lower[changed], upper[changed])
            check(taken, change)
        self.problem = problem

    def set_basis(self, basis: Any) -> None:
        """Go on from ``basis``, of an earlier result of a program of this size."""
        self._set_basis(basis)

    def add_rows(
        self,
        matrix: sparse.sparray,
        lower: np.ndarray,
        upper: np.ndarray,
        names: Sequence[str] | None = None,
    ) -> None:
        """Further rows, below the present ones; matrix is (rows, n)."""
        old = self.problem
        added = sparse.csr_array(matrix)
        kept = None if old.row_names is None else list(old.row_names)
        if kept is not None:
            kept += names or [f"row_{old.rows + k}" for k in range(added.shape[0])]
        self.problem = replace(
            old,
            matrix=sparse.vstack([old.matrix, added], format=old.matrix.format),
            row_lower=np.append(old.row_lower, lower),
            row_upper=np.append(old.row_upper, upper),
            row_names=kept,
        )
        low, high = self.problem.row_lower[old.rows :], self.problem.row_upper[old.rows :]
        entries = (added.nnz, added.indptr[:-1], added.indices, added.data)
        check(self._open.addRows(len(low), low, high, *entries), "addRows")

    def add_columns(self, matrix: sparse.sparray, cost: np.ndarray, upper: np.ndarray) -> None:
        """Further columns, after the present ones, from 0 to ``upper``; matrix is (m, columns)."""
        old, added = self.problem, sparse.csc_array(matrix)
        if old.col_names is not None:
            raise InvalidInput("columns of a program with names cannot be added", "col_names")
        self.problem = replace(
            old,
            matrix=sparse.hstack([old.matrix, added], format=old.matrix.format),
            col_lower=np.append(old.col_lower, np.zeros(len(cost))),
            col_upper=np.append(old.col_upper, upper),
            cost=np.append(old.cost, cost),
            integrality=None,
        )
        low, high = self.problem.col_lower[old.columns :], self.problem.col_upper[old.columns :]
        entries = (added.nnz, added.indptr[:-1], added.indices, added.data)
        scaled = self.problem.cost[old.columns :] * self._scale
        highs: Any = self._open
        check(highs.addCols(len(low), scaled, low, high, *entries), "addCols")

    def solve(
        self,
        method: str = "auto",
        limits: Limits | None = None,
        *,
        crossover: bool = True,
        presolve: bool = True,
    ) -> Result:
        """Solve what stands now; see ``solve_lp``."""
        limits = limits or Limits()
        began = time.perf_counter()
        warm = self._open.getBasis().valid
        method = _chosen(method, self.problem, warm)
        found = without_solver(self.problem)
        if found is None and method in _FIRST_ORDER:
            found = self._solve_by_pdlp(method, limits)
        elif found is None:
            set_option(self._open, "presolve", "choose" if presolve else "off")
            found = self._solve_here(method, limits, crossover)
        return replace(found, method=method, seconds=time.perf_counter() - began)

    @property
    def _open(self) -> highspy.Highs:
        if self._highs is None:
            raise SolverFailed(
                "this solver was interrupted while HiGHS did not listen; make a new one"
            )
        return self._highs

    def _set_basis(self, basis: Any) -> None:
        try:
            check(self._open.setBasis(basis), "setBasis")
        except (SolverFailed, TypeError):
            raise InvalidInput("is no basis of a program of this size", "warm") from None

    def _solve_by_pdlp(self, method: str, limits: Limits) -> Result:
        answer = run_pdlp(self.problem, self._scale, limits, method)
        if answer is None:
            return judged(self.problem, Claim("kInterrupt"))
        claim = Claim(
            str(answer["status"]),
            answer["x"],
            answer["row_dual"] / self._scale,
            iterations=int(answer["iterations"]),
        )
        return self._settled(claim, limits, time.perf_counter() + limits.seconds)

    def _solve_here(self, method: str, limits: Limits, crossover: bool) -> Result:
        highs, deadline = self._open, time.perf_counter() + limits.seconds
        set_option(highs, "solver", _NAMES[method])
        set_option(highs, "run_crossover", "on" if crossover else "off")
        # At its own tolerances HiPO stops at points that are not quite feasible.
        exact = HIPO_TOLERANCE if method == "hipo" else DEFAULT_TOLERANCE
        set_option(highs, "ipm_optimality_tolerance", exact[0])
        set_option(highs, "primal_feasibility_tolerance", exact[1])
        for name in set(_WORK.values()):
            set_option(highs, name, highspy.kHighsIInf)
        if limits.work is not None:
            set_option(highs, _WORK[method], limits.work)
        return self._settled(self._run(limits, deadline), limits, deadline)

    def _run(self, limits: Limits, deadline: float) -> Claim:
        highs, run = self._open, Run()
        set_option(highs, "threads", limits.threads)
        set_option(highs, "random_seed", limits.seed)
        left = max(0.0, deadline - time.perf_counter())
        set_option(highs, "time_limit", highs.getRunTime() + left)  # its clock never starts anew
        status = run.watch(highs)
        if not run.ended:
            self._highs = None
            return Claim("kInterrupt")
        solution, info, basis = highs.getSolution(), highs.getInfo(), highs.getBasis()
        return Claim(
            status,
            np.array(solution.col_value) if solution.value_valid else None,
            np.array(solution.row_dual) / self._scale if solution.dual_valid else None,
            basis if basis.valid else None,
            max(0, info.simplex_iteration_count)
            + max(0, info.ipm_iteration_count)
            + max(0, info.crossover_iteration_count),
        )

    def _settled(self, claim: Claim, limits: Limits, deadline: float) -> Result:
        """The result; where HiGHS says that there is no optimum, with a ray that proves it."""
        if claim.status not in NO_OPTIMUM:
            return judged(self.problem, claim)
        found = self._by_ray(claim)
        if found is None:  # only the simplex method without presolve makes rays
            highs = self._open
            set_option(highs, "presolve", "off")
            set_option(highs, "solver", "simplex")
            check(highs.clearSolver(), "clearSolver")
            again = self._run(limits, deadline)
            if again.status not in NO_OPTIMUM and again.status not in STOPPED:
                return judged(self.problem, again)
            found = self._by_ray(again) if again.status in NO_OPTIMUM else None
        return found or self._by_programs(claim.status, limits, deadline)

    def _by_ray(self, claim: Claim) -> Result | None:
        """Infeasible or unbounded, if HiGHS has a ray that proves it."""
        highs: Any = self._open  # highspy's stubs leave the rays out
        if highs.getDualRayExist()[1]:  # else getDualRay solves again, deaf to limits and Ctrl-C
            ray = highs.getDualRay()[2]
            if any(checks.proves_infeasible(self.problem, side) for side in (ray, -ray)):
                return Result(Status.INFEASIBLE, bound=math.inf, message="proved by a dual ray")
        if not highs.getPrimalRayExist()[1]:
            return None
        ray = highs.getPrimalRay()[2]
        if claim.x is None or not checks.is_feasible(self.problem, claim.x):
            return None
        if not checks.proves_unbounded(self.problem, ray):
            return None
        return Result(Status.UNBOUNDED, message=_UNBOUNDED)

    def _by_programs(self, claimed: str, limits: Limits, deadline: float) -> Result:
        """Infeasible or unbounded, proved by the programs of ``rays.py``; else HiGHS's word."""

        def solved(problem: Problem) -> Result:
            """What its vectors prove: a claim about these programs starts no further programs."""
            solver = LinearSolver(problem)
            set_option(solver._open, "solver", "simplex")
            return without_solver(problem) or judged(problem, solver._run(limits, deadline))

        nearest = solved(rays.least_violation(self.problem))
        ray = nearest.row_dual
        if ray is not None and checks.proves_infeasible(self.problem, ray):
            return Result(Status.INFEASIBLE, bound=math.inf, message="proved by a dual ray")
        x = None if nearest.x is None else nearest.x[: self.problem.columns]
        if x is not None and checks.is_feasible(self.problem, x):
            direction = solved(rays.cheapest_direction(self.problem)).x
            if direction is not None and checks.proves_unbounded(self.problem, direction):
                return Result(Status.UNBOUNDED, message=_UNBOUNDED)
        elif claimed == "kInfeasible":
            message = "so says HiGHS; not confirmed by a ray"
            return Result(Status.INFEASIBLE, bound=math.inf, message=message)
        message = f"HiGHS says {claimed}, which could not be confirmed"
        return Result(Status.ERROR, message=message)


# --- integer programs ---------------------------------------------------------------------------


def solve_milp(
    problem: Problem,
    limits: Limits | None = None,
    *,
    start: np.ndarray | None = None,
    on_progress: Callable[[Progress], Any] | None = None,
    relaxation: str = "auto",
    cost_size: float = 1.0,
    heuristics: str = "all",
) -> Result:
    """Solve a mixed-integer program by branch and bound.

    start        (n,) point to start from; NaN where HiGHS shall complete it
    on_progress  called with samples of the run, a few a second
    relaxation   method of the first relaxation: simplex | ipm | hipo; auto as in ``solve_lp``.
                 Left to itself HiGHS takes the simplex method, and sees nothing for minutes where
                 ipm is through in seconds
    cost_size    what a typical cost is inside HiGHS, whose tolerances of costs are absolute: small
                 programs can do with more than 1
    heuristics   which of the search for points beside branching: ``"all"``; ``"near"`` the
                 relaxation (those far from it take half of the time of a small program, and gain
                 nothing where bounds of its integers are narrow); ``"none"``: in programs of some
                 tens of columns it takes most of the time, and branching finds as good ones
    """
    limits = limits or Limits()
    found = without_solver(problem)
    if found is not None:
        return found
    if not problem.is_integer.any():  # HiGHS would solve it too, and report a bound of 0
        return solve_lp(problem, relaxation, limits)
    start = _checked_start(problem, start)
    run = Run(scale=cost_scale(problem, cost_size))
    highs = load(problem, run.scale)
    method = _chosen(relaxation, problem, warm=False)
    if method in _FIRST_ORDER:
        raise InvalidInput(f"{method} gives no basis to branch from", "relaxation")
    set_option(highs, "mip_lp_solver", _NAMES[method])
    for name in _HEURISTICS["all"]:
        set_option(highs, f"mip_heuristic_run_{name}", name in _HEURISTICS[heuristics])
    set_option(highs, "mip_rel_gap", limits.gap)
    set_option(highs, "time_limit", limits.seconds)
    set_option(highs, "threads", limits.threads)
    set_option(highs, "random_seed", limits.seed)
    if limits.work is not None:
        set_option(highs, "mip_max_nodes", limits.work)
    if start is not None:
        given = np.flatnonzero(~np.isnan(start)).astype(np.int32)
        check(highs.setSolution(len(given), given, start[given]), "setSolution")
    status = run.watch(highs, on_progress) or "kInterrupt"
    points = [start, run.incumbent]
    bound, nodes = run.trace[-1].bound if run.trace else -math.inf, 0
    if run.ended:
        solution, info = highs.getSolution(), highs.getInfo()
        points.append(np.array(solution.col_value) if solution.value_valid else None)
        bound = info.mip_dual_bound / run.scale if info.valid else bound
        nodes = max(0, int(info.mip_node_count))
    found = judged_integer(problem, status, points, bound, limits)
    if status in NO_OPTIMUM and status != "kInfeasible":
        found = _no_optimum(problem, limits)
    trace = _settled_trace(run.trace, Progress(run.seconds, found.objective, found.bound, nodes))
    return replace(found, seconds=run.seconds, nodes=nodes, method=method, trace=trace)


def _settled_trace(trace: list[Progress], last: Progress) -> tuple[Progress, ...]:
    """The trace up to ``last``: no incumbent below the one found, no bound above the one found.

    HiGHS and NumPy add up the same costs in another order, NumPy in one for each processor, so the
    numbers of the run may lie beyond those of the result by the last bits.
    """
    settled = (
        replace(
            sample,
            incumbent=max(sample.incumbent, last.incumbent),
            bound=min(sample.bound, last.bound),
        )
        for sample in trace
    )
    return (*settled, last)


def _checked_start(problem: Problem, start: np.ndarray | None) -> np.ndarray | None:
    """The start, its integers rounded and its numbers moved to the nearest bound."""
    if start is None:
        return None
    start = np.array(start, np.float64)
    if start.shape != (problem.columns,) or np.isinf(start).any():
        raise InvalidInput(f"must hold {problem.columns} finite numbers or NaN", "start")
    start[problem.integrality] = np.round(start[problem.integrality])
    return np.clip(start, problem.col_lower, problem.col_upper)


def _no_optimum(problem: Problem, limits: Limits) -> Result:
    """Unbounded or infeasible: feasible without costs, and unbounded without integrality?"""
    if not problem.cost.any():
        return Result(Status.ERROR, message="HiGHS says unbounded, but there are no costs")
    without_costs = replace(problem, cost=np.zeros(problem.columns), offset=0.0)
    feasible = solve_milp(without_costs, limits)
    if feasible.x is None:
        bound = math.inf if feasible.status == Status.INFEASIBLE else -math.inf
        return Result(feasible.status, bound=bound, message=feasible.message)
    relaxed = solve_lp(problem, limits=limits)
    if relaxed.status == Status.UNBOUNDED:
        return Result(Status.UNBOUNDED, message=relaxed.message)
    return Result(Status.ERROR, message="HiGHS says unbounded, the relaxation is not")


# --- methods ------------------------------------------------------------------------------------


@cache
def available_methods() -> tuple[str, ...]:
    """Methods that work here; hipo needs the package highspy-extras, and is tried out."""
    return tuple(name for name in METHODS if name != "hipo" or _has_hipo())


def _has_hipo() -> bool:
    """Without its library HiGHS quietly takes another solver: only HiPO counts these iterations."""
    one = sparse.csc_array(np.ones((1, 2)))
    problem = Problem(
        one, np.ones(1), np.ones(1), np.zeros(2), np.full(2, np.inf), np.array([1.0, 2.0])
    )
    highs = load(problem, 1.0)
    try:
        set_option(highs, "solver", "hipo")
    except SolverFailed:
        return False
    set_option(highs, "presolve", "off")
    set_option(highs, "run_crossover", "off")
    Run().watch(highs)
    return highs.getInfo().ipm_iteration_count > 0


def _chosen(method: str, problem: Problem, warm: bool) -> str:
    if method not in METHODS:
        raise InvalidInput(f"must be one of {', '.join(METHODS)}, found {method!r}", "method")
    if method == "auto":
        return "simplex" if warm or problem.matrix.nnz <= SMALL else "ipm"
    if method not in available_methods():
        raise InvalidInput(f"{method} is not installed; add the package highspy-extras", "method")
    return method


def _numbers(numbers: np.ndarray, size: int) -> np.ndarray:
    numbers = np.asarray(numbers)
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= size):
        raise InvalidInput(f"must lie between 0 and {size - 1}", "numbers of rows or columns")
    return numbers.astype(np.int32)


def _with(vector: np.ndarray, where: np.ndarray, values: np.ndarray) -> np.ndarray:
    changed = vector.copy()
    changed[where] = values
    return changed

"""The only place that talks to solvers: matrix in, result out."""

from torta_opt.solvers.files import write_problem
from torta_opt.solvers.highs import (
    METHODS,
    LinearSolver,
    available_methods,
    solve_lp,
    solve_milp,
)
from torta_opt.solvers.problem import Limits, Problem, Progress, Result, SolverFailed, Status

__all__ = [
    "METHODS",
    "Limits",
    "LinearSolver",
    "Problem",
    "Progress",
    "Result",
    "SolverFailed",
    "Status",
    "available_methods",
    "solve_lp",
    "solve_milp",
    "write_problem",
]

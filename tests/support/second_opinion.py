"""Other solvers on a ``Problem``: SCIP, which shares no code with HiGHS, and SciPy's own HiGHS."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from pyscipopt import Model, quicksum
from scipy.optimize import Bounds, LinearConstraint, milp

from torta_opt.solvers.problem import Problem


@dataclass(frozen=True, eq=False)
class Opinion:
    """status: optimal | infeasible | unbounded | another word of the solver."""

    status: str
    objective: float = math.nan
    x: np.ndarray | None = None


def by_scip(problem: Problem, *, relaxed: bool = False, seconds: float = 60.0) -> Opinion:
    """Solve with SCIP, to a gap of 0."""
    model = _quiet(seconds)
    kinds = ["I" if integer and not relaxed else "C" for integer in problem.integrality]
    columns = [
        model.addVar(vtype=kind, lb=_side(low), ub=_side(high), obj=float(cost))
        for kind, low, high, cost in zip(
            kinds, problem.col_lower, problem.col_upper, problem.cost, strict=True
        )
    ]
    rows = sparse.csr_array(problem.matrix)
    for i in range(problem.rows):
        entries = slice(rows.indptr[i], rows.indptr[i + 1])
        pairs = zip(rows.indices[entries], rows.data[entries], strict=True)
        activity = quicksum(float(value) * columns[j] for j, value in pairs)
        if rows.indptr[i] == rows.indptr[i + 1]:  # SCIP refuses rows without entries
            if not problem.row_lower[i] <= 0 <= problem.row_upper[i]:
                return Opinion("infeasible")
            continue
        if problem.row_lower[i] > -math.inf:
            model.addCons(activity >= float(problem.row_lower[i]))
        if problem.row_upper[i] < math.inf:
            model.addCons(activity <= float(problem.row_upper[i]))
    model.addObjoffset(problem.offset)
    model.optimize()
    status = model.getStatus()
    if status != "optimal":
        return Opinion(status)
    x = np.array([model.getVal(column) for column in columns])
    return Opinion(status, model.getObjVal(), x)


def by_scip_from_file(path: Path, *, seconds: float = 60.0) -> Opinion:
    """Let SCIP read and solve an .mps or .lp file."""
    model = _quiet(seconds)
    model.readProblem(str(path))
    model.optimize()
    status = model.getStatus()
    return Opinion(status, model.getObjVal() if status == "optimal" else math.nan)


def by_scipy(problem: Problem, *, relaxed: bool = False) -> Opinion:
    """Solve with the HiGHS that SciPy brings, to a gap of 0."""
    result = milp(
        problem.cost,
        constraints=LinearConstraint(problem.matrix, problem.row_lower, problem.row_upper)
        if problem.rows
        else (),
        bounds=Bounds(problem.col_lower, problem.col_upper),
        integrality=None if relaxed else problem.integrality.astype(int),
        options={"mip_rel_gap": 0.0},
    )
    words = {0: "optimal", 2: "infeasible", 3: "unbounded"}
    if result.status != 0:
        return Opinion(words.get(result.status, result.message))
    return Opinion("optimal", float(result.fun) + problem.offset, result.x)


def _quiet(seconds: float) -> Model:
    model = Model()
    model.hideOutput()
    model.setParam("limits/time", seconds)
    model.setParam("limits/gap", 0.0)
    return model


def _side(side: float) -> float | None:
    return float(side) if math.isfinite(side) else None

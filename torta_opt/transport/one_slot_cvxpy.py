"""Transport with marginals kept, bounded or paid for: the text that other solvers are held to.

Data        a[i] ≥ 0 supply · b[j] ≥ 0 demand · C[i,j] cost, inf or NaN where forbidden · ε ≥ 0
Variables   P[i,j] ≥ 0 mass sent from i to j, 0 where forbidden
            s[j] ≥ 0 unused demand (at_most)
minimise    Σ C[i,j] P[i,j]                                                       (cost)
            + ε Σ P[i,j] (log P[i,j] − 1)  (+ ε Σ s[j] (log s[j] − 1), at_most)   (entropy)
            + ρ_a Σ_i KL(Σ_j P[i,j] | a[i]) + ρ_b Σ_j KL(Σ_i P[i,j] | b[j])       (unbalanced)
subject to  Σ_j P[i,j] = a[i]                  unless ρ_a < ∞                     (rows)
            Σ_i P[i,j] = b[j]                  equal, unless ρ_b < ∞              (columns)
            Σ_i P[i,j] + s[j] = b[j]           at_most                            (columns)

with KL(x|y) = x log(x/y) − x + y. Convex; a linear program at ε = 0, else a program over the
exponential cone. ``torta_opt.transport.one_slot`` solves the same with POT. Proofs and tolerances:
docs/formulations/transport.md.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from torta_opt.transport.one_slot import checked

if TYPE_CHECKING:
    import cvxpy as cp

# For Clarabel. Of 275 random problems one stalls before 1e-9 with its own longest steps, 0.99 of
# the way to the boundary of the cone; none does with 0.97.
PRECISE = {
    "tol_gap_abs": 1e-9,
    "tol_gap_rel": 1e-9,
    "tol_feas": 1e-9,
    "max_step_fraction": 0.97,
}


def build_transport_program(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    columns: str = "equal",
    epsilon: float = 0.0,
    row_penalty: float = math.inf,
    column_penalty: float = math.inf,
) -> tuple[cp.Problem, cp.Variable]:
    """The program and its variable P (I, J). Its value may come back inf from CVXPY where an entry
    is 1e-12 below 0: price the plan with ``transport_objective``."""
    import cvxpy as cp

    cost, supply, demand = checked(cost, supply, demand)
    allowed = np.isfinite(cost)
    plan = cp.Variable(cost.shape, nonneg=True, name="P")
    slack = cp.Variable(cost.shape[1], nonneg=True, name="s") if columns == "at_most" else None
    objective = cp.sum(cp.multiply(np.where(allowed, cost, 0.0), plan))
    constraints = [] if allowed.all() else [cp.multiply(~allowed * 1.0, plan) == 0]
    if epsilon > 0:
        objective += epsilon * entropy(plan, allowed)
        if slack is not None:
            objective += epsilon * entropy(slack, np.ones(slack.shape, bool))
    held = {"rows": cp.sum(plan, axis=1), "columns": cp.sum(plan, axis=0)}
    if slack is not None:
        held["columns"] = held["columns"] + slack
    sides = (("rows", row_penalty, supply), ("columns", column_penalty, demand))
    for name, penalty, wanted in sides:
        if math.isinf(penalty):
            constraints.append(held[name] == wanted)
        else:
            objective += penalty * cp.sum(cp.kl_div(held[name], wanted))
    return cp.Problem(cp.Minimize(objective), constraints), plan


def value_of(plan: cp.Variable) -> np.ndarray:
    """What a solver that found an answer has left in a plan."""
    assert plan.value is not None
    return plan.value


def entropy(mass: cp.Variable, where: np.ndarray) -> cp.Expression:
    """(entropy) Σ x (log x − 1) over the entries ``where``."""
    import cvxpy as cp

    entries = cp.vec(mass, order="C")[np.flatnonzero(where.ravel())]
    return -cp.sum(cp.entr(entries)) - cp.sum(entries)


def solve_transport_program(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    columns: str = "equal",
    epsilon: float = 0.0,
    row_penalty: float = math.inf,
    column_penalty: float = math.inf,
) -> np.ndarray:
    """(I, J) the plan that Clarabel finds; what rounding leaves below 0 or forbidden is 0."""
    import cvxpy as cp

    problem, plan = build_transport_program(
        cost, supply, demand, columns, epsilon, row_penalty, column_penalty
    )
    problem.solve(solver=cp.CLARABEL, **PRECISE)
    allowed = np.isfinite(checked(cost, supply, demand)[0])
    return np.where(allowed, np.maximum(value_of(plan), 0.0), 0.0)


def transport_objective(
    plan: np.ndarray,
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    columns: str = "equal",
    epsilon: float = 0.0,
    row_penalty: float = math.inf,
    column_penalty: float = math.inf,
) -> float:
    """The objective of a plan, of whatever solver; inf if it uses a forbidden pair."""
    cost, supply, demand = checked(cost, supply, demand)
    value = float((np.where(plan > 0, cost, 0.0) * plan).sum()) + epsilon * _entropy(plan)
    if columns == "at_most":
        value += epsilon * _entropy(np.maximum(demand - plan.sum(axis=0), 0.0))
    for penalty, held, wanted in (
        (row_penalty, plan.sum(axis=1), supply),
        (column_penalty, plan.sum(axis=0), demand),
    ):
        if math.isfinite(penalty):
            value += penalty * _divergence(held, wanted)
    return value


def _entropy(x: np.ndarray) -> float:
    return float((x * (np.log(np.where(x > 0, x, 1.0)) - 1)).sum())


def _divergence(x: np.ndarray, y: np.ndarray) -> float:
    if ((x > 0) & (y == 0)).any():
        return math.inf
    ratio = np.where(x > 0, x, 1.0) / np.where((y > 0) & (x > 0), y, 1.0)
    return float((x * np.log(ratio) - x + y).sum())

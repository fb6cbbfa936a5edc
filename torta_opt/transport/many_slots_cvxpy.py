"""Entropic transport over many slots with switching terms: the text the scalable scheme is held to.

Data        a[t,i] ≥ 0 supply · b[t,j] ≥ 0 demand · C[t,i,j] cost, inf or NaN where forbidden
            ε ≥ 0 · λ ≥ 0
Variables   P[t,i,j] ≥ 0 mass sent from i to j in slot t, 0 where forbidden
            A[t,i,j] = P[t,i,j] / a[t,i] shares, an expression
minimise    Σ_t Σ_ij C[t,i,j] P[t,i,j]                                            (cost)
            + ε Σ_t Σ_ij P[t,i,j] (log P[t,i,j] − 1)                              (entropy)
            + one of                                                              (switching)
              frobenius   λ Σ_{t≥1} ‖A_t − A_{t−1}‖_F²
              l1          λ Σ_{t≥1} ½‖A_t − A_{t−1}‖₁
              kl          λ Σ_{t≥1} Σ_ij KL(P[t,i,j] | P[t−1,i,j])
subject to  Σ_j P[t,i,j] = a[t,i]                                                 (rows)
            Σ_i P[t,i,j] = b[t,j]                                                 (columns)

with KL(x|y) = x log(x/y) − x + y, convex in both. Rows i with a[t,i] = 0 or a[t−1,i] = 0 do not
count in frobenius and l1. ``torta_opt.transport.many_slots`` solves the same for hundreds of slots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torta_opt.transport.one_slot_cvxpy import PRECISE, entropy, value_of

if TYPE_CHECKING:
    import cvxpy as cp


def build_multi_slot_program(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    epsilon: float,
    weight: float,
    switching: str = "frobenius",
) -> tuple[cp.Problem, list[cp.Variable]]:
    """The program and P_t (I, J) of every slot."""
    import cvxpy as cp

    slots = len(supply)
    cost = np.broadcast_to(cost, (slots, supply.shape[1], demand.shape[1]))
    allowed = np.isfinite(cost)
    plans = [cp.Variable(cost.shape[1:], nonneg=True, name=f"P{t}") for t in range(slots)]
    objective, constraints = 0.0, []
    for t, plan in enumerate(plans):
        objective += cp.sum(cp.multiply(np.where(allowed[t], cost[t], 0.0), plan))
        if epsilon > 0:
            objective += epsilon * entropy(plan, allowed[t])
        constraints += [cp.sum(plan, axis=1) == supply[t], cp.sum(plan, axis=0) == demand[t]]
        if not allowed[t].all():
            constraints.append(cp.multiply(1.0 * ~allowed[t], plan) == 0)
    for t in range(1, slots):
        objective += weight * switching_term(plans, supply, allowed, t, switching)
    return cp.Problem(cp.Minimize(objective), constraints), plans


def switching_term(
    plans: list[cp.Variable], supply: np.ndarray, allowed: np.ndarray, t: int, switching: str
) -> cp.Expression:
    """(switching) between slots t−1 and t, for λ = 1."""
    import cvxpy as cp

    if switching == "kl":
        where = np.flatnonzero(allowed[t].ravel())
        now, last = (cp.vec(plans[n], order="C")[where] for n in (t, t - 1))
        return cp.sum(cp.kl_div(now, last))
    counts = (supply[t] > 0) & (supply[t - 1] > 0)
    scale = [np.where(counts, 1 / np.where(counts, supply[n], 1.0), 0.0) for n in (t, t - 1)]
    change = cp.diag(scale[0]) @ plans[t] - cp.diag(scale[1]) @ plans[t - 1]
    return cp.sum(cp.abs(change)) / 2 if switching == "l1" else cp.sum_squares(change)


def solve_multi_slot_program(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    epsilon: float,
    weight: float,
    switching: str = "frobenius",
) -> np.ndarray:
    """(T, I, J) the plans that Clarabel finds; what rounding leaves below 0 is 0."""
    import cvxpy as cp

    problem, plans = build_multi_slot_program(cost, supply, demand, epsilon, weight, switching)
    problem.solve(solver=cp.CLARABEL, **PRECISE)
    allowed = np.isfinite(np.broadcast_to(cost, (len(plans), *plans[0].shape)))
    return np.where(allowed, np.maximum([value_of(plan) for plan in plans], 0.0), 0.0)

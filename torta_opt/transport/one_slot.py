"""Transport of a mass from origins to places, exactly or with an entropy: POT does the work.

Supplies a (I,), demands b (J,), cost C (I, J), inf or NaN where a pair is forbidden. With the
entropy E(P) = Σ_ij P_ij (log P_ij − 1) and KL(x|y) = Σ x log(x/y) − x + y,

    minimise    Σ C_ij P_ij + ε E(P) [+ ρ_a KL(P1 | a) + ρ_b KL(Pᵀ1 | b)]     over P ≥ 0
    "equal"       P1 = a,  Pᵀ1 = b
    "at_most"     P1 = a,  Pᵀ1 ≤ b: a further row of cost 0 takes up the slack b − Pᵀ1; its entropy
                  counts like that of any other row
    unbalanced    no constraint where ρ is finite; ρ = ∞ is an equality

POT hands out plans that miss their marginals when it stops early. So every plan is checked here:
an error up to ``REPAIR`` of the mass is repaired to exact marginals (``round_to_marginals``,
``scale_to_marginals`` where pairs are forbidden), a
larger one raises ``SolverFailed``. Nothing is transported over forbidden pairs, ever.
"""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np

from torta_opt.io.errors import Infeasible, InvalidInput
from torta_opt.solvers.problem import SolverFailed

MASSES = 1e-9  # relative difference of total supply and demand that counts as rounding
TOLERANCE = 1e-9  # error of the marginals, relative to the mass, at which entropic solvers stop
ROUNDING = 1e-13  # error of marginals, relative to the mass, that is left as it is
REPAIR = 1e-6  # error of marginals, relative to the mass, up to which a plan is repaired
EXACT_ITERATIONS = 10_000_000
ITERATIONS = 200_000
GRAINS = 2.0**48  # units of mass in an exact problem: sums of them have no rounding error
METHODS = ("log", "plain")
COLUMNS = ("equal", "at_most")


@dataclass(frozen=True, eq=False)
class Transport:
    """A plan and what it proves.

    plan              (I, J) mass, its marginals exact to rounding
    cost              Σ C_ij P_ij
    row_price         (I,) dual f of the supplies
    column_price      (J,) dual g of the demands; ≤ 0 where they are upper bounds and ε = 0
    marginal_error    largest error of a marginal relative to the mass, before the repair
    """

    plan: np.ndarray
    cost: float
    row_price: np.ndarray
    column_price: np.ndarray
    marginal_error: float


def transport(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    columns: str = "equal",
    epsilon: float = 0.0,
    method: str = "log",
    iterations: int = ITERATIONS,
) -> Transport:
    """The cheapest plan; see the module. ``epsilon`` = 0 is exact, else entropic.

    ``method`` of the entropic problem: ``log`` works on logarithms and is safe at any ε; ``plain``
    is faster and fails (with an error) where exp(−C/ε) leaves the range of floats.
    Raises InvalidInput, Infeasible (forbidden pairs, too little capacity) or SolverFailed.
    """
    cost, supply, demand = checked(cost, supply, demand)
    if columns not in COLUMNS:
        raise InvalidInput(f"must be one of {', '.join(COLUMNS)}, found {columns!r}", "columns")
    if not (math.isfinite(epsilon) and epsilon >= 0):
        raise InvalidInput(f"must be a number of at least 0, found {epsilon!r}", "epsilon")
    if columns == "at_most":
        return _with_slack(cost, supply, demand, epsilon, method, iterations)
    demand = _same_mass(supply, demand)
    rows, cols = np.flatnonzero(supply), np.flatnonzero(demand)
    if rows.size == 0:
        return _nothing(cost.shape)
    part = np.ix_(rows, cols)
    if epsilon == 0:
        small = _exact(cost[part], supply[rows], demand[cols])
    else:
        small = _entropic(cost[part], supply[rows], demand[cols], epsilon, method, iterations)
    return _embedded(small, cost, rows, cols)


def transport_unbalanced(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    epsilon: float,
    row_penalty: float = math.inf,
    column_penalty: float = math.inf,
    iterations: int = ITERATIONS,
) -> Transport:
    """The plan with marginals paid for by ρ·KL instead of kept; see the module.

    A penalty of ∞ keeps that marginal; it is checked and, if need be, its rows or columns are
    scaled to it. Optimality is checked by the duality gap, to 1e-6 of the size of the objective.
    """
    cost, supply, demand = checked(cost, supply, demand)
    for name, value in (("row_penalty", row_penalty), ("column_penalty", column_penalty)):
        if not value > 0:
            raise InvalidInput(f"must be above 0, found {value!r}", name)
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise InvalidInput(f"must be a number above 0, found {epsilon!r}", "epsilon")
    if math.isinf(row_penalty) and math.isinf(column_penalty):
        return transport(cost, supply, demand, epsilon=epsilon, iterations=iterations)
    rows, cols = np.flatnonzero(supply), np.flatnonzero(demand)
    allowed = np.isfinite(cost[np.ix_(rows, cols)])
    for penalty, axis, name in ((row_penalty, 1, "supply"), (column_penalty, 0, "demand")):
        if math.isinf(penalty) and not allowed.any(axis=axis).all():
            raise Infeasible(f"{name}: an entry has no allowed partner")
    rows, cols = rows[allowed.any(axis=1)], cols[allowed.any(axis=0)]
    part = np.ix_(rows, cols)
    if rows.size == 0:
        return _nothing(cost.shape)
    penalties = (row_penalty, column_penalty)
    small = _unbalanced(cost[part], supply[rows], demand[cols], epsilon, penalties, iterations)
    return _embedded(small, cost, rows, cols)


def round_to_marginals(plan: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> np.ndarray:
    """A plan with these marginals, at most 2·(error of marginals) away from ``plan`` in L1.

    Rows, then columns, are scaled down to what they may hold, and what is missing is added as a
    product of the two deficits (Altschuler, Weed and Rigollet, Near-linear time approximation
    algorithms for optimal transport via Sinkhorn iteration, NeurIPS 2017, algorithm 2). Batched
    over leading axes.
    """
    plan = plan * _at_most_one(supply, plan.sum(axis=-1))[..., :, None]
    plan = plan * _at_most_one(demand, plan.sum(axis=-2))[..., None, :]
    row_deficit = np.maximum(supply - plan.sum(axis=-1), 0.0)
    column_deficit = np.maximum(demand - plan.sum(axis=-2), 0.0)
    missing = row_deficit.sum(axis=-1)
    scale = np.where(missing > 0, missing, 1.0)[..., None, None]
    return plan + row_deficit[..., :, None] * (column_deficit[..., None, :] / scale)


def scale_to_marginals(plan: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> np.ndarray:
    """A plan with these marginals that uses no other pairs: P_ij (1 + α_i + β_j), linear in α, β.

    This is Newton's step on the dual of the entropic problem. Raises SolverFailed where no such
    plan is near.
    """
    for _ in range(3):
        rows, columns = plan.sum(axis=1), plan.sum(axis=0)
        hessian = np.block([[np.diag(rows), plan], [plan.T, np.diag(columns)]])
        missing = np.concatenate([supply - rows, demand - columns])
        step = np.linalg.lstsq(hessian, missing, rcond=1e-15)[0]
        plan = plan * (1 + step[: len(rows), None] + step[len(rows) :])
    if marginal_error(plan, supply, demand) > 10 * ROUNDING or (plan < 0).any():
        raise SolverFailed("transport: marginals cannot be repaired over the allowed pairs")
    return plan


def marginal_error(plan: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> float:
    """Largest error of a row or column sum, relative to the mass; inf if the plan has a NaN."""
    mass = max(float(supply.sum()), np.finfo(float).tiny)
    rows = np.abs(plan.sum(axis=1) - supply).max(initial=0.0)
    columns = np.abs(plan.sum(axis=0) - demand).max(initial=0.0)
    error = float(max(rows, columns)) / mass
    return error if math.isfinite(error) else math.inf


def checked(
    cost: np.ndarray, supply: np.ndarray, demand: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three as floats, forbidden pairs as inf. Raises InvalidInput."""
    cost = np.asarray(cost, float)
    supply, demand = np.asarray(supply, float), np.asarray(demand, float)
    if cost.ndim != 2 or supply.shape != cost.shape[:1] or demand.shape != cost.shape[1:]:
        shapes = f"{cost.shape}, {supply.shape}, {demand.shape}"
        raise InvalidInput(f"shapes of cost, supply and demand do not fit: {shapes}", "transport")
    if np.isneginf(cost).any():
        raise InvalidInput("must not hold minus infinity", "cost")
    for name, marginal in (("supply", supply), ("demand", demand)):
        if not (np.isfinite(marginal).all() and (marginal >= 0).all()):
            raise InvalidInput("must hold finite numbers that are not negative", name)
    return np.where(np.isnan(cost), np.inf, cost), supply, demand


# --- exact ----------------------------------------------------------------------------------------


def _exact(cost: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> Transport:
    """POT's network simplex; forbidden pairs cost more than any detour.

    Costs are handed over from 0 up and masses in whole grains: negative costs, or totals that
    differ by a rounding error, make POT call a problem infeasible now and then.
    """
    ot = load_pot()
    allowed = np.isfinite(cost)
    least = cost[allowed].min() if allowed.any() else 0.0
    above = np.where(allowed, cost - least, 0.0)
    detour = 1.0 + 2 * sum(cost.shape) * above.max()
    priced = np.where(allowed, above, detour)
    mass = supply.sum()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its status is read below
        plan, log = ot.emd(
            _in_grains(supply),
            _in_grains(demand),
            np.ascontiguousarray(priced),
            numItermax=EXACT_ITERATIONS,
            log=True,
        )
    if log["warning"] is not None:
        raise SolverFailed(f"POT: {log['warning']}")
    plan = plan * mass
    if plan[~allowed].sum() > REPAIR * mass:
        raise Infeasible("transport: forbidden pairs leave some supply without demand it may use")
    plan = np.where(allowed, plan, 0.0)
    plan, error = _repaired(plan, supply, demand, allowed)
    return Transport(plan, _linear(cost, plan), log["u"] + least, log["v"], error)


# --- entropic -------------------------------------------------------------------------------------


def _entropic(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    epsilon: float,
    method: str,
    iterations: int,
) -> Transport:
    if method not in METHODS:
        raise InvalidInput(f"must be one of {', '.join(METHODS)}, found {method!r}", "method")
    allowed = np.isfinite(cost)
    if not (allowed.any(axis=0).all() and allowed.any(axis=1).all()):
        raise Infeasible("transport: an entry has no allowed partner")
    mass = supply.sum()
    ot, share_a, share_b = load_pot(), supply / mass, demand / mass
    options = {"numItermax": iterations, "stopThr": TOLERANCE, "log": True, "warn": False}
    name = "sinkhorn_log" if method == "log" else "sinkhorn"
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # what it warns of is an error below
        plan, log = ot.sinkhorn(share_a, share_b, cost, epsilon, method=name, **options)
        log_u = log["log_u"] if method == "log" else np.log(log["u"])
        log_v = log["log_v"] if method == "log" else np.log(log["v"])
    plan, error = _repaired(plan * mass, supply, demand, allowed)
    prices = epsilon * (log_u + math.log(mass)), epsilon * log_v
    return Transport(plan, _linear(cost, plan), *prices, error)


def _nothing(shape: tuple[int, ...]) -> Transport:
    """The plan where there is no mass."""
    rows, columns = shape
    return Transport(np.zeros(shape), 0.0, np.zeros(rows), np.zeros(columns), 0.0)


def _with_slack(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    epsilon: float,
    method: str,
    iterations: int,
) -> Transport:
    """Column sums at most ``demand``: one more row of cost 0 takes up the rest of it."""
    slack = demand.sum() - supply.sum()
    if slack < -MASSES * supply.sum():
        raise Infeasible(
            f"transport: supply {supply.sum():.6g} exceeds total capacity {demand.sum():.6g}"
        )
    slack = max(slack, 0.0)
    wide = np.vstack([cost, np.zeros(cost.shape[1])])
    found = transport(wide, np.append(supply, slack), demand, "equal", epsilon, method, iterations)
    plan, unused = found.plan[:-1], found.row_price[-1]
    return replace(
        found,
        plan=plan,
        cost=_linear(cost, plan),
        row_price=found.row_price[:-1] - unused,
        column_price=found.column_price + unused,
    )


# --- unbalanced -----------------------------------------------------------------------------------


def _unbalanced(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    epsilon: float,
    penalties: tuple[float, float],
    iterations: int,
) -> Transport:
    solve = _logarithmic if _extreme(cost, epsilon) else _scalings
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # what it warns of is an error below
        f, g = solve(cost, supply, demand, epsilon, penalties, iterations)
        plan = np.exp((f[:, None] + g - cost) / epsilon)
    if not np.isfinite(plan).all():
        raise SolverFailed("POT: the unbalanced plan is not finite; a larger epsilon may help")
    gap = _unbalanced_gap(plan, cost, supply, demand, epsilon, penalties, (f, g))
    if not gap <= REPAIR:
        raise SolverFailed(f"POT: the unbalanced plan is {gap:.1e} from optimal")
    error = 0.0
    for penalty, axis, wanted in ((penalties[0], 1, supply), (penalties[1], 0, demand)):
        if math.isinf(penalty):
            held = plan.sum(axis=axis)
            error = float(np.abs(held - wanted).max() / wanted.sum())
            if not error <= REPAIR:
                raise SolverFailed(f"POT: a marginal is off by {error:.1e} of the mass")
            plan = plan * np.expand_dims(wanted / held, axis)
    return Transport(plan, _linear(cost, plan), f, g, error)


def _scalings(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    epsilon: float,
    penalties: tuple[float, float],
    iterations: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Prices by POT, which works on exp(−C/ε) itself."""
    options = {"numItermax": iterations, "stopThr": TOLERANCE / 10, "log": True}
    solve, uniform = load_pot().unbalanced.sinkhorn_unbalanced, np.ones(cost.shape)
    _, log = solve(supply, demand, cost, epsilon, penalties, c=uniform, **options)
    return epsilon * log["logu"], epsilon * log["logv"]


def _logarithmic(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    epsilon: float,
    penalties: tuple[float, float],
    iterations: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The same iteration on logarithms; POT's stabilized one does not take infinite penalties."""
    damping = [1.0 if math.isinf(rho) else rho / (rho + epsilon) for rho in penalties]
    g = np.zeros(len(demand))
    for _ in range(iterations):
        before = g
        f = damping[0] * (epsilon * np.log(supply) - _soft_max(g - cost, epsilon, 1))
        g = damping[1] * (epsilon * np.log(demand) - _soft_max(f[:, None] - cost, epsilon, 0))
        if np.abs(g - before).max() <= TOLERANCE / 10 * epsilon:
            break
    return f, g


def _soft_max(x: np.ndarray, epsilon: float, axis: int) -> np.ndarray:
    top = x.max(axis=axis, keepdims=True)
    return np.squeeze(top, axis) + epsilon * np.log(np.exp((x - top) / epsilon).sum(axis=axis))


def _extreme(cost: np.ndarray, epsilon: float) -> bool:
    return bool(np.abs(cost[np.isfinite(cost)]).max() > 200 * epsilon)


def _unbalanced_gap(
    plan: np.ndarray,
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    epsilon: float,
    penalties: tuple[float, float],
    prices: tuple[np.ndarray, np.ndarray],
) -> float:
    """(primal − dual) over the size of the primal's terms."""
    mass = float(plan.sum())
    linear, entropy = _linear(cost, plan), epsilon * float(_xlogx(plan).sum() - mass)
    primal, size = linear + entropy, abs(linear) + abs(entropy) + np.finfo(float).tiny
    dual = -epsilon * mass
    for penalty, price, wanted, axis in (
        (penalties[0], prices[0], supply, 1),
        (penalties[1], prices[1], demand, 0),
    ):
        held = plan.sum(axis=axis)
        if math.isinf(penalty):
            dual += float(wanted @ price)
            continue
        paid = penalty * float((_xlogx(held) - held * np.log(wanted) - held + wanted).sum())
        primal, size = primal + paid, size + abs(paid)
        dual += penalty * float(wanted @ -np.expm1(-price / penalty))
    return abs(primal - dual) / size


# --- shared ---------------------------------------------------------------------------------------


def _repaired(
    plan: np.ndarray, supply: np.ndarray, demand: np.ndarray, allowed: np.ndarray
) -> tuple[np.ndarray, float]:
    error = marginal_error(plan, supply, demand)
    if not error <= REPAIR:
        raise SolverFailed(
            f"POT: marginals are off by {error:.1e} of the mass, more than {REPAIR:.0e}; "
            "more iterations, a larger epsilon or method log may help"
        )
    if error <= ROUNDING:
        return plan, error
    if allowed.all():
        return round_to_marginals(plan, supply, demand), error
    return scale_to_marginals(plan, supply, demand), error


def _in_grains(mass: np.ndarray) -> np.ndarray:
    """Shares of a mass as whole multiples of 1/GRAINS that sum to 1 without rounding."""
    exact = mass / mass.sum() * GRAINS
    grains = np.floor(exact)
    grains[np.argmax(exact)] += GRAINS - grains.sum()
    return grains / GRAINS


def _embedded(small: Transport, cost: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> Transport:
    """Empty rows and columns back in; their prices are the largest that no pair forbids."""
    plan = np.zeros(cost.shape)
    plan[np.ix_(rows, cols)] = small.plan
    row_price, column_price = np.zeros(cost.shape[0]), np.zeros(cost.shape[1])
    row_price[rows], column_price[cols] = small.row_price, small.column_price
    empty = np.setdiff1d(np.arange(cost.shape[1]), cols)
    column_price[empty] = (cost[np.ix_(rows, empty)] - small.row_price[:, None]).min(
        axis=0, initial=np.inf
    )
    column_price[np.isinf(column_price)] = 0.0
    empty = np.setdiff1d(np.arange(cost.shape[0]), rows)
    row_price[empty] = (cost[empty] - column_price).min(axis=1, initial=np.inf)
    row_price[np.isinf(row_price)] = 0.0
    return replace(small, plan=plan, row_price=row_price, column_price=column_price)


def _same_mass(supply: np.ndarray, demand: np.ndarray) -> np.ndarray:
    """``demand`` scaled to the mass of ``supply``, which it has up to rounding."""
    a, b = supply.sum(), demand.sum()
    if abs(a - b) > MASSES * max(a, b):
        raise InvalidInput(f"total supply {a:.9g} differs from total demand {b:.9g}", "transport")
    return demand * (a / b) if b > 0 else demand


def _at_most_one(limit: np.ndarray, held: np.ndarray) -> np.ndarray:
    return np.minimum(1.0, limit / np.where(held > 0, held, 1.0))


def _xlogx(x: np.ndarray) -> np.ndarray:
    return x * np.log(np.where(x > 0, x, 1.0))


def _linear(cost: np.ndarray, plan: np.ndarray) -> float:
    return float((np.where(plan > 0, cost, 0.0) * plan).sum())


def load_pot() -> ModuleType:
    """POT without the deep-learning packages that it would load if they are there."""
    switches = [f"POT_BACKEND_DISABLE_{name}" for name in ("PYTORCH", "JAX", "TENSORFLOW", "CUPY")]
    before = {name: os.environ.get(name) for name in switches}
    os.environ.update(dict.fromkeys(switches, "1"))
    try:
        import ot
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return ot

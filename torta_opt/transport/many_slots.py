"""Entropic transport over many slots with a price on change: Newton on the dual, linear in T.

    minimise  Σ_t [ Σ_ij C_tij P_tij + ε Σ_ij P_tij (log P_tij − 1) ] + Σ_{t≥1} S(P_t, P_{t−1})
    over      P_t ≥ 0,  P_t 1 = a_t,  P_tᵀ 1 = b_t

with A_t = P_t / a_t row by row (rows with a_t = 0 or a_{t−1} = 0 do not count) and

    frobenius   S = λ ‖A_t − A_{t−1}‖_F²
    l1          S = λ·½ ‖A_t − A_{t−1}‖₁
    kl          S = λ Σ_ij P_t log(P_t / P_{t−1}) − P_t + P_{t−1}

**Dual.** S is a supremum over w_t (I, J): of ⟨w, A_t − A_{t−1}⟩ − ‖w‖²/(4λ); of ⟨w, A_t − A_{t−1}⟩
over |w| ≤ λ/2; of λ Σ P_t w − P_{t−1}(e^w − 1). So with z_t = f_t + g_t − C_t + shift_t(w_t, w_t+1)
the dual has no constraints (l1: but the box) and no inner problem:

    maximise  Σ_t a_t·f_t + b_t·g_t − R(w) − ε Σ_tij exp(z_tij / ε)          P_tij = exp(z_tij / ε)

**Newton.** For every pair (i, j) the Hessian in w is tridiagonal in t: LAPACK factors all pairs as
one band of T·I·J. What is left is a system in (f, g), solved by conjugate gradients; its
preconditioner is that of each slot alone, with the exact diagonal of the tridiagonal inverses. A
sweep of Sinkhorn follows each step: it never lowers the dual. ``l1`` puts a logarithmic barrier on
the box and lowers it.

**Bounds.** Without entropy the dual has the constraint z ≤ 0. ``linear_bound`` lowers f until it
holds: Σ_t Σ_i a_ti min_j (C − shift − g) + b·g − R(w) bounds the problem with ε = 0 from below,
whatever f, g and w are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from torta_opt.io.errors import InvalidInput
from torta_opt.solvers.problem import SolverFailed
from torta_opt.transport.one_slot import MASSES, round_to_marginals
from torta_opt.transport.switching import _CHAINS, _last, _next, _Shares, switching_cost

SWITCHING = ("frobenius", "l1", "kl")
STEPS = 200  # Newton steps
CG_STEPS = 400  # steps of conjugate gradients in one Newton step
CG_TOLERANCE = 0.1  # relative residual of the Newton system
HALVINGS = 30
SOFTEST, SCALING = 0.08, 2.0  # first ε as a share of the spread of costs; from one to the next
ROUGH = 1e-2  # error of marginals at which the next ε follows
CENTRED = 1e-5  # error of marginals at which the next barrier follows


@dataclass(frozen=True, eq=False)
class MultiSlot:
    """Plans of all slots, and what proves them.

    plan             (T, I, J) with exact marginals
    objective        of the plan, entropy and switching included
    dual             value of the dual: no plan has a lower objective
    linear           Σ C P + switching of the plan: the objective at ε = 0
    linear_bound     no plan costs less at ε = 0
    row_price, column_price    (T, I), (T, J) f and g
    change_price     (T, I, J) w; row 0 is 0
    marginal_error   before rounding, relative to the mass of a slot
    newton_steps, cg_steps
    """

    plan: np.ndarray
    objective: float
    dual: float
    linear: float
    linear_bound: float
    row_price: np.ndarray
    column_price: np.ndarray
    change_price: np.ndarray
    marginal_error: float
    newton_steps: int
    cg_steps: int

    @property
    def gap(self) -> float:
        """(objective − dual) / |objective|."""
        return (self.objective - self.dual) / max(abs(self.objective), 1e-300)


def solve_multi_slot(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    epsilon: float,
    weight: float,
    switching: str = "frobenius",
    tolerance: float = 1e-9,
) -> MultiSlot:
    """Plans for ``supply`` (T, I), ``demand`` (T, J) and ``cost`` (I, J) or (T, I, J); see the
    module. Costs may be inf or NaN (forbidden).

    Stops when marginals are right to ``tolerance`` of a slot's mass (l1: 1e-8 at best, and slowly
    so: ask for 1e-5 on more than some 10,000 pairs and slots, and read the gap). Raises
    SolverFailed where that is not reached, as when forbidden pairs leave no plan.
    """
    cost, supply, demand = _checked(cost, supply, demand, epsilon, weight, switching)
    dual = _Dual(cost, supply, demand, epsilon, _CHAINS[switching](cost, supply, weight))
    steps = cg_steps = 0
    for softer in _softer(cost, epsilon):
        dual.epsilon = softer
        dual.refresh()
        more = _maximise(dual, ROUGH)
        steps, cg_steps = steps + more[0], cg_steps + more[1]
    dual.epsilon = epsilon
    dual.refresh()
    while dual.chain.tighten(dual.value()):
        dual.refresh()
        more = _maximise(dual, CENTRED)
        steps, cg_steps = steps + more[0], cg_steps + more[1]
    more = _maximise(dual, dual.chain.tolerance(tolerance))
    steps, cg_steps = steps + more[0], cg_steps + more[1]
    return _finish(dual, cost, supply, demand, epsilon, weight, switching, steps, cg_steps)


def _softer(cost: np.ndarray, epsilon: float) -> list[float]:
    """Larger ε to start from, each ``SCALING`` times the next."""
    finite = cost[np.isfinite(cost)]
    spread = float(np.ptp(finite)) if finite.size else 0.0
    stages = max(0, math.ceil(math.log(max(SOFTEST * spread / epsilon, 1.0), SCALING)))
    return [epsilon * SCALING**n for n in range(stages, 0, -1)]


def linear_bound(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    weight: float,
    switching: str,
    column_price: np.ndarray,
    change_price: np.ndarray,
) -> float:
    """A number that no plan beats at ε = 0, from any g (T, J) and w (T, I, J)."""
    cost, supply, demand = _checked(cost, supply, demand, 1.0, weight, switching)
    chain = _CHAINS[switching](cost, supply, weight)
    w = np.where(chain.edges, np.moveaxis(np.asarray(change_price, float), 0, -1), 0.0)
    w = chain.inside(w)
    g = np.where(demand > 0, column_price, 0.0).T
    reduced = np.moveaxis(cost, 0, -1) - chain.shift(w) - g
    reduced = np.where((demand.T > 0)[None], reduced, np.inf)
    lowest = reduced.min(axis=1)
    rows = np.where(supply.T > 0, supply.T * np.where(supply.T > 0, lowest, 0.0), 0.0)
    value = float(rows.sum() + (demand.T * g).sum()) - chain.conjugate(w)
    return value if math.isfinite(value) else -math.inf


# --- what couples the slots: chains of w, time last -----------------------------------------------


# --- the dual -------------------------------------------------------------------------------------


class _Dual:
    """f (I, T), g (J, T), w (I, J, T) and P (I, J, T) that follows from them. Time is last."""

    def __init__(
        self,
        cost: np.ndarray,
        supply: np.ndarray,
        demand: np.ndarray,
        epsilon: float,
        chain: _Shares,
    ):
        self.epsilon, self.chain = epsilon, chain
        self.a, self.b = np.ascontiguousarray(supply.T), np.ascontiguousarray(demand.T)
        self.mass = supply.sum(axis=1)
        used = (self.a > 0)[:, None, :] & (self.b > 0)
        cost = np.ascontiguousarray(np.moveaxis(cost, 0, -1))
        self.cost = np.where(used, cost, np.inf)  # exp(−inf) = 0: no mass where none may be
        self.f, self.g = np.zeros_like(self.a), np.zeros_like(self.b)
        self.w = np.zeros(cost.shape)
        self._start()

    def _start(self) -> None:
        """f and g of each slot by itself, roughly: the log-domain makes the first P finite."""
        for _ in range(5):
            self.f = np.where(self.a > 0, self._soft_rest(self.g[None], 1, self.a), 0.0)
            self.g = np.where(self.b > 0, self._soft_rest(self.f[:, None], 0, self.b), 0.0)
        self.refresh()

    def _soft_rest(self, price: np.ndarray, axis: int, wanted: np.ndarray) -> np.ndarray:
        x = (price - self.cost) / self.epsilon
        top = x.max(axis=axis, keepdims=True)
        top = np.where(np.isfinite(top), top, 0.0)
        total = np.exp(x - top).sum(axis=axis)
        safe = np.log(np.where(wanted > 0, wanted, 1.0) / np.where(total > 0, total, 1.0))
        return self.epsilon * (safe - np.squeeze(top, axis))

    def refresh(self) -> None:
        self.p = self.plan(self.f, self.g, self.w)

    def plan(self, f: np.ndarray, g: np.ndarray, w: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            z = self.chain.shift(w)
        z += f[:, None, :]
        z += g
        z -= self.cost
        z /= self.epsilon
        with np.errstate(over="ignore"):
            return np.exp(z, out=z)

    def value(self) -> float:
        return self.value_at(self.f, self.g, self.w, self.p)

    def value_at(self, f: np.ndarray, g: np.ndarray, w: np.ndarray, p: np.ndarray) -> float:
        linear = float((self.a * f).sum() + (self.b * g).sum())
        return linear - self.chain.smoothed(w) - self.epsilon * float(p.sum())

    def sweep(self) -> None:
        """One sweep of Sinkhorn: the best f for this g and w, then the best g."""
        for price, wanted, axis in ((self.f, self.a, 1), (self.g, self.b, 0)):
            held = self.p.sum(axis=axis)
            ratio = np.where((wanted > 0) & (held > 0), wanted, 1.0)
            ratio /= np.where((wanted > 0) & (held > 0), held, 1.0)
            price += self.epsilon * np.log(ratio)
            self.p *= np.expand_dims(ratio, axis)

    def marginal_error(self) -> float:
        rows = np.abs(self.p.sum(axis=1) - self.a).max(axis=0)
        columns = np.abs(self.p.sum(axis=0) - self.b).max(axis=0)
        return float((np.maximum(rows, columns) / np.where(self.mass > 0, self.mass, 1.0)).max())


class _Newton:
    """The Newton system at a point: w eliminated, (f, g) by conjugate gradients."""

    def __init__(self, dual: _Dual):
        from scipy.linalg import lapack

        self.dual, self._lapack = dual, lapack
        chain, w, p, eps = dual.chain, dual.w, dual.p, dual.epsilon
        self.down, self.up = chain.down, chain.up(w)
        slope, bend = chain.slopes(w)
        before = _last(p * self.up)
        self.residual_w = np.where(chain.edges, -slope - p * self.down - before, 0.0)
        diagonal = bend + chain.curvature(w, p)
        diagonal = diagonal + (p * self.down**2 + _last(p * self.up**2)) / eps
        self.diagonal = np.where(chain.edges & (diagonal > 0), diagonal, 1.0)
        self._p, self._p_down, self._p_up = p / eps, p * self.down / eps, p * self.up / eps
        off = (self._p_down * self.up).ravel()[:-1]
        if self.diagonal.size == 1:  # one pair in one slot: LAPACK's wrapper wants a neighbour
            self.factor, self.lower, info = self.diagonal.ravel(), off, 0
        else:
            self.factor, self.lower, info = lapack.dpttrf(self.diagonal.ravel(), off)
        if info != 0:
            raise SolverFailed("multi-slot transport: the Newton system is not definite")
        self._precondition()

    def w_solve(self, right: np.ndarray) -> np.ndarray:
        if self.factor.size == 1:
            return right / self.factor
        solution, _ = self._lapack.dpttrs(self.factor, self.lower, right.ravel(), overwrite_b=1)
        return solution.reshape(right.shape)

    def _back(self, q: np.ndarray) -> np.ndarray:
        """Zᵀ P q/ε: from pairs and slots to chains."""
        flow = self._p_down * q
        flow[..., 1:] += self._p_up[..., :-1] * q[..., :-1]
        return flow

    def _forth(self, dw: np.ndarray) -> np.ndarray:
        """P Z dw/ε."""
        flow = self._p_down * dw
        flow[..., :-1] += self._p_up[..., :-1] * dw[..., 1:]
        return flow

    def apply(self, df: np.ndarray, dg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        q = df[:, None, :] + dg
        flow = self._forth(self.w_solve(self._back(q)))
        np.subtract(np.multiply(q, self._p, out=q), flow, out=flow)
        return flow.sum(axis=1), flow.sum(axis=0)

    def _precondition(self) -> None:
        """Per slot [Σ_j W, W; Wᵀ, Σ_i W] with W the diagonal of the eliminated Hessian, its rows
        eliminated too."""
        p, eps = self.dual.p, self.dual.epsilon
        shape = p.shape
        factor = self.factor.reshape(shape)
        lower = np.append(self.lower, 0.0).reshape(shape)
        own = np.empty(shape)  # diagonal of the inverse, by Takahashi's recursion
        own[..., -1] = 1 / factor[..., -1]
        for t in range(shape[2] - 2, -1, -1):
            own[..., t] = 1 / factor[..., t] + lower[..., t] ** 2 * own[..., t + 1]
        nearby = -lower * _next(own)
        seen = self.down**2 * own + self.up**2 * _next(own) + 2 * self.down * self.up * nearby
        weights = np.maximum(p / eps * (1 - p / eps * seen), 1e-12 * p / eps)
        weights = np.ascontiguousarray(np.moveaxis(weights, -1, 0))
        rows, columns = weights.sum(axis=2), weights.sum(axis=1)
        self._inverse = 1 / np.where(rows > 0, rows, 1.0)
        scaled = weights * self._inverse[:, :, None]
        system = -np.matmul(weights.transpose(0, 2, 1), scaled)
        place = np.arange(system.shape[1])
        system[:, place, place] += columns * (1 + 1e-10) + (columns == 0)
        self._columns, self._scaled = np.linalg.inv(system), scaled

    def precondition(self, rf: np.ndarray, rg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        right = rg.T - np.matmul(rf.T[:, None, :], self._scaled)[:, 0]
        y = np.matmul(self._columns, right[:, :, None])[:, :, 0]
        x = self._inverse * rf.T - np.matmul(self._scaled, y[:, :, None])[:, :, 0]
        return x.T, y.T

    def direction(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        dual = self.dual
        free = self.w_solve(self.residual_w.copy())
        pushed = self._forth(free)
        rf = dual.a - dual.p.sum(axis=1) - pushed.sum(axis=1)
        rg = dual.b - dual.p.sum(axis=0) - pushed.sum(axis=0)
        rf, rg = np.where(dual.a > 0, rf, 0.0), np.where(dual.b > 0, rg, 0.0)
        df, dg, steps = self._conjugate_gradients(rf, rg)
        back = self._back(df[:, None, :] + dg)
        return df, dg, self.w_solve(self.residual_w - back), steps

    def _conjugate_gradients(
        self, rf: np.ndarray, rg: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, int]:
        x, r = [np.zeros_like(rf), np.zeros_like(rg)], [rf, rg]
        z = self.precondition(*r)
        direction, rz = list(z), _dot(r, z)
        goal = CG_TOLERANCE**2 * rz
        for step in range(CG_STEPS):
            if not rz > goal:
                return x[0], x[1], step
            image = self.apply(*direction)
            bend = _dot(direction, image)
            if not bend > 0:
                break
            length = rz / bend
            x = [u + length * d for u, d in zip(x, direction, strict=True)]
            r = [u - length * d for u, d in zip(r, image, strict=True)]
            z = self.precondition(*r)
            rz, before = _dot(r, z), rz
            direction = [u + rz / before * d for u, d in zip(z, direction, strict=True)]
        return x[0], x[1], CG_STEPS


def _dot(x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> float:
    return float((x[0] * y[0]).sum() + (x[1] * y[1]).sum())


def _maximise(dual: _Dual, tolerance: float) -> tuple[int, int]:
    """Newton until marginals and chains are right; its steps, and those of conjugate gradients."""
    cg_total = 0
    for step in range(STEPS):
        dual.sweep()
        newton = _Newton(dual)
        error = dual.marginal_error()
        slack = dual.epsilon * tolerance
        if error <= tolerance and _chain_gain(newton) <= slack * max(dual.mass.sum(), 1e-300):
            return step, cg_total
        df, dg, dw, cg_steps = newton.direction()
        cg_total += cg_steps
        if not _take(dual, newton, df, dg, dw):
            if error <= 1e3 * tolerance:
                return step, cg_total
            break
    error = dual.marginal_error()
    raise SolverFailed(f"multi-slot transport: marginals off by {error:.1e} after {step + 1} steps")


def _chain_gain(newton: _Newton) -> float:
    """About what the dual still gains by better w alone."""
    return float((newton.residual_w * newton.w_solve(newton.residual_w.copy())).sum()) / 2


def _take(dual: _Dual, newton: _Newton, df: np.ndarray, dg: np.ndarray, dw: np.ndarray) -> bool:
    """Step along the direction as long as the dual rises enough; True if it rose."""
    held_f, held_g = dual.p.sum(axis=1), dual.p.sum(axis=0)
    rise = _dot((df, dg), (dual.a - held_f, dual.b - held_g))
    rise += float((dw * newton.residual_w).sum())
    now, length = dual.value(), dual.chain.longest_step(dual.w, dw)
    rounding = 1e-13 * (abs(now) + float(np.abs(dual.a * dual.f).sum()))
    for _ in range(HALVINGS):
        f, g = dual.f + length * df, dual.g + length * dg
        w = dual.chain.move(dual.w, length * dw)
        p = dual.plan(f, g, w)
        value = dual.value_at(f, g, w, p)
        if value >= now + 1e-4 * length * rise - rounding:
            dual.f, dual.g, dual.w, dual.p = f, g, w, p
            return True
        length /= 2
    return False


# --- in and out -----------------------------------------------------------------------------------


def _checked(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    epsilon: float,
    weight: float,
    switching: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cost, supply, demand = (np.asarray(table, float) for table in (cost, supply, demand))
    if switching not in SWITCHING:
        raise InvalidInput(f"must be one of {', '.join(SWITCHING)}", "switching")
    for name, value in (("epsilon", epsilon), ("weight", weight)):
        if not (math.isfinite(value) and value > 0):
            raise InvalidInput(f"must be a number above 0, found {value!r}", name)
    if supply.ndim != 2 or demand.ndim != 2 or len(supply) != len(demand):
        raise InvalidInput("must be two tables of as many rows", "supply and demand")
    shape = len(supply), supply.shape[1], demand.shape[1]
    if cost.shape not in (shape, shape[1:]):
        raise InvalidInput(f"must have shape {shape} or {shape[1:]}", "cost")
    cost = np.broadcast_to(np.where(np.isnan(cost), np.inf, cost), shape)
    if np.isneginf(cost).any():
        raise InvalidInput("must not hold minus infinity", "cost")
    for name, table in (("supply", supply), ("demand", demand)):
        if not (np.isfinite(table).all() and (table >= 0).all()):
            raise InvalidInput("must hold finite numbers that are not negative", name)
        if switching == "kl" and not (table > 0).all():
            raise InvalidInput("must be positive everywhere for switching kl", name)
    if switching == "kl" and (np.isinf(cost) != np.isinf(cost[0])).any():
        raise InvalidInput("must forbid the same pairs in every slot for switching kl", "cost")
    mass, other = supply.sum(axis=1), demand.sum(axis=1)
    if (np.abs(mass - other) > MASSES * np.maximum(mass, other)).any():
        raise InvalidInput("rows of supply and demand differ in mass", "supply and demand")
    return cost, supply, demand * (mass / np.where(other > 0, other, 1.0))[:, None]


def _finish(
    dual: _Dual,
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    epsilon: float,
    weight: float,
    switching: str,
    steps: int,
    cg_steps: int,
) -> MultiSlot:
    error, value = dual.marginal_error(), dual.value()
    if switching == "l1":  # without the barrier, which the true dual does not have
        value += dual.chain.smoothed(dual.w)
    plan = np.ascontiguousarray(np.moveaxis(dual.p, -1, 0))
    plan = _rounded(plan, supply, demand, np.isfinite(cost))
    g, w = np.ascontiguousarray(dual.g.T), np.ascontiguousarray(np.moveaxis(dual.w, -1, 0))
    linear = float((np.where(plan > 0, cost, 0.0) * plan).sum())
    linear += switching_cost(plan, supply, weight, switching)
    entropy = float((plan * (np.log(np.where(plan > 0, plan, 1.0)) - 1)).sum())
    bound = linear_bound(cost, supply, demand, weight, switching, g, w)
    return MultiSlot(
        plan=plan,
        objective=linear + epsilon * entropy,
        dual=value,
        linear=linear,
        linear_bound=bound,
        row_price=np.ascontiguousarray(dual.f.T),
        column_price=g,
        change_price=w,
        marginal_error=error,
        newton_steps=steps,
        cg_steps=cg_steps,
    )


def _rounded(
    plan: np.ndarray, supply: np.ndarray, demand: np.ndarray, allowed: np.ndarray
) -> np.ndarray:
    if allowed.all():
        return round_to_marginals(plan, supply, demand)
    from torta_opt.transport.one_slot import scale_to_marginals

    slots = zip(plan, supply, demand, strict=True)
    return np.array([scale_to_marginals(*slot) for slot in slots])

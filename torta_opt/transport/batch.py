"""Many entropic transport problems at once, with one cost matrix: Sinkhorn, then Newton.

    minimise Σ_ij C_ij P_ij + ε Σ_ij P_ij (log P_ij − 1)   over P ≥ 0, P1 = a_n, Pᵀ1 = b_n,  n < N

P = diag(u_n) K diag(v_n) with the kernel K = exp(−C/ε) that all problems share, so one sweep of
Sinkhorn over the batch is two matrix products. Sinkhorn's error shrinks by a constant factor a
sweep, slowly at small ε; Newton's method on the dual

    maximise  a·f + b·g − ε Σ_ij exp((f_i + g_j − C_ij)/ε)

squares the error instead once it is near (Brauer, Clason, Lorenz and Wirth, A Sinkhorn-Newton
method for entropic optimal transport, arXiv 1710.06635). Its system [diag(a) P; Pᵀ diag(b)] is
reduced to one of the columns by elimination. It costs as much as a hundred sweeps and more, so only
problems whose error shrinks too slowly get it; a step is kept where it lowers the error. Problems
that have converged leave the batch. In the end every plan is rounded to exact marginals
(``round_to_marginals``).

Entries of a kernel below 1e-300 are lost, so max C − min C may be at most 600 ε; beyond that
``solve_logarithmic`` sweeps on logarithms, one exponential per pair and half-sweep.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.io.errors import InvalidInput
from torta_opt.solvers.problem import SolverFailed
from torta_opt.transport.one_slot import MASSES, round_to_marginals

RANGE = 600.0  # largest (max C − min C)/ε of a plain kernel
SWEEPS = 20  # between two looks at the errors
PATIENCE = 150  # sweeps: a problem that seems to need more gets Newton steps
LONGEST_PAUSE = 640  # sweeps after Newton steps that did not help
DAMPING = 1e-12  # for the singular Newton system: its null space shifts f against g
STEP = 2.0  # largest change of a logarithm of a scaling in one Newton step


@dataclass(frozen=True, eq=False)
class Batch:
    """N plans.

    plan              (N, I, J) with exact marginals
    cost              (N,) Σ C_ij P_ij
    row_price         (N, I) f, 0 for empty rows
    column_price      (N, J) g, 0 for empty columns
    marginal_error    (N,) largest error of a marginal relative to the mass, before the rounding
    sweeps            sweeps of the slowest problem
    newton_steps      steps of Newton's method, each for some of the problems
    """

    plan: np.ndarray
    cost: np.ndarray
    row_price: np.ndarray
    column_price: np.ndarray
    marginal_error: np.ndarray
    sweeps: int
    newton_steps: int


def solve_batch(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    epsilon: float,
    tolerance: float = 1e-9,
    sweeps: int = 20_000,
    newton: bool = True,
) -> Batch:
    """All N problems with ``cost`` (I, J), ``supply`` (N, I) and ``demand`` (N, J).

    Stops a problem when no marginal is off by more than ``tolerance`` of its mass. Raises
    InvalidInput, or SolverFailed if ``sweeps`` do not suffice.
    """
    share_a, share_b, mass = _shares(cost, supply, demand)
    spread = float(np.ptp(cost)) / epsilon
    if spread > RANGE:
        raise InvalidInput(f"costs spread over {spread:.0f} epsilon, more than {RANGE:.0f}", "cost")
    least = float(cost.min())
    kernel = np.exp((least - cost) / epsilon)
    found = _Scalings(kernel, share_a, share_b, tolerance)
    found.run(sweeps, newton)
    return _finish(found, cost, supply, demand, mass, epsilon, least)


def solve_logarithmic(
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    epsilon: float,
    tolerance: float = 1e-9,
    sweeps: int = 20_000,
) -> Batch:
    """The same by sweeps on logarithms, safe at any ε, and some thirty times slower.

    ``cost`` may also be (N, I, J), one matrix for each problem.
    """
    own = cost if cost.ndim == 3 else cost[None]
    for matrix in own:
        share_a, share_b, mass = _shares(matrix, supply, demand)
    with np.errstate(divide="ignore"):
        log_a, log_b = np.log(share_a), np.log(share_b)
    f, g = np.zeros_like(share_a), np.where(share_b > 0, 0.0, -np.inf)
    error, active = np.full(len(f), np.inf), np.flatnonzero(mass > 0)
    error[mass == 0] = 0.0
    done = 0
    while active.size:
        if done >= sweeps:
            raise SolverFailed(
                f"Sinkhorn: marginals off by {error.max():.1e} after {sweeps} sweeps"
            )
        negative = -(own[active] if len(own) > 1 else own) / epsilon
        for _ in range(SWEEPS):
            f[active] = log_a[active] - _log_sum(negative + g[active][:, None, :], 2)
            g[active] = log_b[active] - _log_sum(negative + f[active][:, :, None], 1)
        done += SWEEPS
        rows = np.exp(f[active] + _log_sum(negative + g[active][:, None, :], 2))
        error[active] = np.abs(rows - share_a[active]).max(axis=1)
        active = active[error[active] > tolerance]
    plan = np.exp(f[:, :, None] + g[:, None, :] - own / epsilon) * mass[:, None, None]
    plan = round_to_marginals(plan, supply, demand)
    log_mass = np.log(np.where(mass > 0, mass, 1.0))[:, None]
    return Batch(
        plan,
        (plan * own).sum(axis=(1, 2)),
        epsilon * np.where(np.isfinite(f), f + log_mass, 0.0),
        epsilon * np.where(np.isfinite(g), g, 0.0),
        error,
        done,
        0,
    )


def _log_sum(x: np.ndarray, axis: int) -> np.ndarray:
    top = x.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(x - top).sum(axis=axis)) + np.squeeze(top, axis)


class _Scalings:
    """u (N, I) and v (N, J) of problems of mass 1, on the way to convergence."""

    def __init__(self, kernel: np.ndarray, a: np.ndarray, b: np.ndarray, tolerance: float):
        self.kernel, self.back = np.ascontiguousarray(kernel), np.ascontiguousarray(kernel.T)
        self.a, self.b, self.tolerance = a, b, tolerance
        self.u, self.v = np.ones_like(a), np.ones_like(b)
        empty = ~a.any(axis=1)
        self.u[empty] = 0.0
        self.error = np.where(empty, 0.0, np.inf)
        self.sweeps = self.newton_steps = 0

    def run(self, sweeps: int, newton: bool) -> None:
        active, pause = np.flatnonzero(self.error > self.tolerance), SWEEPS
        while active.size:
            before = self.error[active]
            active, after = self._sweep(active, pause), self.error[active]
            if active.size and self.sweeps >= sweeps:
                worst = self.error.max()
                raise SolverFailed(f"Sinkhorn: marginals off by {worst:.1e} after {sweeps} sweeps")
            slow = active[
                self._sweeps_left(before, after, pause)[after > self.tolerance] > PATIENCE
            ]
            if not (newton and slow.size and np.isfinite(before).all()):
                continue
            helped = 0
            while slow.size:
                slow = self._newton(slow)
                helped += slow.size
            active = active[self.error[active] > self.tolerance]
            pause = SWEEPS if helped else min(2 * pause, LONGEST_PAUSE)

    def _sweeps_left(self, before: np.ndarray, after: np.ndarray, count: int) -> np.ndarray:
        """How many more it takes if the error goes on shrinking as over the last ``count``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.log(before / after) / count
            return np.where(rate > 0, np.log(after / self.tolerance) / rate, np.inf)

    def _sweep(self, of: np.ndarray, count: int) -> np.ndarray:
        """``count`` sweeps of the problems ``of``; those that are not done."""
        a, b, v = self.a[of], self.b[of], self.v[of]
        for _ in range(count):
            u = a / (v @ self.back)
            v = b / (u @ self.kernel)
        error = np.abs(u * (v @ self.back) - a).max(axis=1)
        self.u[of], self.v[of], self.error[of] = u, v, error
        self.sweeps += count
        return of[error > self.tolerance]

    def _newton(self, of: np.ndarray) -> np.ndarray:
        """One step for the problems ``of``, kept where it lowers the error; those that are not done
        and for which another step is worth it."""
        a, b, u, v = self.a[of], self.b[of], self.u[of], self.v[of]
        plan = u[:, :, None] * self.kernel * v[:, None, :]
        rows, columns = plan.sum(axis=2), plan.sum(axis=1)
        row_gap, column_gap = a - rows, b - columns
        inverse = 1 / np.where(rows > 0, rows, 1.0)
        scaled = plan * inverse[:, :, None]
        system = -np.matmul(plan.transpose(0, 2, 1), scaled)
        place = np.arange(b.shape[1])
        empty = b == 0
        system[:, place, place] += columns * (1 + DAMPING) + empty
        right = column_gap - np.matmul(row_gap[:, None, :], scaled)[:, 0]
        y = np.linalg.solve(system, right[:, :, None])[:, :, 0]
        x = inverse * (row_gap - np.matmul(plan, y[:, :, None])[:, :, 0])
        length = np.maximum(np.abs(x).max(axis=1), np.abs(y).max(axis=1))
        part = np.minimum(1.0, STEP / np.where(length > 0, length, 1.0))[:, None]
        u, v = u * np.exp(part * x), v * np.exp(part * y)
        held = v @ self.back
        u = a / held  # one half-sweep: rows are exact, the error is that of the columns
        error = np.abs(v * (u @ self.kernel) - b).max(axis=1)
        before = self.error[of]
        better = error < before
        self.u[of[better]], self.v[of[better]] = u[better], v[better]
        self.error[of[better]] = error[better]
        self.newton_steps += 1
        return of[(error > self.tolerance) & (error < before / 2)]


def _shares(
    cost: np.ndarray, supply: np.ndarray, demand: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if supply.ndim != 2 or demand.ndim != 2 or len(supply) != len(demand):
        raise InvalidInput("must be two tables of as many rows", "supply and demand")
    if cost.shape != (supply.shape[1], demand.shape[1]) or not np.isfinite(cost).all():
        raise InvalidInput(f"must be finite of shape {supply.shape[1], demand.shape[1]}", "cost")
    for name, table in (("supply", supply), ("demand", demand)):
        if not (np.isfinite(table).all() and (table >= 0).all()):
            raise InvalidInput("must hold finite numbers that are not negative", name)
    mass, other = supply.sum(axis=1), demand.sum(axis=1)
    if (np.abs(mass - other) > MASSES * np.maximum(mass, other)).any():
        raise InvalidInput("rows of supply and demand differ in mass", "supply and demand")
    scale = np.where(mass > 0, mass, 1.0)[:, None]
    other = np.where(other > 0, other, 1.0)[:, None]
    return supply / scale, demand / other, mass


def _finish(
    found: _Scalings,
    cost: np.ndarray,
    supply: np.ndarray,
    demand: np.ndarray,
    mass: np.ndarray,
    epsilon: float,
    least: float,
) -> Batch:
    plan = found.u[:, :, None] * (found.kernel * mass[:, None, None]) * found.v[:, None, :]
    plan = round_to_marginals(plan, supply, demand)
    log_mass = np.log(np.where(mass > 0, mass, 1.0))[:, None]
    log_u = np.where(found.u > 0, np.log(np.where(found.u > 0, found.u, 1.0)) + log_mass, 0.0)
    log_v = np.log(np.where(found.v > 0, found.v, 1.0))
    return Batch(
        plan,
        np.einsum("nij,ij->n", plan, cost),
        epsilon * log_u + least,
        epsilon * log_v,
        found.error,
        found.sweeps,
        found.newton_steps,
    )

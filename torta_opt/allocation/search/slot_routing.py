"""The transport program of one slot: where requests go at the least cost.

Its columns are priced in, and its answer is made whole.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.instance.data import Instance
from torta_opt.solvers import (
    Limits,
    LinearSolver,
    Problem,
    SolverFailed,
    solve_lp,
    solve_milp,
)

GAP, NEAR_USD = 1e-3, 1e-5  # relative gap, and dollars that it stands for, of whole flows
NEAREST = 12  # regions for each that its first program looks at
WORTH = 1e-10  # share of the price of a missed request that a pair must save to be priced in


class Router:
    """The transport program of one slot.

    Its columns are x[i,j,c], missed[j,c] and extra[j,c], by which a region gets less or more than
    it was to get, and moved[i,j]. A slot sends requests between few of the R² pairs of regions, so
    its program begins with those that the slot before used or prices low, and gains those
    that its own prices make worth it, until there are none: then its answer is the best over all
    pairs. A pair without requests in the slot before re-routes all that it gets, so it needs no
    moved[i,j]: its x[i,j,c] cost that much more.
    """

    def __init__(self, instance: Instance) -> None:
        system, weights = instance.system, instance.system.weights
        self.regions, self.classes = len(system.regions), len(system.classes)
        self.cells = np.argwhere(system.allowed)
        i, j = self.cells.T
        route = weights.time_usd_per_s * system.latency_s[i, j, None]
        self.route_usd = route + weights.transfer_factor * system.transfer_usd[i, j]
        dearest = self.route_usd.max() + weights.reroute_usd + weights.expiry_usd.max()
        self.missed_usd = max(10, self.regions) * dearest or 1.0  # more than any detour saves
        self.reroute_usd = weights.reroute_usd
        self.price = np.zeros((2, self.regions, self.classes))

    @cached_property
    def cost(self) -> np.ndarray:
        """Dollars of x over all pairs, missed, extra, and moved over all pairs."""
        missed = np.full(2 * self.regions * self.classes, self.missed_usd)
        moved = np.full(len(self.cells) * (self.reroute_usd > 0), self.reroute_usd)
        return np.concatenate([self.route_usd.ravel(), missed, moved])

    @cached_property
    def rows(self) -> sparse.csr_array:
        """Over all pairs: Σ_j x[i,j,c] by (i, c), then Σ_i x[i,j,c] + missed[j,c] − extra[j,c] by
        (j, c).
        """
        width = self.regions * self.classes
        flow = self._reaching(np.arange(len(self.cells)), 2 * width)
        none, each = sparse.csr_array((width, width)), sparse.eye_array(width)
        missed = sparse.block_array([[none, none], [each, -each]])
        return sparse.csr_array(sparse.hstack([flow, missed]))

    def slot(
        self, arrivals: np.ndarray, inflow: np.ndarray, before: np.ndarray, branch: bool
    ) -> np.ndarray:
        """(R, R, C) whole requests."""
        program, x = self._cheapest(arrivals, inflow, before)
        whole = None
        if branch and self.reroute_usd > 0:
            whole = _branched(program, x)
        if whole is None:
            whole = _rounded(program, x)
        routed = np.zeros((self.regions, self.regions, self.classes), np.int64)
        flows = whole[program.first :].reshape(-1, self.classes)
        routed[tuple(self.cells[program.pairs].T)] = np.rint(flows)
        return routed

    def _cheapest(
        self, arrivals: np.ndarray, inflow: np.ndarray, before: np.ndarray
    ) -> tuple[_SlotProgram, np.ndarray]:
        """The program with all pairs that are worth it, and its answer."""
        i, j = self.cells.T
        now, past = arrivals.sum(axis=1), before.sum(axis=1)
        scale = np.minimum(now, past) / np.maximum(now, 1)
        used = before[i, j] > 0
        usd = self.route_usd + (self.reroute_usd * scale[i] * ~used)[:, None]
        asked = now[i] > 0
        pairs = np.flatnonzero((self._cheap(usd) | used) & asked)
        solver = self._started(pairs, usd, arrivals, inflow, before)
        while True:
            found = solver.solve(presolve=self.regions > NEAREST).raise_if_interrupted()
            if found.x is None or found.row_dual is None:
                raise SolverFailed("a transport program that is always feasible was not solved")
            flows = found.row_dual[: 2 * arrivals.size]
            self.price = flows.reshape(2, self.regions, self.classes)
            saves = (self.price[0, i] + self.price[1, j] - usd).max(axis=1)
            saves[pairs] = saves[~asked] = 0.0
            if saves.max(initial=0.0) <= WORTH * self.missed_usd:
                first = solver.problem.columns - len(pairs) * self.classes
                return _SlotProgram(pairs, first, 2 * arrivals.size, solver.problem), found.x
            further = np.flatnonzero(self._best(saves))
            pairs = np.append(pairs, further)
            solver.add_columns(
                self._reaching(further, solver.problem.rows),
                usd[further].ravel(),
                np.full(len(further) * self.classes, np.inf),
            )

    def _cheap(self, usd: np.ndarray) -> np.ndarray:
        """(pairs,) bool: among the ``NEAREST`` cheapest of its origin, or of its region, at the
        prices of the slot before.
        """
        i, j = self.cells.T
        least = np.full((self.regions, self.regions), np.inf)
        least[i, j] = (usd - self.price[0, i] - self.price[1, j]).min(axis=1)
        cheap = np.zeros(least.shape, bool)
        if self.regions <= NEAREST:
            cheap[:] = True
        else:
            for axis in (0, 1):
                few = np.argpartition(least, NEAREST, axis=axis)
                few = few[:NEAREST] if axis == 0 else few[:, :NEAREST]
                np.put_along_axis(cheap, few, True, axis=axis)
        chosen: np.ndarray = cheap[i, j]
        return chosen

    def _best(self, saves: np.ndarray) -> np.ndarray:
        """(pairs,) bool: those that save most of their origin, and of their region."""
        dense = np.zeros((self.regions, self.regions))
        dense[tuple(self.cells.T)] = saves
        best = (dense == dense.max(axis=0)) | (dense == dense.max(axis=1, keepdims=True))
        chosen: np.ndarray = (saves > 0) & best[tuple(self.cells.T)]
        return chosen

    def _started(
        self,
        pairs: np.ndarray,
        usd: np.ndarray,
        arrivals: np.ndarray,
        inflow: np.ndarray,
        before: np.ndarray,
    ) -> LinearSolver:
        """The program over some pairs: columns missed, extra, moved, then x.

        usd   (all pairs, C) what a request costs
        """
        width = arrivals.size
        moved = np.zeros(0, np.int64)  # places in ``pairs``
        if self.reroute_usd > 0:
            moved = np.flatnonzero(before[tuple(self.cells[pairs].T)] > 0)
        share, known = self.rerouting(arrivals.sum(axis=1), before, pairs[moved])
        each = np.arange(width, 2 * width)
        count = len(moved)
        here = moved[:, None] * self.classes + np.arange(self.classes)
        base = 2 * width + count
        rows = [each, each, 2 * width + np.arange(count)]
        columns = [each - width, each, 2 * width + np.arange(count)]
        values = [np.ones(width), -np.ones(width), -np.ones(count)]
        rows.append(2 * width + np.repeat(np.arange(count), self.classes))
        columns.append(base + here.ravel())
        values.append(share.data)
        x = sparse.coo_array(self._reaching(pairs, 2 * width + count))
        rows.append(x.row)
        columns.append(base + x.col)
        values.append(x.data)
        entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
        size = base + len(pairs) * self.classes
        matrix = sparse.csc_array(entries, shape=(2 * width + count, size))
        need = np.concatenate([arrivals.ravel(), inflow.ravel()]).astype(float)
        problem = Problem(
            matrix=matrix,
            row_lower=np.concatenate([need, np.full(count, -np.inf)]),
            row_upper=np.concatenate([need, known]),
            col_lower=np.zeros(size),
            col_upper=np.full(size, np.inf),
            cost=np.concatenate(
                [
                    np.full(2 * width, self.missed_usd),
                    np.full(count, self.reroute_usd),
                    usd[pairs].ravel(),
                ]
            ),
        )
        return LinearSolver(problem)

    def _reaching(self, pairs: np.ndarray, rows: int) -> sparse.csc_array:
        """Entries of x[i,j,c] in the rows (i, c) and (j, c), of ``rows`` rows."""
        i, j = self.cells[pairs].T
        c = np.arange(self.classes)
        out = i[:, None] * self.classes + c
        into = (self.regions + j[:, None]) * self.classes + c
        row = np.stack([out.ravel(), into.ravel()], axis=1)
        starts = np.arange(0, 2 * len(row) + 1, 2)
        return sparse.csc_array((np.ones(row.size), row.ravel(), starts), shape=(rows, len(row)))

    def rerouting(
        self, now: np.ndarray, before: np.ndarray, pairs: np.ndarray | None = None
    ) -> tuple[sparse.csr_array, np.ndarray]:
        """Rows over x and right-hand sides of moved[i,j] ≥ row·x − side, for some or all pairs.

        moved[i,j] ≥ f·(Σ_c x[i,j,c]/D[i] − before[i,j]/D'[i]), f = min(D[i], D'[i]); ``now`` (R,)
        is D.
        """
        i, j = (self.cells if pairs is None else self.cells[pairs]).T
        past = before.sum(axis=1)
        fewer = np.minimum(now, past)
        scale = (fewer / np.maximum(now, 1))[i]
        known = (fewer / np.maximum(past, 1))[i] * before[i, j]
        row = np.repeat(np.arange(len(i)), self.classes)
        entries = np.repeat(scale, self.classes), (row, np.arange(len(row)))
        return sparse.csr_array(entries, shape=(len(i), len(row))), known


@dataclass(frozen=True, eq=False)
class _SlotProgram:
    """The program of a slot over some pairs.

    pairs      numbers of the pairs in ``Router.cells``, in the order of their columns
    first      number of the first column of x
    flows      number of its first rows, which know nothing of re-routing
    problem    the program
    """

    pairs: np.ndarray
    first: int
    flows: int
    problem: Problem

    @property
    def whole(self) -> np.ndarray:
        """(columns,) bool: missed, extra and x are to be whole, moved need not be."""
        number = np.arange(self.problem.columns)
        whole: np.ndarray = (number < self.flows) | (number >= self.first)
        return whole

    def near(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whole flows below and above those of an answer; the bounds of moved."""
        low = np.floor(x + 1e-6)
        high = np.maximum(low, np.ceil(x - 1e-6))
        problem, whole = self.problem, self.whole
        return np.where(whole, low, problem.col_lower), np.where(whole, high, problem.col_upper)


def _rounded(program: _SlotProgram, x: np.ndarray) -> np.ndarray:
    """Whole flows near an answer: a vertex of the transport program, without re-routing.

    Flows that are whole stay as they are, so few columns are left.
    """
    problem = program.problem
    low, high = program.near(x)
    low[~program.whole] = 0.0
    free = np.flatnonzero((high > low) & program.whole)
    if len(free) == 0:
        return low
    flow = sparse.csr_array(problem.matrix[: program.flows])
    need = problem.row_lower[: program.flows] - flow @ low
    flow = flow[:, free]
    rows = np.flatnonzero(np.diff(flow.indptr))
    zero, one = np.zeros(len(free)), np.ones(len(free))
    rest = Problem(flow[rows], need[rows], need[rows], zero, one, problem.cost[free])
    found = solve_lp(rest, "simplex", presolve=False).raise_if_interrupted()
    if found.x is None:
        raise SolverFailed("a transport program cannot be made whole")
    low[free] += np.rint(found.x)
    return low


def _branched(program: _SlotProgram, x: np.ndarray) -> np.ndarray | None:
    """Whole flows near an answer, with re-routing, at the root of branch and bound."""
    low, high = program.near(x)
    nearby = dataclasses.replace(
        program.problem,
        col_lower=low,
        col_upper=high,
        integrality=program.whole,
        offset=NEAR_USD / GAP - float(program.problem.cost @ x),  # so that GAP is NEAR_USD
    )
    return solve_milp(nearby, Limits(gap=GAP, work=1)).raise_if_interrupted().x

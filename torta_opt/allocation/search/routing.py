"""From what servers process to which region each request is sent.

``inflow_of`` reads off first in, first out which arrivals each region serves; ``route`` sends them
there, slot by slot, at the least cost of network, transfer and re-routing: a linear program, whose
answer is then made whole.
"""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.instance.data import Instance
from torta_opt.solvers import Limits, Problem, SolverFailed, solve_lp, solve_milp

GAP, NEAR_USD = 1e-3, 1e-5  # relative gap, and dollars that it stands for, of whole flows


def send_rest(instance: Instance, work: np.ndarray, inflow: np.ndarray) -> np.ndarray:
    """Arrivals that no region is to serve go where the class is not processed until they expire.

    work, inflow   (T, R, C) requests processed, and arrivals that each region is to get
    """
    system = instance.system
    rest = instance.arrivals.sum(axis=1) - inflow.sum(axis=1)
    total = inflow.copy()
    for t, c in zip(*np.nonzero(rest), strict=True):
        until = t + int(system.deadline_slots[c]) + 1
        busy = work[t:until, :, c].sum(axis=0)
        total[t, int(np.argmin(busy)), c] += rest[t, c]
    return total


def clip_to_available(
    instance: Instance, routing: np.ndarray, processing: np.ndarray
) -> np.ndarray:
    """(T, S, C) the processing, less what has not come to the region that was to process it.

    That happens where data residency kept it away, or where it waits elsewhere before slot 0.
    """
    system = instance.system
    waiting = instance.initial.backlog
    most = max(int(system.deadline_slots.max(initial=0)), waiting.shape[2])
    ages = np.zeros((*waiting.shape[:2], most + 1), np.int64)
    ages[:, :, 1 : waiting.shape[2] + 1] = waiting
    stays = np.arange(most + 1) < system.deadline_slots[:, None]
    done = processing.copy()
    for t in range(instance.slots):
        ages[:, :, 0] = routing[t].sum(axis=0)
        there = ages.sum(axis=2)
        for j in range(len(system.regions)):
            servers = np.flatnonzero(system.server_region == j)
            before = done[t, servers].cumsum(axis=0) - done[t, servers]
            done[t, servers] = np.clip(there[j] - before, 0, done[t, servers])
            served = done[t, servers].sum(axis=0)
            older = ages[j][:, ::-1].cumsum(axis=1)[:, ::-1] - ages[j]
            ages[j] -= np.clip(served[:, None] - older, 0, ages[j])
        ages[:, :, 1:] = np.where(stays, ages, 0)[:, :, :-1].copy()
    return done


def inflow_of(
    arrivals: np.ndarray, backlog: np.ndarray, work: np.ndarray, deadline_slots: np.ndarray
) -> np.ndarray:
    """(T, R, C) arrivals of each slot that each region serves, first in, first out.

    The k-th request of a class that is served is the k-th that arrived of those served; within a
    slot regions take theirs in turn.

    arrivals, work   (T, C) of those served, (T, R, C) processed
    backlog          (C, A) what waits before slot 0, by age
    """
    inflow = np.zeros(work.shape, np.int64)
    for c, deadline in enumerate(deadline_slots.tolist()):
        waiting = np.zeros(deadline + 1, np.int64)  # by age
        waiting[1 : backlog.shape[1] + 1] = backlog[c, :deadline]
        for t in range(len(work)):
            waiting[0] = arrivals[t, c]
            for j in np.flatnonzero(work[t, :, c]):
                older = waiting[::-1].cumsum()[::-1] - waiting
                taken = np.clip(work[t, j, c] - older, 0, waiting)
                waiting -= taken
                ages = np.flatnonzero(taken[: t + 1])
                inflow[t - ages, j, c] += taken[ages]
            waiting[1:] = waiting[:-1].copy()
    return inflow


def route(instance: Instance, inflow: np.ndarray, *, branch_until: float = 0.0) -> np.ndarray:
    """(T, R, R, C) whole requests from origins to regions that receive ``inflow`` (T, R, C).

    Slot by slot at the least cost of network, transfer and re-routing since the slot before. Where
    data residency forbids what a region is to receive, requests go elsewhere at a penalty.

    branch_until   until this time (``time.time()``) flows are made whole with re-routing in mind:
                   less of it, in twice the time
    """
    routing = np.zeros((*instance.arrivals.shape[:2], *inflow.shape[1:]), np.int64)
    router = Router(instance)
    before = instance.initial.routing
    for t in range(instance.slots):
        branch = time.time() < branch_until
        routing[t] = router.slot(instance.arrivals[t], inflow[t], before, branch)
        before = routing[t].sum(axis=2)
    return routing


class Router:
    """The transport program of one slot.

    Its columns are x[i,j,c], missed[j,c] and extra[j,c], by which a region gets less or more than
    it was to get, and moved[i,j].
    """

    def __init__(self, instance: Instance) -> None:
        system, weights = instance.system, instance.system.weights
        self.regions, self.classes = len(system.regions), len(system.classes)
        self.cells = np.argwhere(system.allowed)
        i, j = self.cells.T
        route = weights.time_usd_per_s * system.latency_s[i, j, None]
        route = route + weights.transfer_factor * system.transfer_usd[i, j]
        dearest = route.max() + weights.reroute_usd + weights.expiry_usd.max()
        missed = max(10, self.regions) * dearest or 1.0  # more than any detour saves
        self.reroute_usd = weights.reroute_usd
        self.cost = np.concatenate(
            [
                route.ravel(),
                np.full(2 * self.regions * self.classes, missed),
                np.full(len(i) * (self.reroute_usd > 0), self.reroute_usd),
            ]
        )
        self.rows = self._flow_rows()

    def _flow_rows(self) -> sparse.csr_array:
        """Σ_j x[i,j,c] by (i, c), then Σ_i x[i,j,c] + missed[j,c] − extra[j,c] by (j, c)."""
        i, j = self.cells.T
        count, width = len(i) * self.classes, self.regions * self.classes
        c = np.tile(np.arange(self.classes), len(i))
        ones, column = np.ones(count), np.arange(count)
        out = np.repeat(i, self.classes) * self.classes + c
        into = np.repeat(j, self.classes) * self.classes + c
        leave = sparse.csr_array((ones, (out, column)), shape=(width, count))
        reach = sparse.csr_array((ones, (into, column)), shape=(width, count))
        each = sparse.eye_array(width)
        return sparse.csr_array(sparse.block_array([[leave, None, None], [reach, each, -each]]))

    def slot(
        self, arrivals: np.ndarray, inflow: np.ndarray, before: np.ndarray, branch: bool
    ) -> np.ndarray:
        """(R, R, C) whole requests."""
        need = np.concatenate([arrivals.ravel(), inflow.ravel()]).astype(float)
        program = self._with_rerouting(need, arrivals, before)
        x = solve_lp(program, "simplex").raise_if_interrupted().x
        if x is None:
            raise SolverFailed("a transport program that is always feasible was not solved")
        whole = self._branched(program, x) if branch and self.reroute_usd > 0 else None
        if whole is None:
            whole = self._rounded(x, need)
        count = len(self.cells) * self.classes
        routed = np.zeros((self.regions, self.regions, self.classes), np.int64)
        routed[tuple(self.cells.T)] = np.rint(whole[:count]).reshape(-1, self.classes)
        return routed

    def _near(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whole flows below and above those of an answer."""
        flows = x[: self.rows.shape[1]]
        low = np.floor(flows + 1e-6)
        return low, np.maximum(low, np.ceil(flows - 1e-6))

    def _rounded(self, x: np.ndarray, need: np.ndarray) -> np.ndarray:
        """Whole flows near an answer: a vertex of the transport program, without re-routing."""
        low, high = self._near(x)
        program = Problem(self.rows, need, need, low, high, self.cost[: len(low)])
        found = solve_lp(program, "simplex").raise_if_interrupted()
        if found.x is None:
            raise SolverFailed("a transport program cannot be made whole")
        return found.x

    def _branched(self, program: Problem, x: np.ndarray) -> np.ndarray | None:
        """Whole flows near an answer, with re-routing, at the root of branch and bound."""
        low, high = self._near(x)
        flows = len(low)
        nearby = dataclasses.replace(
            program,
            col_lower=np.append(low, program.col_lower[flows:]),
            col_upper=np.append(high, program.col_upper[flows:]),
            integrality=np.arange(len(x)) < flows,
            offset=NEAR_USD / GAP - float(program.cost @ x),  # so that GAP stands for NEAR_USD
        )
        return solve_milp(nearby, Limits(gap=GAP, work=1)).raise_if_interrupted().x

    def _with_rerouting(
        self, need: np.ndarray, arrivals: np.ndarray, before: np.ndarray
    ) -> Problem:
        flows = self.rows.shape[1]
        if self.reroute_usd == 0:
            return self._problem(self.rows, need, need, self.cost)
        share, known = self.rerouting(arrivals.sum(axis=1), before)
        wider = sparse.hstack([share, sparse.csr_array((len(known), flows - share.shape[1]))])
        matrix = sparse.block_array([[self.rows, None], [wider, -sparse.eye_array(len(known))]])
        lower = np.concatenate([need, np.full(len(known), -np.inf)])
        upper = np.concatenate([need, known])
        return self._problem(sparse.csr_array(matrix), lower, upper, self.cost)

    def rerouting(self, now: np.ndarray, before: np.ndarray) -> tuple[sparse.csr_array, np.ndarray]:
        """Rows over x and right-hand sides of moved[i,j] ≥ row·x − side, all (i, j) allowed.

        moved[i,j] ≥ f·(Σ_c x[i,j,c]/D[i] − before[i,j]/D'[i]), f = min(D[i], D'[i]); ``now`` (R,)
        is D.
        """
        i, j = self.cells.T
        past = before.sum(axis=1)
        fewer = np.minimum(now, past)
        scale = (fewer / np.maximum(now, 1))[i]
        known = (fewer / np.maximum(past, 1))[i] * before[i, j]
        row = np.repeat(np.arange(len(i)), self.classes)
        entries = np.repeat(scale, self.classes), (row, np.arange(len(row)))
        return sparse.csr_array(entries, shape=(len(i), len(row))), known

    def _problem(
        self, matrix: sparse.csr_array, lower: np.ndarray, upper: np.ndarray, cost: np.ndarray
    ) -> Problem:
        columns = matrix.shape[1]
        return Problem(
            matrix=matrix,
            row_lower=lower,
            row_upper=upper,
            col_lower=np.zeros(columns),
            col_upper=np.full(columns, np.inf),
            cost=cost,
        )

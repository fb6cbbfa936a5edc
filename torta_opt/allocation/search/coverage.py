"""A proposal of servers made to cover the demand, by a small linear program.

A network that is off by a few servers lets requests expire, which costs more than all else. How
much work there is need not be guessed: with r[t,m] requests of model m in slot t, all regions as
one, s[t,k,m] of them that one server of type k serves in a slot at the mix of classes of t, whole
requests only, and serve_usd[t,k,m] of one of them,

    minimise    cost·servers − Σ gain·min( Σ_{p of k} ready[t,p,m], wanted ) + Σ serve_usd·y
                + Σ wait_usd·w[t,m] + expiry_usd[m]·lost[t,m]
    subject to  rows of server states, and
                y[t,k,m] ≤ s[t,k,m]·Σ_{p of k} ready[t,p,m]                                 (serve)
                Σ_k y[t,k,m] + w[t,m] − w[t−1,m] + lost[t,m] ≥ r[t,m]                       (cover)
                w[t,m] ≤ Σ_{τ=t−ℓ+1..t} r[τ,m],  0 in the last slot

Servers may be fractions. Its ready servers, a part of ``PART`` or more counted as one, are the new
proposal, to be followed as far as whole servers can. It knows nothing of classes, routes and hot
requests.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.search.server_plan import (
    ServerPlan,
    counting_problem,
    of_lp,
    ready_by_type,
    ready_columns,
)
from torta_opt.solvers import Limits, Problem, solve_lp

MIXED = 1e-9
PART = 0.3  # from this part of a server on, a whole one is proposed


def covered(
    program: AllocationProgram, kind: np.ndarray, plan: ServerPlan, limits: Limits | None = None
) -> ServerPlan:
    """The proposal, with servers enough for the demand of the program's instance.

    kind   (P,) type of each pool, the axis K of the proposal

    The proposal itself if the time of ``limits`` was over first.
    """
    plan = plan.checked()
    counting = counting_problem(program, kind, plan)
    work = _Work.of(program, kind, plan.wanted.shape[1])
    problem = _with_cover(program, counting.problem, kind, work)
    x = solve_lp(problem, "simplex", of_lp(limits or Limits())).raise_if_interrupted().x
    if x is None:
        return plan
    ready = program.values(counting.to_program(program, x))["ready"]
    ready = ready_by_type(kind, np.maximum(ready, 0.0), plan.wanted.shape[1])
    whole = np.floor(ready + 1 - PART)
    return ServerPlan(whole, np.full(ready.shape, np.abs(program.cost).max()))


@dataclass(frozen=True, eq=False)
class _Work:
    """``requests`` (T, M) r, ``fresh`` (T, M) those of the last ℓ slots, which can still wait, 0 in
    the last slot, ``rate`` and ``usd`` (T, K, M) s and serve_usd."""

    requests: np.ndarray
    fresh: np.ndarray
    rate: np.ndarray
    usd: np.ndarray

    @classmethod
    def of(cls, program: AllocationProgram, kind: np.ndarray, types: int) -> _Work:
        instance, system = program.instance, program.instance.system
        demand = instance.arrivals.sum(axis=1).astype(float)
        demand[0] += instance.initial.backlog.sum(axis=(0, 2))
        of_model = (system.class_model[:, None] == np.arange(len(system.models))).astype(float)
        requests = demand @ of_model
        share = np.divide(demand, requests @ of_model.T, out=0 * demand, where=demand > 0)
        most, usd = np.zeros((2, types, len(system.classes)))
        np.maximum.at(most, kind, program.pools.per_slot)
        service = np.nan_to_num(system.service_s)[program.pools.type]
        np.maximum.at(usd, kind, system.weights.time_usd_per_s * service)
        able = (most > 0).astype(float)
        each = np.divide(1.0, most, out=np.zeros(most.shape), where=most > 0)
        whole = np.einsum("tc,kc,cm->tkm", share, able, of_model) > 1 - MIXED
        servers = np.einsum("tc,kc,cm->tkm", share, each, of_model)
        rate = np.divide(1.0, servers, out=np.zeros(servers.shape), where=whole & (servers > 0))
        usd = np.einsum("tc,kc,cm->tkm", share, usd, of_model)
        return cls(requests, _fresh(requests, of_model, system.deadline_slots), rate, usd)


def _fresh(requests: np.ndarray, of_model: np.ndarray, deadline_slots: np.ndarray) -> np.ndarray:
    """(T, M) requests that came in the last ℓ slots, ℓ the least of the model's classes."""
    fresh = np.zeros(requests.shape)
    for m in range(requests.shape[1]):
        most = int(deadline_slots[of_model[:, m] > 0].min(initial=len(requests)))
        for age in range(min(most, len(requests))):
            fresh[age:, m] += requests[: len(requests) - age, m]
    fresh[-1] = 0.0  # what is left at the end expires
    return fresh


def _with_cover(
    program: AllocationProgram, problem: Problem, kind: np.ndarray, work: _Work
) -> Problem:
    """The counting problem with columns y, w and lost, and rows (serve), (cover)."""
    system, weights = program.instance.system, program.instance.system.weights
    slots, _, models = work.rate.shape
    cells, serves = slots * models, work.rate.size
    row = np.arange(serves).reshape(work.rate.shape)
    t, p, m = program.columns["ready"].index.T
    able = sparse.csr_array(
        (-work.rate[t, kind[p], m], (row[t, kind[p], m], ready_columns(program))),
        shape=(serves, problem.columns),
    )
    at = np.arange(cells).reshape(slots, 1, models)
    of_cell = np.broadcast_to(at, work.rate.shape).ravel()
    adds = sparse.csr_array((np.ones(serves), (of_cell, np.arange(serves))), shape=(cells, serves))
    waits = sparse.eye_array(cells) - sparse.eye_array(cells, k=-models)
    matrix = sparse.block_array(
        [
            [problem.matrix, None, None, None],
            [able, sparse.eye_array(serves), None, None],
            [None, adds, waits, sparse.eye_array(cells)],
        ]
    )
    of_model = system.class_model[:, None] == np.arange(models)
    expiry = np.where(of_model, weights.expiry_usd[:, None], 0.0).max(axis=0)
    wait = np.full(cells, weights.time_usd_per_s * system.slot_s)
    asked = work.requests.ravel()
    infinite = np.full(serves + cells, np.inf)
    return dataclasses.replace(
        problem,
        matrix=sparse.csr_array(matrix),
        row_lower=np.concatenate([problem.row_lower, -infinite[:serves], asked]),
        row_upper=np.concatenate([problem.row_upper, np.zeros(serves), infinite[:cells]]),
        col_lower=np.append(problem.col_lower, np.zeros(serves + 2 * cells)),
        col_upper=np.concatenate(
            [problem.col_upper, infinite[:serves], work.fresh.ravel(), infinite[:cells]]
        ),
        cost=np.concatenate([problem.cost, work.usd.ravel(), wait, np.tile(expiry, slots)]),
        integrality=None,
    )

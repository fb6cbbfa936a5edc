"""From the linear relaxation to a schedule: whole servers close to the fractions, then requests.

1. *Servers.* For every pool, model and slot the relaxation uses a number of servers; rounded, it is
   the number wanted. The cheapest flow of whole servers that is short of it as little as pays is a
   linear program over server counts alone. Its matrix is that of a network with arcs for the
   shortage beside it, so its vertices are integral.
2. *Requests.* With servers fixed, the rest of the program is solved again, each server's time
   shortened by what a mix of whole requests leaves unused on average.
3. ``lower`` makes a legal schedule of the two.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse as sparse

from torta_opt.formulations.allocation_matrix import SERVERS, AllocationProgram
from torta_opt.formulations.lower import lower
from torta_opt.schedule.data import Schedule
from torta_opt.solvers import Limits, Problem, solve_lp

# Fractions of a server above these count as a whole one: cautious first.
THRESHOLDS = (0.05, 0.3)
WASTE = 0.5  # of the shortest request of a model: what a full server leaves unused on average


def round_relaxation(
    program: AllocationProgram,
    x: np.ndarray,
    threshold: float,
    limits: Limits | None = None,
    method: str = "rounding",
) -> Schedule | None:
    """A legal schedule near an answer of the relaxation; None if a limit came first."""
    servers = round_servers(program, x, threshold)
    if servers is None:
        return None
    shortened = _fixed(program, servers, _shortened(program))
    result = solve_lp(shortened, limits=limits, crossover=False)
    if result.x is None:
        return None
    values = program.values(result.x)
    return lower(program.instance, values, pools=program.pools, method=method)


def round_servers(program: AllocationProgram, x: np.ndarray, threshold: float) -> np.ndarray | None:
    """A vector whose server counts are integers and feasible; other columns are those of x."""
    values = program.values(x)
    wanted, value = _wanted(program, values, threshold)
    ready = program.columns["ready"]
    columns = np.concatenate([np.arange(*_span(program.columns[name])) for name in SERVERS])
    flows = ("off_flow", "ready_flow", "switch_flow")
    rows = np.concatenate([np.arange(*_span(program.rows[name])) for name in flows])
    cells = tuple(ready.index.T)
    count = len(ready)
    at_ready = np.searchsorted(columns, np.arange(*_span(ready)))
    ones, each = np.ones(count), np.arange(count)
    meet = sparse.csr_array((ones, (each, at_ready)), shape=(count, len(columns)))
    network = program.matrix[rows][:, columns]
    problem = Problem(
        matrix=sparse.csr_array(
            sparse.block_array([[network, None], [meet, sparse.eye_array(count)]])
        ),
        row_lower=np.append(program.row_lower[rows], wanted[cells]),
        row_upper=np.append(program.row_upper[rows], np.full(count, np.inf)),
        col_lower=np.zeros(len(columns) + count),
        col_upper=np.append(program.upper[columns], wanted[cells]),
        cost=np.append(program.cost[columns], value[cells]),
    )
    result = solve_lp(problem, "simplex")
    if result.x is None:
        return None
    rounded = x.copy()
    rounded[columns] = np.rint(result.x[: len(columns)])
    return rounded


def _wanted(
    program: AllocationProgram, values: dict[str, np.ndarray], threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """(T, P, M) ready servers wanted, and dollars for one that is missing.

    A missing server makes what it would process wait for a slot.
    """
    pools, system = program.pools, program.instance.system
    of_model = system.class_model[:, None] == np.arange(len(system.models))
    shortest = _shortest_ms(program)
    work_ms = (values["z"] * pools.work_ms) @ of_model
    servers = work_ms / np.maximum(system.slot_ms - WASTE * shortest, 1)
    servers = np.minimum(servers, pools.size[:, None])
    wanted = np.floor(servers + (1 - threshold)) * (servers > 1e-6)
    requests = (values["z"] @ of_model).sum(axis=0) / np.maximum(servers.sum(axis=0), 1e-6)
    value = program.instance.system.weights.time_usd_per_s * system.slot_s * requests
    return wanted, np.broadcast_to(value, wanted.shape)


def _shortest_ms(program: AllocationProgram) -> np.ndarray:
    """(P, M) time of the shortest request of a model; 0 where there is none."""
    work, model = program.pools.work_ms, program.instance.system.class_model
    shortest = np.zeros(program.pools.holds.shape)
    for m in range(shortest.shape[1]):
        of_model = work[:, model == m]
        least = np.where(of_model > 0, of_model, np.inf).min(axis=1, initial=np.inf)
        shortest[:, m] = np.where(np.isfinite(least), least, 0.0)
    return shortest


def _shortened(program: AllocationProgram) -> sparse.csr_array:
    """The matrix with less usable time in every coefficient of (capacity)."""
    entries = program.matrix.tocoo()
    first, last = _span(program.rows["capacity"])
    inside = (entries.row >= first) & (entries.row < last) & (entries.data < 0)
    cell = program.rows["capacity"].index[entries.row[inside] - first]
    waste = WASTE * _shortest_ms(program)[cell[:, 1], cell[:, 2]]
    data = entries.data.copy()
    data[inside] = np.minimum(data[inside] + waste, 0.0)
    return sparse.csr_array((data, (entries.row, entries.col)), shape=entries.shape)


def _fixed(program: AllocationProgram, x: np.ndarray, matrix: sparse.csr_array) -> Problem:
    """The program's requests with server counts as in x."""
    problem = program.problem().relaxed()
    columns = np.concatenate([np.arange(*_span(program.columns[name])) for name in SERVERS])
    lower, upper = problem.col_lower.copy(), problem.col_upper.copy()
    lower[columns] = upper[columns] = x[columns]
    return dataclasses.replace(problem, matrix=matrix, col_lower=lower, col_upper=upper)


def _span(family: object) -> tuple[int, int]:
    return family.numbers.start, family.numbers.stop

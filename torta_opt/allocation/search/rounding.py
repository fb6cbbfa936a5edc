"""From the linear relaxation to a schedule: whole servers close to the fractions, then requests.

1. *Servers.* The duals of the relaxation price a server's usable time; at these prices fractions
   and whole numbers earn the same. So the price holds up to the number of servers the relaxation
   uses and falls beyond it: by ``discount``, what a server is worth that is needed in part. The
   best flow of whole servers at such prices is a linear program over server counts alone. Its
   matrix is that of a network with parallel arcs, so its vertices are integral.
2. *Requests.* With servers fixed, the rest of the program is solved again, each server's time
   shortened by what a mix of whole requests leaves unused on average.
3. ``recover`` makes a legal schedule of the two.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.formulations.program import SERVERS, AllocationProgram, Family
from torta_opt.allocation.formulations.recover import recover
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.search.independent import independent_parts
from torta_opt.solvers import Limits, LinearSolver, Problem, solve_lp

# What a server beyond the fractional number is worth, as a share of its price: cautious first.
DISCOUNTS = (0.9, 0.95, 0.98)
PREMIUM = 1.2  # what servers within that number are worth: losing one costs more than its price
PART = 10_000  # columns of a program that is not divided further
WASTE = 0.1  # unused time of a full server on average, in shortest requests of its model


def round_relaxation(
    program: AllocationProgram,
    x: np.ndarray,
    dual: np.ndarray,
    discount: float,
    limits: Limits | None = None,
    method: str = "rounding",
) -> Schedule | None:
    """A legal schedule near an answer of the relaxation; None if a limit came first.

    x, dual   (columns,), (rows,) of the relaxation
    """
    servers = round_servers(program, x, dual, discount)
    if servers is None:
        return None
    requests = with_servers(program, servers, shortened(program))
    result = solve_lp(requests, limits=limits, crossover=False)
    if result.x is None:
        return None
    values = program.values(result.x)
    return recover(program.instance, values, pools=program.pools, method=method)


def round_servers(
    program: AllocationProgram, x: np.ndarray, dual: np.ndarray, discount: float
) -> np.ndarray | None:
    """As ``ServerRounding.rounded``, where there is one discount only."""
    return ServerRounding(program, x, dual).rounded(discount)


class ServerRounding:
    """Whole servers close to an answer of the relaxation, for one discount after another.

    minimise  Σ (cost − discount·price)·servers − Σ_ready price·gain(ready), with
    gain(n) = (PREMIUM − discount)·min(n, wanted), wanted the fractional number

    No row has columns of two pools, so a large program falls into parts: the time of the simplex
    method grows faster than the number of rows. Another discount changes costs alone, so the
    simplex method goes on from the last basis.

    x, dual   (columns,), (rows,) of the relaxation
    """

    def __init__(self, program: AllocationProgram, x: np.ndarray, dual: np.ndarray) -> None:
        self.program, self.x = program, x
        self.columns = np.concatenate([np.arange(*_span(program.columns[n])) for n in SERVERS])
        self.ready = np.arange(*_span(program.columns["ready"]))
        self.price = time_price(program, dual)
        wanted = _wanted(program, x)
        self.full = np.floor(wanted + 1e-6)
        self.part = np.clip(wanted - self.full, 0.0, 1.0)  # of one more server, used by the work
        parts = independent_parts(self._problem(), PART)
        self.solvers = [(columns, LinearSolver(part)) for columns, part in parts]

    def rounded(self, discount: float) -> np.ndarray | None:
        """A vector whose server counts are integers and feasible; other columns are those of x."""
        cost = self._cost(discount)
        counts = np.zeros(len(cost))
        for columns, solver in self.solvers:
            solver.change_costs(np.arange(len(columns)), cost[columns])
            result = solver.solve("simplex").raise_if_interrupted()
            if result.x is None:
                return None
            counts[columns] = result.x
        rounded = self.x.copy()
        rounded[self.columns] = np.rint(counts[: len(self.columns)])
        return rounded

    def _cost(self, discount: float) -> np.ndarray:
        """Of servers, of ready ones up to whole wanted ones, and of the part of one more."""
        gain = (PREMIUM - discount) * self.price[self.ready]
        servers = (self.program.cost - discount * self.price)[self.columns]
        return np.concatenate([servers, -gain, -gain * self.part])

    def _problem(self) -> Problem:
        program, columns, count = self.program, self.columns, len(self.ready)
        flows = ("off_flow", "ready_flow", "switch_flow")
        rows = np.concatenate([np.arange(*_span(program.rows[name])) for name in flows])
        place = np.arange(count), np.searchsorted(columns, self.ready)
        meet = sparse.csr_array((np.ones(count), place), shape=(count, len(columns)))
        each = -sparse.eye_array(count)
        network = program.matrix[rows][:, columns]
        blocks = [[network, None, None], [meet, each, each]]
        cost = self._cost(DISCOUNTS[0])
        return Problem(
            matrix=sparse.csr_array(sparse.block_array(blocks)),
            row_lower=np.append(program.row_lower[rows], np.zeros(count)),
            row_upper=np.append(program.row_upper[rows], np.full(count, np.inf)),
            col_lower=np.zeros(len(cost)),
            col_upper=np.concatenate([program.upper[columns], self.full, np.ones(count)]),
            cost=cost,
        )


def time_price(program: AllocationProgram, dual: np.ndarray) -> np.ndarray:
    """(columns,) dollars that the usable time of a server of each column is worth."""
    limiting = [program.rows[name] for name in ("capacity", "fit", "hull") if name in program.rows]
    rows = np.concatenate([np.arange(*_span(family)) for family in limiting])
    return np.maximum(program.matrix[rows].T @ dual[rows], 0.0)


def _wanted(program: AllocationProgram, x: np.ndarray) -> np.ndarray:
    """(ready columns,) servers that the relaxation uses, and those that its work would fill."""
    values, pools, system = program.values(x), program.pools, program.instance.system
    of_model = system.class_model[:, None] == np.arange(len(system.models))
    work_ms = (values["z"] * pools.work_ms) @ of_model
    servers = np.maximum(work_ms / system.slot_ms, values["ready"])
    wanted = np.minimum(servers, pools.size[:, None])
    return wanted[tuple(program.columns["ready"].index.T)]


def _shortest_ms(program: AllocationProgram) -> np.ndarray:
    """(P, M) time of the shortest request of a model; 0 where there is none."""
    work, model = program.pools.work_ms, program.instance.system.class_model
    shortest = np.zeros(program.pools.holds.shape)
    for m in range(program.pools.holds.shape[1]):
        of_model = work[:, model == m]
        least = np.where(of_model > 0, of_model, np.inf).min(axis=1, initial=np.inf)
        shortest[:, m] = np.where(np.isfinite(least), least, 0.0)
    return shortest


def shortened(program: AllocationProgram) -> sparse.csr_array:
    """The matrix with less usable time in every coefficient of (capacity)."""
    entries = program.matrix.tocoo()
    first, last = _span(program.rows["capacity"])
    inside = (entries.row >= first) & (entries.row < last) & (entries.data < 0)
    cell = program.rows["capacity"].index[entries.row[inside] - first]
    waste = WASTE * _shortest_ms(program)[cell[:, 1], cell[:, 2]]
    data = entries.data.copy()
    data[inside] = np.minimum(data[inside] + waste, 0.0)
    return sparse.csr_array((data, (entries.row, entries.col)), shape=entries.shape)


def with_servers(program: AllocationProgram, x: np.ndarray, matrix: sparse.csr_array) -> Problem:
    """The program's requests with server counts as in x."""
    problem = program.problem().relaxed()
    columns = np.concatenate([np.arange(*_span(program.columns[name])) for name in SERVERS])
    lower, upper = problem.col_lower.copy(), problem.col_upper.copy()
    lower[columns] = upper[columns] = x[columns]
    return dataclasses.replace(problem, matrix=matrix, col_lower=lower, col_upper=upper)


def _span(family: Family) -> tuple[int, int]:
    return family.numbers.start, family.numbers.stop

"""From the server counts that somebody proposes to a complete answer of a program.

A proposal (``ServerPlan``) says how many servers of each type and model are to be ready in each
slot, as fractions that need not obey any rule, and what each of them is worth there. It is repaired
in steps, each a program that has an answer whatever was proposed:

0. *Coverage* (``coverage.covered``): a proposal is made to fit the demand.
1. *Servers* (``whole_servers``). The whole server counts that keep all rows of server states, at

       minimise  cost·servers − Σ_{t,k,m} gain[t,k,m]·min( Σ_{p of type k} ready[t,p,m], wanted )

   so a proposal is followed where it pays for starts and rent. All servers staying as they are is
   an answer, thus there is one. The last server of a fraction of it counts for that fraction.
2. *Requests* (``complete``). With servers fixed, the rest of the program. Every request may expire,
   so there is an answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.formulations.merged import MergedProgram
from torta_opt.allocation.formulations.program import SERVERS, AllocationProgram, Family
from torta_opt.allocation.search.rounding import with_servers
from torta_opt.io.errors import LimitReached
from torta_opt.solvers import Limits, Problem, Status, solve_lp, solve_milp

WHOLE = 1e-6  # counts this close to integers are integers
LARGEST = 1e6  # dollars and servers; a proposal beyond it means no more
STATES = ("off_flow", "ready_flow", "switch_flow", "spread")


@dataclass(frozen=True, eq=False)
class ServerPlan:
    """(T, K, M) servers ``wanted`` ready, and ``gain``, dollars that each is worth in its slot."""

    wanted: np.ndarray
    gain: np.ndarray

    def shifted(self, slots: int) -> ServerPlan:
        """The same plan seen ``slots`` later; its last slot is repeated."""
        later = np.minimum(np.arange(len(self.wanted)) + slots, len(self.wanted) - 1)
        return ServerPlan(self.wanted[later], self.gain[later])

    def checked(self) -> ServerPlan:
        """The same with 0 for what is no number, all of it between 0 and ``LARGEST``."""
        return ServerPlan(
            *(
                np.clip(np.nan_to_num(part, posinf=LARGEST), 0.0, LARGEST)
                for part in (self.wanted, self.gain)
            )
        )


def pool_types(merged: MergedProgram) -> np.ndarray:
    """(P,) type, in the instance with all its regions, of each pool of a merged program."""
    kind = np.zeros(len(merged.program.pools), np.int64)
    kind[merged.group] = merged.pools.type
    return kind


def ready_by_type(kind: np.ndarray, values: np.ndarray, types: int) -> np.ndarray:
    """(T, K, M) sums over the pools of each type of (T, P, M) ``values``; ``kind`` (P,) types."""
    total = np.zeros((len(values), types, values.shape[2]))
    np.add.at(total, (slice(None), kind), values)  # type: ignore[arg-type]  # numpy: tuples too
    return total


def whole_servers(
    program: AllocationProgram, kind: np.ndarray, plan: ServerPlan, limits: Limits | None = None
) -> np.ndarray:
    """(n,) vector with whole, feasible server counts near a proposal; other columns are 0.

    kind   (P,) type of each pool, the axis K of the proposal

    Raises LimitReached if a limit came first.
    """
    counting, left = counting_problem(program, kind, plan.checked()), time_left(limits)
    relaxed = counting.problem.relaxed()
    found = solve_lp(relaxed, "simplex", of_lp(left())).raise_if_interrupted().x
    if found is None or np.abs(_off_whole(counting, found)).max(initial=0) > WHOLE:
        near = replace(left(), gap=Limits().gap)  # that of the limits is about schedules
        whole = solve_milp(counting.problem, near).raise_if_interrupted()
        found = whole.x
        if whole.status is Status.BOUND_ONLY:
            raise LimitReached("no whole servers were found within the limits")
    assert found is not None, "all servers staying as they are is an answer"
    return np.rint(counting.to_program(program, found))


def time_left(limits: Limits | None) -> Callable[[], Limits]:
    """The limits with the time that is left of them, from now on."""
    given = limits or Limits()
    ends = time.perf_counter() + given.seconds
    return lambda: replace(given, seconds=max(0.0, ends - time.perf_counter()))


def of_lp(limits: Limits) -> Limits:
    """Limits of a linear program: ``work`` counts nodes, not iterations."""
    return replace(limits, work=None)


def complete(
    program: AllocationProgram,
    servers: np.ndarray,
    limits: Limits | None = None,
    matrix: sparse.csr_array | None = None,
) -> np.ndarray | None:
    """An answer of the program with server counts as in ``servers``; None if a limit came first.

    matrix   in place of the program's, to leave servers time to spare
    """
    problem = with_servers(program, servers, program.matrix if matrix is None else matrix)
    return solve_lp(problem, limits=limits).raise_if_interrupted().x


@dataclass(frozen=True, eq=False)
class Counting:
    """The program of step 1; its first columns are the server counts ``columns`` of another."""

    problem: Problem
    columns: np.ndarray

    def to_program(self, program: AllocationProgram, x: np.ndarray) -> np.ndarray:
        """(n,) vector of the other program with the server counts of x, 0 elsewhere."""
        vector = np.zeros(len(program.cost))
        vector[self.columns] = x[: len(self.columns)]
        return vector


def _off_whole(counting: Counting, x: np.ndarray) -> np.ndarray:
    counts = x[: len(counting.columns)]
    apart: np.ndarray = counts - np.rint(counts)
    return apart


def counting_problem(program: AllocationProgram, kind: np.ndarray, plan: ServerPlan) -> Counting:
    """The program of step 1, see the module."""
    further = [name for name in ("excess",) if name in program.columns]
    columns = np.concatenate([_numbers(program.columns[n]) for n in (*SERVERS, *further)])
    rows = np.concatenate([_numbers(program.rows[n]) for n in STATES if n in program.rows])
    states = program.matrix[rows][:, columns]
    ready = program.columns["ready"]
    t, p, m = ready.index.T
    shape = plan.wanted.shape
    cell = np.ravel_multi_index((t, kind[p], m), shape)
    cells, meets = np.unique(cell, return_inverse=True)
    count = len(cells)
    position = ready_columns(program)
    meet = sparse.csr_array((np.ones(len(cell)), (meets, position)), shape=(count, len(columns)))
    wanted, gain = plan.wanted.ravel()[cells], plan.gain.ravel()[cells]
    full = np.floor(wanted + WHOLE)
    part = np.clip(wanted - full, 0.0, 1.0)
    each = -sparse.eye_array(count)
    matrix = sparse.block_array([[states, None, None], [meet, each, each]])
    problem = Problem(
        matrix=sparse.csr_array(matrix),
        row_lower=np.append(program.row_lower[rows], np.zeros(count)),
        row_upper=np.append(program.row_upper[rows], np.full(count, np.inf)),
        col_lower=np.zeros(len(columns) + 2 * count),
        col_upper=np.concatenate([program.upper[columns], full, np.ones(count)]),
        cost=np.concatenate([program.cost[columns], -gain, -gain * part]),
        integrality=np.concatenate([program.integer[columns], np.zeros(2 * count, bool)]),
    )
    servers = sum(len(program.columns[name]) for name in SERVERS)
    return Counting(problem, columns[:servers])


def ready_columns(program: AllocationProgram) -> np.ndarray:
    """Columns of ``Counting.problem`` that are those of ``ready``, in the program's order."""
    before = sum(len(program.columns[name]) for name in SERVERS[: SERVERS.index("ready")])
    return before + np.arange(len(program.columns["ready"]))


def _numbers(family: Family) -> np.ndarray:
    return np.arange(family.numbers.start, family.numbers.stop)

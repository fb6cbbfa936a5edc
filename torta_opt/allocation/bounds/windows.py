"""The bound by windows: the horizon cut into windows, what couples them priced.

Every row of the allocation program belongs to the window of its slot. The cost c of the program is
split over the windows, c = Σ_w c_w, and each window is solved on its own: its rows, all columns in
them (those of other slots as well: servers that are on, what waits, the last routing), box bounds.
For every legal schedule, whose vector v keeps all rows,

    c·v  =  Σ_w c_w·v  ≥  Σ_w min { c_w·u : rows of w, 0 ≤ u ≤ upper }

whatever the split. A dual vector y of the program gives one: a column costs Aᵀ_w·y_w in a window it
does not belong to, and what is left of its cost in its own. Then the windows prove at least what y
proves, and their duals, put together, are the next y. With y = 0 coupling is merely relaxed: a
window starts from any state.

    1. y from the merged program and cheapest paths of servers (``merged_duals.py``): seconds;
    2. pass after pass: windows solved with these prices, in every second pass moved by half a
       window, then cheapest paths again (``shortest_path_duals.py``).

No pass can prove less than the one before, but for the accuracy of a solver; whatever happens, the
best y stands, and the value is what it proves of the whole program (``dual.py``). So this bound
needs no trust in any of the above. Proofs: docs/bounds/windows.md.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.bounds.lp import prove
from torta_opt.allocation.bounds.merged import merged_bound
from torta_opt.allocation.bounds.merged_duals import unmerged
from torta_opt.allocation.bounds.of_program import ProgramBound, result_of
from torta_opt.allocation.bounds.shortest_path_duals import with_shortest_path_duals
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.formulations.user_constraint import UserConstraint, with_user_constraints
from torta_opt.allocation.instance.data import Instance
from torta_opt.family import Request
from torta_opt.io.errors import InvalidInput, LimitReached
from torta_opt.parallel import Deadline, in_order
from torta_opt.results import BoundResult
from torta_opt.solvers import Limits, Problem, Progress, Status, solve_lp

WINDOW = 4  # slots: solving 8 at once takes 4 times as long
PASSES = 6
STALLED = 2e-5  # share of the bound that two passes must gain for another one to run


def windows_bound(
    instance: Instance,
    limits: Limits | None = None,
    *,
    constraints: Sequence[UserConstraint] = (),
    **options: Any,
) -> ProgramBound[AllocationProgram]:
    """The bound by windows of an instance's program with knapsack rows.

    Options are those of ``bound_by_windows``.

    Rows of a user's constraints belong to no window: they are priced at 0, and the bound holds with
    and without them.
    """
    began = time.perf_counter()
    program = with_knapsack_rows(build_allocation_program(instance))
    program = with_user_constraints(program, constraints)
    return bound_by_windows(program, limits, began=began, **options)


def bound_by_windows(
    program: AllocationProgram,
    limits: Limits | None = None,
    *,
    window: int = WINDOW,
    passes: int = PASSES,
    merged: bool = True,
    target: float = math.inf,
    began: float | None = None,
    on_progress: Callable[[Progress], Any] | None = None,
) -> ProgramBound[AllocationProgram]:
    """The bound by windows of a program, with whatever families of rows it has.

    limits       ``seconds`` of all passes together; ``work``: number of passes, if fewer than
                 ``passes``; ``threads``: windows solved side by side, each in a process of its own
    window       slots
    merged       start from prices of the merged program; otherwise coupling is free at first
    target       a bound that is good enough to stop
    began        when the time of the limits started to run
    on_progress  called after every pass, its number as ``nodes``

    Ctrl-C, like a limit, ends it with the best so far. No
    prices at all prove something too: LimitReached is never raised.
    """
    limits = limits or Limits()
    if window < 1:
        raise InvalidInput("must be at least 1 slot", "window")
    search = _Ascent(program, limits, time.perf_counter() if began is None else began, target)
    planned = passes if limits.work is None else min(passes, limits.work)
    try:
        if merged:
            search.start()
        search.report(on_progress, 0)
        for number in range(planned):
            if search.is_done:
                break
            search.sweep(_cuts(program.instance.slots, window, shifted=number % 2 == 1))
            search.report(on_progress, number + 1)
    except KeyboardInterrupt:
        search.interrupted = True
    search.limited = search.is_late or (planned < passes and not search.is_done)
    return search.result()


def _cuts(slots: int, window: int, shifted: bool) -> list[tuple[int, int]]:
    """(first slot, slot after the last) of every window."""
    first = window - window // 2 if shifted else window
    return list(pairwise([0, *range(first, slots, window), slots]))


class _Ascent:
    """The best dual vector so far, and what it proves."""

    def __init__(
        self, program: AllocationProgram, limits: Limits, began: float, target: float
    ) -> None:
        self.program, self.limits, self.began, self.target = program, limits, began, target
        self.split = Split.of(program)
        self.dual = np.zeros(len(program.row_lower))
        self.value = prove(program, self.dual)
        self.values = [self.value]
        self.interrupted = self.limited = False

    def start(self) -> None:
        """Prices of the merged program."""
        try:
            found = merged_bound(self.program.instance, dataclasses.replace(self._left, work=None))
        except LimitReached:
            return
        self.interrupted = found.interrupted
        self.offer(unmerged(self.program, found))
        self.values = [self.value]

    def sweep(self, cuts: Sequence[tuple[int, int]]) -> None:
        """Solve all windows at the present prices; keep what they prove if it is more."""
        windows = self.split.windows(cuts, self.dual)
        found = solved(windows, self._left, self.limits.threads)
        dual = assembled(windows, found, self.dual)
        self.offer(dual)
        self.offer(with_shortest_path_duals(self.program, dual))
        self.values.append(self.value)

    def offer(self, dual: np.ndarray) -> None:
        value = prove(self.program, dual)
        if value > self.value:
            self.value, self.dual = value, dual

    def report(self, on_progress: Callable[[Progress], Any] | None, number: int) -> None:
        if on_progress is not None:
            seconds = time.perf_counter() - self.began
            on_progress(Progress(seconds, math.inf, self.value, number, "windows"))

    @property
    def _left(self) -> Limits:
        spent = time.perf_counter() - self.began
        return dataclasses.replace(
            self.limits, seconds=max(0.0, self.limits.seconds - spent), threads=1
        )

    @property
    def is_late(self) -> bool:
        """Time is up, and the bound is not what was asked for."""
        return self._left.seconds == 0 and self.value < self.target

    @property
    def is_done(self) -> bool:
        if self.interrupted or self._left.seconds == 0 or self.value >= self.target:
            return True
        before = self.values[-3] if len(self.values) > 2 else -math.inf
        return self.value - before <= STALLED * abs(self.value)

    def result(self) -> ProgramBound[AllocationProgram]:
        seconds = time.perf_counter() - self.began
        return ProgramBound(
            self.value,
            "windows",
            self.program,
            self.dual,
            None,
            self.value,
            seconds,
            interrupted=self.interrupted,
            limited=self.limited and not self.interrupted,
        )


# --- windows ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Window:
    """One window as a program of its own.

    rows      numbers of its rows in the whole program
    columns   numbers of the columns that are in any of its rows
    implied   (further rows, all rows) its further rows, as sums of rows of the whole program
    problem   rows and below them the further ones
    """

    rows: np.ndarray
    columns: np.ndarray
    implied: sparse.csr_array
    problem: Problem


def assembled(
    windows: Sequence[Window], found: Sequence[np.ndarray | None], dual: np.ndarray
) -> np.ndarray:
    """Duals of the whole program from those of its windows; ``dual`` where there are none."""
    whole = dual.copy()
    for window, own in zip(windows, found, strict=True):
        if own is not None:
            whole[window.rows] = own[: len(window.rows)]
    for window, own in zip(windows, found, strict=True):
        if own is not None:
            whole += window.implied.T @ own[len(window.rows) :]
    return whole


@dataclass(frozen=True, eq=False)
class Split:
    """A program to be cut into windows: slots of its rows (−1: of no slot) and columns."""

    program: AllocationProgram
    row_slot: np.ndarray
    column_slot: np.ndarray

    @classmethod
    def of(cls, program: AllocationProgram) -> Split:
        return cls(program, program.row_slot, program.column_slot)

    def windows(self, cuts: Sequence[tuple[int, int]], dual: np.ndarray) -> list[Window]:
        """The windows of a partition of all slots, priced by a dual vector."""
        program = self.program
        usable = _signed(program, dual)
        rest = program.cost - program.matrix.T @ usable
        order = np.argsort(self.row_slot, kind="stable")
        place = np.searchsorted(self.row_slot[order], np.array(cuts))
        return [
            self._window(cut, order[first:after], usable, rest)
            for cut, (first, after) in zip(cuts, place, strict=True)
        ]

    def _window(
        self, cut: tuple[int, int], rows: np.ndarray, dual: np.ndarray, rest: np.ndarray
    ) -> Window:
        """``rest`` is what remains of every column's cost in its own window."""
        program, (first, after) = self.program, cut
        own = program.matrix[rows]
        implied = self.pool_sums(first)
        further = sparse.csr_array(implied @ program.matrix)
        further.eliminate_zeros()
        matrix = sparse.csr_array(sparse.vstack([own, further]))
        columns = np.unique(matrix.indices)
        is_home = (self.column_slot[columns] >= first) & (self.column_slot[columns] < after)
        side = implied @ np.where(np.isfinite(program.row_lower), program.row_lower, 0.0)
        problem = Problem(
            matrix=matrix[:, columns],
            row_lower=np.append(program.row_lower[rows], side),
            row_upper=np.append(program.row_upper[rows], side),
            col_lower=np.zeros(len(columns)),
            col_upper=program.upper[columns],
            cost=own[:, columns].T @ dual[rows] + np.where(is_home, rest[columns], 0.0),
        )
        return Window(rows, columns, implied, problem)

    def pool_sums(self, slot: int) -> sparse.csr_array:
        """Sums of rows of server flows that count the servers of each pool at the start of a slot.

        Σ_{τ ≤ slot} ( off_flow[τ] + Σ_m ready_flow[τ,m] ) − Σ_{τ < slot} switch_flow[τ]  since the
        last outage: every server is off, ready or loading. All these rows are equations. None for
        slot 0, before which all is known.
        """
        program, pools = self.program, self.program.pools
        up = np.flatnonzero(pools.up[slot]) if slot > 0 else np.zeros(0, int)
        at: list[tuple[int, np.ndarray, float]] = []
        for k, p in enumerate(up):
            since = pools.up_since[slot, p]
            for name, end, sign in (
                ("off_flow", slot + 1, 1.0),
                ("ready_flow", slot + 1, 1.0),
                ("switch_flow", slot, -1.0),
            ):
                rows = program.rows[name].number[since:end, p].ravel()
                at.append((k, rows[rows >= 0], sign))
        row = np.concatenate([np.zeros(0, int), *(np.full(len(rows), k) for k, rows, _ in at)])
        column = np.concatenate([np.zeros(0, int), *(rows for _, rows, _ in at)])
        value = np.concatenate([np.zeros(0), *(np.full(len(rows), sign) for _, rows, sign in at)])
        shape = len(up), len(program.row_lower)
        return sparse.csr_array((value, (row, column)), shape=shape)


def _signed(program: AllocationProgram, dual: np.ndarray) -> np.ndarray:
    """The dual vector without entries on sides that rows do not have; 0 for rows of no slot."""
    dual = np.where((dual > 0) & ~np.isfinite(program.row_lower), 0.0, dual)
    dual = np.where((dual < 0) & ~np.isfinite(program.row_upper), 0.0, dual)
    dual[len(dual) - len(program.further_rows) :] = 0.0
    return dual


# --- solving ------------------------------------------------------------------------------------


def solved(windows: Sequence[Window], limits: Limits, workers: int) -> list[np.ndarray | None]:
    """Duals of every window, None where a limit came first.

    ``limits.seconds`` is for all of them together; ``workers`` processes, 0 for one per core.
    """
    ends = Deadline.after(limits.seconds)
    tasks = [(window.problem, limits, ends) for window in windows]
    return list(in_order(_duals, tasks, workers))


def _duals(problem: Problem, limits: Limits, ends: Deadline) -> np.ndarray | None:
    """Basic duals: without crossover those of columns outside the window come out too imprecise."""
    left = ends.left()
    if left <= 0:
        return None
    result = solve_lp(problem, limits=dataclasses.replace(limits, seconds=left, work=None))
    if result.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    return result.row_dual if result.status is Status.OPTIMAL else None


def compute(instance: Instance, request: Request) -> BoundResult:
    """The bound method ``windows``."""
    found = windows_bound(
        instance,
        request.limits,
        constraints=request.constraints,
        on_progress=request.solver_watch,
    )
    return result_of(instance, found)

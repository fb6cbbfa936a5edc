"""The assignment program solved: exactly, or the best by a deadline, never worse than the start.

1. Servers alike are counted (``counted``), which leaves few columns; their optimum bounds the
   named one. One linear program over all of them bounds every *block* at once: servers and groups
   that share nothing with the others (with one option a server: region by region, model by model).
2. A block whose requests of slot 0 are whole in it is solved; each of the others is an integer
   program by itself.
3. The totals are shared out to named servers. Where this loses nothing the named answer is
   optimal; else the named program of the block is solved, starting from it.

What a deadline cuts short is the best answer found, the given start at the least.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from torta_opt.allocation.assignment.blocks import Block, blocks_of, restricted
from torta_opt.allocation.assignment.counted import counted, loss_usd, named, part
from torta_opt.allocation.formulations.assignment import (
    Assignment,
    AssignmentProgram,
    build_assignment_program,
)
from torta_opt.solvers import Limits, solve_lp, solve_milp

GAP = 1e-6  # relative, at which an answer counts as optimal
WHOLE = 1e-6  # distance from a whole number that is a rounding error


@dataclass(frozen=True, eq=False)
class Assigned:
    """An answer of the assignment program.

    z           (S, G) whole requests of slot 0 on each server
    option      (S,) option of each server
    objective   $ of the program with slot 0 as in ``z``; ∞ where nothing was found
    bound       no answer costs less
    """

    z: np.ndarray
    option: np.ndarray
    objective: float
    bound: float

    @property
    def found(self) -> bool:
        return math.isfinite(self.objective)

    @property
    def is_optimal(self) -> bool:
        return self.within(GAP)

    def within(self, gap: float) -> bool:
        """Whether it is proven to cost at most this share more than the optimum."""
        return self.found and self.objective - self.bound <= gap * abs(self.objective) + 1e-9


@dataclass(frozen=True, eq=False)
class _Search:
    """The task, its counted program, and what its relaxation gives (None without a point)."""

    data: Assignment
    kind: np.ndarray
    program: AssignmentProgram
    relaxed: np.ndarray | None
    left: Callable[[], Limits]


def solve_assignment(
    data: Assignment, limits: Limits | None = None, start: np.ndarray | None = None
) -> Assigned:
    """The optimum of the assignment program, within ``limits``.

    start   (S, G) whole requests of slot 0, legal with the first option of every server; the answer
            costs no more than it, whatever the limits
    """
    limits = limits or Limits(gap=GAP)
    ends = time.perf_counter() + limits.seconds

    def left() -> Limits:
        return replace(limits, seconds=max(0.0, ends - time.perf_counter()))

    _, servers, groups = data.sizes
    one_way = data.option_usd.shape[1] == 1 and data.whole_slots == 1
    merged, kind = counted(data) if one_way else (data, np.arange(servers))
    program = build_assignment_program(merged)
    relaxed = solve_lp(program.problem, "simplex", left()).raise_if_interrupted()
    search = _Search(data, kind, program, relaxed.x, left)
    z, option = np.zeros((servers, groups), np.int64), np.zeros(servers, np.int64)
    objective, bound = 0.0, 0.0
    for block in blocks_of(program):
        chosen = np.flatnonzero(np.isin(kind, block.servers))
        cells = np.ix_(chosen, block.groups)
        found = _solved(search, block, chosen, None if start is None else start[cells])
        z[cells], option[chosen] = found.z, found.option
        objective, bound = objective + found.objective, bound + found.bound
    return Assigned(z, option, objective, bound)


def value_of(data: Assignment, z: np.ndarray) -> float:
    """Least cost of the program with slot 0 as in ``z`` (S, G); ∞ where that is illegal."""
    program = build_assignment_program(data)
    family, problem = program.columns["z"], program.problem
    low, high = problem.col_lower.copy(), problem.col_upper.copy()
    number, fixed = family.number[0][family.mask[0]], z[family.mask[0]]
    if z[~family.mask[0]].any() or (fixed > high[number]).any():
        return math.inf
    low[number] = high[number] = fixed
    problem = replace(problem, col_lower=low, col_upper=high)
    is_linear = data.whole_slots == 1 and data.option_usd.shape[1] == 1
    return (solve_lp if is_linear else solve_milp)(problem).objective


def _solved(
    search: _Search, block: Block, chosen: np.ndarray, start: np.ndarray | None
) -> Assigned:
    """One block, its servers ``chosen`` by their numbers in the task."""
    gap = search.left().gap
    best = _by_counting(search, block, chosen)
    if best.within(gap):
        return best
    bound, data = best.bound, part(search.data, chosen, block.groups)
    if len(chosen) == 0 or len(block.groups) == 0:
        return best
    given = _of_start(data, start)
    best = given if given.objective < best.objective else best
    limits = search.left()
    if limits.seconds > 0:
        found = _by_name(data, limits, best)
        bound = max(bound, found.bound)
        best = found if found.objective < best.objective else best
    return replace(best, bound=bound)


def _by_counting(search: _Search, block: Block, chosen: np.ndarray) -> Assigned:
    """The counted optimum of a block shared out; its bound holds for named servers too."""
    program, problem = search.program, search.program.problem
    cost = problem.cost[block.columns]
    nothing = Assigned(
        np.zeros((len(chosen), len(block.groups)), np.int64),
        np.zeros(len(chosen), np.int64),
        math.inf,
        -math.inf,
    )
    x = None if search.relaxed is None else search.relaxed[block.columns]
    if x is not None and _is_whole(x[problem.is_integer[block.columns]]):
        bound = float((cost * x).sum())
    else:
        result = solve_milp(restricted(problem, block), search.left()).raise_if_interrupted()
        x, bound = result.x, result.bound
    if x is None:
        return replace(nothing, bound=bound)
    full = np.zeros(problem.columns)
    full[block.columns] = x
    values = program.values(full)
    option = values["pick"].argmax(axis=1)[search.kind[chosen]]
    total = np.rint(values["z"][0]).astype(np.int64)
    z, lost = _named(search, values, total, block.servers)
    if z is None:
        return replace(nothing, bound=bound)
    z = z[np.ix_(chosen, block.groups)]
    found = Assigned(z, option, float((cost * x).sum()) + lost, bound)
    if search.data.sizes[0] == 1 or found.within(search.left().gap):
        return found
    least = value_of(part(search.data, chosen, block.groups), z)  # ``lost`` is at most that
    return replace(found, objective=min(found.objective, max(least, bound)))


def _named(
    search: _Search, values: dict[str, np.ndarray], total: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray | None, float]:
    """(S, G) on named servers, and what that loses; None where it cannot be shared out."""
    data = search.data
    if len(search.program.data.count) == len(data.count):
        return total[search.kind], 0.0
    z = named(data, search.kind, total, rows)
    if z is None:
        return None, math.inf
    later = (values["z"][1], values["hot"][1]) if data.sizes[0] > 1 else (0 * total, 0 * total)
    return z, loss_usd(data, search.kind, z, values["hot"][0], *later)


def _is_whole(x: np.ndarray) -> bool:
    return bool((np.abs(x - np.rint(x)) <= WHOLE).all())


def _of_start(data: Assignment, start: np.ndarray | None) -> Assigned:
    servers, groups = data.work_ms.shape
    option = data.option.argmax(axis=1)
    if start is None:
        return Assigned(np.zeros((servers, groups), np.int64), option, math.inf, -math.inf)
    first = replace(
        data,
        usable_ms=data.usable_ms[np.arange(servers), option][:, None],
        option_usd=data.option_usd[np.arange(servers), option][:, None],
    )
    return Assigned(start.astype(np.int64), option, value_of(first, start), -math.inf)


def _by_name(data: Assignment, limits: Limits, best: Assigned) -> Assigned:
    program = build_assignment_program(data)
    start = None
    if best.found:
        start = np.full(program.problem.columns, np.nan)
        family = program.columns["z"]
        start[family.number[0][family.mask[0]]] = best.z[family.mask[0]]
    result = solve_milp(program.problem, limits, start=start).raise_if_interrupted()
    if result.x is None:
        return replace(best, objective=math.inf, bound=result.bound)
    values = program.values(result.x)
    z = np.rint(values["z"][0]).astype(np.int64)
    return Assigned(z, values["pick"].argmax(axis=1), result.objective, result.bound)

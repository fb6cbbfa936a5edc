"""The assignment program solved: exactly, or the best by a deadline, never worse than the start.

1. Servers alike are counted (``counted``), which leaves few columns; their optimum bounds the
   named one. One linear program over all of them bounds every *block* at once: servers and groups
   that share nothing with the others (with one option a server: region by region, model by model).
2. Its point is rounded to whole requests (``rounding``) and shared out to named servers. Where the
   start is better in a block, the block takes the start.
3. If that costs more than the gap allows, blocks are solved, the one that may gain most first: the
   counted program of the block, shared out to named servers; where this loses something, the
   named program, starting from it. It ends as soon as all blocks together are within the gap.

What a deadline cuts short is the best answer found, the given start at the least. ``programs`` and
the nodes of ``Limits.work`` limit the third step by work, which is the same on every machine. With
``programs``, no named program of three or more groups is solved: its relaxation is weak, so that
its root alone takes a second for twenty servers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from torta_opt.allocation.assignment.blocks import Block, blocks_of, restricted
from torta_opt.allocation.assignment.counted import counted, loss_usd, named, part
from torta_opt.allocation.assignment.kept import KeptProgram
from torta_opt.allocation.assignment.rounding import FreshProgram, Relaxation, Solver, rounded
from torta_opt.allocation.formulations.assignment import (
    Assignment,
    AssignmentProgram,
    build_assignment_program,
)
from torta_opt.solvers import Limits, solve_lp, solve_milp

GAP = 1e-6  # relative, at which an answer counts as optimal


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


_NOTHING = Assigned(np.zeros((0, 0), np.int64), np.zeros(0, np.int64), math.inf, -math.inf)


@dataclass(frozen=True, eq=False)
class _Search:
    """The task, its counted program, and what its relaxation gives (None without a point)."""

    data: Assignment
    kind: np.ndarray
    program: AssignmentProgram
    relaxed: Relaxation
    left: Callable[[], Limits]

    @cached_property
    def is_named(self) -> bool:
        """No row stands for two servers."""
        return bool(np.bincount(self.kind).max(initial=0) <= 1)


@dataclass(frozen=True, eq=False)
class Ready:
    """The counted program of a task that has one option a server, with its numbers, in a solver.

    row   (S,) row of the counted program by server
    """

    program: KeptProgram
    row: np.ndarray


def solve_assignment(
    data: Assignment,
    limits: Limits | None = None,
    start: np.ndarray | None = None,
    programs: int | None = None,
    ready: Ready | None = None,
) -> Assigned:
    """The optimum of the assignment program, within ``limits``.

    start      (S, G) whole requests of slot 0, legal with the first option of every server; the
               answer costs no more than it (but for ``limits.gap``), whatever the limits
    programs   blocks solved as integer programs at most; None: as many as the gap asks for
    ready      the counted program, where it is there already
    """
    limits = limits or Limits(gap=GAP)
    ends = time.perf_counter() + limits.seconds

    def left() -> Limits:
        return replace(limits, seconds=max(0.0, ends - time.perf_counter()))

    one_way = data.option_usd.shape[1] == 1 and data.whole_slots == 1
    if ready is not None:
        solver: Solver = ready.program
        kind, blocks = ready.row, ready.program.blocks
        program = solver.program
    else:
        merged, kind = counted(data) if one_way else (data, np.arange(data.sizes[1]))
        program = build_assignment_program(merged)
        blocks, solver = blocks_of(program), FreshProgram(program)
    search = _Search(data, kind, program, Relaxation(solver, _of_lp(left())), left)
    chosen = _servers_of(blocks, kind)
    found = _rounded(search, blocks, chosen, start) if one_way else [_NOTHING] * len(blocks)
    allowed = limits.gap * sum(abs(each.bound) for each in found if each.found)
    for n in sorted(range(len(blocks)), key=lambda n: found[n].bound - found[n].objective):
        if _above(found) <= allowed or programs == 0:
            break
        if left().seconds <= 0 and (found[n].found or start is not None):
            break
        given = None if start is None else start[np.ix_(chosen[n], blocks[n].groups)]
        by_name = programs is None or len(blocks[n].groups) <= 2
        found[n] = _better(_solved(search, blocks[n], chosen[n], given, by_name), found[n])
        programs = None if programs is None else programs - 1
    if start is not None and not all(each.found for each in found):
        return _of_start(data, start)
    return _joined(search, blocks, chosen, found)


def _servers_of(blocks: list[Block], kind: np.ndarray) -> list[np.ndarray]:
    """Servers of each block, by their numbers in the task."""
    block_of = np.full(kind.max(initial=-1) + 1, -1)
    for n, block in enumerate(blocks):
        block_of[block.servers[block.servers < len(block_of)]] = n
    order = np.argsort(block_of[kind], kind="stable")
    ends = np.searchsorted(block_of[kind][order], np.arange(len(blocks) + 1))
    return [order[low:high] for low, high in pairwise(ends.tolist())]


def _of_lp(limits: Limits) -> Limits:
    """Limits of a linear program: ``work`` counts nodes, not iterations."""
    return replace(limits, work=None)


def _joined(
    search: _Search, blocks: list[Block], chosen: list[np.ndarray], found: list[Assigned]
) -> Assigned:
    """The answer of all blocks."""
    servers, groups = search.data.work_ms.shape
    z, option = np.zeros((servers, groups), np.int64), np.zeros(servers, np.int64)
    for block, those, each in zip(blocks, chosen, found, strict=True):
        if each.found:
            z[np.ix_(those, block.groups)], option[those] = each.z, each.option
    return Assigned(
        z, option, sum(each.objective for each in found), sum(each.bound for each in found)
    )


def _better(one: Assigned, other: Assigned) -> Assigned:
    """The cheaper answer of a block with the greater bound."""
    best = one if one.objective <= other.objective else other
    return replace(best, bound=max(one.bound, other.bound))


def _rounded(
    search: _Search, blocks: list[Block], chosen: list[np.ndarray], start: np.ndarray | None
) -> list[Assigned]:
    """For each block the relaxation rounded, or the start where that is better; the start is not
    looked at where the rounded answers are within the gap."""
    relaxed, cost = search.relaxed, search.program.problem.cost
    if relaxed.x is None:
        return [_NOTHING] * len(blocks)
    bound = _by_block([block.columns for block in blocks], cost * relaxed.x)
    total = rounded(search.program, relaxed.x)
    legal = named(search.data, search.kind, total, np.arange(len(total)))
    found = []
    for usd, low, block, those in zip(
        _priced(search, blocks, legal), bound, blocks, chosen, strict=True
    ):
        answer, option = legal[np.ix_(those, block.groups)], np.zeros(len(those), np.int64)
        found.append(Assigned(answer, option, max(usd, low), low))
    if start is None or _above(found) <= search.left().gap * sum(map(abs, bound)):
        return found
    return _or_start(search, blocks, chosen, found, start)


def _or_start(
    search: _Search,
    blocks: list[Block],
    chosen: list[np.ndarray],
    found: list[Assigned],
    start: np.ndarray,
) -> list[Assigned]:
    """The answers of blocks, or the start where that is better."""
    if not _is_legal(search.data, start):
        return found
    best = []
    for each, usd, block, those in zip(
        found, _priced(search, blocks, start), blocks, chosen, strict=True
    ):
        if usd < each.objective:
            option = np.zeros(len(those), np.int64)
            answer = start[np.ix_(those, block.groups)]
            each = Assigned(answer, option, max(usd, each.bound), each.bound)
        best.append(each)
    return best


def _above(found: list[Assigned]) -> float:
    """$ by which answers of blocks may cost more than the optimum."""
    return sum(each.objective - each.bound for each in found)


def _totals(search: _Search, z: np.ndarray) -> np.ndarray:
    """(rows, G) of the counted program, of named requests (S, G)."""
    totals = np.zeros(search.program.data.work_ms.shape, np.int64)
    np.add.at(totals, search.kind, z)
    return totals


def _is_legal(data: Assignment, start: np.ndarray) -> bool:
    """Whether every server has room and time for ``start`` (S, G); it has one option."""
    of_model = data.group_model[:, None] == np.arange(data.models)
    time_ms = (start * data.work_ms) @ of_model
    return bool((start <= data.room[0, :, 0]).all() and (time_ms <= data.usable_ms[:, 0, 0]).all())


def _priced(search: _Search, blocks: list[Block], z: np.ndarray) -> list[float]:
    """$ of each block with slot 0 as in ``z`` (S, G), at most."""
    x = search.relaxed.priced(_totals(search, z), _of_lp(search.left()))
    if x is None:
        return [math.inf] * len(blocks)
    lost = _lost(search, search.program.values(x), z)
    usd = _by_block([block.columns for block in blocks], search.program.problem.cost * x)
    return np.add(usd, _by_block([block.servers for block in blocks], lost)).tolist()


def _by_block(members: list[np.ndarray], values: np.ndarray) -> list[float]:
    """Sums of ``values`` (n,) over the ``members`` of each block, which have all n between them."""
    label = np.zeros(len(values), np.int64)
    for n, each in enumerate(members):
        label[each] = n
    return np.bincount(label, values, len(members)).tolist()


def _lost(search: _Search, values: dict[str, np.ndarray], z: np.ndarray) -> np.ndarray:
    """(rows,) what sharing the totals of a point out to named servers loses, at most."""
    data, hot = search.data, values["hot"]
    if search.is_named:
        return np.zeros(len(search.program.data.count))
    later = (values["z"][1], hot[1]) if data.sizes[0] > 1 else (0 * hot[0], 0 * hot[0])
    return loss_usd(data, search.kind, z, hot[0], *later)


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
    search: _Search, block: Block, chosen: np.ndarray, start: np.ndarray | None, by_name: bool
) -> Assigned:
    """One block, its servers ``chosen`` by their numbers in the task; counted alone unless
    ``by_name``."""
    gap = search.left().gap
    best = _by_counting(search, block, chosen)
    if best.within(gap) or not by_name:
        return best
    best = _priced_by_name(search, block, chosen, best)
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
    if search.relaxed.x is not None and search.relaxed.is_whole(block.columns):
        x: np.ndarray | None = search.relaxed.x[block.columns]
        bound = float((cost * x).sum())
    else:
        alone = restricted(problem, block)
        result = solve_milp(alone, search.left(), heuristics="none").raise_if_interrupted()
        x, bound = result.x, result.bound
    if x is None:
        return replace(_NOTHING, bound=bound)
    full = np.zeros(problem.columns)
    full[block.columns] = x
    values = program.values(full)
    option = values["pick"].argmax(axis=1)[search.kind[chosen]]
    total = np.rint(values["z"][0]).astype(np.int64)
    z, lost = _named(search, values, total, block.servers)
    usd = float((cost * x).sum())
    if (_totals(search, z)[block.servers] != total[block.servers]).any():
        usd, lost = _priced_alone(search, block, z)
    z = z[np.ix_(chosen, block.groups)]
    return Assigned(z, option, usd + lost, bound)


def _priced_by_name(search: _Search, block: Block, chosen: np.ndarray, found: Assigned) -> Assigned:
    """The counted answer with its true price: naming loses less than was said, or as much."""
    if search.data.sizes[0] == 1 or not found.found:
        return found
    least = value_of(part(search.data, chosen, block.groups), found.z)
    return replace(found, objective=min(found.objective, max(least, found.bound)))


def _named(
    search: _Search, values: dict[str, np.ndarray], total: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, float]:
    """(S, G) on named servers, and what naming those that found room loses."""
    if search.is_named:
        return total[search.kind], 0.0
    z = named(search.data, search.kind, total, rows)
    return z, float(_lost(search, values, z).sum())


def _priced_alone(search: _Search, block: Block, z: np.ndarray) -> tuple[float, float]:
    """$ of the counted program of a block with slot 0 as in ``z`` (S, G), and what naming loses at
    most; ∞ where that is illegal."""
    program, problem = search.program, search.program.problem
    mask, number = program.columns["z"].mask[0], program.columns["z"].number[0]
    low, high = problem.col_lower.copy(), problem.col_upper.copy()
    low[number[mask]] = high[number[mask]] = _totals(search, z)[mask]
    fixed = restricted(replace(problem, col_lower=low, col_upper=high), block).relaxed()
    result = solve_lp(fixed).raise_if_interrupted()
    if result.x is None:
        return math.inf, 0.0
    full = np.zeros(problem.columns)
    full[block.columns] = result.x
    return result.objective, float(_lost(search, program.values(full), z).sum())


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

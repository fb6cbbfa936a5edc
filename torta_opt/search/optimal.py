"""``solve --method optimal``: a verified schedule and how far it can be from the best.

The merged program gives a first bound and first schedules, whatever the horizon; their work is then
shared among regions anew (``balance.py``). Where the allocation program has more than
``WHOLE_COLUMNS`` columns, windows give a better bound, pass after pass. Where it has no more, its
linear relaxation gives one, and by rounding a better schedule. Branch and bound with whole servers
goes on from there; where the program is small enough it is solved once more with every server named
and every request whole, which leaves no room between program and schedules but for the choice of
what expires and for squares.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from torta_opt.bounds.lp import ProgramBound, relaxed_bound
from torta_opt.bounds.merged import merged_bound
from torta_opt.bounds.milp import branch_bound
from torta_opt.bounds.refuted import raise_if_refuted
from torta_opt.bounds.windows import windows_bound
from torta_opt.formulations.allocation_matrix import AllocationProgram, build_allocation_program
from torta_opt.formulations.constraints import UserConstraint, broken, with_user_constraints
from torta_opt.formulations.knapsack import with_knapsack_rows
from torta_opt.formulations.lift import check_lift
from torta_opt.formulations.lower import lower
from torta_opt.instance.data import Instance
from torta_opt.io.errors import LimitReached, VerificationFailed
from torta_opt.schedule.data import Schedule
from torta_opt.schedule.evaluate import evaluate
from torta_opt.schedule.verify import verify
from torta_opt.search.balance import balanced
from torta_opt.search.merged import PlanInterrupted, plan_merged
from torta_opt.search.rounding import DISCOUNTS, round_relaxation
from torta_opt.solvers import Limits, Progress, solve_lp

# Columns up to which servers are named. Beyond, symmetry costs more than exactness gains.
NAMED_COLUMNS = 20_000
# Columns up to which the allocation program is solved whole: some 60 slots of 12 regions.
WHOLE_COLUMNS = 150_000
METHOD = "optimal"
BALANCING = 0.4  # of the time that is left


@dataclass(frozen=True, eq=False)
class Optimal:
    """The best schedule found, its cost, and the best bound proved on the way, in dollars.

    interrupted   Ctrl-C ended the search
    """

    schedule: Schedule
    cost: float
    bound: float
    seconds: float
    interrupted: bool = False

    @property
    def gap(self) -> float | None:
        """(cost − bound)/|cost|; None if the cost is 0."""
        return None if self.cost == 0 else (self.cost - self.bound) / abs(self.cost)


def solve_optimal(
    instance: Instance,
    limits: Limits | None = None,
    *,
    start: Schedule | None = None,
    constraints: Sequence[UserConstraint] = (),
    on_progress: Callable[[Progress], Any] | None = None,
) -> Optimal:
    """The best schedule within the limits; stops at a gap of ``limits.gap``.

    Raises Infeasible if the user's constraints are proved to leave no schedule, LimitReached if
    none was found, KeyboardInterrupt if Ctrl-C came before there was one, and VerificationFailed if
    the schedule refutes the bound or lies outside the program that proved it.
    """
    search = _Search(instance, limits or Limits(), tuple(constraints), on_progress)
    if start is not None:
        search.offer(start)
    try:
        search.merge()
        if program_columns(instance) > WHOLE_COLUMNS:
            search.balance()
            search.price_windows()
        else:
            if not search.is_done:
                search.relax_and_round()
                search.balance()
            for options in ({}, {"integer": True, "named": True}):
                if not search.is_done:
                    search.branch(**options)
    except KeyboardInterrupt:
        if search.schedule is None:
            raise
        search.interrupted = True
    return search.result()


def program_columns(instance: Instance) -> int:
    """About how many columns the allocation program has: routing, processing, hot and servers."""
    system = instance.system
    pools = len(np.unique([system.server_region, system.server_type], axis=1).T)
    routes = int(system.allowed.sum()) * (len(system.classes) + 1)
    work = pools * (2 * len(system.classes) + 5 * len(system.models))
    return instance.slots * (routes + work)


class _Search:
    """Best schedule and bound so far, and how much time is left."""

    def __init__(
        self,
        instance: Instance,
        limits: Limits,
        constraints: tuple[UserConstraint, ...],
        on_progress: Callable[[Progress], Any] | None,
    ) -> None:
        self.instance, self.limits, self.constraints = instance, limits, constraints
        self.on_progress = on_progress
        self.began = time.perf_counter()
        self.schedule: Schedule | None = None
        self.cost, self.bound = np.inf, -np.inf
        self.interrupted = False

    def offer(self, schedule: Schedule | None) -> None:
        """Keep a schedule if it is legal and better than the one there is."""
        if schedule is None or not verify(self.instance, schedule).ok:
            return
        if broken(self.constraints, self.instance, schedule):
            return
        cost = evaluate(self.instance, schedule).cost
        if cost < self.cost:
            self.schedule, self.cost = schedule, cost

    def merge(self) -> None:
        """A bound and schedules of the merged program. It knows nothing of users' constraints."""
        try:
            found = merged_bound(self.instance, self._left)
        except LimitReached:
            return
        self.bound, self.interrupted = found.value, found.interrupted
        if not self.is_done:
            try:
                schedule = plan_merged(self.instance, found, self._left)
            except PlanInterrupted as error:
                schedule, self.interrupted = error.schedule, True
            self.offer(schedule and dataclasses.replace(schedule, method=METHOD))

    def balance(self) -> None:
        """The best schedule with its work shared among regions anew."""
        if self.is_done or self.schedule is None or len(self.instance.system.regions) == 1:
            return
        left = dataclasses.replace(self._left, seconds=BALANCING * self._left.seconds)
        self.offer(balanced(self.instance, self.schedule, left))

    def price_windows(self) -> None:
        """A better bound of a program that is too large to be solved whole."""
        if self.is_done:
            return
        found = windows_bound(
            self.instance,
            self._left,
            constraints=self.constraints,
            target=self.cost - self.limits.gap * abs(self.cost),
            on_progress=self.on_progress,
        )
        self.bound, self.interrupted = max(self.bound, found.value), found.interrupted

    def relax_and_round(self) -> None:
        program = self._program()
        relaxed = solve_lp(program.problem(), limits=self._left, crossover=False)
        found = relaxed_bound(program, relaxed, 0.0)
        self.bound, self.interrupted = max(self.bound, found.value), found.interrupted
        for discount in DISCOUNTS:
            if found.x is None or found.dual is None or self.is_done:
                return
            self.offer(round_relaxation(program, found.x, found.dual, discount, self._left, METHOD))

    def branch(self, *, integer: bool = False, named: bool = False) -> None:
        """Branch and bound; with named servers only if the program is small."""
        program = self._program(integer=integer, named=named)
        if named and len(program.cost) > NAMED_COLUMNS:
            return
        try:
            found = self._branched(program)
        except LimitReached:
            return
        self.bound = max(self.bound, found.value)
        self.interrupted |= found.interrupted
        if found.x is not None:
            values = program.values(found.x)
            self.offer(lower(self.instance, values, pools=program.pools, method=METHOD))

    def _branched(self, program: AllocationProgram) -> ProgramBound:
        return branch_bound(
            program,
            self.limits,
            began=self.began,
            start=self.schedule,
            watch=self.on_progress,
        )

    def _program(self, **options: bool) -> AllocationProgram:
        program = with_knapsack_rows(build_allocation_program(self.instance, **options))
        return with_user_constraints(program, self.constraints)

    @property
    def _left(self) -> Limits:
        spent = time.perf_counter() - self.began
        return dataclasses.replace(self.limits, seconds=max(0.0, self.limits.seconds - spent))

    @property
    def is_done(self) -> bool:
        if self._left.seconds == 0 or self.interrupted:
            return True
        found = self.schedule is not None
        return found and self.cost - self.bound <= self.limits.gap * abs(self.cost)

    def result(self) -> Optimal:
        if self.schedule is None and self.interrupted:
            raise KeyboardInterrupt
        if self.schedule is None:
            kept = " that keeps the user's constraints" if self.constraints else ""
            raise LimitReached(f"{self.instance.name}: no schedule found{kept} within the limits")
        self._check_against_bound(self.schedule)
        seconds = time.perf_counter() - self.began
        bound = min(self.bound, self.cost)
        return Optimal(self.schedule, self.cost, bound, seconds, self.interrupted)

    def _check_against_bound(self, schedule: Schedule) -> None:
        """VerificationFailed if the schedule refutes the bound or lies outside its program."""
        costs = evaluate(self.instance, schedule).costs
        raise_if_refuted(METHOD, self.instance.name, costs, self.bound, METHOD)
        if self.constraints and not check_lift(self._program(), schedule, self.cost).ok:
            names = ", ".join(constraint.name for constraint in self.constraints)
            raise VerificationFailed(
                f"{METHOD}: the rows of {names} cut off a schedule of {self.instance.name} that "
                "keeps the constraint: the bound does not hold"
            )

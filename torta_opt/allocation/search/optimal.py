"""``solve --method optimal``: a verified schedule and how far it can be from the best.

It begins with the floor and the schedules of policies (``start.py``), so that it can end at any
moment after. The merged program gives a better bound and schedules, whatever the horizon; their
work is then rebalanced among regions (``rebalance.py``). Where the allocation program has more than
``WHOLE_COLUMNS`` columns, windows give a better bound, pass after pass. Where it has no more, its
linear relaxation gives one, and by rounding a better schedule. Branch and bound with whole servers
goes on from there. Where the exact program (``formulations/exact.py``) is small enough it is solved
last: its answers are the schedules, so its optimum is the best one.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.bounds.lp import ProgramBound, relaxed_bound
from torta_opt.allocation.bounds.merged import MergedBound, merged_bound
from torta_opt.allocation.bounds.milp import branch_bound, money
from torta_opt.allocation.bounds.windows import windows_bound
from torta_opt.allocation.formulations.exact import build_exact_program, schedule_of
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.lift import check_lift
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.formulations.recover import recover
from torta_opt.allocation.formulations.user_constraint import (
    UserConstraint,
    broken,
    with_user_constraints,
)
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.verify import verify
from torta_opt.allocation.search.merged_plan import PlanInterrupted, plan_merged
from torta_opt.allocation.search.rebalance import rebalanced
from torta_opt.allocation.search.rounding import DISCOUNTS, round_relaxation
from torta_opt.allocation.search.start import policy_schedules
from torta_opt.family import Request
from torta_opt.io.errors import LimitReached, VerificationFailed
from torta_opt.results import ROUNDING, Found, raise_if_refuted
from torta_opt.solvers import Limits, Progress, solve_lp

# Columns of the exact program up to which it is solved. Beyond, symmetry costs more than it gains.
NAMED_COLUMNS = 20_000
# Columns up to which the allocation program is solved whole: some 60 slots of 12 regions.
WHOLE_COLUMNS = 150_000
METHOD = "optimal"
POLICIES = 0.1  # of the time, for policies after the first
BALANCING = 0.4  # of the time that is left
COUNTED = 0.5  # of the time that is left, for whole servers where the exact program comes after
EXACT_COST = 1024.0  # size of a typical cost while the exact program is solved
REACHED = "the gap asked for is reached"
SOLVED = "the exact program is solved to its end"


def solve_optimal(
    instance: Instance,
    limits: Limits | None = None,
    *,
    start: Schedule | None = None,
    constraints: Sequence[UserConstraint] = (),
    on_progress: Callable[[Progress], Any] | None = None,
) -> Found:
    """The best schedule within the limits; stops at a gap of ``limits.gap``.

    ``on_progress`` is called with the cost of the best schedule so far, which has passed the
    verifier, and the best bound so far. If no start is given, the first policy runs to its end,
    whatever the limits are.

    Raises Infeasible if the user's constraints are proved to leave no schedule, LimitReached if
    none that keeps them was found, KeyboardInterrupt if Ctrl-C came before there was a schedule,
    and VerificationFailed if the schedule refutes the bound or lies outside the program that proved
    it.
    """
    search = _Search(instance, limits or Limits(), tuple(constraints), on_progress)
    try:
        search.begin(start)
        search.merge()
        if program_columns(instance) > WHOLE_COLUMNS:
            search.balance()
            search.price_windows()
        else:
            search.relax_and_round()
            search.balance()
            search.branch()
            search.solve_exactly()
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
    """Best schedule and bound so far, and how much time is left.

    limited   a limit cut a step short
    solved    the exact program was solved, and the schedule is its answer
    rule      why it was not, in words
    """

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
        self.cost, self.bound = np.inf, floor(instance).value
        self.interrupted = self.limited = self.solved = False
        self.rule = ""
        self.phase = "policies"

    def begin(self, start: Schedule | None) -> None:
        """The start and what policies do: the first one to its end if there is no start."""
        if start is not None:
            self.offer(start)
        spare = POLICIES * self._left.seconds
        for schedule in policy_schedules(self.instance, self.schedule is None, spare):
            self.offer(dataclasses.replace(schedule, method=METHOD, seed=None, forecast=None))
            if self.is_done:
                return

    def offer(self, schedule: Schedule | None) -> None:
        """Keep a schedule if it is legal and better than the one there is."""
        if schedule is None or not verify(self.instance, schedule).ok:
            return
        if broken(self.constraints, self.instance, schedule):
            return
        cost = evaluate(self.instance, schedule).cost
        if cost < self.cost:
            self.schedule, self.cost = schedule, cost
            self.tell()

    def take(self, found: MergedBound | ProgramBound[AllocationProgram]) -> None:
        """A bound, and how the run ended that proved it."""
        self.interrupted |= found.interrupted
        if found.value > self.bound:
            self.bound = found.value
            self.tell()

    def tell(self, sample: Progress | None = None) -> None:
        """The best schedule and the best bound so far; a solver's sample says no more than that."""
        if self.on_progress is None:
            return
        bound, nodes, phase = self.bound, 0, self.phase
        if sample is not None:
            bound, nodes, phase = max(bound, sample.bound), sample.nodes, sample.phase or phase
        self.on_progress(Progress(self.spent, self.cost, min(bound, self.cost), nodes, phase))

    def merge(self) -> None:
        """A bound and schedules of the merged program. It knows nothing of users' constraints."""
        if self.is_done:
            return
        self.phase = "merged program"
        try:
            found = merged_bound(self.instance, self._left)
        except LimitReached:
            self.limited = True
            return
        self.limited |= found.limited
        self.take(found)
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
        self.phase = "balance"
        left = dataclasses.replace(self._left, seconds=BALANCING * self._left.seconds)
        self.offer(rebalanced(self.instance, self.schedule, left))

    def price_windows(self) -> None:
        """A better bound of a program that is too large to be solved whole."""
        self.rule = (
            f"the allocation program has about {program_columns(self.instance):,} columns, more "
            f"than the {WHOLE_COLUMNS:,} up to which it is solved whole"
        )
        if self.is_done:
            return
        found = windows_bound(
            self.instance,
            self._left,
            constraints=self.constraints,
            target=self.cost - self.limits.gap * abs(self.cost),
            on_progress=self.tell,
        )
        self.limited |= found.limited
        self.take(found)

    def relax_and_round(self) -> None:
        if self.is_done:
            return
        self.phase = "relaxation"
        program = self._program()
        relaxed = solve_lp(program.problem(), limits=self._left, crossover=False)
        try:
            found = relaxed_bound(program, relaxed, 0.0)
        except LimitReached:
            self.limited = True
            return
        self.limited |= found.limited
        self.take(found)
        for discount in DISCOUNTS:
            if found.x is None or found.dual is None or self.is_done:
                return
            self.offer(round_relaxation(program, found.x, found.dual, discount, self._left, METHOD))

    def branch(self) -> None:
        """Branch and bound over counted servers, which are whole."""
        if self.is_done:
            return
        self.phase = "whole servers"
        share = 1.0 if self.exact is None else COUNTED
        until = self.spent + share * self._left.seconds
        found = self._branched(self._program(), until)
        if found is not None and found.x is not None:
            values, pools = found.program.values(found.x), found.program.pools
            self.offer(recover(self.instance, values, pools=pools, method=METHOD))

    def solve_exactly(self) -> None:
        """Branch and bound over schedules themselves, if the program is small."""
        program = None if self.is_done else self.exact
        if program is None:
            return
        self.phase = "exact program"
        self.limited = False  # whatever was cut short before is not needed any more
        found = self._branched(program, self.limits.seconds, EXACT_COST)
        if found is None or found.x is None:
            return
        self.offer(schedule_of(program, found.x, METHOD))
        paid = money(program, found.x)
        self.solved = not (found.limited or found.interrupted) and (
            self.cost <= program.objective(found.x) + ROUNDING * paid
        )
        if not (self.solved or self.limited):
            self.rule = "the exact program's answer breaks a check of the user's constraints"

    def _branched(
        self, program: AllocationProgram, until: float, cost_size: float = 1.0
    ) -> ProgramBound[AllocationProgram] | None:
        """Branch and bound until so many seconds of the search; None if a limit came at once.

        The solver is asked for half the gap: its bound is still to lose the solver's tolerances.
        """
        limits = dataclasses.replace(self.limits, seconds=until, gap=self.limits.gap / 2)
        try:
            found = branch_bound(
                program,
                limits,
                began=self.began,
                start=self.schedule,
                watch=None if self.on_progress is None else self.tell,
                cost_size=cost_size,
            )
        except LimitReached:
            self.limited = True
            return None
        self.limited |= found.limited
        self.take(found)
        return found

    def _program(self) -> AllocationProgram:
        program = with_knapsack_rows(build_allocation_program(self.instance))
        return with_user_constraints(program, self.constraints)

    @cached_property
    def exact(self) -> AllocationProgram | None:
        """The exact program; None, and why, if it is too large."""
        too_large = f"the exact program has more than the {NAMED_COLUMNS:,} columns it may have"
        if self.instance.up.sum() > NAMED_COLUMNS:  # each server has a column in each such slot
            self.rule = too_large
            return None
        program = build_exact_program(self.instance)
        if program is None:
            self.rule = "squares of changes of routing have too many values for the exact program"
            return None
        if len(program.cost) > NAMED_COLUMNS:
            self.rule = too_large
            return None
        return with_user_constraints(with_knapsack_rows(program), self.constraints)

    @property
    def _left(self) -> Limits:
        left = max(0.0, self.limits.seconds - self.spent)
        return dataclasses.replace(self.limits, seconds=left)

    @property
    def spent(self) -> float:
        """Seconds since the search began."""
        return time.perf_counter() - self.began

    @property
    def is_done(self) -> bool:
        return self._left.seconds == 0 or self.interrupted or self.is_closed

    @property
    def is_closed(self) -> bool:
        found = self.schedule is not None
        return found and self.cost - self.bound <= self.limits.gap * abs(self.cost)

    def result(self) -> Found:
        if self.schedule is None and self.interrupted:
            raise KeyboardInterrupt
        if self.schedule is None:
            kept = " that keeps the user's constraints" if self.constraints else ""
            raise LimitReached(f"{self.instance.name}: no schedule found{kept} within the limits")
        self._check_against_bound(self.schedule)
        return Found(
            self.schedule,
            self.spent,
            bound=min(self.bound, self.cost),
            cost=self.cost,
            reached=self.is_closed or self.solved,
            interrupted=self.interrupted,
            stopped=self._reason(),
        )

    def _reason(self) -> str:
        """Why the search ended."""
        if self.is_closed:
            return REACHED
        if self.solved:
            return SOLVED
        if self.interrupted:
            return "Ctrl-C"
        if self._left.seconds == 0:
            return "the time limit came first"
        if self.limited and self.limits.work is not None:
            return "the work limit came first"
        return self.rule or "the solver gave up"

    def _check_against_bound(self, schedule: Schedule) -> None:
        """VerificationFailed if the schedule refutes the bound or lies outside its program."""
        costs = evaluate(self.instance, schedule).costs
        raise_if_refuted(METHOD, self.instance.name, costs, self.bound, METHOD)
        if self.constraints and not check_lift(self._program(), schedule, self.cost).ok:
            names = ", ".join(constraint.name for constraint in self.constraints)
            raise VerificationFailed(
                f"{METHOD}: the rows of {names} cut off a schedule of {self.instance.name} that "
                "satisfies the constraint: the bound is not valid"
            )


def solve(instance: Instance, request: Request) -> Found:
    """The method ``optimal``."""
    return solve_optimal(
        instance,
        request.limits,
        start=request.start,
        constraints=request.constraints,
        on_progress=request.solver_watch,
    )

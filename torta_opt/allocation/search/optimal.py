"""``solve --method optimal``: a verified schedule and how far it can be from the best.

It begins with the floor and the schedules of policies (``start.py``), so that it can end at any
moment after. The merged program gives a better bound and schedules, whatever the horizon. On the
servers of the best one, requests are then planned anew (``whole_requests.py``); if that does not
end or gain, work is rebalanced among regions (``rebalance.py``). Where the allocation program has
more than ``WHOLE_COLUMNS`` columns, windows give a better bound, pass after pass. Where it has no
more, its linear relaxation gives one, and by rounding a better schedule. Branch and bound with
whole servers goes on from there. Where the exact program (``formulations/exact.py``) is small
enough it is solved last: its answers are the schedules, so its optimum is the best one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from torta_opt.allocation.bounds.lp import relaxed_bound
from torta_opt.allocation.bounds.merged import merged_bound
from torta_opt.allocation.bounds.milp import branch_bound, money
from torta_opt.allocation.bounds.of_program import ProgramBound
from torta_opt.allocation.bounds.windows import windows_bound
from torta_opt.allocation.formulations.exact import build_exact_program, schedule_of
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.lift import check_lift
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.merged import MergedProgram, build_merged_program
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.formulations.recover import recover
from torta_opt.allocation.formulations.user_constraint import UserConstraint, with_user_constraints
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.search.incumbent import Incumbent
from torta_opt.allocation.search.merged_plan import PlanInterrupted, plan_merged
from torta_opt.allocation.search.rebalance import rebalanced
from torta_opt.allocation.search.rounding import DISCOUNTS, round_relaxation
from torta_opt.allocation.search.start import policy_schedules
from torta_opt.allocation.search.whole_plan import counts_matter, plan_whole
from torta_opt.allocation.search.whole_requests import replanned
from torta_opt.family import Request
from torta_opt.io.errors import LimitReached, VerificationFailed
from torta_opt.results import ROUNDING, Found, raise_if_refuted
from torta_opt.solvers import Limits, Progress, SolverFailed, solve_lp

# Columns of the exact program up to which it is solved. Beyond, symmetry costs more than it gains.
NAMED_COLUMNS = 20_000
# Columns up to which the allocation program is solved whole: some 60 slots of 12 regions.
WHOLE_COLUMNS = 150_000
METHOD = "optimal"
POLICIES = 0.1  # share of the time for policies after the first
REPLANNING = 0.5  # share of the time left for planning requests anew
BALANCING = 0.4  # share of the time left for rebalancing
COUNTED = 0.5  # share of the time left for whole servers, if the exact program comes after them
EXACT_COST = 1024.0  # size of a typical cost while the exact program is solved


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
    best = Incumbent(instance, limits or Limits(), tuple(constraints), on_progress)
    steps = _Steps(best)
    try:
        steps.begin(start)
        steps.merge()
        if program_columns(instance) > WHOLE_COLUMNS:
            steps.replan()
            steps.balance()
            steps.price_windows()
        else:
            steps.relax_and_round()
            steps.replan()
            steps.balance()
            steps.branch()
            steps.solve_exactly()
    except KeyboardInterrupt:
        best.interrupted = True
    except SolverFailed as error:
        if best.schedule is None:
            raise
        best.rule = f"the solver failed: {error}"
    found = best.result()
    if found.schedule is not None:
        check_against_bound(best, found.schedule)
    return found


def program_columns(instance: Instance) -> int:
    """About how many columns the allocation program has: routing, processing, hot and servers."""
    system = instance.system
    pools = len(np.unique([system.server_region, system.server_type], axis=1).T)
    routes = int(system.allowed.sum()) * (len(system.classes) + 1)
    work = pools * (2 * len(system.classes) + 5 * len(system.models))
    return instance.slots * (routes + work)


class _Steps:
    """The steps of the search; each improves what ``best`` holds and ends where it is done."""

    def __init__(self, best: Incumbent) -> None:
        self.best = best
        self.is_replanned = False

    def begin(self, start: Schedule | None) -> None:
        """The start and what policies do: the first one to its end if there is no start."""
        best = self.best
        if start is not None:
            best.offer(start)
        spare = POLICIES * best.left.seconds
        for schedule in policy_schedules(best.instance, best.schedule is None, spare):
            best.offer(dataclasses.replace(schedule, method=METHOD, seed=None, forecast=None))
            if best.is_done:
                return

    def merge(self) -> None:
        """A bound and schedules of the merged program. It knows nothing of users' constraints."""
        best = self.best
        if best.is_done:
            return
        best.phase = "merged program"
        try:
            found = merged_bound(best.instance, best.left)
        except LimitReached:
            best.limited = True
            return
        best.limited |= found.limited
        best.take(found)
        if not best.is_done:
            try:
                schedule = plan_merged(best.instance, found, best.left)
            except PlanInterrupted as error:
                schedule, best.interrupted = error.schedule, True
            best.offer(schedule and dataclasses.replace(schedule, method=METHOD))
        if not best.is_done and counts_matter(found):
            best.phase = "whole servers of the merged program"
            schedule, proved = plan_whole(best.instance, best.left)
            if proved is not None:
                best.take(proved)
            best.offer(schedule and dataclasses.replace(schedule, method=METHOD))

    def replan(self) -> None:
        """Plan the requests of the best schedule anew, on the same servers."""
        best = self.best
        if best.is_done or best.schedule is None or len(best.instance.system.regions) == 1:
            return
        slots, planned = best.instance.slots, 0
        schedule: Schedule | None
        left = dataclasses.replace(best.left, seconds=REPLANNING * best.left.seconds)

        def tell(done: int) -> None:
            nonlocal planned
            planned, best.phase = done, f"requests, {done} of {slots} slots"
            best.tell()

        tell(0)
        try:
            schedule = replanned(best.instance, best.schedule, self.merged, left, tell)
        except PlanInterrupted as error:
            schedule, best.interrupted = error.schedule, True
        except SolverFailed as error:  # the steps after this one need nothing of it
            best.rule = f"requests were not planned anew: {error}"
            return
        best.offer(schedule)
        self.is_replanned = planned == slots and best.schedule is schedule

    def balance(self) -> None:
        """Divide the work of the best schedule among regions anew, unless its requests are."""
        best = self.best
        if best.is_done or best.schedule is None or len(best.instance.system.regions) == 1:
            return
        if self.is_replanned:
            return
        best.phase = "balance"
        left = dataclasses.replace(best.left, seconds=BALANCING * best.left.seconds)
        best.offer(rebalanced(best.instance, best.schedule, left))

    def price_windows(self) -> None:
        """A better bound on a program that is too large to be solved whole."""
        best = self.best
        best.rule = (
            f"the allocation program has about {program_columns(best.instance):,} columns, more "
            f"than the {WHOLE_COLUMNS:,} up to which it is solved whole"
        )
        if best.is_done:
            return
        found = windows_bound(
            best.instance,
            best.left,
            constraints=best.constraints,
            target=best.cost - best.limits.gap * abs(best.cost),
            on_progress=best.tell,
        )
        best.limited |= found.limited
        best.take(found)

    def relax_and_round(self) -> None:
        """A better bound from the linear relaxation, and schedules rounded from it."""
        best = self.best
        if best.is_done:
            return
        best.phase = "relaxation"
        program = counted_program(best.instance, best.constraints)
        relaxed = solve_lp(program.problem(), limits=best.left, crossover=False)
        try:
            found = relaxed_bound(program, relaxed, 0.0)
        except LimitReached:
            best.limited = True
            return
        best.limited |= found.limited
        best.take(found)
        for discount in DISCOUNTS:
            if found.x is None or found.dual is None or best.is_done:
                return
            best.offer(round_relaxation(program, found.x, found.dual, discount, best.left, METHOD))

    def branch(self) -> None:
        """Branch and bound over counted servers, which are whole."""
        best = self.best
        if best.is_done:
            return
        best.phase = "whole servers"
        share = 1.0 if self.exact is None else COUNTED
        until = best.spent + share * best.left.seconds
        found = self._branched(counted_program(best.instance, best.constraints), until)
        if found is not None and found.x is not None:
            values, pools = found.program.values(found.x), found.program.pools
            best.offer(recover(best.instance, values, pools=pools, method=METHOD))

    def solve_exactly(self) -> None:
        """Branch and bound over schedules themselves, if the program is small."""
        best = self.best
        program = None if best.is_done else self.exact
        if program is None:
            return
        best.phase = "exact program"
        best.limited = False  # the exact program needs nothing of what was cut short before
        found = self._branched(program, best.limits.seconds, EXACT_COST)
        if found is None or found.x is None:
            return
        best.offer(schedule_of(program, found.x, METHOD))
        paid = money(program, found.x)
        best.solved = not (found.limited or found.interrupted) and (
            best.cost <= program.objective(found.x) + ROUNDING * paid
        )
        if not (best.solved or best.limited):
            best.rule = "the exact program's answer breaks a check of the user's constraints"

    def _branched(
        self, program: AllocationProgram, until: float, cost_size: float = 1.0
    ) -> ProgramBound[AllocationProgram] | None:
        """Branch and bound until so many seconds of the search; None if a limit came at once.

        The solver is asked for half the gap: its bound is still to lose the solver's tolerances.
        """
        best = self.best
        limits = dataclasses.replace(best.limits, seconds=until, gap=best.limits.gap / 2)
        try:
            found = branch_bound(
                program,
                limits,
                began=best.began,
                start=best.schedule,
                watch=None if best.on_progress is None else best.tell,
                cost_size=cost_size,
            )
        except LimitReached:
            best.limited = True
            return None
        best.limited |= found.limited
        best.take(found)
        return found

    @cached_property
    def merged(self) -> MergedProgram:
        """The merged program with knapsack rows."""
        merged = build_merged_program(self.best.instance)
        return dataclasses.replace(merged, program=with_knapsack_rows(merged.program))

    @cached_property
    def exact(self) -> AllocationProgram | None:
        """The exact program; None if it is too large, and ``best.rule`` then says why."""
        program, rule = exact_program(self.best.instance, self.best.constraints)
        self.best.rule = rule or self.best.rule
        return program


def counted_program(
    instance: Instance, constraints: tuple[UserConstraint, ...]
) -> AllocationProgram:
    """The allocation program with knapsack rows and the user's constraints."""
    program = with_knapsack_rows(build_allocation_program(instance))
    return with_user_constraints(program, constraints)


def exact_program(
    instance: Instance, constraints: tuple[UserConstraint, ...]
) -> tuple[AllocationProgram | None, str]:
    """The exact program, or None and why there is none."""
    too_large = f"the exact program has more than the {NAMED_COLUMNS:,} columns it may have"
    if instance.up.sum() > NAMED_COLUMNS:  # each server has a column in each such slot
        return None, too_large
    program = build_exact_program(instance)
    if program is None:
        return None, "squares of changes of routing have too many values for the exact program"
    if len(program.cost) > NAMED_COLUMNS:
        return None, too_large
    return with_user_constraints(with_knapsack_rows(program), constraints), ""


def check_against_bound(best: Incumbent, schedule: Schedule) -> None:
    """VerificationFailed if the schedule refutes the bound or lies outside its program."""
    costs = evaluate(best.instance, schedule).costs
    raise_if_refuted(METHOD, best.instance.name, costs, best.bound, METHOD)
    if not best.constraints:
        return
    if not check_lift(counted_program(best.instance, best.constraints), schedule, best.cost).ok:
        names = ", ".join(constraint.name for constraint in best.constraints)
        raise VerificationFailed(
            f"{METHOD}: the rows of {names} cut off a schedule of {best.instance.name} that "
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

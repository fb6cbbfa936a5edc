"""The best schedule and the best bound so far, within the limits: what an offline search keeps."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.bounds.merged import MergedBound
from torta_opt.allocation.bounds.of_program import ProgramBound
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.formulations.user_constraint import UserConstraint, broken
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.verify import verify
from torta_opt.family import FLOOR
from torta_opt.io.errors import LimitReached
from torta_opt.results import Found
from torta_opt.solvers import Limits, Progress

REACHED = "the gap asked for is reached"
SOLVED = "the exact program is solved to its end"


class Incumbent:
    """Best schedule and bound so far, and how much time is left.

    source    the method that proved the bound
    limited   a limit cut a step short
    solved    the exact program was solved, and the schedule is its answer
    rule      why it was not, in words
    phase     the step that runs, in words
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
        self.cost, self.bound, self.source = np.inf, floor(instance).value, FLOOR
        self.interrupted = self.limited = self.solved = False
        self.rule = ""
        self.phase = "policies"

    def offer(self, schedule: Schedule | None) -> None:
        """Keep a schedule if it breaks no rule and is cheaper than the best so far."""
        if schedule is None or not verify(self.instance, schedule).ok:
            return
        if broken(self.constraints, self.instance, schedule):
            return
        cost = evaluate(self.instance, schedule).cost
        if cost < self.cost:
            self.schedule, self.cost = schedule, cost
            self.tell()

    def take(self, found: MergedBound | ProgramBound[AllocationProgram]) -> None:
        """Take over a bound, and how the run that proved it ended."""
        self.interrupted |= found.interrupted
        if found.value > self.bound:
            self.bound, self.source = found.value, found.source
            self.tell()

    def tell(self, sample: Progress | None = None) -> None:
        """The best schedule and the best bound so far; a solver's sample says no more than that."""
        if self.on_progress is None:
            return
        bound, nodes, phase = self.bound, 0, self.phase
        if sample is not None:
            bound, nodes, phase = max(bound, sample.bound), sample.nodes, sample.phase or phase
        self.on_progress(Progress(self.spent, self.cost, min(bound, self.cost), nodes, phase))

    @property
    def left(self) -> Limits:
        """The limits, with the seconds that are left."""
        left = max(0.0, self.limits.seconds - self.spent)
        return dataclasses.replace(self.limits, seconds=left)

    @property
    def spent(self) -> float:
        """Seconds since the search began."""
        return time.perf_counter() - self.began

    @property
    def is_done(self) -> bool:
        return self.left.seconds == 0 or self.interrupted or self.is_closed

    @property
    def is_closed(self) -> bool:
        """The gap asked for is reached."""
        found = self.schedule is not None
        return found and self.cost - self.bound <= self.limits.gap * abs(self.cost)

    def result(self) -> Found:
        """Raises KeyboardInterrupt or LimitReached if there is no schedule."""
        if self.schedule is None and self.interrupted:
            raise KeyboardInterrupt
        if self.schedule is None:
            kept = " that keeps the user's constraints" if self.constraints else ""
            raise LimitReached(f"{self.instance.name}: no schedule found{kept} within the limits")
        return Found(
            self.schedule,
            self.spent,
            bound=min(self.bound, self.cost),
            source=self.source,
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
        if self.left.seconds == 0:
            return "the time limit came first"
        if self.limited and self.limits.work is not None:
            return "the work limit came first"
        return self.rule or "the solver gave up"

"""The best schedule and the best bound so far, within the limits: what an exact search keeps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from torta_opt.io import Infeasible
from torta_opt.placement.bounds.proof import Proof
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.schedule.data import PlacementSchedule
from torta_opt.placement.schedule.evaluate import total_ms
from torta_opt.placement.schedule.performance import prices
from torta_opt.placement.schedule.verify import verify
from torta_opt.results import Found
from torta_opt.solvers import Limits, Progress, Status

PROBE_LIMITS = Limits(seconds=1.0, gap=1e-3)  # for the program that picks sets of servers
ROUNDING = 1e-9  # share of a bound: a solver's last digits


class Incumbent:
    """The best schedule and the best bound so far, in milliseconds without the start.

    source   what proved the bound
    solved   the program with positions was solved, and the schedule is its answer
    cut      a limit cut a step short
    phase    the step that runs, in words
    """

    def __init__(
        self,
        instance: PlacementInstance,
        limits: Limits,
        objective: str,
        on_progress: Callable[[Progress], object] | None,
    ) -> None:
        self.instance, self.limits = instance, limits
        self.paid = prices(instance, objective)
        start = instance.delays.start_ms if objective == "response" else 0.0
        self.offset = start * instance.requests
        self.began = time.perf_counter()
        self.on_progress = on_progress
        self.schedule: PlacementSchedule | None = None
        self.cost, self.bound, self.source = math.inf, -math.inf, "combinatorial"
        self.proof: Proof | None = None
        self.interrupted = self.solved = self.cut = False
        self.phase = "known methods"
        self.trace: list[Progress] = []

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    @property
    def left(self) -> float:
        return max(self.limits.seconds - self.seconds, 0.0)

    @property
    def closed(self) -> bool:
        allowed = self.limits.gap * abs(self.cost + self.offset)
        return self.schedule is not None and self.cost - self.bound <= allowed

    @property
    def done(self) -> bool:
        return self.closed or self.interrupted or self.left == 0

    @property
    def target(self) -> float:
        """The bound at which the search ends."""
        return self.cost - self.limits.gap * abs(self.cost + self.offset)

    def offer(self, schedule: PlacementSchedule) -> None:
        """Keep ``schedule`` if it passes the verifier and is cheaper than the best so far."""
        if not verify(self.instance, schedule).ok:
            return
        cost = total_ms(self.paid, schedule)
        if cost < self.cost:
            self.schedule, self.cost = schedule, cost
            self._tell(0)

    def first_of(self, schedules: Iterator[PlacementSchedule]) -> None:
        """Offer schedules until one passes."""
        for schedule in schedules:
            self.offer(schedule)
            if self.schedule is not None:
                return

    def raise_bound(self, bound: float, source: str) -> None:
        if bound > self.bound:
            self.bound, self.source = bound, source
            self._tell(0)

    def result(self) -> Found:
        cost, bound = self.cost + self.offset, min(self.bound, self.cost) + self.offset
        return Found(
            schedule=self.schedule,
            cost=None if self.schedule is None else cost / 1000,
            bound=bound / 1000,
            seconds=self.seconds,
            reached=self.closed or self.solved,
            interrupted=self.interrupted,
            limited=(self.cut or self.left == 0) and not (self.closed or self.solved),
            stopped=self._reason(),
            source=self.source,
            trace=tuple(self.trace),
            certificate=self.proof if self.source == "tree" else None,
        )

    def _reason(self) -> str:
        if self.closed:
            return "the gap asked for is reached"
        if self.solved:
            return "the program with positions is solved to its end"
        if self.interrupted:
            return "Ctrl-C"
        if self.left == 0:
            return "the time limit came first"
        if self.cut and self.limits.work is not None:
            return "the work limit came first"
        return "the solver gave up" if self.cut else "the tree is used up"

    def take(self, status: Status, bound: float, source: str) -> None:
        self.interrupted |= status == Status.INTERRUPTED
        if status == Status.INFEASIBLE:
            if self.schedule is None:
                raise self.infeasible()
            return  # a contradiction to a verified schedule: this bound is not believed
        self.raise_bound(bound - ROUNDING * abs(bound), source)

    def small_limits(self, gap: float) -> Limits:
        """Limits of small programs: a limit of work, where there is one, replaces that of time."""
        seconds = min(PROBE_LIMITS.seconds, self.left) if self.limits.work is None else self.left
        return replace(self.limits, gap=gap, seconds=seconds)

    def infeasible(self) -> Infeasible:
        return Infeasible(f"{self.instance.name}: no placement has room for all requests at once")

    def watch(self, sample: Progress) -> None:
        """The solver's incumbents are no schedules before the verifier has seen them."""
        self._tell(sample.nodes, max(self.bound, sample.bound - ROUNDING * abs(sample.bound)))

    def _tell(self, nodes: int, bound: float | None = None) -> None:
        bound = min(self.bound if bound is None else bound, self.cost)
        scaled = (self.cost + self.offset) / 1000, (bound + self.offset) / 1000
        self.trace.append(Progress(self.seconds, *scaled, nodes, self.phase))
        if self.on_progress is not None:
            self.on_progress(self.trace[-1])

"""``solve --method clairvoyant``: the merged plan, or a policy's schedule where that is cheaper.

The policy runs first: so there is a schedule whenever a limit or Ctrl-C comes.
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass

from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.bounds.merged import MergedBound, merged_bound
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.verify import verify
from torta_opt.allocation.search import merged_plan as merged
from torta_opt.allocation.search.start import policy_schedules
from torta_opt.io.errors import LimitReached
from torta_opt.solvers import Limits


@dataclass(frozen=True, eq=False)
class Clairvoyant:
    """A schedule and what the merged program, or the floor, proves, in dollars.

    reached       the plan is complete: no limit cut one of its programs short
    interrupted   Ctrl-C ended it
    stopped       one line on why the plan is not complete
    """

    schedule: Schedule
    bound: float
    seconds: float
    reached: bool
    interrupted: bool
    stopped: str


def solve_clairvoyant(
    instance: Instance, limits: Limits | None = None, solved: MergedBound | None = None
) -> Clairvoyant:
    """The cheaper of the merged plan and the first policy's schedule.

    solved   what the merged bound of the instance has solved, where that is known

    Raises KeyboardInterrupt if Ctrl-C came while the policy ran, which no limit ends.
    """
    began, limits = time.perf_counter(), limits or Limits()
    best = next(policy_schedules(instance, True, math.inf))
    least, interrupted, cut = floor(instance).value, False, ""

    def left() -> Limits:
        spent = time.perf_counter() - began
        return dataclasses.replace(limits, seconds=max(0.0, limits.seconds - spent))

    def note_limit() -> None:
        nonlocal cut
        cut = "a limit cut the plan short"

    plan = None
    try:
        solved = solved or merged_bound(instance, left())
        least = max(least, solved.value)
        if solved.limited:
            note_limit()
        plan = merged.plan_merged(instance, solved, left(), note_limit)
        if plan is None:
            cut = cut or "a limit left no plan"
    except LimitReached as error:
        cut = str(error)
    except merged.PlanInterrupted as error:
        plan, interrupted, cut = error.schedule, True, "Ctrl-C"
    except KeyboardInterrupt:
        interrupted, cut = True, "Ctrl-C"
    if plan is not None:
        verify(instance, plan).raise_if_broken("clairvoyant")
        best = min(plan, best, key=lambda schedule: evaluate(instance, schedule).cost)
    best = dataclasses.replace(best, seed=None, forecast=None)
    return Clairvoyant(best, least, time.perf_counter() - began, not cut, interrupted, cut)

"""``solve --method clairvoyant``: the merged plan, or a policy's schedule where that is cheaper.

Where servers are few, the merged program is solved with whole servers too (``whole_plan.py``).

The policy runs first: so there is a schedule whenever a limit or Ctrl-C comes, or a solver fails.
"""

from __future__ import annotations

import dataclasses
import math
import time

from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.bounds.merged import MergedBound, merged_bound
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.verify import verify
from torta_opt.allocation.search import merged_plan as merged
from torta_opt.allocation.search.start import policy_schedules
from torta_opt.allocation.search.whole_plan import counts_matter, plan_whole
from torta_opt.family import FLOOR, Request
from torta_opt.io.errors import LimitReached
from torta_opt.results import Found, raise_if_refuted
from torta_opt.solvers import Limits, SolverFailed

METHOD = "clairvoyant"


def solve_clairvoyant(
    instance: Instance, limits: Limits | None = None, solved: MergedBound | None = None
) -> Found:
    """The cheaper of the merged plan and the first policy's schedule.

    solved   what the merged bound of the instance has solved, where that is known

    Raises KeyboardInterrupt if Ctrl-C came while the policy ran, which no limit ends.
    """
    began, limits = time.perf_counter(), limits or Limits()
    best = next(policy_schedules(instance, True, math.inf))
    least, source = floor(instance).value, FLOOR
    interrupted, cut = False, ""

    def left() -> Limits:
        spent = time.perf_counter() - began
        return dataclasses.replace(limits, seconds=max(0.0, limits.seconds - spent))

    def note_limit() -> None:
        nonlocal cut
        cut = "a limit cut the plan short"

    plan = None
    try:
        solved = solved or merged_bound(instance, left())
        if solved.value > least:
            least, source = solved.value, solved.source
        if solved.limited:
            note_limit()
        plan = merged.plan_merged(instance, solved, left(), note_limit)
        if plan is None:
            cut = cut or "a limit left no plan"
        elif counts_matter(solved):
            whole, proved = plan_whole(instance, left())
            plans = [plan] if whole is None else [plan, whole]
            if proved is not None and proved.value > least:
                least, source = proved.value, proved.source
            interrupted = proved is not None and proved.interrupted
            if interrupted:
                cut = cut or "Ctrl-C"
            elif whole is None:
                note_limit()
            plan = min(plans, key=lambda each: evaluate(instance, each).cost)
    except LimitReached as error:
        cut = str(error)
    except merged.PlanInterrupted as error:
        plan, interrupted, cut = error.schedule, True, "Ctrl-C"
    except KeyboardInterrupt:
        interrupted, cut = True, "Ctrl-C"
    except SolverFailed as error:  # what is planned and proved so far stands
        cut = f"the solver failed: {error}"
    if plan is not None:
        verify(instance, plan).raise_if_broken(METHOD)
        best = min(plan, best, key=lambda schedule: evaluate(instance, schedule).cost)
    best = dataclasses.replace(best, method=METHOD, seed=None, forecast=None)
    cost = evaluate(instance, best)
    raise_if_refuted(METHOD, instance.name, cost.costs, least, source)
    return Found(
        best,
        time.perf_counter() - began,
        bound=least,
        source=source,
        reached=not cut,
        interrupted=interrupted,
        stopped=cut,
        cost=cost.cost,
    )


def solve(instance: Instance, request: Request) -> Found:
    """The method ``clairvoyant``; it continues from a merged bound that is known already."""
    known = request.known
    solved = known.solved if known is not None and known.source == "merged" else None
    return solve_clairvoyant(instance, request.limits, solved)

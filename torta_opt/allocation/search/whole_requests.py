"""Plan whole requests on given servers, slot by slot, with all regions at once.

A merged plan decides first what servers process and only then where requests go; to follow the work
they are re-routed. Here both are decided together. In each slot, from the state that the decisions
so far have left,

1. the linear program over the requests of this slot and the next one (``request_window.py``) is
   solved. What waits at its end is charged what the merged program with the same servers says;
2. an integer program makes whole what servers process in this slot (``whole_cells.py``);
3. requests are routed to where they are processed or wait (``slot_routing.py``), and the slot is
   played by the same step that runs policies.

So the result is legal whatever the programs say. Chunks of the horizon are planned side by side
(``request_chunks.py``). Parts that have become dearer are taken from the
schedule that it began with (``parts.py``).
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from torta_opt.allocation.bounds.merged import merged_method
from torta_opt.allocation.formulations.merged import MergedProgram, lift_merged
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.search.merged_plan import PlanInterrupted
from torta_opt.allocation.search.parts import cheaper_parts
from torta_opt.allocation.search.request_chunks import chunks_of, joined
from torta_opt.allocation.search.request_plan import RequestPlan
from torta_opt.allocation.search.rounding import with_servers
from torta_opt.allocation.search.routing import clip_to_available
from torta_opt.parallel import Deadline
from torta_opt.solvers import Limits, SolverFailed, solve_lp

OWN = ("queue", "deadline")  # rows of q that speak of its own slot
SOME = 1e-3  # requests


def replanned(
    instance: Instance,
    schedule: Schedule,
    merged: MergedProgram,
    limits: Limits | None = None,
    on_slot: Callable[[int], Any] = lambda done: None,
) -> Schedule:
    """A schedule with the same commands of servers, and requests planned anew.

    merged    the merged program of the instance
    on_slot   called with the number of slots planned so far

    Where time is up the rest of ``schedule`` follows, less what is then not there to be processed.
    Raises PlanInterrupted with such a schedule if Ctrl-C ends it, and SolverFailed.
    """
    limits = limits or Limits()
    ends = Deadline.after(limits.seconds)
    plan = None
    try:
        prices = waiting_usd(merged, schedule, limits.seconds)
        if prices is None:
            return schedule
        plan = RequestPlan(instance, schedule, prices)
        joined(plan, chunks_of(instance, schedule, prices), ends, limits.threads, on_slot)
    except KeyboardInterrupt:
        raise PlanInterrupted(None if plan is None else _best(plan)) from None
    return _best(plan)


def _best(plan: RequestPlan) -> Schedule:
    """The slots planned so far, then those of the schedule it began with; or parts of both."""
    instance, base = plan.instance, plan.base
    processing = clip_to_available(instance, plan.routing, plan.processing)
    planned = dataclasses.replace(base, routing=plan.routing, processing=processing)
    parts = cheaper_parts(instance, planned, base)
    return min(planned, parts, key=lambda each: evaluate(instance, each).cost)


def waiting_usd(
    merged: MergedProgram, schedule: Schedule, seconds: float = math.inf
) -> np.ndarray | None:
    """(T, C) dollars that a request that waits at the end of a slot costs in the slots after it;
    None if time is up before they are known.

    They are duals of the merged program with the servers of the schedule. Where nothing of a class
    is there in the slot after, its dual says nothing, and the price is that of expiry.
    """
    ends, program = time.perf_counter() + seconds, merged.program
    servers = program.vector(lift_merged(merged, schedule))
    problem = with_servers(program, servers, program.matrix)
    method = merged_method(len(schedule.command))
    left = Limits(seconds=max(0.0, ends - time.perf_counter()))
    found = solve_lp(problem, method, left, crossover=False).raise_if_interrupted()
    if time.perf_counter() >= ends:
        return None
    x, dual = found.x if found.x is not None else found.near, found.row_dual
    if x is None or dual is None:
        raise SolverFailed("requests on given servers were not planned, though all may expire")
    q, row_slot = program.columns["q"], program.row_slot
    entries = program.matrix[:, q.numbers].tocoo()
    aside = np.concatenate([np.arange(len(row_slot))[program.rows[n].numbers] for n in OWN])
    own = np.isin(entries.row, aside) & (row_slot[entries.row] == q.index[entries.col, 0])
    paid = np.where(own, 0.0, -entries.data * dual[entries.row])
    usd = np.zeros(q.mask.shape)
    usd[q.mask] = np.bincount(entries.col, paid, len(q))
    there = program.values(x)
    comes = there["q"][:-1, 0] + there["inflow"][1:, 0] > SOME
    expiry = merged.program.instance.system.weights.expiry_usd
    prices = np.tile(expiry, (len(usd), 1))
    prices[:-1] = np.where(comes, np.maximum(usd[:-1, 0], 0.0), expiry)
    return prices

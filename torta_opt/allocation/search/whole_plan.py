"""A plan with whole servers: branch and bound on the merged program, its answer split over regions.

Rounding the linear relaxation fails where servers are few: a tenth of a server rounds to none, and
what it served expires. There the merged program is small enough to be solved with whole servers.
"""

from __future__ import annotations

import dataclasses
import time

from torta_opt.allocation.bounds.merged import MergedBound, branched, merged_bound
from torta_opt.allocation.bounds.registry import LOOSE, loose_servers
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.search.merged_plan import split_plan
from torta_opt.io.errors import LimitReached
from torta_opt.solvers import Limits

NODES = 1  # its root is where most is proved and found


def counts_matter(solved: MergedBound) -> bool:
    """Whether rounding servers up would cost more than a tenth of the bound."""
    return solved.x is not None and loose_servers(solved) >= LOOSE


def plan_whole(instance: Instance, limits: Limits) -> tuple[Schedule | None, MergedBound | None]:
    """A schedule, and the bound that was proved with it; None where a limit came first."""
    began = time.perf_counter()
    try:
        relaxed = merged_bound(instance, limits, whole=True)
    except LimitReached:
        return None, None
    if relaxed.interrupted or relaxed.limited:
        return None, relaxed
    spent = time.perf_counter() - began
    most = NODES if limits.work is None else min(NODES, limits.work)
    left = dataclasses.replace(limits, seconds=max(0.0, limits.seconds - spent), work=most)
    found = branched(relaxed, left, began=time.perf_counter())
    if found.x is None or found.interrupted:
        return None, found
    values = found.program.program.values(found.x)
    return split_plan(instance, found.program, values), found

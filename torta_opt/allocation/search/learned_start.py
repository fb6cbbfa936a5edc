"""``--start covering`` and ``--start learned``: a schedule to begin with, within a second or so.

Servers enough for the demand are counted with all regions as one (``coverage``), made whole
(``server_plan``), and requests and regions are decided as ``merged_plan`` does. ``learned`` is the
same with what a network proposes (``start_network``). Whatever it says, the schedule breaks no
rule.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.formulations.merged import build_merged_program
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.search.coverage import covered
from torta_opt.allocation.search.merged_plan import split_plan
from torta_opt.allocation.search.rounding import shortened
from torta_opt.allocation.search.server_plan import (
    ServerPlan,
    complete,
    of_lp,
    pool_types,
    time_left,
    whole_servers,
)
from torta_opt.allocation.search.start_network import StartNetwork, load_start_network
from torta_opt.family import Request
from torta_opt.io.errors import LimitReached


def covering_schedule(instance: Instance, request: Request) -> Schedule:
    """A legal schedule. Raises LimitReached if the time of the request was over first."""
    shape = instance.slots, *instance.system.holds.shape
    return _schedule(instance, request, ServerPlan(np.zeros(shape), np.zeros(shape)))


def learned_schedule(
    instance: Instance, request: Request, network: StartNetwork | None = None
) -> Schedule:
    """The same from what a network proposes.

    network   the one in ``models/`` if left out, which is refused unless it fits the instance
    """
    network = network or load_start_network(instance.system)
    return _schedule(instance, request, network.plan(instance))


def _schedule(instance: Instance, request: Request, plan: ServerPlan) -> Schedule:
    left = time_left(request.limits)
    merged = build_merged_program(instance)
    program, kind = merged.program, pool_types(merged)
    late = f"{instance.name}: the start was not ready within the limits"
    try:
        servers = whole_servers(program, kind, covered(program, kind, plan, left()), left())
    except LimitReached:
        raise LimitReached(late) from None
    x = complete(program, servers, of_lp(left()), shortened(program))
    if x is None:
        raise LimitReached(late)
    return split_plan(instance, merged, merged.program.values(x))

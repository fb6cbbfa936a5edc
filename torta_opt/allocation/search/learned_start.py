"""``--start learned``: a schedule from a network's plan of servers, within a second or so.

The network proposes servers by type and model with all regions as one (``start_network``); the
proposal is repaired in the merged program (``server_plan``), and requests and regions are decided
as ``merged_plan`` does. Whatever the network says, the schedule breaks no rule.
"""

from __future__ import annotations

from torta_opt.allocation.formulations.merged import build_merged_program
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.search.merged_plan import split_plan
from torta_opt.allocation.search.rounding import shortened
from torta_opt.allocation.search.server_plan import complete, pool_types, whole_servers
from torta_opt.allocation.search.start_network import StartNetwork, load_start_network
from torta_opt.family import Request
from torta_opt.io.errors import LimitReached


def learned_schedule(
    instance: Instance, request: Request, network: StartNetwork | None = None
) -> Schedule:
    """A legal schedule. Raises LimitReached if the time of the request was over first.

    network   the one in ``models/`` if left out, which is refused unless it fits the instance
    """
    network = network or load_start_network(instance.system)
    merged = build_merged_program(instance)
    servers = whole_servers(merged.program, pool_types(merged), network.plan(instance))
    x = complete(merged.program, servers, request.limits, shortened(merged.program))
    if x is None:
        raise LimitReached(f"{instance.name}: the learned start was not ready within the limits")
    return split_plan(instance, merged, merged.program.values(x))

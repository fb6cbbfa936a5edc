"""Round robin: requests are dealt in turn, whatever it costs.

The requests of an origin go in turn to the regions that may take them (data residency, some server
that fits), skipping those whose servers are busy for the whole slot; within a region in turn to its
servers that have the model loaded and time left. Where each round begins moves on by one every
slot. What finds every server busy is dealt out all the same and waits. This is the baseline "RR" of
TORTA (arXiv 2507.10259), which cycles over regions and servers within capacity and compatibility.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.policies.dispatch import Capacity, fill_evenly
from torta_opt.allocation.policies.layered import LayeredPolicy
from torta_opt.allocation.policies.routing import deal_evenly

UNLIMITED = 2**40


class RoundRobin(LayeredPolicy):
    """See the module; parameters are those of ``Settings``."""

    name = "round_robin"
    deterministic = True

    def route(self, c: int, requests: np.ndarray, desk: Capacity) -> np.ndarray:
        open_to, start = self.open_to(c), self.observation.slot
        flow = deal_evenly(requests, desk.region_room(c), open_to, start)
        left = requests - flow.sum(axis=1)
        if left.any():
            unlimited = np.full(len(left), UNLIMITED)
            flow += deal_evenly(left, unlimited, open_to, start)
        return flow

    def assign(self, c: int, wanted: np.ndarray, desk: Capacity) -> np.ndarray:
        region, servers = self.tables.system.server_region, self.tables.sizes[1]
        dealt, one = desk.processing.sum(axis=1), np.ones(servers)
        turn = (np.arange(servers) - self.observation.slot) % servers
        return fill_evenly(wanted, region, desk.room(c), dealt, one, turn)

"""A policy: every request is served in the region where it arrives."""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.policies.dispatch import Capacity, fill_evenly
from torta_opt.allocation.policies.layered import LayeredPolicy


class KeepHome(LayeredPolicy):
    """Routes nothing away; ``LayeredPolicy`` starts and stops servers by forecast demand.

    Its parameters are those of every layered policy: ``keep_home:safety=3``.
    """

    name = "keep_home"
    deterministic = True

    def route(self, c: int, requests: np.ndarray, desk: Capacity) -> np.ndarray:
        """(R, R): all at home; where that is not allowed, in the first region that is."""
        open_to = self.open_to(c)
        origins = np.arange(len(requests))
        target = np.where(open_to.diagonal(), origins, open_to.argmax(axis=1))
        flow = np.zeros(open_to.shape, dtype=np.int64)
        flow[origins, target] = requests
        return flow

    def assign(self, c: int, wanted: np.ndarray, desk: Capacity) -> np.ndarray:
        """(S,): in turn over the servers of each region that have room."""
        region, servers = self.tables.system.server_region, self.tables.sizes[1]
        taken, each = desk.processing.sum(axis=1), np.ones(servers)
        return fill_evenly(wanted, region, desk.room(c), taken, each, np.arange(servers))

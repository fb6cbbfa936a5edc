"""SkyLB: every region serves its own requests and sends the excess to other regions.

After SkyLB / SkyWalker (arXiv 2505.24095) and the load balancer of ``skypilot-org/skypilot``
(``PrefixTreePolicy``), in the words of TORTA (arXiv 2507.10259): local first; other regions only
when the local one is full; prefix tree for affinity. What a prefix tree finds is here what the
rules call hot: a server that processed a class in the last slot holds the cache of ⌊h·z⌋ requests.

Between regions. Origin i keeps min(D, room) requests of a class, room being what its ready servers
can still process in this slot (its *availability*; servers are never given more than they can
process: *selective pushing*). What is left goes to other regions with room: by ``overflow``

    least_load    always to the region whose servers have the largest share of their time left
    nearest       in the order of latency

and if no region has room it waits at home (at the nearest region where some server fits the class,
if none does at home).

Within a region. Each server first takes the requests it has the cache of, ⌊affinity·h·z⌋ of class
c, but none while it is busier by more than ``imbalance`` (a share of the slot) than the least busy
server that has the model; then requests go always to the least busy server with room.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Capacity, fill_evenly, fill_in_order, sum_by
from torta_opt.allocation.policies.layered import LayeredPolicy
from torta_opt.allocation.policies.routing import send_cheapest
from torta_opt.allocation.policies.settings import check_share
from torta_opt.io import InvalidInput

OVERFLOW = ("least_load", "nearest")
UNLIMITED = 2**40


class SkyLB(LayeredPolicy):
    """See the module. Its own parameters, beside those of ``Settings``:

    overflow    where requests go that are too many at home: ``least_load`` or ``nearest``
    affinity    share of the requests a server has the cache of that stick to it; 0: none
    imbalance   how much busier than the least busy server one may be and still be given requests
                for its cache; 1: however busy
    """

    name = "skylb"
    deterministic = True

    def __init__(
        self,
        overflow: str = "least_load",
        affinity: float = 1.0,
        imbalance: float = 1.0,
        **settings: Any,
    ):
        super().__init__(**settings)
        if overflow not in OVERFLOW:
            raise InvalidInput(f"must be one of {', '.join(OVERFLOW)}", field="overflow")
        check_share("affinity", affinity)
        check_share("imbalance", imbalance)
        self.overflow, self.affinity, self.imbalance = overflow, affinity, imbalance

    def prepare(self, observation: Observation) -> None:
        system = self.tables.system
        self._distance = np.where(system.allowed, system.latency_s, np.inf)
        np.fill_diagonal(self._distance, np.where(np.diag(system.allowed), -1.0, np.inf))

    def route(self, c: int, requests: np.ndarray, desk: Capacity) -> np.ndarray:
        open_to = self.open_to(c)
        room = desk.region_room(c)
        kept = np.where(np.diag(open_to), np.minimum(requests, room), 0)
        flow = np.diag(kept)
        left = requests - kept
        if left.any():
            sent = self._send_on(c, left, kept, open_to, desk)
            flow = flow + sent
            left = left - sent.sum(axis=1)
        if left.any():
            distance = np.where(open_to, self._distance, np.inf)
            flow = flow + send_cheapest(left, np.full(len(left), UNLIMITED), distance)
        return flow

    def assign(self, c: int, wanted: np.ndarray, desk: Capacity) -> np.ndarray:
        region, slot_ms = self.tables.system.server_region, self.tables.system.slot_ms
        room = desk.room(c)
        busy = self.tables.busy_ms(desk.processing) / slot_ms
        cached = np.floor(self.affinity * desk.hot_quota[:, c]).astype(np.int64)
        cached = np.maximum(cached - desk.processing[:, c], 0)  # waiting requests had their part
        least = np.full(self.tables.sizes[0], np.inf)
        np.minimum.at(least, region, np.where(room > 0, busy, np.inf))
        calm = busy - least[region] <= self.imbalance
        own_room = np.where(calm, np.minimum(room, cached), 0)
        own = fill_in_order(wanted, region, own_room, -cached)
        step = np.where(room > 0, self.tables.work_ms[:, c], slot_ms) / slot_ms
        rest = wanted - sum_by(region, own, len(wanted))
        return own + fill_evenly(rest, region, room - own, busy + step * own, step, busy)

    def _send_on(
        self, c: int, left: np.ndarray, kept: np.ndarray, open_to: np.ndarray, desk: Capacity
    ) -> np.ndarray:
        """(I, R) requests that regions take which have room beside what they have ``kept``."""
        room = desk.region_room(c) - kept
        if self.overflow == "nearest":
            return send_cheapest(left, room, np.where(open_to, self._distance, np.inf))
        flow = np.zeros(open_to.shape, np.int64)
        load, step = self._loads(c, desk)
        load = load + step * kept
        one_group = np.zeros(len(room), int)
        for i in np.flatnonzero(left):
            free = np.where(open_to[i], room, 0)
            flow[i] = fill_evenly(left[i : i + 1], one_group, free, load, step, self._distance[i])
            room -= flow[i]
            load = load + step * flow[i]
        return flow

    def _loads(self, c: int, desk: Capacity) -> tuple[np.ndarray, np.ndarray]:
        """(R,) share of the time of servers with the class's model that is given away, and what a
        request adds to it."""
        system, regions = self.tables.system, self.tables.sizes[0]
        able = (desk.model == system.class_model[c]) & self.tables.can_serve[:, c]
        if desk.planning:
            able = desk.room(c) > 0
        region = system.server_region
        time_ms = np.bincount(region, np.where(able, system.slot_ms, 0), regions)
        free_ms = np.bincount(region, np.where(able, desk.free_ms, 0), regions)
        work_ms = np.bincount(region, np.where(able, self.tables.work_ms[:, c], 0), regions)
        servers = np.maximum(np.bincount(region, able, regions), 1)
        whole = np.maximum(time_ms, 1)
        step = np.maximum(work_ms / servers, 1) / whole
        return np.where(time_ms > 0, 1 - free_ms / whole, 1.0), step

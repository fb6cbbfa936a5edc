"""SDIB: standard deviation and idle time balanced.

TORTA (arXiv 2507.10259) compares itself with a baseline of this name "following MERL-LB" (Yang et
al., arXiv 2305.03463), which minimises the standard deviation of the servers' use together with a
measure of idle time; how TORTA's version decides, and what it takes for idle time, is not said.
Ours is greedy. With U[s] the share of the slot that server s works, I[s] the slots in a row it has
been on without work before (counted up to ``idle_cap``), every request goes to the server with the
lowest

    level[s] = U[s] − idle_weight·I[s]

among all that have the model, time left, and may take it, in whatever region. Each such step lowers
the standard deviation of the levels as much as one request can if servers are alike, so the sum of
squares of the levels is least. With idle_weight = 0 this is the deviation of use alone; a positive
weight gives servers that have long been idle more, so that none is on for nothing. Neither distance
nor prices nor speed count.

Which of the requests goes where makes no difference to the levels: those that can stay in their
region do, others go to the nearest region that has been given requests. What finds no time in this
slot goes, by the same rule, where there will be time in the next one, and else to regions in turn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Capacity, fill_evenly, sum_by
from torta_opt.allocation.policies.layered import LayeredPolicy
from torta_opt.allocation.policies.routing import deal_evenly, send_cheapest
from torta_opt.allocation.policies.settings import check_number

UNLIMITED = 2**40


class Sdib(LayeredPolicy):
    """See the module. Its own parameters, beside those of ``Settings``:

    idle_weight   how much of a slot's time a slot of idleness counts as
    idle_cap      slots of idleness that count at most
    """

    name = "sdib"
    deterministic = True

    def __init__(self, idle_weight: float = 0.02, idle_cap: int = 10, **settings: Any):
        super().__init__(**settings)
        check_number("idle_weight", idle_weight, 0, 1e6)
        check_number("idle_cap", idle_cap, 0, 1e6)
        self.idle_weight, self.idle_cap = idle_weight, idle_cap

    def prepare(self, observation: Observation) -> None:
        state, servers = observation.state, self.tables.sizes[1]
        if observation.slot == 0:
            self._idle_slots = np.zeros(servers)
        worked = state.processing.any(axis=1)
        idle = (state.model >= 0) & (state.loading_ms == 0) & ~worked
        self._idle_slots = np.where(idle, np.minimum(self._idle_slots + 1, self.idle_cap), 0)
        system = self.tables.system
        self._distance = np.where(system.allowed, system.latency_s, np.inf)
        np.fill_diagonal(self._distance, np.where(np.diag(system.allowed), -1.0, np.inf))

    def route(self, c: int, requests: np.ndarray, desk: Capacity) -> np.ndarray:
        open_to = self.open_to(c)
        flow = self._balance(c, requests, open_to, desk)
        left = requests - flow.sum(axis=1)
        if left.any() and not desk.planning:
            later = self._balance(c, left, open_to, self.next_desk)
            units = self.assign(c, later.sum(axis=0), self.next_desk)
            self.next_desk.take(c, units)
            flow = flow + later
            left = left - later.sum(axis=1)
        if left.any():
            unlimited = np.full(len(left), UNLIMITED)
            flow = flow + deal_evenly(left, unlimited, open_to, self.observation.slot)
        return flow

    def assign(self, c: int, wanted: np.ndarray, desk: Capacity) -> np.ndarray:
        level, step = self._levels(c, desk)
        return fill_evenly(wanted, self.tables.system.server_region, desk.room(c), level, step)

    def _balance(
        self, c: int, requests: np.ndarray, open_to: np.ndarray, desk: Capacity
    ) -> np.ndarray:
        """(I, R) requests that find time, origins with the same choice of regions all at once."""
        region, regions = self.tables.system.server_region, self.tables.sizes[0]
        level, step = self._levels(c, desk)
        room = desk.room(c)
        flow = np.zeros(open_to.shape, np.int64)
        together = np.zeros(len(room), int)
        for choice in _distinct_rows(open_to[requests > 0]):
            alike = (open_to == choice).all(axis=1)
            wanted = np.where(alike, requests, 0)
            free = np.where(choice[region], room, 0)
            units = fill_evenly(wanted.sum(keepdims=True), together, free, level, step)
            room, level = room - units, level + step * units
            flow += self._at_home_if_possible(wanted, sum_by(region, units, regions))
        return flow

    def _at_home_if_possible(self, requests: np.ndarray, given: np.ndarray) -> np.ndarray:
        """(I, R) which of the ``requests`` (I,) make up what each region is ``given`` (R,)."""
        kept = np.minimum(requests, given)
        return np.diag(kept) + send_cheapest(requests - kept, given - kept, self._distance)

    def _levels(self, c: int, desk: Capacity) -> tuple[np.ndarray, np.ndarray]:
        """(S,) level of each server, and what a request of class c adds to it."""
        slot_ms = self.tables.system.slot_ms
        use = self.tables.busy_ms(desk.processing) / slot_ms
        step = np.where(self.tables.can_serve[:, c], self.tables.work_ms[:, c], slot_ms) / slot_ms
        return use - self.idle_weight * self._idle_slots, step


def _distinct_rows(rows: np.ndarray) -> np.ndarray:
    return np.unique(rows, axis=0) if len(rows) else rows

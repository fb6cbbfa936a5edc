"""Workload variant autoscaler of llm-d: one replica more where spare capacity runs out.

After the documentation of llm-d-workload-variant-autoscaler ("Saturation Analyzer", thresholds as
in its configuration). A *variant* of a model is a server type; the variants of a region serve
together. A replica is saturated if its cache use is at least ``saturated`` or its queue at least
``queue``. Over the replicas that are not, with the spare shares averaged,

    up     if spare use < ``spare`` or spare queue < ``queue_spare``: one replica of the cheapest
           variant
    down   if after removing one replica, the load spread over the others, both spares still hold
           (and at least two replicas are not saturated): one replica of the dearest variant

once every ``period_s`` seconds. Pending guard: replicas that still load count as there, so that one
shortage is not answered twice; a variant that has some is passed over, and nothing goes down.
A model without a replica gets one as soon as requests wait for it.

What differs here: servers have no cache use to look at; its place takes the share of the last slot
in which the replica worked. Requests wait by region, not by replica: each replica has its share of
them. The autoscaler hands its numbers to a Horizontal Pod Autoscaler, whose scale-down window is
``stabilise_s``.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.fleets.hpa import Stabiliser
from torta_opt.allocation.policies.fleets.rule import FleetRule, View, slots_of
from torta_opt.allocation.policies.settings import check_number


class Wva(FleetRule):
    """See the module; the defaults are those of its configuration."""

    def __init__(
        self,
        saturated: float = 0.8,
        spare: float = 0.1,
        queue: float = 5.0,
        queue_spare: float = 3.0,
        period_s: float = 60.0,
        stabilise_s: float = 300.0,
        minimum: int = 1,
    ):
        check_number("saturated", saturated, 0, 1)
        check_number("spare", spare, 0, 1)
        check_number("queue", queue, 0, 1e9)
        check_number("queue_spare", queue_spare, 0, 1e9)
        check_number("period_s", period_s, 0, 1e6)
        check_number("stabilise_s", stabilise_s, 0, 1e6)
        check_number("minimum", minimum, 0, 1e6)
        self.saturated, self.spare = saturated, spare
        self.queue, self.queue_spare = queue, queue_spare
        self.period_s, self.stabilise_s, self.minimum = period_s, stabilise_s, int(minimum)

    def reset(self, tables: Tables) -> None:
        super().reset(tables)
        self._every = slots_of(self.period_s, tables) if self.period_s else 1
        self._stabiliser = Stabiliser(slots_of(self.stabilise_s, tables))
        self._least = np.where(self.able(), self.minimum, 0)

    def levels(self, view: View) -> np.ndarray:
        now = self.by_region(view.on)
        wanted = view.on
        if view.observation.slot % self._every == 0:
            up, down = self.decide(view)
            wanted = self._step(view, up, down)
        short = np.maximum(self._least, now) - now  # the minimum, once at the start
        if short.any():
            wanted = np.maximum(wanted, self.place(now + short, view))
        return self._stabiliser.settle(view.on, wanted)

    def decide(self, view: View) -> tuple[np.ndarray, np.ndarray]:
        """(R, M) bool: which deployments need a replica more, and which can do with one less."""
        replicas = self.by_region(view.ready)
        queue = view.waiting / np.maximum(replicas, 1)
        calm, load = self._calm(view, queue)
        use = load / np.maximum(calm, 1)
        spare, spare_queue = self.saturated - use, self.queue - queue
        up = (calm == 0) | (spare < self.spare) | (spare_queue < self.queue_spare)
        up = np.where(replicas > 0, up, view.waiting > 0)
        left = np.maximum(calm - 1, 1)
        holds = self.saturated - load / left >= self.spare
        holds &= self.queue - queue * calm / left >= self.queue_spare
        pending = self.by_region(view.on - view.ready) > 0
        return up, holds & (calm >= 2) & ~up & ~pending & (replicas > self._least)

    def _calm(self, view: View, queue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(R, M) ready replicas that are not saturated, and the sum of their use."""
        system, state = self.tables.system, view.observation.state
        ready = view.observation.up & (state.model >= 0) & (state.loading_ms == 0)
        use = self.tables.busy_ms(state.processing) / system.slot_ms
        model = np.maximum(state.model, 0)
        calm = ready & (use < self.saturated) & (queue[system.server_region, model] < self.queue)
        number, load = np.zeros(queue.shape, np.int64), np.zeros(queue.shape)
        np.add.at(number, (system.server_region[calm], model[calm]), 1)
        np.add.at(load, (system.server_region[calm], model[calm]), use[calm])
        return number, load

    def _step(self, view: View, up: np.ndarray, down: np.ndarray) -> np.ndarray:
        """(P, M) servers with one more of the cheapest variant, or one less of the dearest."""
        lacking, cost = self.preference(view.observation.price)
        wanted = view.on.copy()
        servers = np.bincount(self.kinds.of_server, view.observation.up, self.kinds.shape[0])
        for j, m in zip(*np.nonzero(up), strict=True):
            free = servers - wanted.sum(axis=1)
            pending = view.on[:, m] > view.ready[:, m]
            open_to = (self.region == j) & (free > 0) & ~pending & np.isfinite(cost[:, m])
            if open_to.any():
                order = np.lexsort((cost[:, m], lacking[:, m], ~open_to))
                wanted[order[0], m] += 1
        for j, m in zip(*np.nonzero(down), strict=True):
            open_to = (self.region == j) & (view.ready[:, m] > 0)
            order = np.lexsort((-cost[:, m], -lacking[:, m], ~open_to))
            wanted[order[0], m] -= 1
        return wanted

"""GORGO: each request where round trip, its own prefill and the queue ahead add up to least.

After "GORGO: Maximizing KV-Cache Reuse While Minimizing Network Latency in Cross-Region LLM Load
Balancing" (arXiv 2602.11688) and the cost model in its public code:

    score = rtt_weight·round trip + prefill_weight·(prefill rate·uncached tokens
                                                   + queue rate·queued tokens)

in units of time. Read here, for a request of class c of origin i on a server s of region j:

    score = rtt_weight·L[i,j] + prefill_weight·(σ or σʰ + queue_rate·(work ahead))

with σʰ instead of σ for as many requests as the server has the cache of (⌊h·z⌋ of what it processed
in the last slot), and as work ahead what the servers of the region were given in this slot, per
server. The code fits the queue rate: queued work delays a request less than its own, as batches
overlap, about six times less in the authors' measurement. It is ``queue_rate`` here.

What differs here: requests have no tokens, so service stands for prefill, and the cache is by class
instead of by prefix. A server takes no more than it can process in the slot. What finds no room has
the time to the end of the slot added to its score, and so goes to the place where it waits for
least. The weights that the authors search online are parameters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from torta_opt.allocation.policies.dispatch import Capacity, fill_evenly
from torta_opt.allocation.policies.layered import LayeredPolicy
from torta_opt.allocation.policies.settings import check_number

UNLIMITED = 2**40
LEAST_STEP = 1e-6  # s a request adds to a queue, so that levels rise


class Gorgo(LayeredPolicy):
    """See the module; the other parameters are those of ``Settings``."""

    name = "gorgo"
    deterministic = True

    def __init__(
        self,
        rtt_weight: float = 1.0,
        prefill_weight: float = 1.0,
        queue_rate: float = 1 / 6,
        **settings: Any,
    ):
        super().__init__(**settings)
        check_number("rtt_weight", rtt_weight, 0, 1e6)
        check_number("prefill_weight", prefill_weight, 0, 1e6)
        check_number("queue_rate", queue_rate, 0, 1e6)
        self.rtt_weight, self.prefill_weight = rtt_weight, prefill_weight
        self.queue_rate = queue_rate

    def route(self, c: int, requests: np.ndarray, desk: Capacity) -> np.ndarray:
        system, regions = self.tables.system, self.tables.sizes[0]
        room = desk.region_room(c)
        level, step = self._queues(c, desk)
        wait_s = self.prefill_weight * system.slot_s
        flow = np.zeros((regions, regions), np.int64)
        open_to = self.open_to(c)
        holding = open_to & np.isfinite(level)
        open_to = np.where(holding.any(axis=1)[:, None], holding, open_to)
        level = np.where(np.isfinite(level), level, 0.0)
        one_group = np.zeros(2 * regions, int)
        for i in np.flatnonzero(requests):
            trip = self.rtt_weight * np.where(system.allowed[i], system.latency_s[i], 0.0)
            start = np.concatenate([trip + level, trip + level + step * room + wait_s])
            places = np.concatenate([np.where(open_to[i], room, 0), open_to[i] * UNLIMITED])
            sent = fill_evenly(requests[i : i + 1], one_group, places, start, np.tile(step, 2))
            flow[i] = sent[:regions] + sent[regions:]
            within = np.minimum(flow[i], room)
            room, level = room - within, level + step * flow[i]
        return flow

    def assign(self, c: int, wanted: np.ndarray, desk: Capacity) -> np.ndarray:
        """Every request to the server of the region with the least score, cached ones cheaper."""
        region, room = self.tables.system.server_region, desk.room(c)
        cached = np.clip(desk.hot_quota[:, c] - desk.processing[:, c], 0, room)
        cold_s, hot_s = self._service_s(c)
        queue_s = self.queue_rate * self._busy_s(desk)
        step = np.maximum(self.queue_rate * self._work_s(c), LEAST_STEP)
        level = np.concatenate([hot_s + queue_s, cold_s + queue_s + step * cached])
        units = fill_evenly(
            wanted,
            np.tile(region, 2),
            np.concatenate([cached, room - cached]),
            level,
            np.tile(step, 2),
        )
        return units[: len(region)] + units[len(region) :]

    def _queues(self, c: int, desk: Capacity) -> tuple[np.ndarray, np.ndarray]:
        """(R,) score within a region of the next request, without the trip (∞ where no server
        holds the model), and what each request adds to it."""
        system, regions = self.tables.system, self.tables.sizes[0]
        able = (desk.model == system.class_model[c]) & self.tables.can_serve[:, c]
        able = desk.room(c) > 0 if desk.planning else able
        region = system.server_region
        servers = np.bincount(region, able, regions)
        each = np.maximum(servers, 1)
        cold_s, hot_s = self._service_s(c)
        cached = np.clip(desk.hot_quota[:, c] - desk.processing[:, c], 0, None) > 0
        service = np.bincount(region, np.where(able, np.where(cached, hot_s, cold_s), 0), regions)
        busy = np.bincount(region, np.where(able, self._busy_s(desk), 0), regions)
        work = np.bincount(region, np.where(able, self._work_s(c), 0), regions) / each**2
        level = self.prefill_weight * (service + self.queue_rate * busy) / each
        step = np.maximum(self.prefill_weight * self.queue_rate * work, LEAST_STEP)
        return np.where(servers > 0, level, np.inf), step

    def _service_s(self, c: int) -> tuple[np.ndarray, np.ndarray]:
        """(S,) seconds of a request that is not cached, and of one that is."""
        system = self.tables.system
        kind = system.server_type
        cold, hot = system.service_s[kind, c], system.hot_service_s[kind, c]
        return np.nan_to_num(cold), np.nan_to_num(hot)

    def _work_s(self, c: int) -> np.ndarray:
        return np.where(self.tables.can_serve[:, c], self.tables.work_ms[:, c], 0) / 1000

    def _busy_s(self, desk: Capacity) -> np.ndarray:
        return self.tables.busy_ms(desk.processing) / 1000

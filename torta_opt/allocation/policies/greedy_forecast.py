"""Greedy on a forecast: every request where serving it costs least, servers up in good time.

Routing. For each class, an origin's requests go to the cheapest place that still has time in this
slot, then to the next cheapest; a place is the servers of one type in one region, and a request
costs there

    v·L[i,j] + g[i,j,c] + v·σ[k,c] + energy of processing − κ if i sent requests to j last slot.

What finds no time left goes by the same prices where there will be time in the next slot, and else
to the cheapest region that could ever serve it.

Activation. The forecast is smoothed arrivals. Laid by the same rule on all servers that are up,
with idle energy, rent and warm-up in the price, it says how much each region must expect.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Capacity, sum_by
from torta_opt.allocation.policies.layered import LayeredPolicy, assign_cheapest
from torta_opt.allocation.policies.routing import send_cheapest

UNLIMITED = 2**40


class GreedyForecast(LayeredPolicy):
    """See the module; parameters are those of ``Settings``."""

    name = "greedy_forecast"
    deterministic = True

    def prepare(self, observation: Observation) -> None:
        system, tables = self.tables.system, self.tables
        weights = system.weights
        self._serve_usd = tables.serve_usd(observation.price)
        self._on_usd = tables.on_usd(observation.price)
        network = np.where(system.allowed, weights.time_usd_per_s * system.latency_s, np.inf)
        transfer = weights.transfer_factor * system.transfer_usd
        stays = np.where(observation.state.routing > 0, weights.reroute_usd, 0.0)
        self._route_usd = (network - stays)[:, :, None] + transfer

    def route(self, c: int, requests: np.ndarray, desk: Capacity) -> np.ndarray:
        usd = desk.usd(c, self._serve_usd[:, c])
        flow = self._send(c, requests, desk.room(c), usd)
        left = requests - flow.sum(axis=1)
        if left.any() and not desk.planning:
            later = self._send(c, left, self.next_desk.room(c), usd)
            units = assign_cheapest(c, later.sum(axis=0), self.next_desk, usd)
            self.next_desk.take(c, units)
            flow += later
            left = left - later.sum(axis=1)
        if left.any():
            flow += self._send_anyway(c, left)
        return flow

    def assign(self, c: int, wanted: np.ndarray, desk: Capacity) -> np.ndarray:
        return assign_cheapest(c, wanted, desk, self._serve_usd[:, c])

    def _send(self, c: int, requests: np.ndarray, room: np.ndarray, usd: np.ndarray) -> np.ndarray:
        """(R, R) requests to the cheapest servers with room; servers alike are one place."""
        system = self.tables.system
        regions = self.tables.sizes[0]
        open_servers = np.flatnonzero(room > 0)
        if open_servers.size == 0:
            return np.zeros((regions, regions), np.int64)
        region = system.server_region[open_servers]
        price = usd[open_servers]
        # np.unique of pairs, which takes four times as long
        order = np.lexsort((price, region))
        region, price = region[order], price[order]
        is_first = np.ones(len(order), bool)
        is_first[1:] = (region[1:] != region[:-1]) | (price[1:] != price[:-1])
        at = region[is_first]
        place_room = sum_by(is_first.cumsum() - 1, room[open_servers[order]], len(at))
        total = self._route_usd[:, at, c] + price[is_first]
        flow = np.zeros((regions, regions), np.int64)
        np.add.at(flow.T, at, send_cheapest(requests, place_room, total).T)
        return flow

    def _send_anyway(self, c: int, requests: np.ndarray) -> np.ndarray:
        """(R, R) requests to the cheapest region that could serve them, room or not."""
        system = self.tables.system
        regions = self.tables.sizes[0]
        best = np.full(regions, np.inf)
        np.minimum.at(best, system.server_region, self._serve_usd[:, c])
        total = self._route_usd[:, :, c] + np.where(np.isfinite(best), best, 0.0)
        total = np.where(self.open_to(c), total, np.inf)
        return send_cheapest(requests, np.full(regions, UNLIMITED), total)

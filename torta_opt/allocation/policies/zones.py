"""Regions that may serve the same origins taken as one, for plans that count servers.

A plan of servers that takes all regions as one (``formulations.fleet_program``) needs every region
to serve every other. Where residency forbids pairs, regions that may serve the same origins are a
*zone of servers*, origins that may use the same regions a *zone of requests*. The plan is then that
of a system with one type for every type and zone of servers, and one class for every class and zone
of requests; a type can serve a class where the pair of zones is allowed. Where all pairs are
allowed it is the system itself, and so it is, unused, where zones are too many for a plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import INCOMPATIBLE, System

MOST_PAIRS = 400  # of a type and a class it can serve; with more, the plan takes too long


@dataclass(frozen=True, eq=False)
class Zones:
    """The zones of a system."""

    whole: System

    @cached_property
    def of_servers(self) -> np.ndarray:
        """(R,) zone of each region as one that serves."""
        return np.unique(self.whole.allowed, axis=1, return_inverse=True)[1].reshape(-1)

    @cached_property
    def of_requests(self) -> np.ndarray:
        """(R,) zone of each region as an origin."""
        return np.unique(self.whole.allowed, axis=0, return_inverse=True)[1].reshape(-1)

    @cached_property
    def are_few(self) -> bool:
        """Whether a plan by zones is small enough, and has a request that some server can serve."""
        k, c = self._types[:, 0], self._classes[:, 0]
        able = self._may_serve & self.whole.usable_by[np.ix_(k, c)]
        return bool(self.whole.allowed.all() or 0 < able.sum() <= MOST_PAIRS)

    @property
    def is_one(self) -> bool:
        """The plan takes all regions as one."""
        return bool(self.whole.allowed.all()) or not self.are_few

    @cached_property
    def type_zone(self) -> np.ndarray:
        """(K',) zone of servers of each type of ``system``."""
        if self.is_one:
            return np.zeros(len(self.whole.types), int)
        zone: np.ndarray = self._types[:, 1]
        return zone

    @cached_property
    def system(self) -> System:
        """Types by zone of servers that has one, classes by zone of requests that can be served."""
        if self.is_one:
            return self.whole
        whole, k, c = self.whole, self._types[:, 0], self._classes[:, 0]
        _, kind = self._types_of_servers
        tables = ("service_s", "hot_service_s", "server_ms")
        nothing = (np.nan, np.nan, INCOMPATIBLE)
        changed: dict[str, Any] = {
            name: np.where(self._may_serve, getattr(whole, name)[np.ix_(k, c)], empty)
            for name, empty in zip(tables, nothing, strict=True)
        }
        by_type = ("idle_kw", "peak_kw", "start_ms", "switch_ms", "start_usd", "switch_usd")
        changed |= {name: getattr(whole, name)[k] for name in by_type}
        return replace(
            whole,
            types=tuple(f"{whole.types[a]} in zone {b}" for a, b in self._types.tolist()),
            classes=tuple(f"{whole.classes[a]} of zone {b}" for a, b in self._classes.tolist()),
            server_type=kind,
            class_model=whole.class_model[c],
            deadline_slots=whole.deadline_slots[c],
            slo_s=whole.slo_s[c],
            transfer_usd=whole.transfer_usd[:, :, c],
            rent_usd_per_hour=whole.rent_usd_per_hour[:, k],
            weights=replace(whole.weights, expiry_usd=whole.weights.expiry_usd[c]),
            **changed,
        )

    def arriving(self, requests: np.ndarray) -> np.ndarray:
        """(C',) requests by class of ``system``, from those by origin and class (R, C)."""
        return self._summed(requests, self.of_requests)

    def waiting(self, requests: np.ndarray) -> np.ndarray:
        """(C',) the same from requests that wait in a region (R, C): as if of that zone of requests
        that may use the region and has the least choice beside it."""
        choice = self._pairs.sum(axis=1)[:, None] + np.where(self._pairs, 0, len(self._pairs[0]))
        return self._summed(requests, choice.argmin(axis=0)[self.of_servers])

    def _summed(self, requests: np.ndarray, zone: np.ndarray) -> np.ndarray:
        if self.is_one:
            total: np.ndarray = requests.sum(axis=0)
            return total
        by_zone = np.zeros((len(self._pairs), requests.shape[1]), requests.dtype)
        np.add.at(by_zone, zone, requests)
        c, o = self._classes.T
        return by_zone[o, c]

    @cached_property
    def _pairs(self) -> np.ndarray:
        """(O, I) bool: requests of a zone may go to servers of a zone."""
        pairs = np.zeros((self.of_requests.max() + 1, self.of_servers.max() + 1), bool)
        origin, region = np.nonzero(self.whole.allowed)
        pairs[self.of_requests[origin], self.of_servers[region]] = True
        return pairs

    @cached_property
    def _may_serve(self) -> np.ndarray:
        """(K', C') bool: the zone of the requests may use that of the servers."""
        pairs: np.ndarray = self._pairs[np.ix_(self._classes[:, 1], self._types[:, 1])].T
        return pairs

    @cached_property
    def _types_of_servers(self) -> tuple[np.ndarray, np.ndarray]:
        """(K', 2) types and zones that have servers, and (S,) which of them each server is of."""
        zone = self.of_servers[self.whole.server_region]
        pairs = np.stack([self.whole.server_type, zone], axis=1)
        types, kind = np.unique(pairs, axis=0, return_inverse=True)
        return types, kind.reshape(-1)

    @property
    def _types(self) -> np.ndarray:
        return self._types_of_servers[0]

    @cached_property
    def _classes(self) -> np.ndarray:
        """(C', 2) classes and zones of requests that some server can serve."""
        k, i = self._types.T
        able = (self._pairs[:, i, None] & self.whole.usable_by[k]).any(axis=1)  # (O, C)
        return np.argwhere(able.T)

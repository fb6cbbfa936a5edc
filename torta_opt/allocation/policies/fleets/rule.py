"""What a fleet rule is: it decides which servers are on, and leaves requests to a routing policy.

Autoscalers count replicas. A *replica* is here one server that holds a model; a *deployment* is
the replicas of one model in one region, of whatever server types. A rule sees what a controller
would: how busy the replicas of each deployment were in the last slot, what waits, the past. It says
how many replicas it wants, and ``place`` turns a number into servers: new replicas come on the type
that serves the model cheapest, replicas leave from the dearest type first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import OFF
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Tables, fill_in_order
from torta_opt.allocation.policies.kinds import Kinds, toward

DAY_HOURS = 24.0


@dataclass(frozen=True, eq=False)
class View:
    """What a controller sees at the start of a slot; (R, M) is by region and model.

    on          (P, M) servers that hold each model and are up, loading ones included; p as in
                ``Kinds``
    ready       (P, M) those that are not loading
    busy_ms     (R, M) server time used in the last slot
    waiting     (R, M) requests that wait
    waiting_ms  (R, M) server time that these will take, at the mean over the servers of the region
    """

    observation: Observation
    on: np.ndarray
    ready: np.ndarray
    busy_ms: np.ndarray
    waiting: np.ndarray
    waiting_ms: np.ndarray


class FleetRule(ABC):
    """Decides servers; a routing policy decides requests."""

    def reset(self, tables: Tables) -> None:
        """Forget everything; a new run on the system of ``tables`` begins."""
        self.tables = tables
        self.kinds = Kinds(tables)
        self.region = np.repeat(np.arange(tables.sizes[0]), len(tables.system.types))

    @abstractmethod
    def levels(self, view: View) -> np.ndarray:
        """(P, M) servers to have on."""

    def commands(self, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        """(S,) commands and their models."""
        levels = np.maximum(self.levels(self.view(observation)), 0)
        levels = np.where(self.kinds.holds, levels, 0)
        return toward(self.kinds, observation, levels, levels)

    # --- what rules share --------------------------------------------------------------------

    def view(self, observation: Observation) -> View:
        system, state = self.tables.system, observation.state
        model = np.where(observation.up, state.model, OFF)
        ready = np.where(state.loading_ms == 0, model, OFF)
        by_model = np.eye(len(system.models), dtype=np.int64)[system.class_model]  # (C, M)
        work = np.where(self.tables.can_serve, self.tables.work_ms, 0)
        by_server = (state.processing * work) @ by_model
        waiting = state.waiting.sum(axis=2)
        return View(
            observation=observation,
            on=self.kinds.count(model),
            ready=self.kinds.count(ready),
            busy_ms=self.by_region(by_server, system.server_region),
            waiting=waiting @ by_model,
            waiting_ms=(waiting * self.mean_work_ms()) @ by_model,
        )

    def by_region(self, values: np.ndarray, region: np.ndarray | None = None) -> np.ndarray:
        """(R, …) sums of ``values`` by region; by pool (P, …) if no ``region`` is given."""
        total = np.zeros((self.tables.sizes[0], *values.shape[1:]), values.dtype)
        np.add.at(total, self.region if region is None else region, values)
        return total

    def mean_work_ms(self) -> np.ndarray:
        """(R, C) server time of a request, the mean over the servers of a region that fit it."""
        tables, homes = self.tables, self.tables.system.server_region
        work = self.by_region(np.where(tables.can_serve, tables.work_ms, 0.0), homes)
        servers = self.by_region(tables.can_serve.astype(float), homes)
        mean = work / np.maximum(servers, 1)
        anywhere = work.sum(axis=0) / np.maximum(servers.sum(axis=0), 1)
        return np.where(servers > 0, mean, anywhere)

    def able(self) -> np.ndarray:
        """(R, M) bool: some server of the region can serve some class of the model."""
        system = self.tables.system
        models = np.zeros((self.tables.sizes[0], len(system.models)), bool)
        for c, m in enumerate(system.class_model):
            models[:, m] |= self.tables.region_can_serve[:, c]
        return models

    def home(self) -> np.ndarray:
        """(R, C) where requests of an origin are served if each goes to the nearest region that can
        serve them; −1 if no region may."""
        system, tables = self.tables.system, self.tables
        seconds = np.where(system.allowed, system.latency_s, np.inf)
        np.fill_diagonal(seconds, np.where(np.diag(system.allowed), -1.0, np.inf))
        reach = np.where(tables.region_can_serve[None], seconds[:, :, None], np.inf)
        return np.where(np.isfinite(reach).any(axis=1), reach.argmin(axis=1), -1)

    def demand_ms(self, arrivals: np.ndarray) -> np.ndarray:
        """(…, R, M) server time of ``arrivals`` (…, R, C), each served at its ``home``."""
        system, home, work = self.tables.system, self.home(), self.mean_work_ms()
        total = np.zeros((*arrivals.shape[:-1], len(system.models)))
        for i, c in zip(*np.nonzero(home >= 0), strict=True):
            j, m = home[i, c], system.class_model[c]
            total[..., j, m] += arrivals[..., i, c] * work[j, c]
        return total

    def place(self, replicas: np.ndarray, view: View) -> np.ndarray:
        """(P, M) servers that make up ``replicas`` (R, M), as few as possible of them new."""
        lacking, usd = self.preference(view.observation.price)
        levels = view.on.copy()
        region = self.region
        now = self.by_region(view.on)
        servers = np.bincount(self.kinds.of_server, view.observation.up, self.kinds.shape[0])
        for m in range(self.kinds.shape[1]):
            excess = np.maximum(now[:, m] - replicas[:, m], 0)
            room = levels[:, m].copy()
            levels[:, m] -= fill_in_order(excess, region, room, -lacking[:, m], -usd[:, m])
        scarce = np.argsort(self.kinds.holds.sum(axis=0), kind="stable")
        for m in scarce:
            free = np.maximum(servers.astype(np.int64) - levels.sum(axis=1), 0)
            room = np.where(self.kinds.holds[:, m] & np.isfinite(usd[:, m]), free, 0)
            short = np.maximum(replicas[:, m] - now[:, m], 0)
            levels[:, m] += fill_in_order(short, region, room, lacking[:, m], usd[:, m])
        return levels

    def preference(self, price: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(P, M) classes of the model that the type cannot serve; $ per request of the others,
        idle energy and rent of the time it takes included (∞ if it can serve none)."""
        system, kind = self.tables.system, self.kinds.kind
        energy = system.weights.energy_factor * price[self.region]
        span_kw = (system.peak_kw - system.idle_kw)[kind]
        on = self.kinds.on_usd(price)
        lacking, usd = np.zeros(self.kinds.shape), np.full(self.kinds.shape, np.inf)
        for m in range(len(system.models)):
            own = np.flatnonzero(system.class_model == m)
            fits = system.usable_by[kind][:, own]
            work = system.server_ms[kind][:, own]
            service = system.weights.time_usd_per_s * np.nan_to_num(system.service_s)[kind][:, own]
            each = service + work * (on / system.slot_ms + energy * span_kw / 3.6e6)[:, None]
            served = fits.sum(axis=1)
            total = np.where(fits, each, 0).sum(axis=1)
            usd[:, m] = np.where(served > 0, total / np.maximum(served, 1), np.inf)
            lacking[:, m] = len(own) - served
        return lacking, usd


def slots_of(seconds: float, tables: Tables) -> int:
    """Whole slots of a time, at least one."""
    return max(1, round(seconds / tables.system.slot_s))

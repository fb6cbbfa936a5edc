"""The skeleton of our policies: forecast, activate, route, assign.

One slot:
1. The forecast learns the slot's arrivals.
2. The policy's own routing and assignment, applied to the forecast as if every server that is up
   had every model at hand, say how much each region is to expect; with what waits there already
   that is the demand for which ``activation`` brings up servers.
3. What waits is given to servers, what expires at the end of the slot first; then class by class
   arrivals are routed and given to servers.

A policy says two things: where the arrivals of a class go (``route``), and which servers of a region
take them (``assign``). What no server can take waits where it was sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from torta_opt.instance.data import System
from torta_opt.policies.activation import Activation
from torta_opt.policies.base import Decision, Observation
from torta_opt.policies.forecasting import Smoothing
from torta_opt.policies.micro import Desk, Tables, fill_in_order
from torta_opt.policies.settings import Settings
from torta_opt.schedule.step import apply_commands


class LayeredPolicy(ABC):
    """A policy in layers; see the module."""

    name = ""

    def __init__(self, **settings: Any):
        self.settings = Settings.of(**settings)

    def reset(self, system: System, seed: int) -> None:
        self.tables = Tables(system)
        self.rng = np.random.default_rng(seed)
        self.activation = Activation(self.tables, self.settings)
        self._forecaster = Smoothing(self.settings.smoothing)
        self.expected = np.zeros((self.tables.sizes[0], self.tables.sizes[2]))

    @abstractmethod
    def route(self, c: int, requests: np.ndarray, desk: Desk) -> np.ndarray:
        """(R, R) where the ``requests`` (R,) of class c go, all of them."""

    @abstractmethod
    def assign(self, c: int, wanted: np.ndarray, desk: Desk) -> np.ndarray:
        """(S,) requests of class c that servers take, at most ``wanted`` (R,) and their room."""

    def prepare(self, observation: Observation) -> None:  # noqa: B027  (most need nothing)
        """Whatever a policy computes once per slot, after the forecast."""

    def decide(self, observation: Observation) -> Decision:
        self.observation = observation
        self.expected = self._forecaster.update(observation.arrivals)
        self.prepare(observation)
        demand = self._demand(observation)
        command, command_model = self.activation.commands(observation, demand)
        system, state = self.tables.system, observation.state
        fleet = apply_commands(system, state, observation.up, command, command_model)
        desk = Desk(self.tables, fleet.usable_ms, fleet.model, state.processing)
        self.next_desk = self._next_slot(fleet.model, fleet.loading_ms_after, state.processing)
        self._serve_waiting(state.waiting, desk)
        routing = self._route_all(observation.arrivals, desk)
        return Decision(routing, command, command_model, desk.processing)

    def forecast(self) -> np.ndarray:
        return self.expected.sum(axis=1)

    def open_to(self, c: int) -> np.ndarray:
        """(R, R) bool: regions that may take requests of class c; where none can ever serve them,
        all that are allowed."""
        allowed = self.tables.system.allowed
        able = allowed & self.tables.region_can_serve[:, c]
        return np.where(able.any(axis=1)[:, None], able, allowed)

    def _demand(self, observation: Observation) -> np.ndarray:
        """(R, C) requests a slot that each region has waiting or must expect: Q + F + σ√F."""
        by_origin = self.expected.sum(axis=1, keepdims=True)
        margin = self.settings.safety / np.sqrt(np.maximum(by_origin, 1.0))
        wanted = np.ceil(self.expected * (1 + margin) - 1e-9).astype(np.int64)
        everything = np.where(observation.up, self.tables.system.slot_ms, 0)
        plan = Desk(self.tables, everything, None, observation.state.processing)
        inflow = self._route_all(wanted, plan).sum(axis=0)
        return inflow + observation.state.waiting.sum(axis=2)

    def _next_slot(
        self, model: np.ndarray, loading_ms: np.ndarray, processing: np.ndarray
    ) -> Desk:
        """What servers that are on will have to give in the next slot."""
        slot_ms = self.tables.system.slot_ms
        usable = np.where(model >= 0, slot_ms - np.minimum(loading_ms, slot_ms), 0)
        return Desk(self.tables, usable, model, processing)

    def _serve_waiting(self, waiting: np.ndarray, desk: Desk) -> None:
        """Requests about to expire first, then the others."""
        deadline = self.tables.system.deadline_slots
        ages = np.arange(1, waiting.shape[2] + 1)
        due = np.where(ages >= deadline[:, None], waiting, 0).sum(axis=2)
        for requests in (due, waiting.sum(axis=2) - due):
            for c in self.tables.class_order:
                if requests[:, c].any():
                    desk.take(c, self.assign(c, requests[:, c], desk))

    def _route_all(self, arrivals: np.ndarray, desk: Desk) -> np.ndarray:
        regions, _, classes = self.tables.sizes
        routing = np.zeros((regions, regions, classes), np.int64)
        for c in self.tables.class_order:
            if arrivals[:, c].any():
                routing[:, :, c] = self.route(c, arrivals[:, c], desk)
                desk.take(c, self.assign(c, routing[:, :, c].sum(axis=0), desk))
        return routing


def assign_cheapest(c: int, wanted: np.ndarray, desk: Desk, usd: np.ndarray) -> np.ndarray:
    """(S,) requests to the cheapest server of each region, then the next; the same ones every slot,
    so that what they processed last is hot."""
    region = desk.tables.system.server_region
    return fill_in_order(wanted, region, desk.room(c), usd)

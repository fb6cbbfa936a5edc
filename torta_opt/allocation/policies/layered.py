"""The skeleton of our policies: forecast, activate, route, assign.

One slot:
1. The forecast learns the slot's arrivals.
2. What waits and what is forecast, with a margin, is laid on all servers that are up, the forecast
   by the policy's own routing: that many servers ``activation`` brings up, and stops the others.
3. What waits is given to servers, what expires at the end of the slot first; then class by class
   arrivals are routed and given to servers.

A policy says two things: where the arrivals of a class go (``route``), and which servers of a
region take them (``assign``). What no server can take waits where it was sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt.allocation.instance.data import System
from torta_opt.allocation.policies.activation import ROUNDS, Activation, FleetPlan
from torta_opt.allocation.policies.base import Decision, Observation
from torta_opt.allocation.policies.dispatch import (
    Capacity,
    SlotCapacity,
    Tables,
    fill_in_order,
)
from torta_opt.allocation.policies.forecasters import Forecaster, Smoothing
from torta_opt.allocation.policies.program_dispatch import program_processing
from torta_opt.allocation.policies.program_routing import routed
from torta_opt.allocation.policies.server_scores import load_server_scores, scored_processing
from torta_opt.allocation.policies.settings import Settings
from torta_opt.allocation.policies.slot_task import Slot, SlotPrograms
from torta_opt.allocation.schedule.step import apply_commands

if TYPE_CHECKING:
    from torta_opt.allocation.policies.fleets.rule import FleetRule


class LayeredPolicy(ABC):
    """A policy in layers; see the module."""

    name = ""
    fleet_rule: FleetRule | None = None  # decides which servers are on, in place of ``activation``

    def __init__(self, **settings: Any):
        self.settings = Settings.of(**settings)

    def reset(self, system: System, seed: int) -> None:
        self.tables = Tables(system)
        self.rng = np.random.default_rng(seed)
        self.activation = Activation(self.tables, self.settings)
        if self.settings.micro == "learned":
            self._scores = load_server_scores(self.settings.micro_weights)
        self._forecaster: Forecaster = Smoothing(self.settings.smoothing)
        self._programs = SlotPrograms()
        self.expected = np.zeros((self.tables.sizes[0], self.tables.sizes[2]))

    @abstractmethod
    def route(self, c: int, requests: np.ndarray, desk: Capacity) -> np.ndarray:
        """(R, R) where the ``requests`` (R,) of class c go, all of them."""

    @abstractmethod
    def assign(self, c: int, wanted: np.ndarray, desk: Capacity) -> np.ndarray:
        """(S,) requests of class c that servers take, at most ``wanted`` (R,) and their room."""

    def prepare(self, observation: Observation) -> None:  # noqa: B027  (most need nothing)
        """Compute what the policy needs once per slot; called after the forecast."""

    def decide(self, observation: Observation) -> Decision:
        self.observation = observation
        self.expected = self._forecaster.update(observation.arrivals)
        self.prepare(observation)
        command, command_model = self.commands(observation)
        system, state = self.tables.system, observation.state
        fleet = apply_commands(system, state, observation.up, command, command_model)
        desk = SlotCapacity(self.tables, fleet.usable_ms, fleet.model, state.processing)
        self.next_desk = self._next_slot(fleet.model, fleet.loading_ms_after, state.processing)
        self._serve_waiting(state.waiting, desk)
        routing = self._route_all(observation.arrivals, desk)
        slot = Slot(observation, fleet, routing, self.expected, desk.processing)
        routing, processing = self._handed_out(slot)
        return Decision(routing, command, command_model, processing)

    def _handed_out(self, slot: Slot) -> tuple[np.ndarray, np.ndarray]:
        """Routing and processing as ``micro`` would have them; ``slot`` has those by rule."""
        micro, limits = self.settings.micro, self.settings.limits
        if micro == "program":
            return slot.routing, program_processing(self.tables, slot, *limits, self._programs)
        if micro == "routed":

            def by_rule(routing: np.ndarray) -> np.ndarray:
                return self._by_rule(slot, routing)

            return routed(self.tables, slot, by_rule, *limits, self._programs)
        if micro == "learned":
            return slot.routing, scored_processing(self.tables, slot, self._scores)
        return slot.routing, slot.greedy

    def _by_rule(self, slot: Slot, routing: np.ndarray) -> np.ndarray:
        """(S, C) requests given to servers by the policy's own rule, once they are routed."""
        state, fleet = slot.observation.state, slot.fleet
        desk = SlotCapacity(self.tables, fleet.usable_ms, fleet.model, state.processing)
        self._serve_all(routing.sum(axis=0), state.waiting, desk)
        return desk.processing

    def commands(self, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        """(S,) commands and their models."""
        if self.fleet_rule is not None:
            return self.fleet_rule.commands(observation)
        plan = self.activation.plan(observation)
        self.lay_demand(plan, observation)
        return self.activation.commands(plan, observation)

    def forecast(self) -> np.ndarray:
        return self.expected.sum(axis=1)

    def open_to(self, c: int) -> np.ndarray:
        """(R, R) bool: regions that may take requests of class c; where none can ever serve them,
        all that are allowed."""
        allowed = self.tables.system.allowed
        able = allowed & self.tables.region_can_serve[:, c]
        return np.where(able.any(axis=1)[:, None], able, allowed)

    def lay_demand(self, plan: FleetPlan, observation: Observation) -> None:
        """Q + F + σ√F laid on the servers of the plan, the forecast routed as arrivals are."""
        waiting = observation.state.waiting.sum(axis=2)
        for c in self.tables.class_order:
            if waiting[:, c].any():
                plan.lay(c, waiting[:, c])
        wanted = self.wanted()
        self._route_all(wanted, plan)
        if self.settings.rule == "all":
            self._fill_up(plan, wanted)

    def wanted(self) -> np.ndarray:
        """(R, C) requests to be ready for in the next slot: F + σ√F per region, whole."""
        by_origin = self.expected.sum(axis=1, keepdims=True)
        margin = self.settings.safety / np.sqrt(np.maximum(by_origin, 1.0))
        return np.ceil(self.expected * (1 + margin) - 1e-9).astype(np.int64)

    def _fill_up(self, plan: FleetPlan, wanted: np.ndarray) -> None:
        """Lay ever more demand of the same kind, until no server can be brought up for it."""
        for doubled in range(ROUNDS):
            if plan.needed[plan.on | plan.can_load].all():
                break
            self._route_all(np.maximum(wanted, 1) << doubled, plan)

    def _next_slot(
        self, model: np.ndarray, loading_ms: np.ndarray, processing: np.ndarray
    ) -> SlotCapacity:
        """Capacity in the next slot of the servers that are on."""
        slot_ms = self.tables.system.slot_ms
        usable = np.where(model >= 0, slot_ms - np.minimum(loading_ms, slot_ms), 0)
        return SlotCapacity(self.tables, usable, model, processing)

    def _serve_all(self, inflow: np.ndarray, waiting: np.ndarray, desk: Capacity) -> None:
        """What waits, then what came: (R, C, ages) and (R, C) requests given to servers."""
        self._serve_waiting(waiting, desk)
        for c in self.tables.class_order:
            desk.serve(c, inflow[:, c], self.assign)

    def _serve_waiting(self, waiting: np.ndarray, desk: Capacity) -> None:
        """Requests about to expire first, then the others."""
        due = self.tables.due(waiting)
        for requests in (due, waiting.sum(axis=2) - due):
            for c in self.tables.class_order:
                if requests[:, c].any():
                    desk.serve(c, requests[:, c], self.assign)

    def _route_all(self, arrivals: np.ndarray, desk: Capacity) -> np.ndarray:
        regions, _, classes = self.tables.sizes
        routing = np.zeros((regions, regions, classes), np.int64)
        for c in self.tables.class_order:
            if arrivals[:, c].any():
                routing[:, :, c] = self.route(c, arrivals[:, c], desk)
                desk.serve(c, routing[:, :, c].sum(axis=0), self.assign)
        return routing


def assign_cheapest(c: int, wanted: np.ndarray, desk: Capacity, usd: np.ndarray) -> np.ndarray:
    """(S,) requests to the cheapest server of each region, then the next; the same ones every slot,
    so that what they processed last is hot."""
    region = desk.tables.system.server_region
    return fill_in_order(wanted, region, desk.room(c), usd)

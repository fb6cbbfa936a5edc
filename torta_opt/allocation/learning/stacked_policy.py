"""TORTA's micro layer on a stack of instances: given routing shares, everything else of a slot.

The rules are those of ``policies.torta_ot``; two things are per instance there and must be so here:
which classes found too little room, and the routing, kept as one (R, R) block per instance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import OFF
from torta_opt.allocation.learning.stacked_instances import Stack
from torta_opt.allocation.policies.activation import Activation, FleetPlan
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import SlotCapacity, Tables, fill_in_order
from torta_opt.allocation.policies.routing import apportion, sample
from torta_opt.allocation.policies.settings import Settings
from torta_opt.allocation.policies.torta_ot import TortaOt, fitted, restricted, spilled
from torta_opt.allocation.schedule.step import Fleet, apply_commands


class StackedPlan(FleetPlan):
    """A ``FleetPlan`` in which room runs short by instance. ``short`` is (N, C)."""

    def __init__(self, tables: Tables, observation: Observation, *rest: Any, owner: np.ndarray):
        super().__init__(tables, observation, *rest)
        self._owner = owner
        self.unlaid = np.zeros_like(self._short, dtype=np.int64)

    def room(self, c: int) -> np.ndarray:
        fits = self.model == self.tables.system.class_model[c]
        room = self.free_ms // self.tables.work_ms[:, c]
        can_load = self.can_load | (self.ready & self._short[self._owner, c])
        return np.where(fits | (can_load & ~self.claimed), room, 0)

    def lay(self, c: int, wanted: np.ndarray) -> None:
        region = self.tables.system.server_region
        units = fill_in_order(wanted, region, self.room(c), self.usd(c))
        count = len(self.unlaid)
        laid = np.bincount(self._owner, units, count).astype(np.int64)
        self.unlaid[:, c] += wanted.reshape(count, -1).sum(axis=1) - laid
        self.take(c, units)


class StackedActivation(Activation):
    """``Activation`` on a stack."""

    def __init__(self, tables: Tables, settings: Settings, owner: np.ndarray):
        super().__init__(tables, settings)
        self._owner = owner
        self._short = np.zeros((int(owner.max()) + 1, tables.sizes[2]), bool)

    def plan(self, observation: Observation) -> FleetPlan:
        spare, short = self._spare_slots, self._short
        return StackedPlan(
            self._tables, observation, spare, short, self._settings, owner=self._owner
        )


class StackedMicro(TortaOt):
    """Commands, routing and processing of all instances of a stack in one slot."""

    name = "stack"

    def begin(self, stack: Stack, seed: int) -> None:
        """A new run on the instances of ``stack``."""
        self.stack = stack
        self.reset(stack.system, seed)
        self.activation = StackedActivation(self.tables, self.settings, stack.owner)
        count, regions = stack.count, stack.regions
        classes = range(self.tables.sizes[2])
        blocks = [self.open_to(c).reshape(count, regions, count, regions) for c in classes]
        every = np.arange(count)
        self._open = np.stack([block[every, :, every] for block in blocks])  # (C, N, R, R)

    def decide_shares(
        self, observation: Observation, share: np.ndarray, usd: np.ndarray, expected: np.ndarray
    ) -> tuple[Fleet, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Fleet, commands, their models, routing (N, R, R, C) and processing (S, C).

        share (N, R, R) A_t · usd (N, R, R) cost of the transport problem · expected (N·R, C)
        """
        self.observation, self.expected = observation, expected
        self._block_share, self._block_usd = share, usd
        state, system = observation.state, self.tables.system
        off = ~observation.up | (state.model == OFF)
        self._recent.update(state.processing, off)
        self._base = self._hardware + self._recent.score(self._similar)
        command, model = self.commands(observation)
        fleet = apply_commands(system, state, observation.up, command, model)
        desk = SlotCapacity(self.tables, fleet.usable_ms, fleet.model, state.processing)
        routing = self._route_all(observation.arrivals, desk)
        return fleet, command, model, routing, desk.processing

    def _route_all(self, arrivals: np.ndarray, desk: SlotCapacity) -> np.ndarray:
        count, regions = self.stack.count, self.stack.regions
        plan = desk if isinstance(desk, FleetPlan) else None
        routing = np.zeros((arrivals.shape[1], count, regions, regions), np.int64)
        for c in np.flatnonzero(arrivals.any(axis=0)) if plan is None else self.tables.class_order:
            if not arrivals[:, c].any():
                continue
            share = self._share_of(int(c), arrivals[:, c], desk).reshape(-1, regions)
            if plan is not None:
                flow = self._spill(int(c), apportion(arrivals[:, c], share), plan)
            elif self.parameters.split == "apportion":
                flow = apportion(arrivals[:, c], share)
            else:
                flow = sample(arrivals[:, c], share, self.rng)
            routing[c] = flow.reshape(count, regions, regions)
            if plan is not None:
                plan.lay(int(c), routing[c].sum(axis=1).reshape(-1))
        if plan is None:
            self._match(routing.sum(axis=2).reshape(len(routing), -1).T, desk)
        return np.moveaxis(routing, 0, -1)

    def _share_of(self, c: int, requests: np.ndarray, desk: SlotCapacity) -> np.ndarray:
        """(N, R, R) the shares of class c, as ``torta_ot`` has them."""
        share = restricted(self._block_share, self._block_usd, self._open[c])
        if self.parameters.reach == "able":
            return share
        shape = self.stack.count, self.stack.regions
        room = self._held_room(c, desk).reshape(shape)
        leak = self.parameters.leak
        return fitted(share, self._open[c], requests.reshape(shape), room, leak)

    def _spill(self, c: int, flow: np.ndarray, desk: FleetPlan) -> np.ndarray:
        """(N·R, R) a planned flow with what finds no room sent where its instance has some."""
        if self.parameters.reach == "able":
            return flow
        count, regions = self.stack.count, self.stack.regions
        blocks = flow.reshape(count, regions, regions)
        room = desk.region_room(c).reshape(count, regions)
        short = (blocks.sum(axis=1) > room).any(axis=1)
        for n in np.flatnonzero(short):
            blocks[n] = spilled(blocks[n], room[n], self._open[c, n], self._block_usd[n])
        return blocks.reshape(flow.shape)

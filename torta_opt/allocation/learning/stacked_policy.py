"""TORTA's micro layer on a stack of instances: given routing shares, everything else of a slot.

The rules are those of ``policies.torta_ot``; two things are per instance there and must be so here:
which classes found too little room, and the routing, kept as one (R, R) block per instance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import OFF
from torta_opt.allocation.learning.stacked_instances import Stack
from torta_opt.allocation.policies.activation import Activation
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Capacity, SlotCapacity
from torta_opt.allocation.policies.routing import apportion, sample
from torta_opt.allocation.policies.torta_ot import TortaOt, fitted, restricted, spilled
from torta_opt.allocation.schedule.step import Fleet, apply_commands


@dataclass(frozen=True, eq=False)
class StackedDecision:
    """What is decided in one slot for all servers of a stack, S of them in N instances.

    fleet            servers after the commands
    command, model   (S,)
    routing          (N, R, R, C)
    processing       (S, C)
    """

    fleet: Fleet
    command: np.ndarray
    model: np.ndarray
    routing: np.ndarray
    processing: np.ndarray


class StackedMicro(TortaOt):
    """Commands, routing and processing of all instances of a stack in one slot."""

    name = "stack"

    def begin(self, stack: Stack, seed: int) -> None:
        """A new run on the instances of ``stack``."""
        self.stack = stack
        self.reset(stack.system, seed)
        self.activation = Activation(self.tables, self.settings, stack.owner)
        count, regions = stack.count, stack.regions
        classes = range(self.tables.sizes[2])
        blocks = [self.open_to(c).reshape(count, regions, count, regions) for c in classes]
        every = np.arange(count)
        self._open = np.stack([block[every, :, every] for block in blocks])  # (C, N, R, R)

    def decide_shares(
        self, observation: Observation, share: np.ndarray, usd: np.ndarray, expected: np.ndarray
    ) -> StackedDecision:
        """The decision of a slot.

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
        return StackedDecision(fleet, command, model, routing, desk.processing)

    def _route_all(self, arrivals: np.ndarray, desk: Capacity) -> np.ndarray:
        count, regions = self.stack.count, self.stack.regions
        routing = np.zeros((arrivals.shape[1], count, regions, regions), np.int64)
        order = self.tables.class_order if desk.planning else np.arange(len(routing))
        for c in order:
            if not arrivals[:, c].any():
                continue
            share = self._share_of(int(c), arrivals[:, c], desk).reshape(-1, regions)
            if desk.planning:
                flow = self._spill(int(c), apportion(arrivals[:, c], share), desk)
            elif self.parameters.split == "apportion":
                flow = apportion(arrivals[:, c], share)
            else:
                flow = sample(arrivals[:, c], share, self.rng)
            routing[c] = flow.reshape(count, regions, regions)
            if desk.planning:
                desk.serve(int(c), routing[c].sum(axis=1).reshape(-1), self.assign)
        if not desk.planning:
            self._match(routing.sum(axis=2).reshape(len(routing), -1).T, desk)
        return np.moveaxis(routing, 0, -1)

    def _share_of(self, c: int, requests: np.ndarray, desk: Capacity) -> np.ndarray:
        """(N, R, R) the shares of class c, as ``torta_ot`` has them."""
        share = restricted(self._block_share, self._block_usd, self._open[c])
        if self.parameters.reach == "able":
            return share
        shape = self.stack.count, self.stack.regions
        room = self._held_room(c, desk).reshape(shape)
        leak = self.parameters.leak
        return fitted(share, self._open[c], requests.reshape(shape), room, leak)

    def _spill(self, c: int, flow: np.ndarray, desk: Capacity) -> np.ndarray:
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

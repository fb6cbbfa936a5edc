"""Servers by region and type: how many have each model, what one costs, how to get to a number.

A policy that decides numbers of servers has them carried out by named servers here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from torta_opt.allocation.instance.data import OFF
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Tables, fill_in_order
from torta_opt.allocation.schedule.data import NO_MODEL, Command


@dataclass(frozen=True, eq=False)
class Kinds:
    """Servers by region and type; arrays over d are (P, M), p = region · types + type."""

    tables: Tables

    @cached_property
    def of_server(self) -> np.ndarray:
        """(S,) p of each server."""
        system = self.tables.system
        return system.server_region * len(system.types) + system.server_type

    @property
    def shape(self) -> tuple[int, int]:
        system = self.tables.system
        return len(system.regions) * len(system.types), len(system.models)

    @cached_property
    def kind(self) -> np.ndarray:
        """(P,) type."""
        return np.arange(self.shape[0]) % len(self.tables.system.types)

    @cached_property
    def size(self) -> np.ndarray:
        """(P,) servers."""
        return np.bincount(self.of_server, minlength=self.shape[0])

    @cached_property
    def holds(self) -> np.ndarray:
        """(P, M) bool."""
        return self.tables.system.holds[self.kind]

    def count(self, model: np.ndarray) -> np.ndarray:
        """(P, M) servers that have each model (S,), −1 none."""
        number = np.zeros(self.shape, np.int64)
        some = model != OFF
        np.add.at(number, (self.of_server[some], model[some]), 1)
        return number

    def on_usd(self, price: np.ndarray) -> np.ndarray:
        """(P,) idle energy and rent of a server for a slot at ``price`` (R,)."""
        system, weights = self.tables.system, self.tables.system.weights
        energy = weights.energy_factor * price[:, None] * system.idle_kw
        return (
            (energy + weights.rent_factor * system.rent_usd_per_hour) * system.slot_hours
        ).ravel()

    def start_usd(self, price: np.ndarray) -> np.ndarray:
        """(P, M) β: start, and being on while it loads; 0 where the type cannot hold the model."""
        system = self.tables.system
        fixed = system.weights.loading_factor * system.start_usd[self.kind]
        loading = np.maximum(self.on_usd(price), 0.0)[:, None] * system.start_ms[self.kind]
        return np.where(self.holds, fixed + loading / system.slot_ms, 0.0)


def toward(
    kinds: Kinds, observation: Observation, levels: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(S,) commands, and their models, that bring the servers as near to ``levels`` as they can.

    Servers too many with their model are switched where others are missing, the least busy first;
    then servers are started; what is still too many is stopped. Where levels add up to more servers
    than are up, those beyond ``wanted`` go first.
    """
    state, up, pool = observation.state, observation.up, kinds.of_server
    model = np.where(up, state.model, OFF)
    ready = (model != OFF) & (state.loading_ms == 0)
    levels = _that_fit(levels, wanted, np.bincount(pool, up, kinds.shape[0]).astype(np.int64))
    number = kinds.count(model)
    missing = np.maximum(levels - number, 0)
    busy_ms = kinds.tables.busy_ms(state.processing)
    spare = np.zeros(len(model), bool)
    for m in range(kinds.shape[1]):
        room = (ready & (model == m)).astype(np.int64)
        spare |= fill_in_order(np.maximum(number - levels, 0)[:, m], pool, room, busy_ms) > 0
    free = spare | (up & (model == OFF))
    command = np.full(len(model), int(Command.NONE))
    target = np.full(len(model), NO_MODEL)
    for m in range(kinds.shape[1]):
        room = (free & kinds.holds[pool, m]).astype(np.int64)
        chosen = fill_in_order(missing[:, m], pool, room, ~spare, busy_ms) > 0
        command[chosen] = np.where(spare[chosen], Command.SWITCH, Command.START)
        target[chosen] = m
        free &= ~chosen
    command[spare & free] = Command.STOP
    return command, target


def _that_fit(levels: np.ndarray, wanted: np.ndarray, servers: np.ndarray) -> np.ndarray:
    """Levels (P, M) cut so that each pool's add up to no more than its ``servers`` (P,)."""
    levels = np.minimum(levels, servers[:, None])
    for m in range(levels.shape[1]):
        beyond = np.maximum(levels[:, m] - wanted[:, m], 0)
        over = np.maximum(levels.sum(axis=1) - servers, 0)
        levels[:, m] -= np.minimum(over, beyond)
    return levels

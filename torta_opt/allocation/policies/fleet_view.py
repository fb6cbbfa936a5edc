"""Servers counted by type and model, all regions as one: from an observation, and back to commands.
Types are those of the program, which may tell zones of regions apart (``zones``).

The fleet program counts servers; which of them start or stop is decided here: started is the server
that is cheapest to have on among those that are off, stopped the dearest of those that are ready,
switched likewise; among equals the least busy one.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.formulations.fleet_program import (
    FleetCosts,
    FleetKinds,
    FleetState,
)
from torta_opt.allocation.instance.data import OFF
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.whole_moves import WholeMoves
from torta_opt.allocation.schedule.data import NO_MODEL, Command


class FleetView:
    """What the program sees of one slot."""

    def __init__(self, tables: Tables, kinds: FleetKinds, observation: Observation):
        system, state = kinds.system, observation.state
        self.kinds, self.up = kinds, observation.up
        self.model = np.where(observation.up, state.model, OFF)
        self.on = self.model != OFF
        self.ready = self.on & (state.loading_ms == 0)
        number = kinds.number[system.server_type, np.maximum(self.model, 0)]
        self.kind = np.where(self.on, number, -1)
        self.on_usd = tables.on_usd(observation.price)
        self.busy_ms = tables.busy_ms(state.processing)
        self._observation = observation

    def state(self) -> FleetState:
        """Servers by kind; servers that are up by type."""
        types = len(self.kinds.system.types)
        servers = np.bincount(self.kinds.system.server_type, self.up, types)
        return FleetState(self._count(self.ready), self._count(self.on & ~self.ready), servers)

    def costs(self, slots: np.ndarray, shortage: float, worth: float) -> FleetCosts:
        """Dollars of the program at the prices of this slot, see ``FleetCosts``.

        shortage  what a request not served in its slot costs, in units of its expiry price
        worth     what a ready server is worth at the end, as a share of starting it
        """
        system, kinds = self.kinds.system, self.kinds
        weights, k, c = system.weights, *kinds.serves
        on = self._on_by_type()
        waits = np.ceil(system.start_ms[kinds.pairs] / system.slot_ms)
        start = weights.loading_factor * system.start_usd[kinds.pairs]
        start = start + np.maximum(on, 0.0)[kinds.type] * waits
        enter = weights.loading_factor * system.switch_usd[kinds.pairs]
        hot = system.hot_permille / 1000
        service_s = (1 - hot) * system.service_s[k, c] + hot * system.hot_service_s[k, c]
        price = float(self._observation.price.mean())
        busy_kw = (system.peak_kw - system.idle_kw)[k]
        energy = weights.energy_factor * price * busy_kw * system.server_ms[k, c] / 3.6e6
        serve = weights.time_usd_per_s * service_s + energy
        least = np.full(len(system.classes), np.inf)
        np.minimum.at(least, c, serve)
        short = shortage * weights.expiry_usd + np.where(np.isfinite(least), least, 0.0)
        by_epoch = np.repeat(on[None], len(slots), axis=0)
        return FleetCosts(slots, by_epoch, start, enter, serve, short, worth * start)

    def commands(self, moves: WholeMoves) -> tuple[np.ndarray, np.ndarray]:
        """(S,) commands and models of whole moves."""
        start, stop, leave, enter = moves.start, moves.stop, moves.leave, moves.enter
        command = np.full(len(self.model), int(Command.NONE))
        target = np.full(len(self.model), NO_MODEL)
        for k in range(len(self.kinds.system.types)):
            of_type: list[int] = np.flatnonzero(self.kinds.type == k).tolist()
            free: list[int] = []
            for g in of_type:
                servers = self._dearest(g)
                free += servers[: leave[g]].tolist()
                command[servers[leave[g] : leave[g] + stop[g]]] = Command.STOP
            for g in of_type:
                free = self._load(command, target, free, enter[g], g, Command.SWITCH)
            off = self._cheapest_off(k)
            for g in of_type:
                off = self._load(command, target, off, start[g], g, Command.START)
        return command, target

    def _load(
        self,
        command: np.ndarray,
        target: np.ndarray,
        servers: list[int],
        number: int,
        g: int,
        how: Command,
    ) -> list[int]:
        """Command the first of ``servers`` that do not hold the model; those left over."""
        model = self.kinds.model[g]
        able = [s for s in servers if self.model[s] != model]
        command[able[:number]] = how
        target[able[:number]] = model
        taken = set(able[:number])
        return [s for s in servers if s not in taken]

    def _dearest(self, g: int) -> np.ndarray:
        servers = np.flatnonzero((self.kind == g) & self.ready)
        return servers[np.lexsort((self.busy_ms[servers], -self.on_usd[servers]))]

    def _cheapest_off(self, k: int) -> list[int]:
        of_type = self.kinds.system.server_type == k
        servers = np.flatnonzero(of_type & self.up & ~self.on)
        found: list[int] = servers[np.argsort(self.on_usd[servers], kind="stable")].tolist()
        return found

    def _count(self, servers: np.ndarray) -> np.ndarray:
        return np.bincount(self.kind[servers], minlength=len(self.kinds)).astype(float)

    def _on_by_type(self) -> np.ndarray:
        """(K,) mean dollars of a server that is on for a slot: of those that are, else of all."""
        kind, types = self.kinds.system.server_type, len(self.kinds.system.types)
        servers, on = np.bincount(kind, minlength=types), np.bincount(kind, self.on, types)
        of_all = np.bincount(kind, self.on_usd, types) / np.maximum(servers, 1)
        of_on = np.bincount(kind, self.on_usd * self.on, types) / np.maximum(on, 1)
        return np.where(on > 0, of_on, of_all)

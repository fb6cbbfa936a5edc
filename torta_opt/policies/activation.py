"""Which servers are on, and with which model: the rule that all policies of ours share.

TORTA's Eq. (6) (arXiv 2507.10259) activates per region

    N_target = min(S_r, ⌈(Q_r + F_r + σ√F_r) / C_avg⌉)

servers for a queue of Q_r and F_r expected requests; "activate by warm-up time and hardware fit,
deactivate lowest utilisation and longest idle first, gradually". Servers differ here in what they
can serve and how fast, so C_avg is not one number: demand is laid on servers one after another, in
order of fit, each up to a slot's time, and N_target is the number of servers it takes (with equal
servers that is Eq. (6) to the letter). Per class, those with the fewest possible servers first:

1. demand goes to servers that are on with the class's model, ready before loading, cheapest first;
2. what is left goes to servers that can be brought up for it, started from off or switched from a
   model not in demand, cheapest first: service, energy and rent of a request, plus the warm-up
   spread over the horizon;
3. a server that is on and got nothing is *spare*. It stays on until keeping it has cost as much as
   starting it again would (the break-even rule), then stops; never while running earns money.

Fit is dollars per request: v·σ + energy of its processing + its share u/Δ of a slot's idle energy
and rent.
"""

from __future__ import annotations

import numpy as np

from torta_opt.instance.data import OFF
from torta_opt.policies.base import Observation
from torta_opt.policies.micro import Tables, fill_in_order
from torta_opt.policies.settings import Settings
from torta_opt.schedule.data import NO_MODEL, Command

NEGLIGIBLE = 1e-6  # requests: rounding of what is left of a demand


class Activation:
    """Commands slot by slot. Remembers how long each server has been spare."""

    def __init__(self, tables: Tables, settings: Settings):
        self._tables = tables
        self._settings = settings
        servers = tables.sizes[1]
        self.spare_slots = np.zeros(servers, np.int64)
        self._idle_slots = np.zeros(servers, np.int64)

    def commands(
        self, observation: Observation, demand: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(S,) commands and their models for ``demand`` (R, C), requests a slot by region."""
        state, up = observation.state, observation.up
        fleet = _FleetPlan(
            self._tables,
            model=np.where(up, state.model, OFF),
            loading_ms=np.where(up, state.loading_ms, 0),
            up=up,
            price=observation.price,
            horizon_slots=self._settings.horizon_slots,
        )
        worked = state.processing.any(axis=1)
        self._idle_slots = np.where(worked | ~fleet.on, 0, self._idle_slots + 1)
        if self._settings.rule == "none":
            return fleet.commands()
        if self._settings.rule == "all":
            demand = np.maximum(demand, self._unbounded(observation))
        left = fleet.lay_on_running(demand)
        spare = fleet.on & ~fleet.needed
        fleet.bring_up(left, self._most_by_region())
        self.spare_slots = np.where(spare & ~fleet.needed, self.spare_slots + 1, 0)
        if self._settings.rule == "demand":
            self._stop(fleet, observation)
        return fleet.commands()

    def _unbounded(self, observation: Observation) -> np.ndarray:
        """More of every class that could be asked for than a region can serve, in proportion."""
        system = self._tables.system
        room = np.zeros((self._tables.sizes[0], self._tables.sizes[2]))
        slots = np.where(self._tables.can_serve, system.slot_ms / self._tables.work_ms, 0.0)
        np.add.at(room, system.server_region, slots * observation.up[:, None])
        return room

    def _most_by_region(self) -> np.ndarray:
        """(R,) how many servers may be started or switched in a slot, and as many stopped."""
        system = self._tables.system
        servers = np.bincount(system.server_region, minlength=self._tables.sizes[0])
        return np.maximum(1, np.floor(self._settings.gradual * servers)).astype(np.int64)

    def _stop(self, fleet: _FleetPlan, observation: Observation) -> None:
        patience = self._patience(fleet)
        due = fleet.ready & ~fleet.needed & (self.spare_slots > patience)
        system = self._tables.system
        work = np.where(self._tables.can_serve, self._tables.work_ms, 0)
        busy_ms = (observation.state.processing * work).sum(axis=1)
        chosen = fill_in_order(
            self._most_by_region(),
            system.server_region,
            due.astype(np.int64),
            busy_ms,
            -self._idle_slots,
        )
        fleet.stop(chosen > 0)

    def _patience(self, fleet: _FleetPlan) -> np.ndarray:
        """(S,) spare slots after which a server stops; infinite while running earns money."""
        given = self._settings.patience_slots
        if given is not None:
            return np.full(fleet.on_usd.shape, float(given))
        system = self._tables.system
        kind, model = system.server_type, np.maximum(fleet.model, 0)
        start_usd = system.weights.loading_factor * system.start_usd[kind, model]
        start_slots = system.start_ms[kind, model] / system.slot_ms
        costs = fleet.on_usd > 0
        rate = np.where(costs, fleet.on_usd, 1.0)
        return np.where(costs, start_slots + start_usd / rate, np.inf)


class _FleetPlan:
    """Demand laid on the servers of one slot."""

    def __init__(
        self,
        tables: Tables,
        model: np.ndarray,
        loading_ms: np.ndarray,
        up: np.ndarray,
        price: np.ndarray,
        horizon_slots: float,
    ):
        self._tables = tables
        self._horizon = horizon_slots
        self.model = model
        self.up = up
        self.on = model != OFF
        self.ready = self.on & (loading_ms == 0)
        self.needed = np.zeros(len(model), bool)
        self.on_usd = tables.on_usd(price)
        self._free_ms = np.full(len(model), float(tables.system.slot_ms))
        share = tables.work_ms / tables.system.slot_ms
        on_share = np.where(tables.can_serve, share, 0.0) * self.on_usd[:, None]
        self._fit_usd = tables.serve_usd(price) + on_share
        self._work_ms = tables.work_ms.astype(float)
        self._command = np.full(len(model), int(Command.NONE))
        self._target = np.full(len(model), NO_MODEL)

    def commands(self) -> tuple[np.ndarray, np.ndarray]:
        return self._command, self._target

    def lay_on_running(self, demand: np.ndarray) -> np.ndarray:
        """Step 1: mark the servers that ``demand`` (R, C) needs; what they cannot take."""
        left = demand.astype(float)
        for c in self._tables.class_order:
            if not left[:, c].any():
                continue
            mine = self.on & (self.model == self._tables.system.class_model[c])
            self._lay(left, c, mine, ~self.ready, self._fit_usd[:, c])
        return left

    def bring_up(self, left: np.ndarray, most: np.ndarray) -> None:
        """Step 2: start or switch servers for the demand that is ``left`` (R, C), at most so many
        by region."""
        most = most.copy()
        system = self._tables.system
        for c in self._tables.class_order:
            if not (left[:, c] > NEGLIGIBLE).any():
                continue
            m = system.class_model[c]
            self._lay(left, c, self._target == m, self._fit_usd[:, c])
            usd = self._bring_up_usd(c)
            able = np.isfinite(usd) & (left[system.server_region, c] > NEGLIGIBLE)
            able = fill_in_order(most, system.server_region, able.astype(np.int64), usd) > 0
            chosen = self._lay(left, c, able, usd)
            self._target[chosen] = m
            self._command[chosen] = np.where(self.on[chosen], Command.SWITCH, Command.START)
            np.subtract.at(most, system.server_region[chosen], 1)

    def stop(self, chosen: np.ndarray) -> None:
        """Step 3."""
        self._command[chosen & (self._command == Command.NONE)] = Command.STOP

    def _lay(
        self, left: np.ndarray, c: int, onto: np.ndarray, *rank: np.ndarray
    ) -> np.ndarray:
        """Lay class c's demand on servers ``onto`` by rank; True where some was laid."""
        region = self._tables.system.server_region
        room = np.where(onto, self._free_ms / self._work_ms[:, c], 0.0)
        units = fill_in_order(left[:, c], region, room, *rank)
        chosen = units > NEGLIGIBLE
        self._free_ms -= np.where(chosen, units * self._work_ms[:, c], 0.0)
        self.needed |= chosen
        left[:, c] -= np.bincount(region, units, len(left))
        np.maximum(left[:, c], 0.0, out=left[:, c])
        return chosen

    def _bring_up_usd(self, c: int) -> np.ndarray:
        """(S,) $ per request of class c on a server brought up for it; inf where not possible."""
        tables, system = self._tables, self._tables.system
        kind, m = system.server_type, system.class_model[c]
        from_off = ~self.on & self.up
        from_other = self.ready & ~self.needed & (self.model != m)
        idle = (self._command == Command.NONE) & system.holds[kind, m]
        able = (from_off | from_other) & idle & tables.can_serve[:, c]
        load_usd = np.where(self.on, system.switch_usd[kind, m], system.start_usd[kind, m])
        load_ms = np.where(self.on, system.switch_ms[kind, m], system.start_ms[kind, m])
        usd = system.weights.loading_factor * load_usd
        usd = usd + np.maximum(self.on_usd, 0.0) * load_ms / system.slot_ms
        per_request = np.where(able, self._work_ms[:, c], 0.0) / system.slot_ms / self._horizon
        return np.where(able, self._fit_usd[:, c] + usd * per_request, np.inf)

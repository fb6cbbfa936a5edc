"""Which servers are on, and with which model: the rule that all policies of ours share.

TORTA's Eq. (6) (arXiv 2507.10259) activates per region

    N_target = min(S_r, ⌈(Q_r + F_r + σ√F_r) / C_avg⌉)

servers for a queue of Q_r and F_r expected requests; "activate by warm-up time and hardware fit,
deactivate lowest utilisation and longest idle first", gradually. Servers differ here in what they
can serve and how fast, so C_avg is not one number: demand is laid on servers one after another,
each up to a slot's time, and N_target is the number of servers it takes (with equal servers that is
Eq. (6) to the letter).

1. Queue, forecast and margin are laid, class by class, on servers in order of fit: dollars per
   request of service, energy and the share u/Δ of a slot's idle energy and rent. A server that is
   on takes what fits its model. One that is off, or on and spare, can be brought up for any model
   of its type; what that costs, warm-up included, is spread over the horizon and added. A class
   that found too little room in the last slot may also take over servers that are ready with
   another model, as long as nothing is laid on them.
2. Servers that got something and are not ready with that model are started or switched.
3. A server that is on and got nothing is *spare*. It is stopped once keeping it has cost as much as
   starting it again would (the break-even rule of ski rental), never while running earns money.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.instance.data import OFF
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import (
    Assign,
    SlotCapacity,
    Tables,
    fill_in_order,
    sum_by,
)
from torta_opt.allocation.policies.settings import Settings
from torta_opt.allocation.schedule.data import NO_MODEL, Command

ROUNDS = 12  # doublings of demand, after which rule "all" has every server on


class FleetPlan:
    """``Capacity`` of every server that is up, to lay expected demand on.

    Handing a class to a server that is off or spare claims it for the class's model.

    short       (N, C) bool: classes that found too little room in the last slot
    owner       (S,) the row of ``short`` that holds for a server, where N instances are stacked
    unlaid      (N, C) requests that found no room
    """

    planning = True

    def __init__(
        self,
        tables: Tables,
        observation: Observation,
        spare_slots: np.ndarray,
        short: np.ndarray,
        settings: Settings,
        owner: np.ndarray,
    ):
        state, up, system = observation.state, observation.up, tables.system
        free_ms = np.where(up, system.slot_ms, 0)
        model = np.where(up, state.model, OFF)
        self._time = SlotCapacity(tables, free_ms, model.copy(), state.processing)
        self.tables = tables
        self.running = model
        self.on = model != OFF
        self.ready = self.on & (np.where(up, state.loading_ms, 0) == 0)
        self.can_load = (~self.on & up) | (self.ready & (spare_slots > 0))
        self.unlaid = np.zeros(short.shape, np.int64)
        self.claimed = np.zeros(len(model), bool)
        self.on_usd = tables.on_usd(observation.price)
        self._serve_usd = tables.serve_usd(observation.price)
        self._spare_slots, self._short, self._owner = spare_slots, short, owner
        self._settings = settings

    @property
    def model(self) -> np.ndarray:
        return self._time.model

    @property
    def free_ms(self) -> np.ndarray:
        return self._time.free_ms

    @property
    def processing(self) -> np.ndarray:
        return self._time.processing

    @property
    def hot_quota(self) -> np.ndarray:
        return self._time.hot_quota

    @property
    def needed(self) -> np.ndarray:
        """(S,) bool: some demand was laid here."""
        return np.any(self.processing, axis=1)

    def room(self, c: int) -> np.ndarray:
        fits = self.model == self.tables.system.class_model[c]
        room = self.free_ms // self.tables.work_ms[:, c]
        can_load = self.can_load | (self.ready & self._short[self._owner, c])
        return np.where(fits | (can_load & ~self.claimed), room, 0)

    def region_room(self, c: int) -> np.ndarray:
        return self._by_region(self.room(c))

    def held_room(self, c: int) -> np.ndarray:
        tables, system = self.tables, self.tables.system
        fits = (self.running == system.class_model[c]) & tables.can_serve[:, c]
        return self._by_region(np.where(fits, system.slot_ms // tables.work_ms[:, c], 0))

    def take(self, c: int, units: np.ndarray) -> None:
        self._time.take(c, units)
        taken = units > 0
        self.claimed |= taken
        self.model[taken] = self.tables.system.class_model[c]

    def lay(self, c: int, wanted: np.ndarray) -> None:
        """Lay ``wanted`` (R,) requests of class c on the fittest servers of their regions."""
        usd = self.usd(c, self._serve_usd[:, c])
        units = fill_in_order(wanted, self.tables.system.server_region, self.room(c), usd)
        count = len(self.unlaid)
        laid = sum_by(self._owner, units, count)
        self.unlaid[:, c] += wanted.reshape(count, -1).sum(axis=1) - laid
        self.take(c, units)

    def serve(self, c: int, wanted: np.ndarray, assign: Assign) -> None:
        """The order of fit says which servers, not the policy's rule ``assign``."""
        self.lay(c, wanted)

    def usd(self, c: int, serve_usd: np.ndarray) -> np.ndarray:
        """(S,) fit: $ per request of class c, bringing the server up included."""
        tables, system = self.tables, self.tables.system
        m = system.class_model[c]
        share = np.where(tables.can_serve[:, c], tables.work_ms[:, c], 0) / system.slot_ms
        load_usd = np.where(self.model == m, 0.0, self._bring_up_usd(m))
        standing = self.on_usd + load_usd / self._settings.horizon_slots
        return serve_usd + share * standing

    def _by_region(self, room: np.ndarray) -> np.ndarray:
        return sum_by(self.tables.system.server_region, room, self.tables.sizes[0])

    def patience(self) -> np.ndarray:
        """(S,) spare slots that cost as much as starting anew; infinite where running earns."""
        given = self._settings.patience_slots
        if given is not None:
            return np.full(self.on_usd.shape, float(given))
        system = self.tables.system
        kind, m = system.server_type, np.maximum(self.running, 0)
        start_usd = system.weights.loading_factor * system.start_usd[kind, m]
        costs = self.on_usd > 0
        rate = np.where(costs, self.on_usd, 1.0)
        slots = system.start_ms[kind, m] / system.slot_ms + start_usd / rate
        return np.where(costs, slots, np.inf)

    def _bring_up_usd(self, m: int) -> np.ndarray:
        """(S,) $ of loading model m: from off, or instead of a model that may be wanted again."""
        system = self.tables.system
        kind, factor = system.server_type, system.weights.loading_factor
        back = np.maximum(self.running, 0)
        regret = np.maximum(0.0, 1 - self._spare_slots / np.maximum(self.patience(), 1.0))
        switch_usd = system.switch_usd[kind, m] + regret * system.switch_usd[kind, back]
        load_usd = np.where(self.on, switch_usd, system.start_usd[kind, m])
        load_ms = np.where(self.on, system.switch_ms[kind, m], system.start_ms[kind, m])
        return factor * load_usd + np.maximum(self.on_usd, 0.0) * load_ms / system.slot_ms


class Activation:
    """Commands slot by slot. Remembers how long each server has been spare, and idle.

    owner   (S,) the instance of each server, where the system is a stack of instances: each of them
            runs short of room by itself
    """

    def __init__(self, tables: Tables, settings: Settings, owner: np.ndarray | None = None):
        self._tables = tables
        self._settings = settings
        servers = tables.sizes[1]
        self._spare_slots = np.zeros(servers, np.int64)
        self._idle_slots = np.zeros(servers, np.int64)
        self._owner = np.zeros(servers, np.int64) if owner is None else owner
        self._short = np.zeros((int(self._owner.max(initial=0)) + 1, tables.sizes[2]), bool)

    def plan(self, observation: Observation) -> FleetPlan:
        """Servers of this slot, nothing laid on them yet."""
        spare, short = self._spare_slots, self._short
        return FleetPlan(self._tables, observation, spare, short, self._settings, self._owner)

    def commands(self, plan: FleetPlan, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        """(S,) commands and their models once all demand is laid on the ``plan``."""
        self._short = plan.unlaid > 0
        command = np.full(plan.on.shape, int(Command.NONE))
        target = np.full(plan.on.shape, NO_MODEL)
        worked = observation.state.processing.any(axis=1)
        self._idle_slots = np.where(worked | ~plan.on, 0, self._idle_slots + 1)
        if self._settings.rule == "none":
            return command, target
        loads = self._limited(plan.claimed & (plan.model != plan.running), -self._busy_ms(plan))
        command[loads] = np.where(plan.on[loads], Command.SWITCH, Command.START)
        target[loads] = plan.model[loads]
        self._spare_slots = np.where(plan.on & ~plan.needed, self._spare_slots + 1, 0)
        if self._settings.rule == "demand":
            due = plan.ready & ~plan.needed & (self._spare_slots > plan.patience())
            last_ms = self._tables.busy_ms(observation.state.processing)
            command[self._limited(due, last_ms, -self._idle_slots)] = Command.STOP
        return command, target

    def _busy_ms(self, plan: FleetPlan) -> np.ndarray:
        return self._tables.busy_ms(plan.processing)

    def _limited(self, wanted: np.ndarray, *rank: np.ndarray) -> np.ndarray:
        """The first of ``wanted`` (S,) by rank: as many in each region as may change at once."""
        region = self._tables.system.server_region
        servers = np.bincount(region, minlength=self._tables.sizes[0])
        most = np.maximum(1, np.floor(self._settings.gradual * servers)).astype(np.int64)
        return fill_in_order(most, region, wanted.astype(np.int64), *rank) > 0

"""Server counts: how many servers of each type in each region are on with each model.

The yardsticks from the literature on right-sizing decide numbers of servers, d ∈ region × type ×
model; this module says what such a number costs, and turns numbers into commands of named servers.

Demand. What waits and what is forecast, with the margin of ``Settings``, is laid on all servers
that are up, by the routing of ``greedy_forecast`` and the order of fit of ``activation``, where a
server ready with another model may be switched. That says how many servers n[d] are wanted. (Laid
as if all servers were off, demand jumps between types that are alike whenever a price moves, and
switches cost many times what they save.) x[d] servers then cost in a slot

    f_d(x) = on_d·x + unserved_d·(n[d] − x)⁺                                   (hitting cost)

with on_d idle energy and rent of a server for a slot, and unserved_d what a wanted server that is
not there costs: a slot's wait of the requests laid on it, v·Δ each, and π for those whose deadline
ends with the slot. One more server costs β_d, its start and the rent and energy while it loads.
What this leaves out: servers of different d stand in for each other only in the demand.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import OFF
from torta_opt.allocation.policies.activation import FleetPlan
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Tables, fill_in_order
from torta_opt.allocation.policies.greedy_forecast import GreedyForecast
from torta_opt.allocation.schedule.data import NO_MODEL, Command
from torta_opt.io import InvalidInput


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


@dataclass(frozen=True, eq=False)
class Demand:
    """What server counts cost in one slot; all arrays are (P, M); see the module.

    wanted        n, servers
    on_usd        on_d
    unserved_usd  unserved_d
    start_usd     β_d
    """

    wanted: np.ndarray
    on_usd: np.ndarray
    unserved_usd: np.ndarray
    start_usd: np.ndarray


class ServerCountPolicy(GreedyForecast):
    """Decides levels; requests go where ``greedy_forecast`` sends them.

    Of ``Settings``, ``smoothing``, ``safety`` and ``horizon_slots`` apply.
    """

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        if self.settings.rule != "demand":
            message = "must be demand: this policy has its own rule for which servers are on"
            raise InvalidInput(message, field="rule")

    def reset(self, system: Any, seed: int) -> None:
        super().reset(system, seed)
        self.kinds = Kinds(self.tables)

    @abstractmethod
    def levels(self, demand: Demand, now: np.ndarray) -> np.ndarray:
        """(P, M) servers to have on, where ``now`` are."""

    def commands(self, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        demand = self.demand(observation)
        now = self.kinds.count(np.where(observation.up, observation.state.model, OFF))
        levels = np.where(self.kinds.holds, self.levels(demand, now), 0)
        return toward(self.kinds, observation, levels, demand.wanted)

    def demand(self, observation: Observation) -> Demand:
        """The demand of the slot, laid on the servers that are up."""
        servers = self.tables.sizes[1]
        idle, one = np.ones(servers, np.int64), np.zeros(servers, np.int64)
        short = np.zeros((1, self.tables.sizes[2]), bool)
        plan = FleetPlan(self.tables, observation, idle, short, self.settings, one)
        self.lay_demand(plan, observation)
        wanted = self.kinds.count(np.where(plan.claimed, plan.model, OFF))
        usd = np.zeros(self.kinds.shape)
        laid = plan.processing @ self._unserved_usd(observation)
        some = plan.claimed
        np.add.at(usd, (self.kinds.of_server[some], plan.model[some]), laid[some])
        on = np.broadcast_to(self.kinds.on_usd(observation.price)[:, None], self.kinds.shape)
        start = self.kinds.start_usd(observation.price)
        return Demand(wanted, on, usd / np.maximum(wanted, 1), start)

    def _unserved_usd(self, observation: Observation) -> np.ndarray:
        """(C,) of a request that is not served in this slot."""
        system = self.tables.system
        ages = np.arange(1, observation.state.waiting.shape[2] + 1)
        waiting = observation.state.waiting.sum(axis=0)
        due = np.where(ages >= system.deadline_slots[:, None], waiting, 0).sum(axis=1)
        coming = self.expected.sum(axis=0)
        due = due + np.where(system.deadline_slots == 0, coming, 0.0)
        share = due / np.maximum(waiting.sum(axis=1) + coming, 1.0)
        wait = system.weights.time_usd_per_s * system.slot_s
        return wait + np.minimum(share, 1.0) * system.weights.expiry_usd


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

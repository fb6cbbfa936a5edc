"""Server counts: how many servers of each type in each region are on with each model.

The yardsticks from the literature on right-sizing decide numbers of servers, d ∈ region × type ×
model; this module says what such a number costs, and ``kinds`` turns numbers into commands of
named servers.

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
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import OFF
from torta_opt.allocation.policies.activation import FleetPlan
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.greedy_forecast import GreedyForecast
from torta_opt.allocation.policies.kinds import Kinds, toward
from torta_opt.io import InvalidInput


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

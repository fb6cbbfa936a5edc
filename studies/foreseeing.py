"""A policy that sees some slots ahead: what perfect foresight of k slots is worth.

In every slot it plans the servers of a window by the merged program: the arrivals of this slot and
of the next ``ahead`` slots as they will come, those after that as the smoothed forecast expects
them. Servers follow the plan (``server_counts.toward``), and requests go where ``greedy_forecast``
sends them. With ``ahead=0`` it sees no more than any policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from torta_opt.allocation.foresight.inner import kinds_of, merged_of
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.greedy_forecast import GreedyForecast
from torta_opt.allocation.policies.kinds import Kinds, toward
from torta_opt.allocation.policies.window import window_instance
from torta_opt.solvers import solve_lp

LONGEST = 48  # slots that are planned at once, however many are known


@dataclass(frozen=True, eq=False)
class Types(Kinds):
    """Servers by type alone: p is the type."""

    @cached_property
    def of_server(self) -> np.ndarray:
        return self.tables.system.server_type

    @property
    def shape(self) -> tuple[int, int]:
        system = self.tables.system
        return len(system.types), len(system.models)

    @cached_property
    def kind(self) -> np.ndarray:
        return np.arange(self.shape[0])


class Foreseeing(GreedyForecast):
    """See the module; ``window`` slots are planned, ``ahead`` + 1 of them as they will come."""

    def __init__(
        self, instance: Instance, ahead: int, window: int = 8, threshold: float = 0.3
    ) -> None:
        super().__init__()
        self.name = f"foreseeing-{ahead}"
        self.future, self.ahead = instance.arrivals, ahead
        self.window, self.threshold = max(window, min(ahead, LONGEST - 1) + 1), threshold

    def reset(self, system: Any, seed: int) -> None:
        super().reset(system, seed)
        self.types = Types(self.tables)

    def commands(self, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        whole = self.plan(observation)
        return toward(self.types, observation, whole, whole)

    def plan(self, observation: Observation) -> np.ndarray:
        """(K, M) servers to have on: ready or loading at the end of the slot's commands."""
        slots = min(self.window, len(self.future) - observation.slot)
        window = window_instance(self.tables.system, observation, self.wanted(), slots, "window")
        known = min(self.ahead + 1, slots)
        arrivals = window.arrivals.copy()
        arrivals[:known] = self.future[observation.slot : observation.slot + known]
        merged = merged_of(
            Instance(
                window.name, window.system, window.initial, arrivals,
                window.price_usd_per_kwh, window.up,
            ),
            1,
        )  # fmt: skip
        result = solve_lp(merged.program.problem().relaxed()).raise_if_interrupted()
        if result.x is None:
            raise RuntimeError(f"slot {observation.slot}: the program of the window is not solved")
        values, kind = merged.program.values(result.x), kinds_of(merged)
        on = values["ready"][0] + values["start"][0] + values["enter"][0]
        for entry in merged.program.pools.loading:
            if merged.program.pools.up[0, entry.pool]:
                on[entry.pool, entry.model] += entry.servers
        levels = np.zeros(self.types.shape)
        np.add.at(levels, kind, on)
        return np.maximum(np.floor(levels + 1 - self.threshold - 1e-6), 0).astype(np.int64)

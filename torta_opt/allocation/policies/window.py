"""A few slots ahead as a linear program: what the fixed-horizon yardsticks solve in every slot.

The program is the relaxation of ``formulations.allocation`` over slots t … t+w−1: from the state of
the fleet and the queues as they are, with the arrivals of slot t, the forecast with the margin of
``Settings`` for those after it, the prices known 24 hours ahead, and the servers up that are up
now. It has no terminal value: at the end of the window what waits expires and servers are worth
nothing. Of its answer two things are kept, slot by slot: how many servers are on with each model,
and how each origin splits its requests.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.formulations.rolling import RollingProgram
from torta_opt.allocation.instance.data import Initial, Instance, System
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Capacity
from torta_opt.allocation.policies.greedy_forecast import GreedyForecast
from torta_opt.allocation.policies.kinds import Kinds, toward
from torta_opt.allocation.policies.routing import apportion
from torta_opt.allocation.policies.settings import check_number
from torta_opt.io import InvalidInput
from torta_opt.solvers import solve_lp

LONGEST = 1000  # slots of a window


@dataclass(frozen=True, eq=False)
class WindowPlan:
    """The answer of the program made in slot ``slot``.

    levels  (w, P, M) servers on, p as in ``Kinds``
    flow    (w, R, R, C) requests
    """

    slot: int
    levels: np.ndarray
    flow: np.ndarray


class WindowPolicy(GreedyForecast):
    """Follows plans of a window; which one, or what of several, ``plan_now`` says.

    window      slots planned ahead, w ≥ 1
    threshold   a fraction of a server above it counts as a whole one
    """

    def __init__(self, window: int = 4, threshold: float = 0.3, **settings: Any):
        super().__init__(**settings)
        check_number("window", window, 1, LONGEST)
        if window != int(window):
            raise InvalidInput(f"must be a whole number, found {window!r}", field="window")
        check_number("threshold", threshold, 0, 1)
        self.window, self.threshold = int(window), threshold

    def reset(self, system: System, seed: int) -> None:
        super().reset(system, seed)
        self.kinds = Kinds(self.tables)
        self._rolling = RollingProgram()

    @abstractmethod
    def plan_now(self, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        """(P, M) servers on and (R, R, C) requests of this slot, both real."""

    def commands(self, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        levels, self._flow = self.plan_now(observation)
        whole = np.floor(levels + 1 - self.threshold - 1e-6).astype(np.int64)
        return toward(self.kinds, observation, np.maximum(whole, 0), whole)

    def route(self, c: int, requests: np.ndarray, desk: Capacity) -> np.ndarray:
        flow = np.where(self.tables.system.allowed, np.maximum(self._flow[:, :, c], 0.0), 0.0)
        total = flow.sum(axis=1)
        planned = total > 1e-6
        share = flow / np.where(planned, total, 1.0)[:, None]
        routed = apportion(np.where(planned, requests, 0), share)
        left = np.where(planned, 0, requests)
        return routed + super().route(c, left, desk) if left.any() else routed

    def solve(self, observation: Observation) -> WindowPlan:
        """The program of this slot."""
        instance = window_instance(
            self.tables.system, observation, self.wanted(), self.window, self.name
        )
        program = self._rolling.advance(instance)
        result = solve_lp(program.problem()).raise_if_interrupted()
        if result.x is None:
            raise RuntimeError(f"slot {observation.slot}: the program of the window is not solved")
        values = program.values(result.x)
        return WindowPlan(observation.slot, levels_on(program, values, self.kinds), values["x"])


def window_instance(
    system: System, observation: Observation, expected: np.ndarray, slots: int, name: str
) -> Instance:
    """The next ``slots`` slots as an instance of their own, ``expected`` (R, C) in all but one."""
    state = observation.state
    arrivals = np.repeat(expected[None], slots, axis=0)
    arrivals[0] = observation.arrivals
    ahead = np.minimum(np.arange(slots), len(observation.price_ahead) - 1)
    return Instance(
        name=name,
        system=system,
        initial=Initial(
            model=state.model,
            loading_ms=state.loading_ms,
            backlog=state.waiting,
            processing=state.processing,
            routing=state.routing,
        ),
        arrivals=arrivals,
        price_usd_per_kwh=observation.price_ahead[ahead],
        up=np.repeat(observation.up[None], slots, axis=0),
    )


def levels_on(
    program: AllocationProgram, values: dict[str, np.ndarray], kinds: Kinds
) -> np.ndarray:
    """(w, P, M) servers ready or loading with each model; no outage begins within the window."""
    pools = program.pools
    on = values["ready"].astype(float)
    slots = len(on)
    for name, length in (("start", pools.start_slots), ("enter", pools.switch_slots)):
        for p, m in zip(*np.nonzero(length), strict=True):
            begun = np.concatenate([np.zeros(length[p, m]), values[name][:, p, m].cumsum()])
            on[:, p, m] += begun[length[p, m] :] - begun[:slots]
    for entry in pools.loading:
        if pools.up[0, entry.pool]:
            on[: entry.slots, entry.pool, entry.model] += entry.servers
    by_kind = np.zeros((slots, *kinds.shape))
    types = len(kinds.tables.system.types)
    kind = pools.region * types + pools.type
    np.add.at(by_kind, (slice(None), kind), on)  # type: ignore[arg-type]  # numpy: tuples too
    return by_kind

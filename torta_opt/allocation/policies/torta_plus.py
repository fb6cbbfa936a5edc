"""Ours: the plan of ``open_loop``, assignment programs below it, and a learned value of servers.

A linear program that looks a few slots ahead chooses the regions of requests together with what
servers process (``program_routing``); an assignment program hands the requests of each region to
its servers (``program_dispatch``).

Where a value is asked for, two plans are made. The *plain* one is that of ``open_loop``. The
*learned* one plans the first epochs alone and lets a learned value V
(``formulations.server_value``) say what the servers that are ready at their end are worth: cuts,
or an input-convex network.

The learned plan is carried out only where its first moves are clearly cheaper than the plain ones
over sampled futures that neither plan has seen: the plain program is solved on fresh samples twice,
with the first moves of each plan fixed (``plan_guard``). A value that holds numbers that are not
finite is never used. The guard does not see queues: docs/torta_plus.md says what broken values cost
with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from torta_opt.allocation.formulations.fleet_program import FleetPlan, FleetProgram
from torta_opt.allocation.formulations.server_value import ServerValue
from torta_opt.allocation.instance.data import System
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.fleet_values import is_finite, load_value, value_features
from torta_opt.allocation.policies.fleet_view import FleetView
from torta_opt.allocation.policies.open_loop import SAMPLE_SEED, SAMPLES, OpenLoop
from torta_opt.allocation.policies.plan_guard import MARGIN, is_clearly_cheaper
from torta_opt.allocation.policies.settings import check_number
from torta_opt.io import InvalidInput
from torta_opt.solvers import Limits

VALUES = ("none", "cuts", "network")
NEAR_EPOCHS = 5  # planned by the program where a value stands for the rest
SOLVES = 4  # programs of a slot; the budget is divided among them


class TortaPlus(OpenLoop):
    """See the module. Its own parameters, beside those of ``OpenLoop``:

    value     ``none``: the plain plan alone; ``cuts`` or ``network``: see the module
    weights   file or name of the value's weights; those for the system if left out
    micro     ``routed`` unless ``program`` (greedy routing) or ``greedy`` is asked for
    margin    standard errors by which a learned plan has to be cheaper (``plan_guard``)
    """

    name = "torta_plus"

    def __init__(
        self,
        value: str = "none",
        weights: str | None = None,
        micro: str = "routed",
        margin: float = MARGIN,
        **settings: Any,
    ):
        super().__init__(micro=micro, **settings)
        check_number("margin", margin, 0, 1e6)
        self.margin = margin
        if value not in VALUES:
            raise InvalidInput(f"must be one of {', '.join(VALUES)}", field="value")
        self.value, self.weights = value, weights
        self.learned: ServerValue | None = None

    def reset(self, system: System, seed: int) -> None:
        super().reset(system, seed)
        self.used = self.proposed = 0
        if self.value == "none":
            return
        if not system.allowed.all():
            raise InvalidInput(
                f"{self.value!r} needs every region to serve every other; use none", field="value"
            )
        value = self.learned or load_value(self.value, system, self.weights)
        usable_ms = self.load * system.slot_ms
        self._near = self.near_program(usable_ms, value)
        self._judge = self.new_program(None)
        self._fresh = self.new_samples(SAMPLE_SEED + 1)

    def prepare(self, observation: Observation) -> None:
        super().prepare(observation)
        if self.value != "none":
            self._fresh.learn(self.zones.arriving(observation.arrivals)[None])

    def near_program(self, usable_ms: float, value: ServerValue) -> FleetProgram:
        """The program of the first epochs, with V behind them."""
        return FleetProgram(self.tables.system, NEAR_EPOCHS, SAMPLES, usable_ms, value)

    def plan(self, observation: Observation, view: FleetView) -> FleetPlan | None:
        if self.value == "none":
            return super().plan(observation, view)
        limits = Limits(seconds=self.budget / SOLVES, threads=1)
        state, costs = view.state(), self.costs(observation, view)
        demand = self.demand(observation, self.samples)
        plain = self.program.solve(state, costs, demand, limits=limits)
        learned = self.learned_plan(observation, view, demand, limits)
        if plain is None or learned is None:
            return plain or learned
        self.proposed += 1
        fresh = self.demand(observation, self._fresh)
        judged = [
            self._judge.solve(state, costs, fresh, first=plan, limits=limits)
            for plan in (learned, plain)
        ]
        if not is_clearly_cheaper(judged[0], judged[1], self.margin):
            return plain
        self.used += 1
        return learned

    def learned_plan(
        self, observation: Observation, view: FleetView, demand: np.ndarray, limits: Limits
    ) -> FleetPlan | None:
        """The plan with V; None where the end is near, or where V is no number."""
        slots = self.slots(observation)[:NEAR_EPOCHS]
        left = len(observation.price_ahead) - slots.sum()
        if left <= 0:
            return None
        near = demand[:NEAR_EPOCHS]
        features = value_features(near[-1].mean(axis=0), float(left))
        if not is_finite(self._near.value, features):
            return None
        costs = view.costs(slots, self.shortage, 0.0)
        return self._near.solve(view.state(), costs, near, features, limits=limits)

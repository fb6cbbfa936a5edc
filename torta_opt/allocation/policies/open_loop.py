"""Open-loop feedback control of the fleet: plan it against sampled demand, act, plan again.

Every ``replan_slots`` slots the fleet program (``formulations.fleet_program``) is solved: how many
servers of each type to have on with each model, all regions as one, over epochs of 2, 2, 4, 8, 16 …
slots up to ``span`` slots ahead or the end of the known electricity prices. The numbers are common
to all samples of demand (``demand_samples``), so no plan uses a future that it cannot know; a start
happens only if it pays over what the samples bring. Of the plan, the first epoch is carried out. At
the end of the span a ready server is worth a share of its start, the less the fewer slots follow.

A request that is not served in its slot costs ``shortage`` times its expiry price: queues are not
in the program, and a shortage lasts for some slots.

Where the past refutes the process that samples are drawn from (``DemandSamples.is_refuted``), as
with demand that comes and goes, the servers are those that ``greedy_forecast`` would have; so they
are before the first request, and where a plan from the demand of few slots is a bet (``is_hasty``).

Where residency confines demand to some regions, the plan tells apart the regions and origins that
differ in what is allowed (``zones``). Routing and dispatch are those of ``greedy_forecast``, or of
``micro=program``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from torta_opt.allocation.formulations.fleet_program import FleetCosts, FleetPlan, FleetProgram
from torta_opt.allocation.formulations.server_value import ServerValue
from torta_opt.allocation.instance.data import System
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.demand_samples import DemandProcess, DemandSamples
from torta_opt.allocation.policies.fleet_view import FleetView
from torta_opt.allocation.policies.greedy_forecast import GreedyForecast
from torta_opt.allocation.policies.settings import check_number, check_share
from torta_opt.allocation.policies.whole_moves import whole_moves
from torta_opt.allocation.policies.zones import Zones
from torta_opt.io import InvalidInput
from torta_opt.solvers import Limits

EPOCH_SLOTS = (2, 2, 4, 8, 16, 32, 64)
SAMPLES = 12
SAMPLE_SEED = 7
ITERATIONS = 100_000  # of the simplex method for one plan, which takes some thousands at most
WORTH = 0.5  # of a start, of a server that is ready at the end of the span
WORTH_SLOTS = 90.0  # to follow the span, for it to be worth that much
SETTLED = 5  # slots of demand from which every plan is carried out
MOST_STOPS = 0.7  # of the servers that are on, that plans from fewer slots may stop
CHEAP_WAIT = 0.1  # of starting those servers again: what keeping them for those slots may cost


class OpenLoop(GreedyForecast):
    """See the module. Its own parameters, beside those of ``Settings``:

    load          share of a server's time that plans count on
    shortage      what a request not served in its slot costs, in expiry prices
    threshold     a part of a server above it counts as one
    replan_slots  slots from plan to plan
    span          slots planned ahead at most
    spread        σ of the total demand around its slow mean
    settle_slots  slots at the beginning in which the servers are those of ``greedy_forecast``; 0
                  plans at once, from the demand of one slot
    budget        seconds that a slot's plan may take; when they are over, the servers are those
                  that ``greedy_forecast`` would have. null: plans are limited by work alone
                  (``ITERATIONS``), so that the same run gives the same schedule on every machine
    """

    name = "open_loop"
    deterministic = True

    def __init__(
        self,
        load: float = 0.85,
        shortage: float = 1.5,
        threshold: float = 0.6,
        replan_slots: int = 4,
        span: int = 128,
        spread: float = 0.15,
        settle_slots: int = 0,
        budget: float | None = None,
        **settings: Any,
    ):
        super().__init__(**settings)
        check_share("load", load)
        check_share("threshold", threshold)
        check_number("shortage", shortage, 0, 1e6)
        check_number("spread", spread, 0, 10)
        if budget is not None:
            check_number("budget", budget, 0, 1e6)
        for name, value, least in (
            ("replan_slots", replan_slots, 1),
            ("span", span, 4),
            ("settle_slots", settle_slots, 0),
        ):
            check_number(name, value, least, 1e6)
            if value != int(value):
                raise InvalidInput(f"must be a whole number, found {value!r}", field=name)
        if load == 0:
            raise InvalidInput("must be above 0", field="load")
        self.load, self.shortage, self.threshold = load, shortage, threshold
        self.replan_slots, self.span = int(replan_slots), int(span)
        self.spread, self.settle_slots = spread, int(settle_slots)
        self.budget = math.inf if budget is None else float(budget)

    def reset(self, system: System, seed: int) -> None:
        super().reset(system, seed)
        self.zones = Zones(system)
        self.samples = self.new_samples(SAMPLE_SEED)
        self.program = self.new_program(None)

    @property
    def epoch_slots(self) -> tuple[int, ...]:
        """Lengths of the epochs; ``span`` and the end of the prices cut the last ones short."""
        return EPOCH_SLOTS

    def new_samples(self, seed: int) -> DemandSamples:
        process = DemandProcess(spread=self.spread)
        return DemandSamples(self.zones.system, process, len(self.epoch_slots), SAMPLES, seed)

    def new_program(self, value: ServerValue | None) -> FleetProgram:
        system = self.zones.system
        usable_ms = self.load * system.slot_ms
        return FleetProgram(system, len(self.epoch_slots), SAMPLES, usable_ms, value)

    def prepare(self, observation: Observation) -> None:
        super().prepare(observation)
        self.samples.learn(self.zones.arriving(observation.arrivals)[None])

    def commands(self, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        samples = self.samples
        settling = observation.slot < self.settle_slots
        unknown = settling or not samples.has_level or samples.is_refuted()
        if self.settings.rule != "demand" or unknown or not self.zones.are_few:
            return super().commands(observation)
        if observation.slot % self.replan_slots:
            idle = np.full(len(observation.up), 0)
            return idle, idle - 1
        view = FleetView(self.tables, self.program.kinds, observation)
        plan = self.plan(observation, view)
        if plan is None or self.is_hasty(observation, view, plan):
            return super().commands(observation)
        zone = self.zones.type_zone
        return view.commands(
            whole_moves(view.kinds, view.state(), plan, self.threshold, self.load, zone)
        )

    def is_hasty(self, observation: Observation, view: FleetView, plan: FleetPlan) -> bool:
        """The plan is a bet on the demand of few slots: it stops most of the servers that are on,
        where it costs little beside starting them again to keep them until more has been seen.

        Whoever had these servers on expected more demand; one quiet slot is weak evidence against
        it, and demand that comes and goes is refuted only once it has come.
        """
        if self.samples.seen >= SETTLED:
            return False
        state, costs, stop = view.state(), self.costs(observation, view), plan.stop[0]
        keep_usd = SETTLED * float(stop @ costs.on[0, view.kinds.type])
        again_usd = float(stop @ costs.start)
        most = MOST_STOPS * float(state.ready.sum() + state.loading.sum())
        return bool(stop.sum() > most and keep_usd < CHEAP_WAIT * again_usd)

    def plan(self, observation: Observation, view: FleetView) -> FleetPlan | None:
        """The plan of this slot; None if the budget is spent."""
        demand = self.demand(observation, self.samples)
        limits = Limits(seconds=self.budget, work=ITERATIONS)
        return self.program.solve(
            view.state(), self.costs(observation, view), demand, limits=limits
        )

    def slots(self, observation: Observation) -> np.ndarray:
        """(E,) L, slots of the epochs."""
        end = np.minimum(np.cumsum(self.epoch_slots), min(self.span, len(observation.price_ahead)))
        lengths: np.ndarray = np.diff(end, prepend=0).astype(float)
        return lengths

    def costs(self, observation: Observation, view: FleetView) -> FleetCosts:
        slots = self.slots(observation)
        after = len(observation.price_ahead) - slots.sum()
        worth = WORTH * min(1.0, after / WORTH_SLOTS)
        return view.costs(slots, self.shortage, worth)

    def demand(self, observation: Observation, samples: DemandSamples) -> np.ndarray:
        """(E, S, C) requests of a slot; what waits comes on top in the first epoch."""
        slots = self.slots(observation)
        demand = samples.draw(slots)
        waiting = self.zones.waiting(observation.state.waiting.sum(axis=2))
        demand[0] += waiting / self.epoch_slots[0]
        return demand

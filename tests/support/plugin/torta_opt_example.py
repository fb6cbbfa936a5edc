"""A package that adds a policy to torta-opt: every request stays at home, the fleet as it is."""

from __future__ import annotations

import numpy as np

from torta_opt.instance.data import OFF, System
from torta_opt.policies.base import Decision, Observation
from torta_opt.schedule.data import NO_MODEL


class StayHome:
    """Serves with server 0 alone, ``limit`` requests of class 0 a slot at the most."""

    name = "stay_home"

    def __init__(self, limit: int = 1):
        self.limit = limit

    def reset(self, system: System, seed: int) -> None:
        self.system = system

    def decide(self, observation: Observation) -> Decision:
        regions, classes = observation.arrivals.shape
        servers = observation.up.size
        routing = np.zeros((regions, regions, classes), int)
        routing[np.arange(regions), np.arange(regions)] = observation.arrivals
        processing = np.zeros((servers, classes), int)
        if observation.up[0] and observation.state.model[0] != OFF:
            home = self.system.server_region[0]
            there = observation.arrivals[home, 0] + observation.state.waiting[home, 0].sum()
            processing[0, 0] = min(self.limit, there)
        nothing = np.zeros(servers, int)
        return Decision(routing, nothing, nothing + NO_MODEL, processing)

    def forecast(self) -> None:
        return None


class Unfinished:
    """Lacks everything a policy needs."""

"""A package that adds a policy to torta-opt: every request stays at home, the fleet as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from torta_opt.allocation.instance.data import OFF, System
from torta_opt.allocation.policies.base import Decision, Observation
from torta_opt.allocation.schedule.data import NO_MODEL
from torta_opt.io import InvalidInput


class StayHome:
    """Serves with server 0 alone, ``limit`` requests of class 0 a slot at the most."""

    name = "stay_home"

    def __init__(self, limit: int = 1):
        self.limit = limit

    def reset(self, system: System, seed: int) -> None:
        self.system, self.regions = system, len(system.regions)

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


class Failing(StayHome):
    """Serves as it should, but for what ``how`` says goes wrong."""

    name = "failing"

    def __init__(self, how: str = "constructor"):
        super().__init__()
        if how == "constructor":
            raise RuntimeError("no licence\nfound")
        if how == "value":
            raise ValueError("how must be something else")
        self.how = how
        if how == "name":
            self.name = None

    def __setattr__(self, field: str, value: object) -> None:
        if not (field == "name" and getattr(self, "how", "") == "name" and value is not None):
            super().__setattr__(field, value)

    def reset(self, system: System, seed: int) -> None:
        super().reset(system, seed)
        if self.how == "reset":
            raise KeyError("system")

    def decide(self, observation: Observation) -> Decision:
        right = super().decide(observation)
        if self.how == "decide" and observation.slot == 1:
            return 1 // 0
        if self.how == "exit":
            raise SystemExit(0)
        if self.how == "refusal":
            raise InvalidInput("is not to my liking", field="observation")
        if self.how == "silent":
            raise Wordless
        if self.how == "ragged":
            return replace(right, command=[[1], [1, 2]])
        if self.how == "rule":
            return replace(right, routing=right.routing + 1)
        if self.how == "huge":
            return replace(right, command=right.command + 2**62)
        if self.how == "ctrl_c":
            raise KeyboardInterrupt
        wrong = {"none": None, "text": "routing", "table": {"routing": right.routing}}
        return wrong.get(self.how, right)

    def forecast(self) -> object:
        forecasts = {"forecast": "many", "forecast_huge": [1e308] * 9, "forecast_nan": [np.nan] * 9}
        found = forecasts.get(self.how)
        return found if self.how == "forecast" or found is None else found[: self.regions]


class Wordless(Exception):
    """An exception whose text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Unfinished:
    """Lacks everything a policy needs."""

"""Any fleet rule with any routing: ``operator:fleet=hpa:routing=gorgo``.

Operators combine an autoscaler, which decides how many servers are on, with a router, which decides
where requests go; neither knows the other. ``FLEETS`` and ``ROUTINGS`` are the two tables. A fleet
rule is one file of ``fleets``; a routing is a policy whose own rule for servers the fleet rule
replaces (``fleet=eq6`` leaves it in place). Other parameters go to the fleet rule if it has one of
that name, and else to the routing.

The policies named after a fleet rule (``hpa``, ``wva``, …) are this one with ``fleet`` fixed.
"""

from __future__ import annotations

import inspect
from functools import partial
from importlib import import_module
from typing import Any, cast

import numpy as np

from torta_opt.allocation.instance.data import System
from torta_opt.allocation.policies.base import Decision, Observation
from torta_opt.allocation.policies.fleets.rule import FleetRule
from torta_opt.allocation.policies.layered import LayeredPolicy
from torta_opt.io import InvalidInput

EQ6 = "eq6"
FLEETS = {
    "hpa": "fleets.hpa:Hpa",
    "keda_cron": "fleets.keda_cron:KedaCron",
    "wva": "fleets.wva:Wva",
    "sageserve": "fleets.sageserve:SageServe",
    "agh": "fleets.agh:Agh",
}
ROUTINGS = {
    "skylb": "skylb:SkyLB",
    "gorgo": "gorgo:Gorgo",
    "fluid": "fluid:Fluid",
    "greedy_forecast": "greedy_forecast:GreedyForecast",
    "round_robin": "round_robin:RoundRobin",
    "sdib": "sdib:Sdib",
    "torta_ot": "torta_ot:TortaOt",
}
OF_EQ6 = ("rule", "safety", "gradual", "horizon_slots", "patience_slots")


class Operator:
    """See the module."""

    name = "operator"

    def __init__(self, fleet: str = "hpa", routing: str = "skylb", **given: Any):
        rule = None if fleet == EQ6 else _load(FLEETS, fleet, "fleet", EQ6)
        own = _parameters(rule) if rule is not None else ()
        self._rule: FleetRule | None = None
        if rule is not None:
            self._rule = rule(**{name: value for name, value in given.items() if name in own})
        rest = {name: value for name, value in given.items() if name not in own}
        idle = [name for name in rest if name in OF_EQ6 and rule is not None]
        if idle:
            raise InvalidInput(f"has no effect with fleet={fleet}", field=idle[0])
        self._router: LayeredPolicy = _load(ROUTINGS, routing, "routing")(**rest)

    @property
    def deterministic(self) -> bool:
        return getattr(self._router, "deterministic", False) is True

    def reset(self, system: System, seed: int) -> None:
        self._router.fleet_rule = self._rule
        self._router.reset(system, seed)
        if self._rule is not None:
            self._rule.reset(self._router.tables)

    def decide(self, observation: Observation) -> Decision:
        return self._router.decide(observation)

    def forecast(self) -> np.ndarray:
        return self._router.forecast()


def with_fleet(fleet: str, **given: Any) -> Operator:
    """The operator with a fixed fleet, and its name."""
    policy = Operator(fleet, **given)
    policy.name = fleet
    return policy


hpa = partial(with_fleet, "hpa")
keda_cron = partial(with_fleet, "keda_cron")
wva = partial(with_fleet, "wva")
sageserve = partial(with_fleet, "sageserve")
agh = partial(with_fleet, "agh")


def _load(table: dict[str, str], name: str, field: str, *others: str) -> Any:
    if name not in table:
        known = ", ".join((*table, *others))
        raise InvalidInput(f"must be one of {known}, found {name!r:.60}", field=field)
    module, _, kind = table[name].partition(":")
    return getattr(import_module(f"torta_opt.allocation.policies.{module}"), kind)


def _parameters(rule: type[FleetRule]) -> set[str]:
    """Names of the parameters of a rule, those that it hands to the rule it derives from too."""
    names: set[str] = set()
    for kind in rule.__mro__:
        if issubclass(kind, FleetRule) and "__init__" in vars(kind):
            names |= set(inspect.signature(cast(Any, kind)).parameters)
    return names - {"given"}

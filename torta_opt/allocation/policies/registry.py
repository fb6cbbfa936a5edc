"""Policies by name, ours and those of other packages.

    create("skylb")
    create("torta_ot:split=sample:safety=3")      parameters follow the name, each after a colon

Another package adds a policy by an entry point of the group ``torta_opt.policies``: its name is the
policy's, its value a class or function that gives a policy (see ``base.Policy``). Its keyword
arguments become parameters. A name of ours cannot be taken over.
"""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any

from torta_opt import plugins
from torta_opt.allocation.policies.base import Policy
from torta_opt.allocation.policies.failures import PolicyFailed, blamed_on
from torta_opt.io import InvalidInput
from torta_opt.io.text import did_you_mean


@dataclass(frozen=True)
class Entry:
    """Where a policy of ours lives, and what it does in a line.

    on_request   takes minutes on a large instance, needs weights, or is what operators run; runs
                 only where it is named
    """

    module: str
    constructor: str
    summary: str
    on_request: bool = False

    def load(self) -> Callable[..., Policy]:
        return getattr(
            import_module(f"torta_opt.allocation.policies.{self.module}"), self.constructor
        )


BUILT_IN: dict[str, Entry] = {
    "round_robin": Entry(
        "round_robin", "RoundRobin", "sends requests to regions in turn, then to servers in turn"
    ),
    "skylb": Entry(
        "skylb",
        "SkyLB",
        "serves locally, sends the excess to other regions, keeps requests at their cache",
    ),
    "sdib": Entry(
        "sdib", "Sdib", "balances the utilisation and idle time of the servers of all regions"
    ),
    "greedy_forecast": Entry(
        "greedy_forecast",
        "GreedyForecast",
        "forecasts demand; sends each request where serving it costs least",
    ),
    "torta_ot": Entry(
        "torta_ot",
        "TortaOt",
        "TORTA without learning: optimal transport picks regions, scores pick servers",
    ),
    "torta": Entry(
        "torta",
        "Torta",
        "TORTA: a network trained for the topology picks regions, scores pick servers",
        on_request=True,
    ),
    "torta_plus": Entry(
        "torta_plus",
        "TortaPlus",
        "open_loop with assignment programs below it and, if asked for, a learned value of servers",
        on_request=True,
    ),
    "lcp": Entry("lcp", "Lcp", "lazy capacity provisioning of servers; greedy routing of requests"),
    "robd": Entry(
        "robd", "Robd", "regularized online balanced descent on servers; greedy routing of requests"
    ),
    "open_loop": Entry(
        "open_loop",
        "OpenLoop",
        "plans servers against sampled demand, over epochs that grow; greedy routing of requests",
    ),
    "rhc": Entry(
        "rhc",
        "Rhc",
        "receding horizon control: solves a linear program of the next few slots in every slot",
        on_request=True,
    ),
    "afhc": Entry(
        "afhc",
        "Afhc",
        "averaging fixed horizon control: averages the plans of overlapping windows",
        on_request=True,
    ),
    "operator": Entry(
        "operator",
        "Operator",
        "any fleet rule with any routing: operator:fleet=hpa:routing=gorgo",
        on_request=True,
    ),
    "hpa": Entry(
        "operator",
        "hpa",
        "Horizontal Pod Autoscaler of Kubernetes: replicas that bring utilisation to a target",
        on_request=True,
    ),
    "keda_cron": Entry(
        "operator",
        "keda_cron",
        "KEDA with a cron trigger: replicas by a timetable learned from the past",
        on_request=True,
    ),
    "wva": Entry(
        "operator",
        "wva",
        "workload variant autoscaler of llm-d: a replica more where spare capacity runs out",
        on_request=True,
    ),
    "sageserve": Entry(
        "operator",
        "sageserve",
        "SageServe: an integer program on the forecast of the hour decides the servers",
        on_request=True,
    ),
    "agh": Entry(
        "operator",
        "agh",
        "adaptive greedy heuristic: plans servers by cost per request covered, every few slots",
        on_request=True,
    ),
    "gorgo": Entry(
        "gorgo",
        "Gorgo",
        "GORGO: each request where round trip, service and queue add up to least",
        on_request=True,
    ),
    "fluid": Entry(
        "fluid",
        "Fluid",
        "routes by the shares of a linear program of steady rates",
        on_request=True,
    ),
}


UNKNOWN = "is not a parameter"  # how every policy begins to refuse a name
OFFLINE = ("clairvoyant", "optimal")  # methods of ``allocation.family``: no policy has these names


def policy_names() -> tuple[str, ...]:
    """Every policy that runs where none is named, on any instance as it is: ours first."""
    on_request = {name for name, entry in BUILT_IN.items() if entry.on_request}
    return tuple(name for name in summaries() if name not in on_request)


def summaries() -> dict[str, str]:
    """One line on each policy, by name."""
    ours = {name: entry.summary for name, entry in BUILT_IN.items()}
    theirs = {name: f"from {plugins.origin(point)}" for name, point in _entry_points().items()}
    return {**ours, **theirs}


def create(spec: str) -> Policy:
    """The policy that ``spec`` names, ``name[:parameter=value]…``.

    Raises InvalidInput if nothing has that name or the parameters are wrong, and PolicyFailed if
    another package's policy cannot be made.
    """
    name, *assignments = spec.split(":")
    constructor = _constructor(name)
    parameters: dict[str, Any] = {}
    for key, value in (_assignment(text, spec) for text in assignments):
        if key in parameters:
            raise InvalidInput(f"{key!r:.60} is given twice in {spec!r:.80}", field="policy")
        parameters[key] = value
    _check_known(name, constructor, parameters)
    try:
        policy = _made(spec, constructor, parameters)
    except InvalidInput as error:
        raise _with_own_names(error, constructor, parameters) from None
    with blamed_on(name, "making it"):
        if not isinstance(policy, Policy):
            kind = type(policy).__name__
            raise PolicyFailed(name, f"{kind} has no name, reset, decide and forecast")
        if assignments:
            policy.name = spec
    return policy


def check(spec: str) -> None:
    """Raise InvalidInput if ``spec`` is wrong; what another package does wrong shows in its run."""
    with contextlib.suppress(PolicyFailed):
        create(spec)


def _made(spec: str, constructor: Callable[..., Policy], parameters: dict[str, Any]) -> Policy:
    """What the constructor gives; values that it does not like are the user's fault."""
    name = spec.partition(":")[0]
    try:
        with blamed_on(name, "making it", is_ours=name in BUILT_IN):
            return constructor(**parameters)
    except PolicyFailed as failed:
        cause = failed.__cause__
        if parameters and isinstance(cause, TypeError | ValueError | InvalidInput):
            raise InvalidInput(f"{spec!r:.80}: {cause}", field="policy") from None
        raise


def _constructor(name: str) -> Callable[..., Policy]:
    if name in BUILT_IN:
        return BUILT_IN[name].load()
    points = _entry_points()
    if name not in points:
        known = ", ".join(summaries())
        hint = did_you_mean(name, summaries(), close=0.7) or f"; known: {known}"
        raise InvalidInput(f"{name!r:.60} is not a policy{hint}", field="policy")
    with blamed_on(name, f"loading it from {plugins.origin(points[name])}"):
        return points[name].load()


def _entry_points() -> dict[str, EntryPoint]:
    """Policies of other packages whose name is not one of ours."""
    return plugins.entries(plugins.POLICIES, (*BUILT_IN, *OFFLINE))


def _assignment(text: str, spec: str) -> tuple[str, Any]:
    """``name=value``, the value as JSON or else as text."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise InvalidInput(f"{text!r:.60} in {spec!r:.80} is not parameter=value", field="policy")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _with_own_names(
    error: InvalidInput, constructor: Callable[..., Policy], given: Mapping[str, Any]
) -> InvalidInput:
    """The error about an unknown parameter, with the nearest name or with the policy's own."""
    if error.field is None or error.field not in given or not error.rule.startswith(UNKNOWN):
        return error
    own = [
        name
        for kind in getattr(constructor, "__mro__", ())[:-1]
        for name, entry in inspect.signature(kind.__init__).parameters.items()
        if name != "self" and entry.kind in _NAMED
    ]
    shared = error.rule.rpartition(": ")[2].split(", ")
    hint = did_you_mean(error.field, [*own, *shared])
    if hint:
        return InvalidInput(f"{UNKNOWN}{hint}", error.field)
    also = f"; its own: {', '.join(dict.fromkeys(own))}" if own else ""
    return InvalidInput(f"{error.rule}{also}", error.field)


def _check_known(name: str, constructor: Callable[..., Policy], parameters: dict[str, Any]) -> None:
    if not parameters:
        return
    try:
        accepted = inspect.signature(constructor).parameters
    except (TypeError, ValueError):  # it does not say
        return
    if any(entry.kind is inspect.Parameter.VAR_KEYWORD for entry in accepted.values()):
        return
    for key in parameters:
        if key not in accepted:
            known = ", ".join(accepted) or "none"
            raise InvalidInput(
                f"{key!r:.60} is not a parameter of {name}; known: {known}", field="policy"
            )

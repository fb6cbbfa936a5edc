"""What a policy's distance from the bound is made of: servers, requests, learning, the bound.

With C(s, r) the cost of servers s (all commands) under the requests r (routing and processing),
π the policy and * the clairvoyant,

    servers    C(s_π, r_π) − C(s_*, r_π)      the clairvoyant's servers under the policy's dispatch
    requests   C(s_*, r_π) − C(s_*, r_*)      then the best requests known for these servers
    learning   C(π) − C(s_π, r_π)             a learned policy against itself with the exact plan
    bound      C(s_*, r_*) − bound            what nobody has closed

add up to cost − bound. Swapped in the other order, requests first,

    requests   C(s_π, r_π) − C(s_π, r_*)      servers   C(s_π, r_*) − C(s_*, r_*)

Both are shown: what is lost by both at once falls to the layer that is swapped first. A policy's
dispatch under other servers is the policy run again, its own commands replaced slot by slot. The
best requests for given servers are the cheapest of what ``best_requests`` finds; no proof says that
there are none better, so requests may be worth a little more than is shown, and the bound less.
Every schedule is verified before its cost counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torta_opt.allocation.foresight.inner import merged_of
from torta_opt.allocation.formulations.merged import MergedProgram
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.policies.base import Observation, Policy
from torta_opt.allocation.policies.layered import LayeredPolicy
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.search.clairvoyant import solve_clairvoyant
from torta_opt.allocation.search.merged_plan import requests_on
from torta_opt.family import Request
from torta_opt.io import InvalidInput
from torta_opt.results import Attribution, BoundResult, Split
from torta_opt.solvers import Limits

DISPATCHERS = ("greedy_forecast",)  # whose dispatch is tried for given servers
LEARNED = "torta"  # the policy that has a learned plan, and a parameter that takes the exact one
EXACT = "plan=target"


class Attributor:
    """Splits the distances of policies on one instance; what they share is computed once."""

    def __init__(
        self,
        instance: Instance,
        clairvoyant: Schedule,
        bound: float,
        seed: int = 0,
        limits: Limits | None = None,
    ) -> None:
        self.instance, self.bound, self.seed, self.limits = instance, bound, seed, limits
        self.merged: MergedProgram = merged_of(instance)
        self.clairvoyant = self.best_requests(clairvoyant)

    def split(self, name: str) -> Attribution:
        """Raises InvalidInput if the policy's servers and requests cannot be told apart."""
        instance = self.instance
        cost = self.cost(run(create(name), instance, self.seed).schedule)
        plain = exact_plan_of(name)
        policy = run(create(plain), instance, self.seed).schedule
        own = self.cost(policy)
        swapped = run(with_servers_of(create(plain), self.clairvoyant), instance, self.seed)
        servers = self.cost(swapped.schedule)
        best = min(self.cost(self.clairvoyant), servers)
        requests = min(self.cost(self.best_requests(policy)), own)
        learning, slack = cost - own, best - self.bound
        return Attribution(
            name,
            cost,
            self.bound,
            Split(own - servers, servers - best, learning, slack),
            Split(requests - best, own - requests, learning, slack),
        )

    def cost(self, schedule: Schedule) -> float:
        verify(self.instance, schedule).raise_if_broken(schedule.method or "a schedule")
        return evaluate(self.instance, schedule).cost

    def best_requests(self, schedule: Schedule) -> Schedule:
        """The cheapest schedule known with the servers of ``schedule``; itself is one of them.

        The others: greedy dispatch, and the plan of the merged program with these servers.
        """
        return min(self._with_servers_of(schedule), key=self.cost)

    def _with_servers_of(self, schedule: Schedule) -> list[Schedule]:
        instance = self.instance
        found = [schedule]
        found += [
            run(with_servers_of(create(name), schedule), instance, self.seed).schedule
            for name in DISPATCHERS
        ]
        planned = requests_on(
            instance, self.merged, schedule.command, schedule.command_model, self.limits
        )
        if planned is not None:
            found.append(planned)
        return found


def attributed(
    instance: Instance, policies: Sequence[str], proved: BoundResult, request: Request
) -> dict[str, Attribution]:
    """The distances of policies from a proved bound, in parts."""
    solved = proved.solved if proved.source == "merged" else None
    request.watch("clairvoyant servers", 0, 1)
    found = solve_clairvoyant(instance, request.limits, solved)
    if found.interrupted or found.schedule is None:
        raise KeyboardInterrupt
    attributor = Attributor(instance, found.schedule, proved.value, request.seed, request.limits)
    parts = {}
    for name in policies:
        request.watch(f"{name}: layers swapped", 0, 1)
        parts[name] = attributor.split(name)
    return parts


def exact_plan_of(name: str) -> str:
    """A learned policy with the exact plan in place of its network's; any other as it is."""
    kind, *parameters = name.split(":")
    if kind != LEARNED:
        return name
    kept: Sequence[str] = [each for each in parameters if not each.startswith("plan=")]
    return ":".join([kind, *kept, EXACT])


def with_servers_of(policy: Policy, schedule: Schedule) -> Policy:
    """The policy's dispatch under the servers of a schedule of the same instance.

    The policy decides its own commands, so that whatever its dispatch takes from that is there;
    they are then replaced. Raises InvalidInput if it has no layer of commands.
    """
    if not isinstance(policy, LayeredPolicy):
        kind = getattr(policy, "name", type(policy).__name__)
        rule = f"{kind!r:.60} decides servers and requests at once: they cannot be told apart"
        raise InvalidInput(rule, field="policy")
    decide = policy.commands

    def commands(observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        decide(observation)
        slot = observation.slot
        return schedule.command[slot].copy(), schedule.command_model[slot].copy()

    policy.commands = commands  # type: ignore[method-assign]
    return policy

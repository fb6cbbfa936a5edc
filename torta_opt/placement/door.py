"""What ``api`` asks of a kind of instance, for block placement. Costs are seconds.

solve(instance, "cg_bprr") → Solved      bound(instance) → BoundResult
check(instance, document) → Checked      describe(instance) → facts
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torta_opt.bounds import document as bound_document
from torta_opt.bounds.registry import AUTO, BoundResult
from torta_opt.instance.document import parse
from torta_opt.io import Infeasible, InvalidInput, LimitReached
from torta_opt.placement import schedule as schedule_document
from torta_opt.placement.cg_bprr import online_requests
from torta_opt.placement.data import PlacementInstance, PlacementSchedule
from torta_opt.placement.document import placement_sha256
from torta_opt.placement.evaluate import PlacementEvaluation, evaluate
from torta_opt.placement.floor import floor_costs, floor_s
from torta_opt.placement.lower_bound import lower_bound
from torta_opt.placement.offline import METHODS, check_method, solve_offline
from torta_opt.placement.rules import check_feasible
from torta_opt.placement.verify import PlacementVerification, verify

if TYPE_CHECKING:
    from torta_opt.solvers import Limits

ROUNDING = 1e-9  # of a cost: what float64 sums can be off by, and more
BOUNDS = {
    "floor": "closed form: every request as if it were alone",
    "combinatorial": "the same with the cache room of servers priced: milliseconds, no solver",
    "milp": "branch and bound on the exact program",
}
OPTIMAL = "optimal"


@dataclass(frozen=True, eq=False)
class Solved:
    """A schedule that passed the verifier; ``bound`` if the method proved one on the way."""

    schedule: PlacementSchedule
    evaluation: PlacementEvaluation
    seconds: float
    bound: float | None = None


@dataclass(frozen=True, eq=False)
class Checked:
    """What a schedule file or a bound file turned out to be worth."""

    kind: str
    problems: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    evaluation: PlacementEvaluation | None = None
    bound: float | None = None


def solve(
    instance: PlacementInstance,
    method: str = "cg_bprr",
    seed: int = 0,
    limits: Limits | None = None,
) -> Solved:
    """The schedule that ``method`` finds, verified and priced. Raises Infeasible.

    ``limits`` are those of ``optimal``; LimitReached where they left no time for any schedule.
    """
    if method == OPTIMAL:
        return _solve_exactly(instance, limits)
    check_method(method)
    check_feasible(instance, instance.requests)
    begin = time.perf_counter()
    schedule = solve_offline(instance, method, seed)
    seconds = time.perf_counter() - begin
    verify(instance, schedule).raise_if_broken(method)
    return Solved(schedule, evaluate(instance, schedule), seconds)


def bound(
    instance: PlacementInstance, method: str = AUTO, limits: Limits | None = None
) -> BoundResult:
    """Seconds that no schedule can beat."""
    if method not in (*BOUNDS, AUTO):
        known = ", ".join([*BOUNDS, AUTO])
        raise InvalidInput(f"{method!r:.60} is not a bound; known: {known}", field="method")
    begin = time.perf_counter()
    costs = floor_costs(instance)
    value = sum(costs.values())
    source = "combinatorial" if method == AUTO else method
    if source == "combinatorial":
        value = max(value, lower_bound(instance))
    elif source == "milp":
        from torta_opt.placement.exact import solve_exact

        value = max(value, solve_exact(instance, limits).bound)
    if source != "floor":
        costs = {}
    return BoundResult(value, source, False, time.perf_counter() - begin, costs)


def _solve_exactly(instance: PlacementInstance, limits: Limits | None) -> Solved:
    from torta_opt.placement.exact import solve_exact

    check_feasible(instance, instance.requests)
    found = solve_exact(instance, limits)
    if found.schedule is None:
        raise LimitReached(f"{instance.name}: no schedule found within the limits")
    verify(instance, found.schedule).raise_if_broken(OPTIMAL)
    priced = evaluate(instance, found.schedule)
    return Solved(found.schedule, priced, found.seconds, found.bound)


def check(instance: PlacementInstance, document: dict[str, Any]) -> Checked:
    """Hold the content of a schedule file or a bound file against ``instance``."""
    if document["format"] == bound_document.FORMAT:
        return _check_bound(instance, document)
    schedule = schedule_document.schedule_from_document(document, instance)
    found: PlacementVerification = verify(instance, schedule)
    problems = tuple(f"{violation.rule}: {violation.message}" for violation in found.violations)
    evaluation = evaluate(instance, schedule) if found.ok else None
    return Checked("schedule", problems, found.counts, evaluation)


def bound_to_document(proved: BoundResult, instance: PlacementInstance) -> dict[str, Any]:
    """The content of a bound file: everything but the time it took."""
    return {
        "format": bound_document.FORMAT,
        "version": bound_document.VERSION,
        "instance": instance.name,
        "instance_sha256": placement_sha256(instance),
        "source": proved.source,
        "value": proved.value,
        "certified": proved.certified,
    }


def describe(instance: PlacementInstance) -> dict[str, Any]:
    """Size, memory, load and floor, and why the instance may be infeasible."""
    servers, clients, llm = instance.servers, instance.clients, instance.llm
    kinds = Counter(servers.kinds[k] for k in servers.kind)
    problem = _infeasible(instance)
    memory = sum(servers.memory_bytes.tolist())
    delays = instance.delays
    return {
        "instance": instance.name,
        "description": instance.description,
        "sha256": placement_sha256(instance),
        "model": llm.name,
        "blocks": llm.blocks,
        "block_bytes": llm.block_bytes,
        "cache_bytes": instance.cache_bytes,
        "input_tokens": instance.input_tokens,
        "output_tokens": instance.output_tokens,
        "servers": len(servers),
        "servers_by_type": dict(kinds),
        "memory_bytes": memory,
        "blocks_that_fit": int(instance.host_limit.sum()),
        "memory_needed_share": _needed_bytes(instance) / memory if memory else None,
        "clients": len(clients),
        "requests": instance.requests,
        "rate_per_s": float(clients.rate_per_s.sum()),
        "requests_at_once_by_rate": None if problem else online_requests(instance),
        "token_delay_ms": {
            "min": float(instance.links.token_ms.min()),
            "max": float(instance.links.token_ms.max()),
        },
        "fixed_delay_s": {"cg_bprr": delays.proposed_ms / 1000, "petals": delays.petals_ms / 1000},
        "floor": None if problem else floor_s(instance),
        "warnings": [problem] if problem else [],
    }


def methods() -> dict[str, str]:
    """Methods of ``solve`` and what they do."""
    return {name: method.summary for name, method in METHODS.items()}


def _needed_bytes(instance: PlacementInstance) -> int:
    """Memory of all blocks once and the caches of all requests."""
    return instance.llm.blocks * (
        instance.llm.block_bytes + instance.requests * instance.cache_bytes
    )


def _infeasible(instance: PlacementInstance) -> str | None:
    try:
        check_feasible(instance, max(instance.requests, 1))
    except Infeasible as error:
        return str(error)
    return None


def _check_bound(instance: PlacementInstance, document: dict[str, Any]) -> Checked:
    """A bound is checked by proving it again, where that takes no solver."""
    entry = parse(bound_document.BoundDocument, document)
    if entry.instance_sha256 != placement_sha256(instance):
        raise InvalidInput(
            f"is not that of instance {instance.name!r}: the bound was made for another one",
            field="instance_sha256",
        )
    if entry.source not in ("floor", "combinatorial"):
        raise InvalidInput(f"{entry.source!r} cannot be checked without a solver", field="source")
    least = floor_s(instance)
    if entry.source == "combinatorial":
        least = max(least, lower_bound(instance))
    if entry.value <= least + ROUNDING * abs(least):
        return Checked("bound", bound=entry.value)
    problem = f"bound-too-high: value is {entry.value!r}, the {entry.source} is {least!r}"
    return Checked("bound", (problem,), {"bound-too-high": 1}, bound=entry.value)

"""What ``api`` asks of a kind of instance, for block placement. Costs are seconds.

solve(instance, "cg_bprr") → Solved      bound(instance) → PlacementBound
check(instance, document) → Checked      describe(instance) → facts
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from torta_opt.allocation.bounds.registry import AUTO
from torta_opt.io import Infeasible, InvalidInput, LimitReached
from torta_opt.placement.bounds import document as bound_document
from torta_opt.placement.bounds.combinatorial import priced_bound_ms
from torta_opt.placement.bounds.document import PlacementBound, bound_to_document, derived_s
from torta_opt.placement.bounds.floor import floor_costs, floor_s
from torta_opt.placement.bounds.proof import Proof, leaf_of
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.instance.document import placement_sha256
from torta_opt.placement.instance.rules import check_feasible
from torta_opt.placement.methods import METHODS, check_method, solve_offline
from torta_opt.placement.policies.cg_bprr import online_requests
from torta_opt.placement.schedule import document as schedule_document
from torta_opt.placement.schedule.data import PlacementSchedule
from torta_opt.placement.schedule.evaluate import PlacementEvaluation, evaluate
from torta_opt.placement.schedule.performance import prices
from torta_opt.placement.schedule.verify import PlacementVerification, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from torta_opt.placement.search.optimal import ExactResult
    from torta_opt.solvers import Limits, Progress

TREE_S = 60.0  # of the bound by the tree, unless a limit says otherwise
BOUNDS = {
    "floor": "closed form: every request as if it were alone",
    "combinatorial": "the same with the cache room of servers priced: milliseconds, certified",
    "tree": "the same in boxes of hosted blocks and visits: seconds, certified",
    "milp": "the tree, then branch and bound on the exact program",
}
__all__ = ["BOUNDS", "bound", "bound_to_document", "check", "describe", "methods", "solve"]
OPTIMAL = "optimal"


@dataclass(frozen=True, eq=False)
class Solved:
    """A schedule that passed the verifier; ``bound`` if the method proved one on the way.

    reached       the gap asked for is, or the exact program is solved; heuristics ask for none
    interrupted   Ctrl-C ended the search
    stopped       one line on why the search ended
    """

    schedule: PlacementSchedule
    evaluation: PlacementEvaluation
    seconds: float
    bound: float | None = None
    reached: bool = True
    interrupted: bool = False
    stopped: str = ""


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
    start: PlacementSchedule | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> Solved:
    """The schedule that ``method`` finds, verified and priced. Raises Infeasible.

    ``limits``, ``start`` and ``on_progress`` are those of ``optimal``; VerificationFailed if the
    start breaks a rule, LimitReached where limits left no time for any schedule.
    """
    if method == OPTIMAL:
        return _solve_exactly(instance, limits, start, on_progress)
    check_method(method)
    if start is not None:
        raise InvalidInput(f"{method} takes no start", field="method")
    check_feasible(instance, instance.requests)
    begin = time.perf_counter()
    schedule = solve_offline(instance, method, seed)
    seconds = time.perf_counter() - begin
    verify(instance, schedule).raise_if_broken(method)
    return Solved(schedule, evaluate(instance, schedule), seconds)


def bound(
    instance: PlacementInstance,
    method: str = AUTO,
    limits: Limits | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> PlacementBound:
    """Seconds that no schedule can beat."""
    if method not in (*BOUNDS, AUTO):
        known = ", ".join([*BOUNDS, AUTO])
        raise InvalidInput(f"{method!r:.60} is not a bound; known: {known}", field="method")
    begin = time.perf_counter()
    source = "combinatorial" if method == AUTO else method
    costs = floor_costs(instance)
    value, proof, interrupted, limited = sum(costs.values()), None, False, False
    if source == "combinatorial":
        _, block_price = priced_bound_ms(instance, prices(instance))
        proof = (leaf_of(block_price),)
    elif source != "floor":
        found = _exact(instance, limits, on_progress, positions=source == "milp")
        value = max(value, found.bound)
        interrupted, limited = found.interrupted, found.limited and not found.optimal
        proof = _proof_of(instance, found)
    if proof is not None:
        value = derived_s(instance, proof)
    return PlacementBound(
        value=value,
        source=source,
        certified=proof is not None,
        seconds=time.perf_counter() - begin,
        costs=costs if source == "floor" else {},
        interrupted=interrupted,
        limited=limited,
        proof=proof,
        stronger="tree" if source in ("floor", "combinatorial") else "",
    )


def _exact(
    instance: PlacementInstance,
    limits: Limits | None,
    on_progress: Callable[[Progress], object] | None,
    positions: bool,
) -> ExactResult:
    from torta_opt.placement.search.optimal import solve_exact
    from torta_opt.solvers import Limits

    if limits is None and not positions:
        limits = Limits(seconds=TREE_S)
    return solve_exact(instance, limits, on_progress=on_progress, positions=positions)


def _proof_of(instance: PlacementInstance, found: ExactResult) -> Proof | None:
    """A proof of the bound found, if no solver took part; derived again before it is believed."""
    proof = found.proof
    if found.source == "combinatorial":
        proof = (leaf_of(priced_bound_ms(instance, prices(instance))[1]),)
    if proof is None:
        return None
    short = found.bound - derived_s(instance, proof)
    return proof if short <= bound_document.LOSS * abs(found.bound) else None


def _solve_exactly(
    instance: PlacementInstance,
    limits: Limits | None,
    start: PlacementSchedule | None,
    on_progress: Callable[[Progress], object] | None,
) -> Solved:
    from torta_opt.placement.search.optimal import solve_exact

    check_feasible(instance, instance.requests)
    if start is not None:
        verify(instance, start).raise_if_broken("start")
    found = solve_exact(instance, limits, start, on_progress)
    if found.schedule is None and found.interrupted:
        raise KeyboardInterrupt
    if found.schedule is None:
        raise LimitReached(f"{instance.name}: no schedule found within the limits")
    schedule = replace(found.schedule, method=OPTIMAL)
    verify(instance, schedule).raise_if_broken(OPTIMAL)
    priced = evaluate(instance, schedule)
    return Solved(
        schedule,
        priced,
        found.seconds,
        found.bound,
        reached=found.optimal,
        interrupted=found.interrupted,
        stopped=found.stopped,
    )


def check(instance: PlacementInstance, document: dict[str, Any]) -> Checked:
    """Hold the content of a schedule file or a bound file against ``instance``."""
    if document["format"] == bound_document.FORMAT:
        value, problem = bound_document.check_bound(instance, document)
        if problem is None:
            return Checked("bound", bound=value)
        return Checked("bound", (problem,), {"bound-too-high": 1}, bound=value)
    schedule = schedule_document.schedule_from_document(document, instance)
    found: PlacementVerification = verify(instance, schedule)
    problems = tuple(f"{violation.rule}: {violation.message}" for violation in found.violations)
    evaluation = evaluate(instance, schedule) if found.ok else None
    return Checked("schedule", problems, found.counts, evaluation)


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

"""The placement family behind the contract. Costs are seconds."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from torta_opt.family import (
    AUTO,
    FLOOR,
    BoundMethod,
    Document,
    Facts,
    Family,
    Format,
    Method,
    Preset,
    Request,
)
from torta_opt.io.errors import Infeasible, InvalidInput, LimitReached
from torta_opt.io.text import money, percent
from torta_opt.placement.bounds import document as bound_document
from torta_opt.placement.bounds.combinatorial import priced_bound_ms
from torta_opt.placement.bounds.document import derived_s
from torta_opt.placement.bounds.floor import floor_costs, floor_s
from torta_opt.placement.bounds.proof import Proof, leaf_of
from torta_opt.placement.instance import document as instance_document
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.instance.document import placement_sha256
from torta_opt.placement.instance.rules import check_feasible
from torta_opt.placement.methods import METHODS, check_method, solve_offline
from torta_opt.placement.policies.cg_bprr import online_requests
from torta_opt.placement.schedule import document as schedule_document
from torta_opt.placement.schedule.data import PlacementSchedule
from torta_opt.placement.schedule.evaluate import evaluate
from torta_opt.placement.schedule.performance import prices
from torta_opt.placement.schedule.verify import verify
from torta_opt.results import BoundResult, Check, Evaluation, Found, Verification
from torta_opt.symbolic import SymbolicProgram

TREE_S = 60.0  # time limit of the tree bound where the user sets none
OPTIMAL = "optimal"


class PlacementFamily(Family):
    """Block placement and request routing for PETALS-style inference."""

    name: ClassVar[str] = "placement"
    unit: ClassVar[str] = "s"
    default_method: ClassVar[str] = "cg_bprr"
    instance_type = PlacementInstance
    schedule_type = PlacementSchedule

    @cached_property
    def formats(self) -> Mapping[str, Format]:
        return {
            "instance": Format(
                instance_document.FORMAT,
                instance_document.VERSION,
                instance_document.instance_from_document,
                instance_document.instance_to_document,
                instance_document.json_schema,
            ),
            "schedule": Format(
                schedule_document.FORMAT,
                schedule_document.VERSION,
                schedule_document.schedule_from_document,
                schedule_document.schedule_to_document,
                schedule_document.json_schema,
            ),
            "bound": Format(
                bound_document.FORMAT,
                bound_document.VERSION,
                bound_document.bound_from_document,
                bound_document.bound_to_document,
                bound_document.json_schema,
            ),
        }

    @cached_property
    def presets(self) -> Mapping[str, Preset]:
        from torta_opt.placement.instance.presets import PRESETS, network_instance, placement_preset

        named = {
            f"placement/{name}": Preset(
                preset.summary, functools.partial(placement_preset, name), as_text=preset.small
            )
            for name, preset in PRESETS.items()
        }
        drawn = Preset(
            "servers drawn on the network of --set network=FILE, or on a graph of topohub",
            network_instance,
            bundled=False,
        )
        return {**named, "placement/network": drawn}

    def has_preset(self, name: str) -> bool:
        return name.startswith("placement/")

    def generate(self, preset: str, seed: int = 0, **parameters: Any) -> PlacementInstance:
        from torta_opt.placement.instance.presets import placement_preset

        if preset not in self.presets:
            return placement_preset(preset.removeprefix("placement/"))  # says what is known
        if preset == "placement/network" and "network" not in parameters:
            raise InvalidInput(
                "give --set network=FILE, or a name that topohub knows", field="--set"
            )
        return self.presets[preset].make(seed=seed, **parameters)

    @cached_property
    def methods(self) -> Mapping[str, Method]:
        known = {
            name: Method(method.summary, functools.partial(_solve_offline, name))
            for name, method in METHODS.items()
        }
        exact = Method(
            "the best schedule that a tree of boxes and branch and bound find, and its gap",
            _optimal,
            takes=frozenset({"limits", "gap", "start"}),
            by_default=False,
            knows_future=True,
        )
        return {**known, OPTIMAL: exact}

    def method(self, name: str) -> Method:
        if name not in self.methods:
            check_method(name)
        return self.methods[name]

    @property
    def bounds(self) -> Mapping[str, BoundMethod]:
        return BOUNDS

    def bound(self, instance: PlacementInstance, method: str, request: Request) -> BoundResult:
        if request.constraints:
            raise self.lacks("constraints of a user")
        if method not in (*BOUNDS, AUTO):
            known = ", ".join([*BOUNDS, AUTO])
            raise InvalidInput(f"{method!r:.60} is not a bound; known: {known}", field="method")
        chosen = BOUNDS["combinatorial" if method == AUTO else method]
        began = time.perf_counter()
        found = chosen.compute(instance, request)
        return replace(found, seconds=time.perf_counter() - began)

    def verify(self, instance: PlacementInstance, schedule: PlacementSchedule) -> Verification:
        return verify(instance, schedule)

    def evaluate(self, instance: PlacementInstance, schedule: PlacementSchedule) -> Evaluation:
        return evaluate(instance, schedule)

    def check(self, instance: PlacementInstance, kind: str, document: Document) -> Check:
        if kind == "bound":
            value, problem = bound_document.check_bound(instance, document)
            if problem is None:
                return Check(instance.name, kind, bound=value)
            return Check(instance.name, kind, (problem,), {"bound-too-high": 1}, bound=value)
        schedule = schedule_document.schedule_from_document(document, instance)
        found = verify(instance, schedule)
        priced = evaluate(instance, schedule) if found.ok else None
        return Check(instance.name, kind, found.problems, found.counts, priced)

    def describe(self, instance: PlacementInstance) -> Facts:
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
            "fixed_delay_s": {
                "cg_bprr": delays.proposed_ms / 1000,
                "petals": delays.petals_ms / 1000,
            },
            "floor": None if problem else floor_s(instance),
            "warnings": [problem] if problem else [],
        }

    def described(self, facts: Facts) -> dict[str, str]:
        kinds = ", ".join(f"{count} {name}" for name, count in facts["servers_by_type"].items())
        delay, fixed = facts["token_delay_ms"], facts["fixed_delay_s"]
        at_once, floor = facts["requests_at_once_by_rate"], facts["floor"]
        needed = facts["memory_needed_share"]
        return {
            "model": f"{facts['model']}, {facts['blocks']} blocks of "
            f"{facts['block_bytes']:,} bytes",
            "servers": f"{facts['servers']} ({kinds}), room for {facts['blocks_that_fit']} blocks",
            "clients": str(facts["clients"]),
            "requests": f"{facts['requests']:,} at once, or {facts['rate_per_s']:g} a second"
            + ("" if at_once is None else f": plan for {at_once}"),
            "lengths": f"{facts['input_tokens']} tokens in, {facts['output_tokens']} out",
            "memory": f"{facts['memory_bytes']:,} bytes"
            + ("" if needed is None else f", {percent(needed)} needed at the least"),
            "delays": f"{delay['min']:.4g} to {delay['max']:.4g} ms a token",
            "fixed delays": f"{fixed['cg_bprr']:g} s for CG-BPRR, {fixed['petals']:g} s for PETALS",
            "floor": "infeasible" if floor is None else f"{money([floor])[0]} s",
        }

    def size(self, instance: PlacementInstance) -> tuple[Facts, str]:
        servers, blocks = len(instance.servers), instance.llm.blocks
        facts = {"servers": servers, "blocks": blocks, "requests": instance.requests}
        return facts, f"{servers} servers, {blocks} blocks, {instance.requests} requests"

    def symbolic(
        self,
        instance: PlacementInstance,
        *,
        relaxed: bool = False,
        named: bool = False,
        plain: bool = False,
    ) -> SymbolicProgram:
        """The program with positions."""
        from torta_opt.placement.formulations.symbols import POSITIONS

        if relaxed or named or plain:
            raise InvalidInput("placement programs have no such variants", field="export")
        return replace(POSITIONS, instance=instance.name)


# --- methods ------------------------------------------------------------------------------------


def _solve_offline(method: str, instance: PlacementInstance, request: Request) -> Found:
    check_feasible(instance, instance.requests)
    began = time.perf_counter()
    schedule = solve_offline(instance, method, request.seed)
    return Found(schedule, time.perf_counter() - began)


def _optimal(instance: PlacementInstance, request: Request) -> Found:
    from torta_opt.placement.search.optimal import solve_exact

    check_feasible(instance, instance.requests)
    found = solve_exact(instance, request.limits, request.start, request.solver_watch)
    if found.schedule is None and found.interrupted:
        raise KeyboardInterrupt
    if found.schedule is None:
        raise LimitReached(f"{instance.name}: no schedule found within the limits")
    return replace(found, schedule=replace(found.schedule, method=OPTIMAL))


# --- bounds -------------------------------------------------------------------------------------


def _floor(instance: PlacementInstance, request: Request) -> BoundResult:
    costs = floor_costs(instance)
    return BoundResult(sum(costs.values()), FLOOR, costs=costs, stronger="tree")


def _combinatorial(instance: PlacementInstance, request: Request) -> BoundResult:
    proof = _priced(instance)
    value = derived_s(instance, proof)
    return BoundResult(value, "combinatorial", certified=True, certificate=proof, stronger="tree")


def _exact(source: str, instance: PlacementInstance, request: Request) -> BoundResult:
    """The bound of the tree, or of branch and bound after it."""
    from torta_opt.placement.search.optimal import solve_exact
    from torta_opt.solvers import Limits

    positions, limits = source == "milp", request.limits
    if limits is None and not positions:
        limits = Limits(seconds=TREE_S)
    found = solve_exact(instance, limits, on_progress=request.solver_watch, positions=positions)
    assert found.bound is not None
    proof = _proof_of(instance, found)
    return BoundResult(
        max(floor_s(instance), found.bound) if proof is None else derived_s(instance, proof),
        source,
        certified=proof is not None,
        interrupted=found.interrupted,
        limited=found.limited and not found.reached,
        certificate=proof,
    )


def _priced(instance: PlacementInstance) -> Proof:
    """The combinatorial bound as a proof: a tree of one leaf."""
    return (leaf_of(priced_bound_ms(instance, prices(instance))[1]),)


def _proof_of(instance: PlacementInstance, found: Found) -> Proof | None:
    """A proof of the bound found, if no solver took part; derived again before it is believed."""
    proof = _priced(instance) if found.source == "combinatorial" else found.certificate
    if proof is None or found.bound is None:
        return None
    short = found.bound - derived_s(instance, proof)
    return proof if short <= bound_document.LOSS * abs(found.bound) else None


BOUNDS: dict[str, BoundMethod] = {
    FLOOR: BoundMethod("closed form: each request is served as if it were alone", _floor),
    "combinatorial": BoundMethod(
        "the floor with a price on the cache memory of servers: milliseconds, certified",
        _combinatorial,
    ),
    "tree": BoundMethod(
        "the combinatorial bound on boxes of hosted blocks and visits: seconds, certified",
        functools.partial(_exact, "tree"),
    ),
    "milp": BoundMethod(
        "the tree bound, then branch and bound on the exact program",
        functools.partial(_exact, "milp"),
    ),
}


# --- what to say --------------------------------------------------------------------------------


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


FAMILY = PlacementFamily()

"""The allocation family behind the contract. Costs are dollars."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from torta_opt.allocation.instance import document as instance_document
from torta_opt.allocation.instance import weights_file
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.generate import generate, presets
from torta_opt.allocation.schedule import document as schedule_document
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.verify import verify
from torta_opt.family import (
    FLOOR,
    BoundMethod,
    Document,
    Facts,
    Family,
    Format,
    Method,
    Path,
    Preset,
    Request,
    lazily,
)
from torta_opt.io.errors import InvalidInput, VerificationFailed
from torta_opt.io.text import did_you_mean
from torta_opt.results import (
    Attribution,
    BoundResult,
    Check,
    Evaluation,
    Foresight,
    Found,
    Verification,
)
from torta_opt.symbolic import SymbolicProgram


class AllocationFamily(Family):
    """Multi-timeslot allocation of requests to regions and servers."""

    name: ClassVar[str] = "allocation"
    unit: ClassVar[str] = "$"
    default_method: ClassVar[str] = "greedy_forecast"
    instance_type = Instance
    schedule_type = Schedule

    @property
    def constraint_type(self) -> type:
        from torta_opt.allocation.formulations.user_constraint import UserConstraint

        return UserConstraint

    @cached_property
    def formats(self) -> Mapping[str, Format]:
        from torta_opt.allocation.bounds import document as bound_document

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
                lambda schedule, instance: schedule_document.schedule_to_document(schedule),
                schedule_document.json_schema,
            ),
            "weights": Format(
                weights_file.FORMAT,
                weights_file.VERSION,
                lambda document, instance: weights_file.weights_from_document(
                    document, instance.system
                ),
                None,
                weights_file.json_schema,
            ),
            "bound": Format(
                bound_document.FORMAT,
                bound_document.VERSION,
                _bound_from_document,
                bound_document.bound_to_document,
                bound_document.json_schema,
            ),
        }

    @cached_property
    def presets(self) -> Mapping[str, Preset]:
        return {
            name: Preset(
                presets.summary_of(name),
                functools.partial(generate, name),
                bundled="+" not in name,
                as_text=presets.group_of(name).as_text,
            )
            for name in presets.preset_names()
        }

    def has_preset(self, name: str) -> bool:
        return name.partition("/")[0] in (*presets.GROUPS, "topology")

    def generate(self, preset: str, seed: int = 0, **parameters: Any) -> Instance:
        return generate(preset, seed, **parameters)

    @property
    def methods(self) -> Mapping[str, Method]:
        from torta_opt.allocation.policies.registry import policy_names, summaries

        by_default = policy_names()
        online = {
            name: Method(
                summary, functools.partial(_run_policy, name), by_default=name in by_default
            )
            for name, summary in summaries().items()
        }
        return {**online, **OFFLINE}

    def method(self, name: str) -> Method:
        """Parameters follow the name of a policy, each after a colon."""
        from torta_opt.allocation.policies.registry import check

        kind = name.partition(":")[0]
        if kind not in self.methods:
            hint = (
                did_you_mean(kind, self.methods, close=0.7) or f"; known: {', '.join(self.methods)}"
            )
            raise InvalidInput(f"{name!r:.60} is not a policy{hint}", field="policy")
        if kind in OFFLINE:
            return super().method(name)
        check(name)
        return dataclasses.replace(self.methods[kind], solve=functools.partial(_run_policy, name))

    @property
    def starts(self) -> Mapping[str, Callable[[Instance, Request], Schedule]]:
        return STARTS

    @property
    def bounds(self) -> Mapping[str, BoundMethod]:
        from torta_opt.allocation.bounds.registry import methods

        return methods()

    def bound(self, instance: Instance, method: str, request: Request) -> BoundResult:
        from torta_opt.allocation.bounds.registry import compute

        return compute(instance, method, request)

    def verify(self, instance: Instance, schedule: Schedule) -> Verification:
        return verify(instance, schedule)

    def evaluate(self, instance: Instance, schedule: Schedule) -> Evaluation:
        return evaluate(instance, schedule)

    def check(self, instance: Instance, kind: str, document: Document) -> Check:
        if kind == "bound":
            result, problem = _rederived(document, instance)
            if not problem:
                return Check(instance.name, kind, bound=result.value)
            broken = {"bound-too-high": 1}
            return Check(instance.name, kind, (problem,), broken, bound=result.value)
        schedule = schedule_document.schedule_from_document(document, instance)
        found = verify(instance, schedule)
        priced = evaluate(instance, schedule) if found.ok else None
        return Check(instance.name, kind, found.problems, found.counts, priced)

    def describe(self, instance: Instance) -> Facts:
        from torta_opt.allocation.instance.utilisation import load_of

        system = instance.system
        kinds = Counter(system.types[k] for k in system.server_type)
        price = instance.price_usd_per_kwh
        load = load_of(instance)
        least = self.bound(instance, FLOOR, Request())
        served = instance.arrivals.sum(axis=(0, 1)).tolist()
        return {
            "instance": instance.name,
            "description": instance.description,
            "sha256": instance_document.instance_sha256(instance),
            "slots": instance.slots,
            "slot_s": system.slot_s,
            "regions": len(system.regions),
            "servers": len(system.servers),
            "servers_by_type": dict(kinds),
            "servers_on_at_start": int((instance.initial.model >= 0).sum()),
            "models": list(system.models),
            "classes": list(system.classes),
            "requests": instance.requests,
            "requests_by_class": dict(zip(system.classes, served, strict=True)),
            "load": load if math.isfinite(load) else None,
            "outage_server_slots": int((~instance.up).sum()),
            "price_usd_per_kwh": {"min": float(price.min()), "max": float(price.max())},
            "floor": least.value,
            "floor_costs": least.costs,
            "warnings": self.warnings(instance),
        }

    def described(self, facts: Facts) -> dict[str, str]:
        from torta_opt.io.text import money, percent

        kinds = ", ".join(f"{count} {name}" for name, count in facts["servers_by_type"].items())
        load, price = facts["load"], facts["price_usd_per_kwh"]
        by_class = {f"  {name}": f"{n:,}" for name, n in facts["requests_by_class"].items()}
        on = facts["servers_on_at_start"]
        return {
            "horizon": f"{facts['slots']} slots of {facts['slot_s']:g} s",
            "regions": str(facts["regions"]),
            "servers": f"{facts['servers']} ({kinds}), {on} on at the start",
            "models": ", ".join(facts["models"]),
            "requests": f"{facts['requests']:,}",
            **by_class,
            "load": "cannot all be served" if load is None else f"{percent(load)} at the least",
            "outages": f"{facts['outage_server_slots']} server-slots",
            "electricity": f"{price['min']:.4g} to {price['max']:.4g} $/kWh",
            "floor": f"{money([facts['floor']])[0]} $",
        }

    def size(self, instance: Instance) -> tuple[Facts, str]:
        facts = {"slots": instance.slots, "requests": instance.requests}
        return facts, f"{instance.slots} slots, {instance.requests:,} requests"

    def warnings(self, instance: Instance) -> list[str]:
        from torta_opt.allocation.instance.warnings import warnings_of

        return warnings_of(instance)

    def cut(self, instance: Instance, first: int, end: int) -> Instance:
        return instance.cut(first, end)

    def reweighted(self, instance: Instance, weights: Path) -> Instance:
        from torta_opt.allocation.instance.reweighting import reweighted

        return reweighted(instance, weights)

    def unit_under(self, weights: str | None) -> str:
        return "req·s" if weights == "paper" else self.unit

    def foresight(
        self, instance: Instance, policies: Sequence[str], request: Request
    ) -> tuple[BoundResult, dict[str, Foresight]]:
        from torta_opt.allocation.foresight.nonanticipative import beside

        return beside(instance, policies, request)

    def attribution(
        self, instance: Instance, policies: Sequence[str], proved: BoundResult, request: Request
    ) -> dict[str, Attribution]:
        from torta_opt.allocation.foresight.attribution import attributed

        return attributed(instance, policies, proved, request)

    def build_model(self, instance: Instance, **options: Any) -> Any:
        from torta_opt.allocation.formulations.pyomo_model import build_allocation_model

        return build_allocation_model(instance, **options)

    def build_program(self, instance: Instance, *, plain: bool = False, **options: Any) -> Any:
        """``plain``: without integer knapsack rows."""
        from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
        from torta_opt.allocation.formulations.matrix import build_allocation_program

        program = build_allocation_program(instance, **options)
        return program if plain else with_knapsack_rows(program)

    def symbolic(
        self, instance: Instance, *, relaxed: bool = False, named: bool = False, plain: bool = False
    ) -> SymbolicProgram:
        from torta_opt.allocation.formulations.symbols import symbolic_program

        program = self.build_program(instance, named=named, plain=plain)
        return symbolic_program(program, relaxed=relaxed, named=named)


# --- methods ------------------------------------------------------------------------------------


def _run_policy(spec: str, instance: Instance, request: Request) -> Found:
    from torta_opt.allocation.policies.registry import create
    from torta_opt.allocation.policies.runner import run

    watch = functools.partial(request.watch, spec)
    outcome = run(create(spec), instance, request.seed, watch)
    return Found(outcome.schedule, outcome.seconds, slot_seconds=outcome.slot_seconds)


OFFLINE = {
    "clairvoyant": Method(
        "a good schedule for any horizon within minutes, by rounding the merged program",
        lazily("allocation.search.clairvoyant:solve"),
        takes=frozenset({"limits"}),
        by_default=False,
        knows_future=True,
    ),
    "optimal": Method(
        "the best schedule that rounding and branch and bound find, and a bound on its gap",
        lazily("allocation.search.optimal:solve"),
        takes=frozenset({"limits", "gap", "start", "constraints"}),
        by_default=False,
        knows_future=True,
    ),
}

STARTS = {
    "covering": lazily("allocation.search.learned_start:covering_schedule"),
    "learned": lazily("allocation.search.learned_start:learned_schedule"),
}


# --- bound files --------------------------------------------------------------------------------


def _bound_from_document(document: Document, instance: Instance) -> BoundResult:
    result, problem = _rederived(document, instance)
    if problem:
        raise VerificationFailed(f"{instance.name}: {problem}")
    return result


def _rederived(document: Document, instance: Instance) -> tuple[BoundResult, str]:
    """What a bound file proves, and what is wrong with what it claims."""
    from torta_opt.allocation.bounds.document import bound_from_document, certificate_from_document
    from torta_opt.allocation.bounds.floor import floor
    from torta_opt.allocation.bounds.named_duals import duals_of_certificate
    from torta_opt.allocation.bounds.registry import membership, rederived

    began = time.perf_counter()
    entry = bound_from_document(document, instance)
    certificate = certificate_from_document(entry, instance)
    if certificate is None and entry.source != FLOOR:
        raise InvalidInput(
            f"{entry.source!r} cannot be checked without a solver or a certificate", field="source"
        )
    if certificate is None:
        value, holds = floor(instance).value, None
    else:
        value, holds = rederived(certificate, instance), membership(certificate, instance)
    result = BoundResult(
        value,
        entry.source,
        certified=certificate is not None,
        seconds=time.perf_counter() - began,
        holds=holds,
        certificate=certificate,
        duals=None
        if certificate is None
        else functools.partial(duals_of_certificate, certificate, instance),
    )
    if entry.value <= value:
        return result, ""
    what = "the floor" if certificate is None else "what its certificate proves"
    return result, f"bound-too-high: value is {entry.value!r}, {what} is {value!r}"


FAMILY = AllocationFamily()

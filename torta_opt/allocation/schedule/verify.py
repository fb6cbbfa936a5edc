"""Check a schedule against every rule of the problem, exactly: all quantities are integers.

Each broken rule has a code (the keys of ``RULES``) and a message that names slot and place. After
an illegal command its server is taken to stay as it was, so that one mistake is not reported as
many; of each rule the first few violations are described and all are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from torta_opt.allocation.instance.data import OFF, Instance
from torta_opt.allocation.instance.rules import MAX_COUNT
from torta_opt.allocation.schedule.data import NO_MODEL, Command, Schedule
from torta_opt.allocation.schedule.timeline import (
    QueueTimeline,
    ServerTimeline,
    served_by_region,
    trace_queues,
    trace_servers,
)
from torta_opt.results import Verification, Violation

RULES = {
    "shape": "every table has the instance's slots, regions, servers and classes",
    "routing-negative": "counts of requests are not negative",
    "routing-balance": "every request that arrives is routed in its slot",
    "routing-forbidden": "no request is routed where latency_s is null",
    "command-unknown": "a command is start, stop or switch",
    "command-down": "a server that is down takes no command",
    "start-not-off": "only a server that is off is started",
    "stop-not-ready": "only a ready server is stopped",
    "switch-not-ready": "only a ready server is switched",
    "switch-same-model": "a switch changes the model",
    "model-missing": "start and switch name a model of the instance, nothing else does",
    "model-unheld": "a server loads only models that its type can hold",
    "processing-negative": "counts of requests are not negative",
    "processing-off": "a server that is off or down processes nothing",
    "processing-loading": "a server that loads all slot processes nothing",
    "processing-model": "a server processes only classes of its model",
    "processing-incompatible": "a server processes only classes its type can serve",
    "processing-capacity": "work fits into the usable time",
    "queue-empty": "only requests that wait in the region are processed",
}
DESCRIBED = 5  # violations of one rule that are described; the rest are only counted


def verify(instance: Instance, schedule: Schedule) -> Verification:
    """Every rule of the problem; an empty result means that the schedule is feasible."""
    found = list(_shape(instance, schedule)) or list(_bad_counts(instance, schedule))
    if not found:
        servers = trace_servers(instance, schedule)
        queues = trace_queues(instance, schedule)
        found += _routing(instance, schedule)
        found += _commands(instance, schedule, servers)
        found += _processing(instance, schedule, servers)
        found += _queues(instance, schedule, queues)
    violations = tuple(v for described, _, _ in found for v in described)
    return Verification(
        violations=tuple(sorted(violations, key=lambda v: v.slot or 0)),
        counts=dict(sum((Counter({rule: count}) for _, rule, count in found), Counter())),
    )


_Found = tuple[list[Violation], str, int]


def _report(rule: str, where: np.ndarray, message: Callable[..., str]) -> Iterator[_Found]:
    """The cells of ``where`` (first axis the slot) as violations; ``message(*index)`` says what."""
    count = int(np.count_nonzero(where))
    if count:
        first = np.argwhere(where)[:DESCRIBED].tolist()
        yield [Violation(rule, message(*cell), cell[0]) for cell in first], rule, count


def _shape(instance: Instance, schedule: Schedule) -> Iterator[_Found]:
    system = instance.system
    slots, regions = instance.slots, len(system.regions)
    servers, classes = len(system.servers), len(system.classes)
    expected = {
        "routing": (slots, regions, regions, classes),
        "command": (slots, servers),
        "command_model": (slots, servers),
        "processing": (slots, servers, classes),
        "forecast": (slots, regions),
    }
    for field, shape in expected.items():
        array = getattr(schedule, field)
        if array is not None and array.shape != shape:
            message = f"{field} has shape {array.shape}, the instance needs {shape}"
            yield [Violation("shape", message, 0)], "shape", 1


def _bad_counts(instance: Instance, schedule: Schedule) -> Iterator[_Found]:
    system = instance.system
    regions, classes = system.regions, system.classes
    routing, processing = schedule.routing, schedule.processing
    limits = f"must lie in [0, {MAX_COUNT}]"
    yield from _report(
        "routing-negative",
        (routing < 0) | (routing > MAX_COUNT),
        lambda t, i, j, c: (
            f"slot {t}: region {regions[i]!r} routes {routing[t, i, j, c]} requests of class "
            f"{classes[c]!r} to {regions[j]!r}, {limits}"
        ),
    )
    yield from _report(
        "processing-negative",
        (processing < 0) | (processing > MAX_COUNT),
        lambda t, s, c: (
            f"slot {t}: server {system.servers[s]!r} processes {processing[t, s, c]} requests of "
            f"class {classes[c]!r}, {limits}"
        ),
    )


def _routing(instance: Instance, schedule: Schedule) -> Iterator[_Found]:
    system = instance.system
    regions, classes = system.regions, system.classes
    routed = schedule.routing.sum(axis=2)
    yield from _report(
        "routing-balance",
        routed != instance.arrivals,
        lambda t, i, c: (
            f"slot {t}: region {regions[i]!r} routes {routed[t, i, c]} requests of class "
            f"{classes[c]!r}, {instance.arrivals[t, i, c]} arrived"
        ),
    )
    forbidden = (schedule.routing > 0) & ~system.allowed[None, :, :, None]
    yield from _report(
        "routing-forbidden",
        forbidden,
        lambda t, i, j, c: (
            f"slot {t}: class {classes[c]!r} is routed from region {regions[i]!r} to "
            f"{regions[j]!r}, which is forbidden"
        ),
    )


def _commands(instance: Instance, schedule: Schedule, servers: ServerTimeline) -> Iterator[_Found]:
    system = instance.system
    command, target = schedule.command, schedule.command_model
    before, loading = servers.model_before, servers.loading_before
    start, stop, switch = (
        command == kind for kind in (Command.START, Command.STOP, Command.SWITCH)
    )
    loads = start | switch
    known = (command >= Command.NONE) & (command <= Command.SWITCH)
    told = known & (command != Command.NONE)
    up, ready = instance.up, (before != OFF) & (loading == 0)
    named = (target >= 0) & (target < len(system.models))
    held = system.holds[system.server_type, np.where(named, target, 0)]

    def at(t: int, s: int, what: str) -> str:
        return f"slot {t}: server {system.servers[s]!r} {what}"

    def state(t: int, s: int) -> str:
        if before[t, s] == OFF:
            return "off"
        left = f"loading for {loading[t, s]} ms more" if loading[t, s] else "ready"
        return f"{left} with model {system.models[before[t, s]]!r}"

    yield from _report(
        "command-unknown", ~known, lambda t, s: at(t, s, f"gets unknown command {command[t, s]}")
    )
    yield from _report(
        "command-down", told & ~up, lambda t, s: at(t, s, "is down and gets a command")
    )
    yield from _report(
        "start-not-off",
        start & up & (before != OFF),
        lambda t, s: at(t, s, f"is started while it is {state(t, s)}"),
    )
    yield from _report(
        "stop-not-ready",
        stop & up & ~ready,
        lambda t, s: at(t, s, f"is stopped while it is {state(t, s)}"),
    )
    yield from _report(
        "switch-not-ready",
        switch & up & ~ready,
        lambda t, s: at(t, s, f"is switched while it is {state(t, s)}"),
    )
    yield from _report(
        "switch-same-model",
        switch & up & ready & named & (target == before),
        lambda t, s: at(
            t, s, f"is switched to model {system.models[target[t, s]]!r}, which it already has"
        ),
    )
    yield from _report(
        "model-missing",
        known & np.where(loads, ~named, target != NO_MODEL),
        lambda t, s: at(
            t,
            s,
            f"loads model {target[t, s]}, which does not exist"
            if loads[t, s]
            else f"gets model {target[t, s]} without start or switch",
        ),
    )
    yield from _report(
        "model-unheld",
        loads & named & ~held,
        lambda t, s: at(
            t, s, f"loads model {system.models[target[t, s]]!r}, which its type cannot hold"
        ),
    )


def _processing(
    instance: Instance, schedule: Schedule, servers: ServerTimeline
) -> Iterator[_Found]:
    system = instance.system
    done, work_ms = schedule.processing, system.server_ms[system.server_type]
    worked = done > 0
    on, usable = servers.on[:, :, None], servers.usable_ms
    fits_model = system.class_model == servers.model[:, :, None]
    can_serve = work_ms[None] > 0

    def at(t: int, s: int, what: str) -> str:
        return f"slot {t}: server {system.servers[s]!r} {what}"

    def of(t: int, s: int, c: int) -> str:
        return f"processes {done[t, s, c]} requests of class {system.classes[c]!r}"

    yield from _report(
        "processing-off",
        worked & ~on,
        lambda t, s, c: at(
            t, s, f"{of(t, s, c)} while it is {'off' if instance.up[t, s] else 'down'}"
        ),
    )
    loads_all = on & (usable == 0)[:, :, None]
    yield from _report(
        "processing-loading",
        worked & loads_all,
        lambda t, s, c: at(t, s, f"{of(t, s, c)} while it is loading for the whole slot"),
    )
    active = worked & on & ~loads_all
    yield from _report(
        "processing-model",
        active & ~fits_model,
        lambda t, s, c: at(
            t, s, f"{of(t, s, c)} with model {system.models[servers.model[t, s]]!r}"
        ),
    )
    yield from _report(
        "processing-incompatible",
        active & fits_model & ~can_serve,
        lambda t, s, c: at(t, s, f"{of(t, s, c)}, which its type cannot serve"),
    )
    busy = (np.where(active & fits_model & can_serve, done, 0) * work_ms).sum(axis=2)
    yield from _report(
        "processing-capacity",
        busy > usable,
        lambda t, s: at(t, s, f"works {busy[t, s]} ms, only {usable[t, s]} ms are usable"),
    )


def _queues(instance: Instance, schedule: Schedule, queues: QueueTimeline) -> Iterator[_Found]:
    """Only the first slot of a region and class counts: what follows depends on it."""
    system = instance.system
    short = queues.queued < 0
    first = short & (short.cumsum(axis=0) == 1)
    served = served_by_region(instance, schedule.processing)
    yield from _report(
        "queue-empty",
        first,
        lambda t, j, c: (
            f"slot {t}: region {system.regions[j]!r} processes {served[t, j, c]} requests of class "
            f"{system.classes[c]!r}, only {served[t, j, c] + queues.queued[t, j, c]} wait there"
        ),
    )

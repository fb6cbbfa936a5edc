"""The tables of a plan: servers, commands, routing, utilisation, response by class."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import OFF, Instance
from torta_opt.allocation.plan.data import Table, clock
from torta_opt.allocation.schedule.data import NO_MODEL, Command, Schedule
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.timeline import ServerTimeline

_NAMES = {Command.START: "start", Command.STOP: "stop", Command.SWITCH: "switch"}


def counted(instance: Instance, servers: ServerTimeline) -> tuple[np.ndarray, np.ndarray]:
    """(T, R, K, M) servers that are on, and those of them whose model is loaded by the slot's end.

    A server that is loading is on; it is ready if it has usable time in the slot.
    """
    system = instance.system
    shape = (len(servers.on), len(system.regions), len(system.types), len(system.models))
    on, ready = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    t, s = np.nonzero(servers.model != OFF)
    cell = t, system.server_region[s], system.server_type[s], servers.model[t, s]
    np.add.at(on, cell, 1)
    np.add.at(ready, cell, (servers.usable_ms[t, s] > 0).astype(np.int64))
    return on, ready


def servers_table(
    instance: Instance, on: np.ndarray, ready: np.ndarray, start: int | None
) -> Table:
    """A row for each slot, region, type and model with servers on."""
    system = instance.system
    rows = [
        (
            t,
            clock(start, t, system.slot_ms),
            system.regions[j],
            system.types[k],
            system.models[m],
            int(on[t, j, k, m]),
            int(ready[t, j, k, m]),
        )
        for t, j, k, m in np.argwhere(on > 0).tolist()
    ]
    return Table(("slot", "time", "region", "type", "model", "on", "ready"), tuple(rows))


def commands_table(instance: Instance, schedule: Schedule, start: int | None) -> Table:
    """The timetable: every start, stop and switch of a server, and how long it takes."""
    system = instance.system
    rows: list[tuple[Any, ...]] = []
    for t, s in np.argwhere(schedule.command != Command.NONE).tolist():
        kind, m = Command(schedule.command[t, s]), int(schedule.command_model[t, s])
        k = int(system.server_type[s])
        table = system.start_ms if kind == Command.START else system.switch_ms
        seconds = 0.0 if m == NO_MODEL else int(table[k, m]) / 1000
        rows.append(
            (
                t,
                clock(start, t, system.slot_ms),
                system.regions[system.server_region[s]],
                system.types[k],
                system.servers[s],
                _NAMES[kind],
                None if m == NO_MODEL else system.models[m],
                seconds,
            )
        )
    titles = ("slot", "time", "region", "type", "server", "command", "model", "loading_s")
    return Table(titles, tuple(rows))


def routing_table(instance: Instance, schedule: Schedule, start: int | None) -> Table:
    """Where the requests of each slot, origin and class go, and their share."""
    system = instance.system
    total = schedule.routing.sum(axis=2)
    rows = [
        (
            t,
            clock(start, t, system.slot_ms),
            system.regions[i],
            system.classes[c],
            system.regions[j],
            int(schedule.routing[t, i, j, c]),
            round(float(schedule.routing[t, i, j, c] / total[t, i, c]), 6),
        )
        for t, i, j, c in np.argwhere(schedule.routing > 0).tolist()
    ]
    titles = ("slot", "time", "origin", "class", "region", "requests", "share")
    return Table(titles, tuple(rows))


def utilisation_table(
    instance: Instance, schedule: Schedule, servers: ServerTimeline, start: int | None
) -> Table:
    """Busy share of the usable time of the servers of each slot, region and type."""
    system = instance.system
    busy = np.einsum("tsc,sc->ts", schedule.processing, system.server_ms[system.server_type])
    pools = (system.server_region, system.server_type)
    shape = (len(system.regions), len(system.types))
    rows: list[tuple[Any, ...]] = []
    for t in range(instance.slots):
        sums = []
        for values in (servers.on[t], servers.usable_ms[t], busy[t]):
            total = np.zeros(shape, np.int64)
            np.add.at(total, pools, values.astype(np.int64))
            sums.append(total)
        on, usable, work = sums
        for j, k in np.argwhere(on > 0).tolist():
            share = round(float(work[j, k] / usable[j, k]), 6) if usable[j, k] else None
            time = clock(start, t, system.slot_ms)
            rows.append((t, time, system.regions[j], system.types[k], int(on[j, k]), share))
    return Table(("slot", "time", "region", "type", "on", "busy_share"), tuple(rows))


def classes_table(instance: Instance, schedule: Schedule) -> Table:
    """Response against target, by class, as the evaluator measures a class taken alone.

    Queues and hot requests of different classes do not depend on each other, so this is exact.
    """
    rows = []
    for c, name in enumerate(instance.system.classes):
        metrics = evaluate(*_only(instance, schedule, c)).metrics
        rows.append(
            (
                name,
                instance.system.models[instance.system.class_model[c]],
                metrics["requests"],
                metrics["served"],
                metrics["expired"],
                float(instance.system.slo_s[c]),
                *(
                    metrics[f"{each}_s"]
                    for each in (
                        "response_mean",
                        "response_p95",
                        "network_mean",
                        "wait_mean",
                        "inference_mean",
                    )
                ),
                metrics["slo_share"],
            )
        )
    titles = (
        "class",
        "model",
        "requests",
        "served",
        "expired",
        "target_s",
        "response_mean_s",
        "response_p95_s",
        "network_mean_s",
        "wait_mean_s",
        "service_mean_s",
        "share_within_target",
    )
    return Table(titles, tuple(rows))


def _only(instance: Instance, schedule: Schedule, c: int) -> tuple[Instance, Schedule]:
    """The instance and the schedule with the requests of one class alone."""
    keep = np.zeros(len(instance.system.classes), np.int64)
    keep[c] = 1
    initial = dataclasses.replace(
        instance.initial,
        backlog=instance.initial.backlog * keep[None, :, None],
        processing=instance.initial.processing * keep,
    )
    alone = dataclasses.replace(
        schedule, routing=schedule.routing * keep, processing=schedule.processing * keep
    )
    return dataclasses.replace(instance, initial=initial), alone

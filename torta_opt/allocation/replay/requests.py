"""Requests of a schedule one by one: when each arrives, and which server serves it in which slot.

A schedule holds counts. Requests of one region and class leave their queue first in, first out, so
the n-th to arrive takes the n-th place of service; what expires leaves last in its slot and is not
played. The places of a slot are dealt to its servers in turn, each in proportion to what it
processes, as a load balancer with weights does. Hot places of a server come first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.imports.small_csv import read_table
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.timeline import hot_requests, trace_queues
from torta_opt.io import InvalidInput

NOWHERE = -1  # origin of what waited before slot 0; server of what expires
TIME, ORIGIN, CLASS = "time_s", "origin", "class"


@dataclass(frozen=True, eq=False)
class Requests:
    """One entry per request that is served, (N,) each.

    arrival_s           when it arrives, seconds from the start of slot 0
    slot_in, slot_out   slots in which it arrives and in which the schedule serves it
    origin              −1 for what waited before slot 0
    group, server       class and server
    is_hot              bool
    """

    arrival_s: np.ndarray
    slot_in: np.ndarray
    slot_out: np.ndarray
    origin: np.ndarray
    group: np.ndarray
    server: np.ndarray
    is_hot: np.ndarray


def requests_of(
    instance: Instance, schedule: Schedule, seed: int = 0, times: str | None = None
) -> Requests:
    """All requests that ``schedule`` serves.

    times   a CSV of arrival times with the columns time_s, origin and class; without it, arrivals
            of a slot are spread over it at random, which is a Poisson process given its counts

    Raises InvalidInput if the file does not hold the arrivals of the instance.
    """
    came, region, group = _arrivals(instance, schedule, np.random.default_rng(seed), times)
    order = np.lexsort((came["arrival_s"], came["slot_in"], group, region))
    came = {name: values[order] for name, values in came.items()}
    left, place_region, place_group = _places(instance, schedule)
    same = np.array_equal(place_region, region[order])
    if not (same and np.array_equal(place_group, group[order])):
        raise InvalidInput("serves requests that did not arrive; see torta-opt verify", "schedule")
    served = left["server"] != NOWHERE
    columns = {**came, **left, "group": group[order]}
    return Requests(**{name: values[served] for name, values in columns.items()})


def _arrivals(
    instance: Instance, schedule: Schedule, rng: np.random.Generator, times: str | None
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """What arrives: when and where, and region and class that it is routed to."""
    slot_s, backlog = instance.system.slot_s, instance.initial.backlog
    t, i, j, c = (
        np.repeat(part, schedule.routing[schedule.routing > 0])
        for part in np.nonzero(schedule.routing)
    )
    if times is None:
        arrival = (t + rng.random(len(t))) * slot_s
    else:
        arrival = _given(instance, schedule, times)
    j0, c0, age = np.nonzero(backlog)
    waiting = backlog[j0, c0, age]
    early = -1 - np.repeat(age, waiting)
    came = {
        "arrival_s": np.concatenate([(early + rng.random(len(early))) * slot_s, arrival]),
        "slot_in": np.concatenate([early, t]),
        "origin": np.concatenate([np.full(len(early), NOWHERE), i]),
    }
    region = np.concatenate([np.repeat(j0, waiting), j])
    return came, region, np.concatenate([np.repeat(c0, waiting), c])


def _given(instance: Instance, schedule: Schedule, path: str) -> np.ndarray:
    """Times of the requests in the order of the routes (slot, origin, region, class).

    Those of one slot, origin and class are dealt to regions in turn, each in proportion to what it
    is sent."""
    slot, origin, group, seconds = _read_times(instance, path)
    order = np.lexsort((seconds, group, origin, slot))
    t, i, j, c = np.nonzero(schedule.routing)
    count = schedule.routing[t, i, j, c]
    cell = np.repeat(np.arange(len(t)), count)
    turn = (within(count) + 0.5) / np.repeat(count, count)
    dealt = np.lexsort((j[cell], turn, c[cell], i[cell], t[cell]))
    given = np.empty(len(cell))
    given[dealt] = seconds[order]
    return given


def _read_times(instance: Instance, path: str) -> tuple[np.ndarray, ...]:
    """Slot, origin, class and seconds of each row; together the arrivals of the instance."""
    system = instance.system
    table = read_table(path)
    table.require(TIME, ORIGIN, CLASS)
    places = {name: n for n, name in enumerate(system.regions)}
    groups = {name: n for n, name in enumerate(system.classes)}
    end = instance.slots * system.slot_s
    found: list[tuple[int, int, int, float]] = []
    for row in table:
        seconds = row.number(TIME)
        if not 0 <= seconds < end:
            hint = "; are these milliseconds?" if 0 <= seconds / 1000 < end else ""
            raise row.fault(f"{seconds:g} must lie in [0, {end:g}) seconds{hint}", TIME)
        if row.text(ORIGIN) not in places:
            raise row.fault(f"{row.text(ORIGIN)!r:.40} is not a region of the instance", ORIGIN)
        if row.text(CLASS) not in groups:
            raise row.fault(f"{row.text(CLASS)!r:.40} is not a class of the instance", CLASS)
        slot = int(seconds * 1000 // system.slot_ms)
        found.append((slot, places[row.text(ORIGIN)], groups[row.text(CLASS)], seconds))
    rows = np.array(found, float).reshape(-1, 4)
    slot, origin, group = rows[:, :3].T.astype(np.int64)
    counts = np.zeros(instance.arrivals.shape, np.int64)
    np.add.at(counts, (slot, origin, group), 1)
    wrong = np.argwhere(counts != instance.arrivals)
    if len(wrong):
        at, i, c = wrong[0]
        where = f"slot {at}, origin {system.regions[i]!r}, class {system.classes[c]!r}"
        rule = f"has {counts[at, i, c]} requests in {where}; {instance.arrivals[at, i, c]} arrive"
        raise InvalidInput(f"{rule} there", field=TIME, file=path)
    return slot, origin, group, rows[:, 3]


def _places(
    instance: Instance, schedule: Schedule
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Places of service in the order in which they are taken; region and class of each."""
    expired = trace_queues(instance, schedule).expired
    t, s, c = np.nonzero(schedule.processing)
    count = schedule.processing[t, s, c]
    hot = hot_requests(instance, schedule.processing)[t, s, c]
    number = within(count)
    turn = (number + 0.5) / np.repeat(count, count)
    gone_t, gone_j, gone_c = (np.repeat(part, expired[expired > 0]) for part in np.nonzero(expired))
    slot = np.concatenate([np.repeat(t, count), gone_t])
    server = np.concatenate([np.repeat(s, count), np.full(len(gone_t), NOWHERE)])
    region = np.concatenate([np.repeat(instance.system.server_region[s], count), gone_j])
    group = np.concatenate([np.repeat(c, count), gone_c])
    turn = np.concatenate([turn, np.full(len(gone_t), 2.0)])
    is_hot = np.concatenate([number < np.repeat(hot, count), np.zeros(len(gone_t), bool)])
    order = np.lexsort((server, turn, slot, group, region))
    left = {"slot_out": slot[order], "server": server[order], "is_hot": is_hot[order]}
    return left, region[order], group[order]


def within(count: np.ndarray) -> np.ndarray:
    """0, 1, … count−1 for each count, one after another."""
    total = int(count.sum())
    return np.arange(total) - np.repeat(count.cumsum() - count, count)

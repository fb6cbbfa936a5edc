"""An instance as the rows of a certificate speak of it: plain lists, servers counted by group.

With regions apart, a *group* is servers of one type in one region with the same outages (a pool,
docs/formulations/allocation.md). With regions as one, it is servers of one type with the same
outages anywhere (docs/formulations/merged.md), and whatever is said of requests is said of their
sums over regions. Which servers form a group is the certificate's choice; that they may is checked
here.

Index names: slot t, region i or j, group p, class c, model m.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torta_opt.allocation.instance.data import CANNOT_HOLD, OFF, Instance
from torta_opt.io.errors import InvalidInput


class Loading(NamedTuple):
    """A loading of some ms: slots it takes, and usable ms of the last of them."""

    slots: int
    usable_ms: int


class InitialLoading(NamedTuple):
    """A server that loads before slot 0."""

    model: int
    loading: Loading


@dataclass(frozen=True, eq=False)
class Group:
    """Servers counted together.

    kind             their type
    region           where they are; 0 with regions as one
    size             how many
    homes            regions they are in → how many
    up               [t] no outage
    since            [t] first slot of the run of slots without an outage that holds t
    until            [t] first slot after t with an outage, T if there is none; t in an outage
    off, ready       how many are off, [m] ready with a model, before slot 0
    loading          those that load before slot 0
    start, switch    [m] what a loading takes; None where they cannot
    work_ms          [c] server time of a request; 0 where they cannot process it
    hot_before       [c] requests that may be hot in slot 0
    """

    kind: int
    region: int
    size: int
    homes: dict[int, int]
    up: list[bool]
    since: list[int]
    until: list[int]
    off: int
    ready: list[int]
    loading: list[InitialLoading]
    start: list[Loading | None]
    switch: list[Loading | None]
    work_ms: list[int]
    hot_before: list[int]


@dataclass(frozen=True, eq=False)
class Counted:
    """An instance in plain lists.

    as_one         regions as one
    slots, regions, models, classes    how many; one region if as one
    model_of       [c]
    deadline       [c] in slots
    allowed        [i][j] requests of i may be routed to j
    arrivals       [t][i][c]
    routed_before  [i][j] requests routed in slot −1
    backlog        [j][c] → {slot in which they are due: requests}
    """

    instance: Instance
    as_one: bool
    slots: int
    slot_ms: int
    regions: int
    models: int
    classes: int
    model_of: list[int]
    deadline: list[int]
    allowed: list[list[bool]]
    arrivals: list[list[list[int]]]
    routed_before: list[list[int]]
    backlog: list[list[dict[int, int]]]
    groups: list[Group]

    def arrivals_of(self, t: int, i: int) -> int:
        """D_t[i], of all classes; what was routed in slot −1."""
        return sum(self.arrivals[t][i]) if t >= 0 else sum(self.routed_before[i])


def count(instance: Instance, group_of_server: Sequence[int], *, as_one: bool) -> Counted:
    """Raises InvalidInput where servers may not be counted together."""
    system, initial = instance.system, instance.initial
    arrivals = instance.arrivals.tolist()
    routed = initial.routing.tolist()
    allowed = system.allowed.tolist()
    deadline = system.deadline_slots.tolist()
    backlog = [
        [_due(ages, deadline[c]) for c, ages in enumerate(by_class)]
        for by_class in initial.backlog.tolist()
    ]
    if as_one:
        arrivals = [[[sum(of_class) for of_class in zip(*slot, strict=True)]] for slot in arrivals]
        routed = [[sum(map(sum, routed))]]
        allowed = [[True]]
        backlog = [[_added(of_class) for of_class in zip(*backlog, strict=True)]]
    return Counted(
        instance=instance,
        as_one=as_one,
        slots=instance.slots,
        slot_ms=system.slot_ms,
        regions=len(allowed),
        models=len(system.models),
        classes=len(system.classes),
        model_of=system.class_model.tolist(),
        deadline=deadline,
        allowed=allowed,
        arrivals=arrivals,
        routed_before=routed,
        backlog=backlog,
        groups=_groups(instance, group_of_server, as_one),
    )


def _due(ages: list[int], deadline: int) -> dict[int, int]:
    """Backlog by the slot at whose end it expires: arrived in −(age+1), due ℓ slots later."""
    return {deadline - age - 1: requests for age, requests in enumerate(ages) if requests}


def _added(parts: Sequence[dict[int, int]]) -> dict[int, int]:
    total: dict[int, int] = {}
    for part in parts:
        for slot, requests in part.items():
            total[slot] = total.get(slot, 0) + requests
    return total


def _groups(instance: Instance, group_of_server: Sequence[int], as_one: bool) -> list[Group]:
    field = "certificate.group"
    servers = len(instance.system.servers)
    if len(group_of_server) != servers:
        raise InvalidInput(f"must name the group of each of {servers} servers", field)
    members: dict[int, list[int]] = {}
    for s, p in enumerate(group_of_server):
        members.setdefault(p, []).append(s)
    if sorted(members) != list(range(len(members))):
        raise InvalidInput("must be numbered from 0 without gaps", field)
    up = instance.up.T.tolist()
    for p, own in members.items():
        if not all(_alike(instance, up, own[0], s, as_one) for s in own):
            raise InvalidInput(f"group {p} holds servers that may not be counted together", field)
    return [_group(instance, up, members[p], as_one) for p in range(len(members))]


def _alike(instance: Instance, up: list[list[bool]], s: int, other: int, as_one: bool) -> bool:
    system = instance.system
    same_type = system.server_type[s] == system.server_type[other]
    same_region = system.server_region[s] == system.server_region[other]
    return bool(same_type and (as_one or same_region) and up[s] == up[other])


def _group(instance: Instance, up: list[list[bool]], own: list[int], as_one: bool) -> Group:
    system, initial = instance.system, instance.initial
    kind, slots = int(system.server_type[own[0]]), instance.slots
    homes: dict[int, int] = {}
    for s in own:
        region = int(system.server_region[s])
        homes[region] = homes.get(region, 0) + 1
    is_up = up[own[0]]
    since, until = [0] * slots, [0] * slots
    for t in range(slots):
        since[t] = since[t - 1] if t > 0 and is_up[t] and is_up[t - 1] else t
    for t in reversed(range(slots)):
        then = until[t + 1] if t + 1 < slots else slots
        until[t] = then if is_up[t] else t
    loading, ready, off = [], [0] * len(system.models), 0
    for s in own:
        model, left = int(initial.model[s]), int(initial.loading_ms[s])
        if model == OFF:
            off += 1
        elif left == 0:
            ready[model] += 1
        else:
            loading.append(InitialLoading(model, _loading(left, system.slot_ms)))
    work = [ms if ms <= system.slot_ms else 0 for ms in system.server_ms[kind].tolist()]
    hot_before = [
        sum(system.hot_permille * int(initial.processing[s, c]) // 1000 for s in own)
        for c in range(len(work))
    ]
    start, switch = (
        [None if ms == CANNOT_HOLD else _loading(ms, system.slot_ms) for ms in of_type]
        for of_type in (system.start_ms[kind].tolist(), system.switch_ms[kind].tolist())
    )
    if sum(each is not None for each in start) < 2:
        switch = [None] * len(start)  # no other model to switch to
    return Group(
        kind=kind,
        region=0 if as_one else next(iter(homes)),
        size=len(own),
        homes=homes,
        up=is_up,
        since=since,
        until=until,
        off=off,
        ready=ready,
        loading=loading,
        start=start,
        switch=switch,
        work_ms=work,
        hot_before=hot_before,
    )


def _loading(ms: int, slot_ms: int) -> Loading:
    slots = max(1, -(-ms // slot_ms))
    return Loading(slots, slots * slot_ms - ms)

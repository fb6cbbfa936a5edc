"""Servers counted instead of named: which servers a program treats as one, and how they load.

A *pool* holds the servers of one type in one region whose outages fall in the same slots. Nothing
in the rules tells such servers apart but their state before slot 0, and of that only the count in
each state matters, so a program may count them: an outage switches the whole pool off at once.
Grouping (``Pools.of``) and the way back (``members``) are a pair; with ``named=True`` every server
is a pool of its own and nothing is lost.

A *loading* is n = max(1, ⌈L/Δ⌉) slots long for a loading time of L ms and slots of Δ ms; only the
last of these slots leaves time to process, n·Δ − L ms of it, and the server takes commands again
in the slot after. A loading of 0 ms is one slot long as well, all of it usable.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import OFF, Instance


@dataclass(frozen=True)
class InitialLoading:
    """Servers of a pool that load the same model before slot 0 and have the same time left."""

    pool: int
    model: int
    servers: int
    slots: int
    usable_ms: int


@dataclass(frozen=True, eq=False)
class Pools:
    """The servers of an instance, counted.

    Axes: slot t < T, pool p < P, model m < M, class c < C, server s < S.

    named              every server is a pool of its own
    names              (P,) unique: "region/type", with "#2", "#3" … where outages split them
    of_server          (S,) pool of each server
    size               (P,) servers
    region, type       (P,)
    up                 (T, P) bool, False during an outage
    off, ready         (P,), (P, M) servers off, servers ready with a model, before slot 0
    loading            servers that load before slot 0
    start_slots, switch_slots    (P, M) slots a loading takes; 0 where the type cannot hold m
    start_usable_ms, switch_usable_ms    (P, M) what its last slot leaves for processing
    per_slot           (P, C) requests one server can process in a slot, ⌊Δ/u⌋; 0 where it cannot
    hot_before         (P, C) requests that may be hot in slot 0
    """

    instance: Instance
    named: bool
    names: tuple[str, ...]
    of_server: np.ndarray
    size: np.ndarray
    region: np.ndarray
    type: np.ndarray
    up: np.ndarray
    off: np.ndarray
    ready: np.ndarray
    loading: tuple[InitialLoading, ...]
    start_slots: np.ndarray
    switch_slots: np.ndarray
    start_usable_ms: np.ndarray
    switch_usable_ms: np.ndarray
    per_slot: np.ndarray
    hot_before: np.ndarray

    @classmethod
    def of(cls, instance: Instance, *, named: bool = False) -> Pools:
        """Group the servers of an instance; ``named`` keeps every server apart."""
        system = instance.system
        of_server, first = _group(instance, named)
        region, kind = system.server_region[first], system.server_type[first]
        start_slots, start_usable = loading_slots(system.start_ms[kind], system.slot_ms)
        switch_slots, switch_usable = loading_slots(system.switch_ms[kind], system.slot_ms)
        work_ms = system.server_ms[kind]
        per_slot = np.where(work_ms > 0, system.slot_ms // np.maximum(work_ms, 1), 0)
        return cls(
            instance=instance,
            named=named,
            names=_names(instance, first, named),
            of_server=of_server,
            size=np.bincount(of_server),
            region=region,
            type=kind,
            up=instance.up[:, first],
            start_slots=start_slots,
            switch_slots=switch_slots,
            start_usable_ms=start_usable,
            switch_usable_ms=switch_usable,
            per_slot=per_slot,
            **_state(instance, of_server, len(first)),
        )

    def before(self, instance: Instance) -> Pools:
        """The same pools before slot 0 of an instance of the same system and outages.

        What does not depend on state or prices is kept, not computed again.
        """
        state = _state(instance, self.of_server, len(self))
        pools = dataclasses.replace(self, instance=instance, **state)
        vars(pools).update((name, getattr(self, name)) for name in _LASTING)
        return pools

    def __len__(self) -> int:
        return len(self.names)

    def members(self, p: int) -> np.ndarray:
        """Servers of pool p, in the order of the instance."""
        return np.flatnonzero(self.of_server == p)

    @cached_property
    def holds(self) -> np.ndarray:
        """(P, M) bool: servers of the pool can hold the model."""
        return self.start_slots > 0

    @cached_property
    def switches(self) -> np.ndarray:
        """(P,) bool: servers of the pool can hold two models or more."""
        several: np.ndarray = self.holds.sum(axis=1) > 1
        return several

    @cached_property
    def work_ms(self) -> np.ndarray:
        """(P, C) u, server time of a request; 0 where it cannot be processed within a slot."""
        system = self.instance.system
        return np.where(self.per_slot > 0, system.server_ms[self.type], 0)

    @cached_property
    def on_usd(self) -> np.ndarray:
        """(T, P) dollars for a server that is on during slot t: idle energy and rent."""
        instance, system = self.instance, self.instance.system
        weights = system.weights
        price = weights.energy_factor * instance.price_usd_per_kwh[:, self.region]
        rent = weights.rent_factor * system.rent_usd_per_hour[self.region, self.type]
        on_usd: np.ndarray = system.slot_hours * (price * system.idle_kw[self.type] + rent)
        return on_usd

    @cached_property
    def busy_usd(self) -> np.ndarray:
        """(T, P, C) dollars for the energy above idle of one request."""
        instance, system = self.instance, self.instance.system
        price = system.weights.energy_factor * instance.price_usd_per_kwh[:, self.region]
        kwh = (system.peak_kw - system.idle_kw)[self.type][:, None] * self.work_ms / 3.6e6
        busy_usd: np.ndarray = price[:, :, None] * kwh
        return busy_usd

    @cached_property
    def saved_usd(self) -> np.ndarray:
        """(P, C) dollars that a hot request saves."""
        system = self.instance.system
        saved_s = np.nan_to_num(system.service_s) - np.nan_to_num(system.hot_service_s)
        saved_usd: np.ndarray = system.weights.time_usd_per_s * saved_s[self.type]
        return saved_usd

    @cached_property
    def rounds(self) -> np.ndarray:
        """(T, P, C) bool: a server ready in slot t, or at the end of a loading begun within the
        horizon, has usable time that is no whole number of requests of the class."""
        system, work = self.instance.system, np.maximum(self.work_ms, 1)
        model = system.class_model
        rounds = np.broadcast_to(system.slot_ms % work > 0, (*self.up.shape, len(model))).copy()
        for slots, usable, possible in (
            (self.start_slots, self.start_usable_ms, self.holds),
            (self.switch_slots, self.switch_usable_ms, self.holds & self.switches[:, None]),
        ):
            begun = np.arange(len(self.up))[:, None, None] - slots[:, model] + 1
            uncut = (begun >= self.up_since[:, :, None]) & self.up[:, :, None]
            rounds |= uncut & (possible[:, model] & (usable[:, model] % work > 0))
        return rounds

    @cached_property
    def up_since(self) -> np.ndarray:
        """(T, P) first slot of the run of slots without an outage that holds t; t+1 if down."""
        since = np.empty(self.up.shape, np.int64)
        running = np.zeros(len(self), np.int64)
        for t in range(len(self.up)):
            running = np.where(self.up[t], running, t + 1)
            since[t] = running
        return since

    @property
    def down_from(self) -> np.ndarray:
        """(P,) first slot in which the pool is down, T if there is none."""
        first_down: np.ndarray = self.up_until[0]
        return first_down

    @cached_property
    def up_until(self) -> np.ndarray:
        """(T, P) first slot after t in which the pool is down, T if there is none; t if down."""
        slots = len(self.up)
        until = np.empty(self.up.shape, np.int64)
        following = np.full(len(self), slots)
        for t in range(slots - 1, -1, -1):
            following = np.where(self.up[t], following, t)
            until[t] = following
        return until


def loading_slots(loading_ms: np.ndarray, slot_ms: int) -> tuple[np.ndarray, np.ndarray]:
    """Slots a loading takes and usable ms of the last of them; both 0 where loading_ms is −1."""
    slots = np.where(loading_ms >= 0, np.maximum(-(-loading_ms // slot_ms), 1), 0)
    return slots, np.where(slots > 0, slots * slot_ms - loading_ms, 0)


# Properties that hold as long as servers and outages are the same.
_LASTING = ("holds", "switches", "work_ms", "rounds", "up_until")


def _state(instance: Instance, of_server: np.ndarray, pools: int) -> dict[str, Any]:
    """The fields of ``Pools`` that say how its servers are before slot 0."""
    system, initial = instance.system, instance.initial
    models, classes = len(system.models), len(system.classes)
    is_off, is_ready = initial.model == OFF, (initial.model != OFF) & (initial.loading_ms == 0)
    ready = np.bincount((of_server * models + initial.model)[is_ready], minlength=pools * models)
    hot_before = np.zeros((pools, classes), np.int64)
    np.add.at(hot_before, of_server, system.hot_permille * initial.processing // 1000)
    return {
        "off": np.bincount(of_server[is_off], minlength=pools),
        "ready": ready.reshape(pools, models),
        "loading": _initial_loading(instance, of_server),
        "hot_before": hot_before,
    }


def _group(instance: Instance, named: bool) -> tuple[np.ndarray, np.ndarray]:
    """Pool of each server, numbered by first appearance, and the first server of each pool."""
    system = instance.system
    if named:
        each = np.arange(len(system.servers))
        return each, each
    profile = np.unique(instance.up, axis=1, return_inverse=True)[1].ravel()
    keys = np.stack([system.server_region, system.server_type, profile])
    _, first, group = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[group.ravel()], first[order]


def _names(instance: Instance, first: np.ndarray, named: bool) -> tuple[str, ...]:
    system = instance.system
    if named:
        return system.servers
    names: list[str] = []
    seen: Counter[str] = Counter()
    for s in first:
        base = f"{system.regions[system.server_region[s]]}/{system.types[system.server_type[s]]}"
        seen[base] += 1
        name = base if seen[base] == 1 else f"{base}#{seen[base]}"
        while name in names:  # a region or type whose own name holds "/" or "#"
            name += "'"
        names.append(name)
    return tuple(names)


def _initial_loading(instance: Instance, of_server: np.ndarray) -> tuple[InitialLoading, ...]:
    initial = instance.initial
    loading = np.flatnonzero(initial.loading_ms > 0)
    if len(loading) == 0:
        return ()
    left = (of_server[loading], initial.model[loading], initial.loading_ms[loading])
    counts = sorted(Counter(zip(*(part.tolist() for part in left), strict=True)).items())
    left_ms = np.array([ms for (_, _, ms), _ in counts])
    slots, usable_ms = (part.tolist() for part in loading_slots(left_ms, instance.system.slot_ms))
    return tuple(
        InitialLoading(pool, model, servers, slots[n], usable_ms[n])
        for n, ((pool, model, _), servers) in enumerate(counts)
    )

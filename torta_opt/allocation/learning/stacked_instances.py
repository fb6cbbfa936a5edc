"""Many instances side by side, as one: regions and servers of all in one row.

N instances of the same topology, slot length, models, types and classes (they may differ in
servers, rent, prices, arrivals, outages, and in the weights of re-routing and expiry) become one
system of N·R regions between which nothing may be routed. The array code of the policies' micro
layer then decides a slot of all of them at once, and for each exactly what it would decide alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from torta_opt.allocation.instance.data import Instance, System
from torta_opt.io import InvalidInput

_ALIKE = (
    *("slot_ms", "hot_permille", "regions", "models", "types", "classes", "class_model"),
    *("deadline_slots", "latency_s", "transfer_usd", "service_s", "hot_service_s", "server_ms"),
    *("idle_kw", "peak_kw", "start_ms", "switch_ms", "start_usd", "switch_usd"),
)
_ALIKE_WEIGHTS = (
    *("time_usd_per_s", "energy_factor", "rent_factor"),
    *("transfer_factor", "loading_factor"),
)


@dataclass(frozen=True, eq=False)
class Stack:
    """Instances, and the system that holds all their servers.

    system     N·R regions; pairs of regions of different instances are forbidden
    owner      (S,) the instance of each server
    """

    instances: tuple[Instance, ...]
    system: System
    owner: np.ndarray

    @classmethod
    def of(cls, instances: Sequence[Instance]) -> Stack:
        """Raises InvalidInput if two instances cannot stand side by side."""
        if not instances:
            raise InvalidInput("at least one is needed", field="instances")
        for other in instances[1:]:
            _check_alike(instances[0], other)
        owner = np.repeat(np.arange(len(instances)), [len(i.system.servers) for i in instances])
        return cls(tuple(instances), _joined(instances, owner), owner)

    @property
    def count(self) -> int:
        return len(self.instances)

    @property
    def regions(self) -> int:
        """Number of regions of one instance."""
        return len(self.instances[0].system.regions)

    @cached_property
    def arrivals(self) -> np.ndarray:
        """(N, T, R, C)"""
        return np.stack([instance.arrivals for instance in self.instances])

    @cached_property
    def price(self) -> np.ndarray:
        """(N, T, R)"""
        return np.stack([instance.price_usd_per_kwh for instance in self.instances])

    @cached_property
    def up(self) -> np.ndarray:
        """(T, S)"""
        return np.concatenate([instance.up for instance in self.instances], axis=1)


def _check_alike(one: Instance, other: Instance) -> None:
    for field in _ALIKE:
        if not _equal(getattr(one.system, field), getattr(other.system, field)):
            raise InvalidInput(f"{other.name} differs from {one.name}", field=field)
    for field in _ALIKE_WEIGHTS:
        if getattr(one.system.weights, field) != getattr(other.system.weights, field):
            raise InvalidInput(f"{other.name} differs from {one.name}", field=field)
    if one.slots != other.slots:
        raise InvalidInput(f"{other.name} differs from {one.name}", field="slots")


def _equal(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray):
        other = np.asarray(other)
        floats = one.dtype.kind == "f"
        return np.array_equal(one, other, equal_nan=floats)
    return one == other


def _joined(instances: Sequence[Instance], owner: np.ndarray) -> System:
    first, systems = instances[0].system, [instance.system for instance in instances]
    count, regions = len(instances), len(first.regions)
    size = count * regions
    block = np.kron(np.eye(count, dtype=bool), np.ones((regions, regions), bool))
    latency = np.where(block, np.tile(first.latency_s, (count, count)), np.nan)
    transfer = np.zeros((size, size, len(first.classes)))
    for n in range(count):
        own = slice(n * regions, (n + 1) * regions)
        transfer[own, own] = first.transfer_usd
    return dataclasses.replace(
        first,
        regions=tuple(f"{n}/{name}" for n in range(count) for name in first.regions),
        servers=tuple(f"{n}/{name}" for n in range(count) for name in systems[n].servers),
        server_region=np.concatenate([system.server_region for system in systems])
        + owner * regions,
        server_type=np.concatenate([system.server_type for system in systems]),
        latency_s=latency,
        transfer_usd=transfer,
        rent_usd_per_hour=np.concatenate([system.rent_usd_per_hour for system in systems]),
    )

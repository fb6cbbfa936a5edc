"""An instance as tables by name, the way the Pyomo text of a program reads them.

``tables.arrivals[t, i, c]`` is D[t,i,c] with t a slot number and i, c names; a table of which only
part of the cells means anything (forbidden pairs, classes a pool cannot serve) holds those alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from torta_opt.allocation.formulations.column_bounds import ColumnBounds
from torta_opt.allocation.formulations.pools import InitialLoading, Pools
from torta_opt.allocation.instance.data import Instance, Weights

Table = dict[Any, Any]


@dataclass(frozen=True, eq=False)
class PyomoData:
    """Everything the allocation program reads, by slot number and name."""

    instance: Instance
    pools: Pools
    column_bounds: ColumnBounds

    @classmethod
    def of(cls, instance: Instance, *, named: bool = False) -> PyomoData:
        pools = Pools.of(instance, named=named)
        return cls(instance, pools, ColumnBounds.of(pools))

    # --- sets ---

    @cached_property
    def slots(self) -> range:
        return range(self.instance.slots)

    @property
    def last(self) -> int:
        return self.instance.slots - 1

    @property
    def weights(self) -> Weights:
        return self.instance.system.weights

    @property
    def regions(self) -> tuple[str, ...]:
        return self.instance.system.regions

    @property
    def models(self) -> tuple[str, ...]:
        return self.instance.system.models

    @property
    def classes(self) -> tuple[str, ...]:
        return self.instance.system.classes

    @cached_property
    def reach(self) -> dict[str, list[str]]:
        """Regions that requests of an origin may be sent to."""
        allowed = self.instance.system.allowed
        return {i: _chosen(self.regions, allowed[n]) for n, i in enumerate(self.regions)}

    @cached_property
    def held(self) -> dict[str, list[str]]:
        """Models that servers of a pool can hold."""
        return {
            p: _chosen(self.models, self.pools.holds[n]) for n, p in enumerate(self.pools.names)
        }

    @cached_property
    def pools_in(self) -> dict[str, list[str]]:
        """Pools of a region."""
        region = self.pools.region
        return {j: _chosen(self.pools.names, region == n) for n, j in enumerate(self.regions)}

    @cached_property
    def region_of(self) -> dict[str, str]:
        return {
            p: self.regions[j] for p, j in zip(self.pools.names, self.pools.region, strict=True)
        }

    @cached_property
    def model_of(self) -> dict[str, str]:
        """Model of a class."""
        model = self.instance.system.class_model
        return {c: self.models[m] for c, m in zip(self.classes, model, strict=True)}

    @cached_property
    def classes_of(self) -> dict[tuple[str, str], list[str]]:
        """Classes that a pool serves with a model."""
        served = dict(zip(self.pools.names, self.pools.per_slot > 0, strict=True))
        return {
            (p, m): [c for c in _chosen(self.classes, served[p]) if self.model_of[c] == m]
            for p, m in product(self.pools.names, self.models)
        }

    @cached_property
    def up(self) -> list[tuple[int, str]]:
        """Slots and pools without an outage."""
        return list(self.cells(self.pools.up, self.slots, self.pools.names))

    @cached_property
    def up_since(self) -> dict[tuple[int, str], int]:
        """First slot of the run of slots without an outage that holds t."""
        since: dict[tuple[int, str], int] = {}
        for t, p in self.up:
            since[t, p] = since.get((t - 1, p), t)
        return since

    # --- data ---

    def cells(self, array: np.ndarray, *axes: Sequence[Any]) -> Table:
        """Cells of an array that are not zero, by name."""
        index = np.nonzero(array)
        keys: Iterable[Any] = zip(
            *([axis[n] for n in part.tolist()] for axis, part in zip(axes, index, strict=True)),
            strict=True,
        )
        if len(axes) == 1:
            keys = (key for (key,) in keys)
        return dict(zip(keys, array[index].tolist(), strict=True))

    def table(self, array: np.ndarray, *axes: Sequence[Any]) -> Table:
        """All cells of an array, by name."""
        keys = product(*axes) if len(axes) > 1 else axes[0]
        return dict(zip(keys, array.ravel().tolist(), strict=True))

    @cached_property
    def arrivals(self) -> Table:
        """D[t,i,c] where positive."""
        return self.cells(self.instance.arrivals, self.slots, self.regions, self.classes)

    @cached_property
    def arrivals_of(self) -> Table:
        """D[t,i] of all classes, from t = −1 (what was routed in the slot before the first)."""
        before = self.instance.initial.routing.sum(axis=1)
        total = np.concatenate([before[None], self.instance.arrivals.sum(axis=2)])
        return self.table(total, range(-1, self.instance.slots), self.regions)

    @cached_property
    def routing_before(self) -> Table:
        """Requests routed from i to j in slot −1."""
        return self.table(self.instance.initial.routing, self.regions, self.regions)

    @cached_property
    def backlog(self) -> Table:
        """Requests of class c that wait in region j before slot 0."""
        return self.table(self.instance.initial.backlog.sum(axis=2), self.regions, self.classes)

    @cached_property
    def fresh_backlog(self) -> Table:
        """Requests of these that are not due by the end of slot t."""
        return self.table(self.column_bounds.fresh_backlog, self.slots, self.regions, self.classes)

    @cached_property
    def deadline(self) -> Table:
        return self.table(self.instance.system.deadline_slots, self.classes)

    @cached_property
    def latency_s(self) -> Table:
        return self.table(self.instance.system.latency_s, self.regions, self.regions)

    @cached_property
    def transfer_usd(self) -> Table:
        system = self.instance.system
        return self.table(system.transfer_usd, self.regions, self.regions, self.classes)

    @cached_property
    def price_usd_per_kwh(self) -> Table:
        return self.table(self.instance.price_usd_per_kwh, self.slots, self.regions)

    @cached_property
    def expiry_usd(self) -> Table:
        return self.table(self.instance.system.weights.expiry_usd, self.classes)

    @cached_property
    def servers(self) -> Table:
        """Servers of a pool."""
        return self.table(self.pools.size, self.pools.names)

    @cached_property
    def off_before(self) -> Table:
        """Servers of a pool that are off before slot 0."""
        return self.table(self.pools.off, self.pools.names)

    @cached_property
    def ready_before(self) -> Table:
        """Servers of a pool that are ready with a model before slot 0."""
        return self.table(self.pools.ready, self.pools.names, self.models)

    @cached_property
    def loading_before(self) -> dict[tuple[str, str], list[InitialLoading]]:
        """What a pool's servers load before slot 0, by model."""
        found: dict[tuple[str, str], list[InitialLoading]] = {
            key: [] for key in product(self.pools.names, self.models)
        }
        for entry in self.pools.loading:
            found[self.pools.names[entry.pool], self.models[entry.model]].append(entry)
        return found

    def _by_pool_model(self, array: np.ndarray) -> Table:
        return self.table(array, self.pools.names, self.models)

    def _by_pool_class(self, array: np.ndarray) -> Table:
        return self.table(array, self.pools.names, self.classes)

    def _of_type(self, array: np.ndarray) -> np.ndarray:
        by_pool: np.ndarray = array[self.pools.type]
        return by_pool

    @cached_property
    def start_slots(self) -> Table:
        return self._by_pool_model(self.pools.start_slots)

    @cached_property
    def switch_slots(self) -> Table:
        return self._by_pool_model(self.pools.switch_slots)

    @cached_property
    def start_usable_ms(self) -> Table:
        return self._by_pool_model(self.pools.start_usable_ms)

    @cached_property
    def switch_usable_ms(self) -> Table:
        return self._by_pool_model(self.pools.switch_usable_ms)

    @cached_property
    def start_usd(self) -> Table:
        return self._by_pool_model(self._of_type(self.instance.system.start_usd))

    @cached_property
    def switch_usd(self) -> Table:
        return self._by_pool_model(self._of_type(self.instance.system.switch_usd))

    @cached_property
    def work_ms(self) -> Table:
        """u[p,c], server time of a request."""
        return self._by_pool_class(self.pools.work_ms)

    @cached_property
    def service_s(self) -> Table:
        return self._by_pool_class(self._of_type(self.instance.system.service_s))

    @cached_property
    def hot_service_s(self) -> Table:
        return self._by_pool_class(self._of_type(self.instance.system.hot_service_s))

    @cached_property
    def reuse(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Numerator and denominator of the most that one request of slot t−1 makes hot in t."""
        ratio = self.column_bounds.reuse.reshape(-1, 2).tolist()
        keys = product(self.pools.names, self.classes)
        return {key: (n, d) for key, (n, d) in zip(keys, ratio, strict=True)}

    @cached_property
    def idle_kw(self) -> Table:
        return self.table(self._of_type(self.instance.system.idle_kw), self.pools.names)

    @cached_property
    def span_kw(self) -> Table:
        """Power of a busy server above that of an idle one."""
        system = self.instance.system
        return self.table(self._of_type(system.peak_kw - system.idle_kw), self.pools.names)

    @cached_property
    def rent_usd_per_hour(self) -> Table:
        rent = self.instance.system.rent_usd_per_hour
        return self.table(rent[self.pools.region, self.pools.type], self.pools.names)


def _chosen(names: Sequence[str], which: np.ndarray) -> list[str]:
    return [names[n] for n in np.flatnonzero(which).tolist()]

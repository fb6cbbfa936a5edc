"""The allocation program as one sparse matrix: the text of ``allocation.py``, all slots at once.

Columns and rows come in families that carry the names of the Pyomo text and are numbered family by
family, each in the order of its cells (slot first). A family knows its cells twice: ``index``, the
list of cells that have a column or row, and ``number``, a dense array that holds the number of
every cell, −1 where there is none. A block of coefficients is then one call of ``Entries.add``:
numbers of rows and of columns and a coefficient, broadcast against each other.

The tests hold this text to the Pyomo text: same columns, rows, coefficients and bounds, by name.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sparse

from torta_opt.formulations.limits import Limits
from torta_opt.formulations.pools import Pools
from torta_opt.formulations.segments import TANGENTS, segments
from torta_opt.instance.data import Instance
from torta_opt.solvers.problem import Problem

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

INFINITY = np.inf
# Axes of every family: slot t, origin or serving region r, pool p, model m, class c, segment k.
AXES = {
    "x": "trrc",
    "inflow": "trc",
    "q": "trc",
    "expired": "trc",
    "z": "tpc",
    "hot": "tpc",
    "off": "tp",
    "ready": "tpm",
    "start": "tpm",
    "stop": "tpm",
    "leave": "tpm",
    "enter": "tpm",
    "moved": "trr",
    "rise": "trrk",
    "fall": "trrk",
    "route": "trc",
    "gather": "trc",
    "queue": "trc",
    "deadline": "trc",
    "aging": "trc",
    "off_flow": "tp",
    "ready_flow": "tpm",
    "switch_flow": "tp",
    "capacity": "tpm",
    "fit": "tpc",
    "hot_served": "tpc",
    "reuse": "tpc",
    "reroute": "trr",
    "change": "trr",
    "excess": "tpk",
    "spread": "tp",
    "hull": "tpmk",
}
REQUESTS = ("x", "inflow", "q", "expired", "z", "hot")
SERVERS = ("off", "ready", "start", "stop", "leave", "enter")


@dataclass(frozen=True, eq=False)
class Family:
    """Columns or rows of one kind.

    first    number of the first
    index    (n, axes) cells, in the order of their numbers
    number   dense over the sets, −1 where there is none
    """

    name: str
    first: int
    index: np.ndarray
    number: np.ndarray

    @classmethod
    def of(cls, name: str, first: int, mask: np.ndarray) -> Family:
        number = np.full(mask.shape, -1, np.int64)
        number[mask] = np.arange(first, first + np.count_nonzero(mask))
        return cls(name, first, np.argwhere(mask), number)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def numbers(self) -> slice:
        return slice(self.first, self.first + len(self))


@dataclass(frozen=True, eq=False)
class AllocationProgram:
    """minimise cost·v + constant subject to row_lower ≤ matrix·v ≤ row_upper, 0 ≤ v ≤ upper.

    columns, rows    families by name, in the order of the matrix
    integer          (n,) bool
    further_rows     names of rows below those of the families
    """

    instance: Instance
    pools: Pools
    limits: Limits
    tangents: tuple[float, ...]
    columns: dict[str, Family]
    rows: dict[str, Family]
    cost: np.ndarray
    constant: float
    upper: np.ndarray
    integer: np.ndarray
    matrix: sparse.csr_array
    row_lower: np.ndarray
    row_upper: np.ndarray
    further_rows: tuple[str, ...] = ()

    @cached_property
    def column_names(self) -> list[str]:
        return [name for family in self.columns.values() for name in self._names(family)]

    @cached_property
    def row_names(self) -> list[str]:
        own = (name for family in self.rows.values() for name in self._names(family))
        return [*own, *self.further_rows]

    def _names(self, family: Family) -> Iterator[str]:
        system = self.instance.system
        labels = {"r": system.regions, "p": self.pools.names, "m": system.models}
        labels["c"] = system.classes
        quoted = {axis: [_quoted(name) for name in names] for axis, names in labels.items()}
        axes = [quoted.get(axis) for axis in AXES[family.name]]
        for cell in family.index.tolist():
            parts = (
                str(n) if names is None else names[n] for n, names in zip(cell, axes, strict=True)
            )
            yield f"{family.name}[{','.join(parts)}]"

    def vector(self, values: dict[str, np.ndarray]) -> np.ndarray:
        """Dense values by family (as ``lift`` gives them) in the order of the columns."""
        parts = [
            np.asarray(values[name])[tuple(family.index.T)] if len(family) else np.zeros(0)
            for name, family in self.columns.items()
        ]
        return np.concatenate(parts).astype(float)

    def values(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Dense values by family of a vector in the order of the columns; 0 without a column."""
        dense = {}
        for name, family in self.columns.items():
            dense[name] = np.zeros(family.number.shape)
            dense[name][tuple(family.index.T)] = vector[family.numbers]
        return dense

    def objective(self, vector: np.ndarray) -> float:
        return float(self.cost @ vector) + self.constant

    def with_rows(
        self, family: Family, block: sparse.csr_array, upper: np.ndarray
    ) -> AllocationProgram:
        """The program with a further family of rows block·v ≤ upper."""
        if self.further_rows:
            raise ValueError("families of rows come before single rows")
        return dataclasses.replace(
            self,
            rows={**self.rows, family.name: family},
            matrix=sparse.csr_array(sparse.vstack([self.matrix, block])),
            row_lower=np.append(self.row_lower, np.full(len(family), -INFINITY)),
            row_upper=np.append(self.row_upper, upper),
        )

    def problem(self) -> Problem:
        """The same for a solver; names are made up when asked for."""
        rows, columns = self.matrix.shape
        return Problem(
            matrix=self.matrix,
            row_lower=self.row_lower,
            row_upper=self.row_upper,
            col_lower=np.zeros(columns),
            col_upper=self.upper,
            cost=self.cost,
            offset=self.constant,
            integrality=self.integer,
            row_names=_Names(rows, lambda: self.row_names),
            col_names=_Names(columns, lambda: self.column_names),
        )


class _Names(Sequence[str]):
    """A list that is made on first use."""

    def __init__(self, size: int, make: Callable[[], list[str]]):
        self.size, self.make = size, make

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, n: Any) -> Any:
        return self.make()[n]


def build_allocation_program(
    instance: Instance,
    *,
    integer: bool = False,
    named: bool = False,
    tangents: Sequence[float] = TANGENTS,
) -> AllocationProgram:
    """The program of ``build_allocation_model``, with the same options."""
    pools = Pools.of(instance, named=named)
    limits = Limits.of(pools)
    upper = _upper_bounds(pools, limits, tangents)
    columns = _families({name: most > 0 for name, most in upper.items()})
    costs, constant = _costs(pools, columns, tangents)
    rows, matrix, row_lower, row_upper = _rows(pools, limits, columns)
    whole = {*SERVERS, *(REQUESTS if integer else ())}
    return AllocationProgram(
        instance=instance,
        pools=pools,
        limits=limits,
        tangents=tuple(tangents),
        columns=columns,
        rows=rows,
        cost=_stacked(columns, costs),
        constant=constant,
        upper=_stacked(columns, upper),
        integer=np.concatenate([np.full(len(f), name in whole) for name, f in columns.items()]),
        matrix=matrix,
        row_lower=row_lower,
        row_upper=row_upper,
    )


# --- columns ------------------------------------------------------------------------------------


def _upper_bounds(pools: Pools, limits: Limits, tangents: Sequence[float]) -> dict[str, np.ndarray]:
    """Upper bound of every cell of every column family; 0 where there is no column."""
    instance, system, weights = pools.instance, pools.instance.system, pools.instance.system.weights
    servers = pools.up * pools.size
    held = servers[:, :, None] * pools.holds
    switching = held * pools.switches[:, None]
    compared, fewer = compared_shares(instance)
    lengths = np.array([length for _, length in segments(tangents)])
    pieces = (compared * (weights.frobenius_usd > 0))[..., None] * lengths
    return {
        "x": instance.arrivals[:, :, None, :] * system.allowed[None, :, :, None],
        "inflow": limits.inflow,
        "q": limits.waiting,
        "expired": limits.expired,
        "z": limits.processing,
        "hot": limits.hot,
        "off": servers,
        "ready": held,
        "start": held,
        "stop": held,
        "leave": switching,
        "enter": switching,
        "moved": compared * fewer[:, :, None] * (weights.reroute_usd > 0),
        "rise": pieces,
        "fall": pieces,
    }


def compared_shares(instance: Instance) -> tuple[np.ndarray, np.ndarray]:
    """(T, R, R) bool: A_t[i,j] is compared with the slot before; (T, R) min(D_t, D_{t−1})."""
    allowed = instance.system.allowed
    total = _arrivals_from_before(instance)
    fewer = np.minimum(total[1:], total[:-1])
    return (fewer > 0)[:, :, None] & allowed & (allowed.sum(axis=1) > 1)[:, None], fewer


def _arrivals_from_before(instance: Instance) -> np.ndarray:
    """(T+1, R) arrivals of all classes, slot −1 first."""
    before = instance.initial.routing.sum(axis=1)
    return np.concatenate([before[None], instance.arrivals.sum(axis=2)])


def _costs(
    pools: Pools, columns: dict[str, Family], tangents: Sequence[float]
) -> tuple[dict[str, np.ndarray], float]:
    """(objective) Dollars of every cell, and of servers that load before slot 0."""
    instance, system, weights = pools.instance, pools.instance.system, pools.instance.system.weights
    v, kind = weights.time_usd_per_s, pools.type
    latency_s = np.where(system.allowed, system.latency_s, 0.0)
    route = v * latency_s[:, :, None] + weights.transfer_factor * system.transfer_usd
    service_s = np.nan_to_num(system.service_s)[kind]
    saved_s = service_s - np.nan_to_num(system.hot_service_s)[kind]
    busy_kwh = (system.peak_kw - system.idle_kw)[kind][:, None] * pools.work_ms / 3.6e6
    price = weights.energy_factor * instance.price_usd_per_kwh[:, pools.region]
    start = weights.loading_factor * system.start_usd[kind]
    switch = weights.loading_factor * system.switch_usd[kind]
    slope = np.array([slope for slope, _ in segments(tangents)])
    costs: dict[str, ArrayLike] = {
        "x": route,
        "q": v * system.slot_s,
        "expired": weights.expiry_usd,
        "z": v * service_s + price[:, :, None] * busy_kwh,
        "hot": -v * saved_s,
        "ready": pools.on_usd[:, :, None],
        "start": start + _on_while_loading(pools, pools.start_slots),
        "enter": switch + _on_while_loading(pools, pools.switch_slots),
        "moved": weights.reroute_usd,
        "rise": weights.frobenius_usd * slope,
        "fall": weights.frobenius_usd * slope,
    }
    constant = sum(
        entry.servers
        * pools.on_usd[: min(entry.slots, pools.down_from[entry.pool]), entry.pool].sum()
        for entry in pools.loading
    )
    dense = {
        name: np.broadcast_to(costs.get(name, 0.0), family.number.shape)
        for name, family in columns.items()
    }
    return dense, float(constant)


def _on_while_loading(pools: Pools, slots: np.ndarray) -> np.ndarray:
    """(T, P, M) dollars for being on from slot t until a loading begun in t ends or is cut."""
    usd = np.zeros((*pools.up.shape, slots.shape[1]))
    horizon = len(pools.up)
    for after in range(int(slots.max(initial=0))):
        begun = np.arange(horizon - after)
        is_on = (begun + after)[:, None] < pools.up_until[begun]
        usd[begun] += ((is_on * pools.on_usd[after:])[:, :, None]) * (after < slots)
    return usd


# --- rows ---------------------------------------------------------------------------------------


class Entries:
    """Coefficients of the matrix, collected block by block."""

    def __init__(self) -> None:
        self.parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, row: np.ndarray, column: np.ndarray, coefficient: ArrayLike) -> None:
        """A coefficient wherever both numbers exist; the three are broadcast to one shape."""
        row, column, value = np.broadcast_arrays(row, column, coefficient)
        there = (row >= 0) & (column >= 0) & (value != 0)
        self.parts.append((row[there], column[there], value[there].astype(float)))

    def matrix(self, rows: int, columns: int) -> sparse.csr_array:
        row, column, value = (np.concatenate(part) for part in zip(*self.parts, strict=True))
        return sparse.csr_array((value, (row, column)), shape=(rows, columns))


def _rows(
    pools: Pools, limits: Limits, columns: dict[str, Family]
) -> tuple[dict[str, Family], sparse.csr_array, np.ndarray, np.ndarray]:
    """All row families, the matrix, and lower and upper bounds of the rows."""
    rows = _families(_row_masks(pools, limits, columns))
    number = {name: family.number for name, family in (columns | rows).items()}
    entries = Entries()
    bounds = {
        **_routing_rows(pools, entries, number),
        **_queue_rows(pools, limits, entries, number),
        **_state_rows(pools, entries, number),
        **_capacity_rows(pools, entries, number),
        **_hot_rows(limits, entries, number),
        **_change_rows(pools, entries, number),
    }
    size = sum(map(len, rows.values())), sum(map(len, columns.values()))
    lower = _stacked(rows, {name: low for name, (low, _) in bounds.items()})
    upper = _stacked(rows, {name: high for name, (_, high) in bounds.items()})
    return rows, entries.matrix(*size), lower, upper


_Bounds = dict[str, tuple["ArrayLike", "ArrayLike"]]


def _row_masks(pools: Pools, limits: Limits, columns: dict[str, Family]) -> dict[str, np.ndarray]:
    """Which cells of every row family have a row."""
    instance, weights = pools.instance, pools.instance.system.weights
    waiting, inflow, expired = limits.waiting > 0, limits.inflow > 0, limits.expired > 0
    deadlines, slots = instance.system.deadline_slots, np.arange(instance.slots)[:, None, None]
    backlog = instance.initial.backlog.sum(axis=2) > 0
    has_z, has_hot = limits.processing > 0, limits.hot > 0
    rounds = _rounds(pools)
    held = pools.up[:, :, None] & pools.holds
    compared, _ = compared_shares(instance)
    return {
        "route": instance.arrivals > 0,
        "gather": inflow,
        "queue": inflow | np.concatenate([backlog[None], waiting[:-1]]),
        "deadline": waiting & (limits.waiting > limits.fresh_backlog),
        "aging": waiting & _expires_soon(expired, deadlines),
        "off_flow": pools.up,
        "ready_flow": held,
        "switch_flow": pools.up & pools.switches,
        "capacity": _shared(pools, has_z, rounds),
        "fit": has_z & rounds,
        "hot_served": has_hot,
        "reuse": has_hot & (slots > 0),
        "reroute": compared & (weights.reroute_usd > 0),
        "change": compared & (weights.frobenius_usd > 0),
    }


def _expires_soon(expired: np.ndarray, deadlines: np.ndarray) -> np.ndarray:
    """(T, R, C) something can expire in the ℓ slots after t, slot T−1 left out."""
    soon = np.zeros_like(expired)
    slots = len(expired)
    for c, deadline in enumerate(deadlines):
        for after in range(1, min(deadline, slots - 2) + 1):
            soon[: slots - 1 - after, :, c] |= expired[after : slots - 1, :, c]
    return soon


def _rounds(pools: Pools) -> np.ndarray:
    """(T, P, C) bool: some server's usable time is no whole number of requests of the class."""
    model, work = pools.instance.system.class_model, np.maximum(pools.work_ms, 1)
    rounds = np.broadcast_to(
        pools.instance.system.slot_ms % work > 0, (*pools.up.shape, len(model))
    )
    rounds = rounds.copy()
    for slots, usable, possible in (
        (pools.start_slots, pools.start_usable_ms, pools.holds),
        (pools.switch_slots, pools.switch_usable_ms, pools.holds & pools.switches[:, None]),
    ):
        begun = np.arange(len(pools.up))[:, None, None] - slots[:, model] + 1
        uncut = (begun >= pools.up_since[:, :, None]) & pools.up[:, :, None]
        rounds |= uncut & (possible[:, model] & (usable[:, model] % work > 0))
    for entry in pools.loading:
        if entry.slots - 1 < pools.down_from[entry.pool]:
            strict = (model == entry.model) & (entry.usable_ms % work[entry.pool] > 0)
            rounds[entry.slots - 1, entry.pool] |= strict
    return rounds


def _shared(pools: Pools, has_z: np.ndarray, rounds: np.ndarray) -> np.ndarray:
    """(T, P, M) bool: two classes of the model compete, or one whose row (fit) is left out."""
    of_model = pools.instance.system.class_model[:, None] == np.arange(pools.holds.shape[1])
    competing = has_z.astype(np.int64) @ of_model
    exact = (has_z & ~rounds).astype(np.int64) @ of_model
    return (competing > 1) | (exact > 0)


def _routing_rows(pools: Pools, entries: Entries, number: dict[str, np.ndarray]) -> _Bounds:
    """(route), (gather)"""
    x, inflow = number["x"], number["inflow"]
    route, gather = number["route"], number["gather"]
    entries.add(route[:, :, None, :], x, 1)
    entries.add(gather, inflow, 1)
    entries.add(gather[:, None], x, -1)
    arrivals = pools.instance.arrivals
    return {"route": (arrivals, arrivals), "gather": (0.0, 0.0)}


def _queue_rows(
    pools: Pools, limits: Limits, entries: Entries, number: dict[str, np.ndarray]
) -> _Bounds:
    """(queue), (deadline), (aging)"""
    inflow, q, expired = number["inflow"], number["q"], number["expired"]
    queue, deadline = number["queue"], number["deadline"]
    aging = number["aging"]
    entries.add(queue, q, 1)
    entries.add(queue[1:], q[:-1], -1)
    entries.add(queue, inflow, -1)
    entries.add(queue, expired, 1)
    entries.add(queue[:, pools.region], number["z"], 1)
    entries.add(deadline, q, 1)
    entries.add(aging, q, -1)
    slots = len(q)
    for c, most in enumerate(pools.instance.system.deadline_slots.tolist()):
        for age in range(min(most, slots)):
            entries.add(deadline[age:, :, c], inflow[: slots - age, :, c], -1)
            entries.add(
                aging[: slots - age - 1, :, c], expired[age + 1 :, :, c], _not_last(slots - age - 1)
            )
    before = np.zeros(limits.inflow.shape)
    before[0] = pools.instance.initial.backlog.sum(axis=2)
    return {
        "queue": (before, before),
        "deadline": (-INFINITY, limits.fresh_backlog),
        "aging": (-INFINITY, 0.0),
    }


def _not_last(slots: int) -> np.ndarray:
    """(slots, 1): 1 but 0 in the last."""
    return (np.arange(slots) < slots - 1).astype(float)[:, None]


def _state_rows(pools: Pools, entries: Entries, number: dict[str, np.ndarray]) -> _Bounds:
    """(off_flow), (ready_flow), (switch_flow)"""
    off_flow, ready_flow = number["off_flow"], number["ready_flow"]
    switch_flow = number["switch_flow"]
    off, ready, stop = number["off"], number["ready"], number["stop"]
    start, enter, leave = number["start"], number["enter"], number["leave"]
    stays_up = pools.up[1:] & pools.up[:-1]
    entries.add(off_flow, off, 1)
    entries.add(off_flow[:, :, None], start, 1)
    entries.add(off_flow[1:], off[:-1], -1.0 * stays_up)
    entries.add(off_flow[1:, :, None], stop[:-1], -1.0 * stays_up[:, :, None])
    for away in (ready, stop, leave):
        entries.add(ready_flow, away, 1)
    entries.add(ready_flow[1:], ready[:-1], -1.0 * stays_up[:, :, None])
    for column, slots in ((start, pools.start_slots), (enter, pools.switch_slots)):
        begun = np.argwhere(column >= 0).T
        row = later(pools, ready_flow, begun, slots[begun[1], begun[2]])
        entries.add(row, column[tuple(begun)], -1)
    entries.add(switch_flow[:, :, None], leave, 1)
    entries.add(switch_flow[:, :, None], enter, -1)
    off_before = np.where(pools.up & ~_stayed_up(pools), pools.size, 0)
    off_before[0] = pools.off
    ready_before = np.zeros(ready.shape)
    ready_before[0] = pools.ready
    for entry in pools.loading:
        if entry.slots < pools.down_from[entry.pool]:
            ready_before[entry.slots, entry.pool, entry.model] += entry.servers
    return {
        "off_flow": (off_before, off_before),
        "ready_flow": (ready_before, ready_before),
        "switch_flow": (0.0, 0.0),
    }


def _stayed_up(pools: Pools) -> np.ndarray:
    """(T, P) bool: up in t−1 and t."""
    before = np.concatenate([np.zeros_like(pools.up[:1]), pools.up[:-1]])
    return before & pools.up


def later(
    pools: Pools,
    row: np.ndarray,
    cells: np.ndarray,
    after: np.ndarray,
    last: np.ndarray | None = None,
) -> np.ndarray:
    """Numbers of rows (T, P, ·) at cells (t, p, ·), ``after`` slots on; −1 beyond an outage."""
    t, p, other = cells
    then = t + after
    uncut = then < pools.up_until[t, p]
    return np.where(uncut, row[np.where(uncut, then, 0), p, other if last is None else last], -1)


def _capacity_rows(pools: Pools, entries: Entries, number: dict[str, np.ndarray]) -> _Bounds:
    """(capacity), (fit)"""
    system = pools.instance.system
    model, work = system.class_model, pools.work_ms
    capacity, fit, z = number["capacity"], number["fit"], number["z"]
    entries.add(capacity[:, :, model], z, work)
    entries.add(fit, z, 1)
    entries.add(capacity, number["ready"], -system.slot_ms)
    entries.add(fit, number["ready"][:, :, model], -pools.per_slot)
    for name, slots, usable in (
        ("start", pools.start_slots, pools.start_usable_ms),
        ("enter", pools.switch_slots, pools.switch_usable_ms),
    ):
        begun = np.argwhere(number[name] >= 0).T
        _, p, m = begun
        column = number[name][tuple(begun)]
        entries.add(later(pools, capacity, begun, slots[p, m] - 1), column, -usable[p, m])
        for c, of_model in enumerate(model):
            row = later(pools, fit, begun, slots[p, m] - 1, np.full(len(p), c))
            most = usable[p, m] // np.maximum(work[p, c], 1)
            entries.add(row, column, np.where((m == of_model) & (work[p, c] > 0), -most, 0))
    shared, alone = np.zeros(capacity.shape), np.zeros(fit.shape)
    for entry in pools.loading:
        cell = entry.slots - 1, entry.pool
        if entry.slots - 1 < pools.down_from[entry.pool]:
            shared[(*cell, entry.model)] += entry.usable_ms * entry.servers
            most = entry.usable_ms // np.maximum(work[entry.pool], 1) * entry.servers
            alone[cell] += np.where(model == entry.model, most, 0)
    return {"capacity": (-INFINITY, shared), "fit": (-INFINITY, alone)}


def _hot_rows(limits: Limits, entries: Entries, number: dict[str, np.ndarray]) -> _Bounds:
    """(hot_served), (reuse)"""
    hot, z = number["hot"], number["z"]
    most, of = limits.reuse[..., 0], limits.reuse[..., 1]
    entries.add(number["hot_served"], hot, 1)
    entries.add(number["hot_served"], z, -1)
    entries.add(number["reuse"], hot, of)
    entries.add(number["reuse"][1:], z[:-1], -most)
    return {"hot_served": (-INFINITY, 0.0), "reuse": (-INFINITY, 0.0)}


def _change_rows(pools: Pools, entries: Entries, number: dict[str, np.ndarray]) -> _Bounds:
    """(reroute), (change)"""
    instance = pools.instance
    x, reroute, change = number["x"], number["reroute"][..., None], number["change"][..., None]
    total = np.maximum(_arrivals_from_before(instance), 1)
    _, fewer = compared_shares(instance)
    routed = instance.initial.routing
    bounds = {}
    for name, row, scale in (("reroute", reroute, fewer), ("change", change, np.ones_like(fewer))):
        now, before = (scale / total[1:])[..., None], (scale / total[:-1])[..., None]
        entries.add(row, x, now[..., None])
        entries.add(row[1:], x[:-1], -before[1:, ..., None])
        known = np.zeros(row.shape[:-1])
        known[0] = before[0] * routed
        bounds[name] = known
    entries.add(number["reroute"], number["moved"], -1)
    entries.add(change, number["rise"], -1)
    entries.add(change, number["fall"], 1)
    return {
        "reroute": (-INFINITY, bounds["reroute"]),
        "change": (bounds["change"], bounds["change"]),
    }


# --- small helpers ------------------------------------------------------------------------------


def _families(masks: dict[str, np.ndarray]) -> dict[str, Family]:
    families, first = {}, 0
    for name, mask in masks.items():
        families[name] = Family.of(name, first, mask)
        first += len(families[name])
    return families


def _stacked(families: dict[str, Family], cells: dict[str, ArrayLike]) -> np.ndarray:
    """Values of cells (dense, or one for all) in the order of the families."""
    parts = [
        np.broadcast_to(np.asarray(cells[name], float), family.number.shape)[tuple(family.index.T)]
        for name, family in families.items()
    ]
    return np.concatenate(parts)


_SPECIAL = re.compile(r"""[()\[\],.'":\\]""")
_NUMBER = re.compile(r"(?:[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|-?inf|nan)")


def _quoted(name: str) -> str:
    """A name as Pyomo writes it inside [ ]: quoted where it could be misread."""
    quoted = repr(name)
    bare = quoted[1:-1]
    return quoted if _SPECIAL.search(bare) or _NUMBER.fullmatch(bare) else bare

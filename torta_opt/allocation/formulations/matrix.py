"""The allocation program as one sparse matrix: the rows of ``pyomo_model.py``, all slots at once.

Columns and rows come in families that carry the names of the Pyomo text and are numbered family by
family, each in the order of its cells (slot first). A family knows its cells twice: ``index``, the
list of cells that have a column or row, and ``number``, a dense array that holds the number of
every cell, −1 where there is none. A block of coefficients is then one call of ``Entries.add``:
numbers of rows and of columns and a coefficient, broadcast against each other.

Which cells there are, the coefficients, costs and sides are told apart, so that ``rolling.py`` can
lay the coefficients once and ask for the rest in every slot.

The tests hold this text to the Pyomo text: same columns, rows, coefficients and bounds, by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.formulations.column_bounds import ColumnBounds
from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.program import (
    COLUMNS,
    INFINITY,
    REQUESTS,
    ROWS,
    SERVERS,
    AllocationProgram,
    Family,
)
from torta_opt.allocation.formulations.segments import TANGENTS, segments
from torta_opt.allocation.instance.data import Instance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def build_allocation_program(
    instance: Instance,
    *,
    integer: bool = False,
    named: bool = False,
    tangents: Sequence[float] = TANGENTS,
) -> AllocationProgram:
    """The program of ``build_allocation_model``, with the same options."""
    pools = Pools.of(instance, named=named)
    column_bounds = ColumnBounds.of(pools)
    upper = server_bounds(pools) | request_bounds(pools, column_bounds, tangents)
    there = {name: upper[name] > 0 for name in COLUMNS}
    columns = families(there)
    masks = server_rows(pools) | request_rows(pools, column_bounds, there)
    rows = families({name: masks[name] for name in ROWS})
    costs = fixed_costs(pools, tangents) | costs_by_price(pools)
    shares = change_shares(column_bounds)
    sides = row_sides(pools, column_bounds, shares)
    return AllocationProgram(
        instance=instance,
        pools=pools,
        column_bounds=column_bounds,
        tangents=tuple(tangents),
        columns=columns,
        rows=rows,
        cost=_stacked(columns, dict.fromkeys(COLUMNS, 0.0) | costs),
        constant=loading_cost(pools),
        upper=_stacked(columns, upper),
        integer=integer_columns(columns, integer),
        matrix=_matrix(pools, column_bounds.reuse, shares, columns, rows),
        row_lower=_stacked(rows, {name: low for name, (low, _) in sides.items()}),
        row_upper=_stacked(rows, {name: high for name, (_, high) in sides.items()}),
    )


# --- columns ------------------------------------------------------------------------------------


def server_bounds(pools: Pools) -> dict[str, np.ndarray]:
    """Upper bound of every cell of the columns of servers; 0 where there is no column."""
    servers = pools.up * pools.size
    held = servers[:, :, None] * pools.holds
    switching = held * pools.switches[:, None]
    return {
        "off": servers,
        "ready": held,
        "start": held,
        "stop": held,
        "leave": switching,
        "enter": switching,
    }


def request_bounds(
    pools: Pools, column_bounds: ColumnBounds, tangents: Sequence[float]
) -> dict[str, np.ndarray]:
    """Upper bound of every cell of the other columns; 0 where there is no column."""
    instance, system, weights = pools.instance, pools.instance.system, pools.instance.system.weights
    lengths = np.array([length for _, length in segments(tangents)])
    pieces = (column_bounds.compared * (weights.frobenius_usd > 0))[..., None] * lengths
    reroutes = weights.reroute_usd > 0
    return {
        "x": instance.arrivals[:, :, None, :] * system.allowed[None, :, :, None],
        "inflow": column_bounds.inflow,
        "q": column_bounds.waiting,
        "expired": column_bounds.expired,
        "z": column_bounds.processing,
        "hot": column_bounds.hot,
        "moved": column_bounds.compared * (column_bounds.fewer * reroutes)[:, :, None],
        "rise": pieces,
        "fall": pieces,
    }


def fixed_costs(pools: Pools, tangents: Sequence[float]) -> dict[str, ArrayLike]:
    """(objective) Dollars of columns whose cost does not depend on prices; 0 where not named."""
    system, weights = pools.instance.system, pools.instance.system.weights
    v = weights.time_usd_per_s
    latency_s = np.where(system.allowed, system.latency_s, 0.0)
    slope = np.array([slope for slope, _ in segments(tangents)])
    return {
        "x": v * latency_s[:, :, None] + weights.transfer_factor * system.transfer_usd,
        "q": v * system.slot_s,
        "expired": weights.expiry_usd,
        "hot": -pools.saved_usd,
        "moved": weights.reroute_usd,
        "rise": weights.frobenius_usd * slope,
        "fall": weights.frobenius_usd * slope,
    }


def costs_by_price(pools: Pools) -> dict[str, np.ndarray]:
    """(objective) Dollars of columns whose cost depends on prices of electricity."""
    system, weights, kind = pools.instance.system, pools.instance.system.weights, pools.type
    service_s = np.nan_to_num(system.service_s)[kind]
    start = weights.loading_factor * system.start_usd[kind]
    switch = weights.loading_factor * system.switch_usd[kind]
    return {
        "z": weights.time_usd_per_s * service_s + pools.busy_usd,
        "ready": pools.on_usd[:, :, None],
        "start": start + _on_while_loading(pools, pools.start_slots),
        "enter": switch + _on_while_loading(pools, pools.switch_slots),
    }


def loading_cost(pools: Pools) -> float:
    """(objective) Dollars of servers that load before slot 0, for being on until they have."""
    return float(
        sum(
            entry.servers
            * pools.on_usd[: min(entry.slots, pools.down_from[entry.pool]), entry.pool].sum()
            for entry in pools.loading
        )
    )


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

    def joined(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, columns and values of all blocks."""
        row, column, value = zip(*self.parts, strict=True)
        numbers = np.concatenate(row, dtype=np.int32), np.concatenate(column, dtype=np.int32)
        return *numbers, np.concatenate(value)

    def matrix(self, rows: int, columns: int) -> sparse.csr_array:
        row, column, value = self.joined()
        return sparse.csr_array((value, (row, column)), shape=(rows, columns))


def _matrix(
    pools: Pools,
    reuse: np.ndarray,
    shares: np.ndarray,
    columns: dict[str, Family],
    rows: dict[str, Family],
) -> sparse.csr_array:
    number = {name: family.number for name, family in (columns | rows).items()}
    entries = Entries()
    lay_fixed(pools, reuse, entries, number)
    lay_shares(shares, entries, number)
    return entries.matrix(sum(map(len, rows.values())), sum(map(len, columns.values())))


def lay_fixed(
    pools: Pools, reuse: np.ndarray, entries: Entries, number: dict[str, np.ndarray]
) -> None:
    """All coefficients that depend on the system and the pools only."""
    _routing_rows(entries, number)
    _queue_rows(pools, entries, number)
    _state_rows(pools, entries, number)
    _capacity_rows(pools, entries, number)
    _hot_rows(reuse, entries, number)
    _change_rows(entries, number)


_Sides = dict[str, tuple["ArrayLike", "ArrayLike"]]


def row_sides(pools: Pools, column_bounds: ColumnBounds, shares: np.ndarray) -> _Sides:
    """Lower and upper sides of every cell of every row family."""
    return {
        **_request_sides(pools, column_bounds),
        **_state_sides(pools),
        **_capacity_sides(pools),
        **_change_sides(pools.instance, shares),
    }


def server_rows(pools: Pools) -> dict[str, np.ndarray]:
    """Which cells of the row families of server states have a row."""
    return {
        "off_flow": pools.up,
        "ready_flow": pools.up[:, :, None] & pools.holds,
        "switch_flow": pools.up & pools.switches,
    }


def request_rows(
    pools: Pools, column_bounds: ColumnBounds, columns: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Which cells of the other row families have a row; ``columns`` says which have a column."""
    instance, weights = pools.instance, pools.instance.system.weights
    waiting, inflow, has_z, has_hot = (columns[name] for name in ("q", "inflow", "z", "hot"))
    slots = np.arange(instance.slots)[:, None, None]
    present = inflow.copy()
    present[0] |= instance.initial.backlog.any(axis=2)
    present[1:] |= waiting[:-1]
    rounds = _rounds(pools)
    return {
        "route": instance.arrivals > 0,
        "gather": inflow,
        "queue": present,
        "deadline": waiting & (column_bounds.waiting > column_bounds.fresh_backlog),
        "aging": waiting & _expires_soon(columns["expired"], instance.system.deadline_slots),
        "capacity": _shared(pools, has_z, rounds),
        "fit": has_z & rounds,
        "hot_served": has_hot,
        "reuse": has_hot & (slots > 0),
        "reroute": column_bounds.compared & (weights.reroute_usd > 0),
        "change": column_bounds.compared & (weights.frobenius_usd > 0),
    }


def _expires_soon(expired: np.ndarray, deadlines: np.ndarray) -> np.ndarray:
    """(T, R, C) something can expire in the ℓ slots after t, slot T−1 left out."""
    slots = np.arange(len(expired))
    until = np.minimum(slots[:, None] + deadlines, len(expired) - 2)  # (T, C) the last of them
    times = expired.cumsum(axis=0)
    by_then = times[np.maximum(until, 0), :, np.arange(expired.shape[2])].swapaxes(1, 2)
    soon: np.ndarray = (by_then > times) & (until > slots[:, None])[:, None]
    return soon


def _rounds(pools: Pools) -> np.ndarray:
    """(T, P, C) bool: some server's usable time is no whole number of requests of the class."""
    rounds = pools.rounds.copy()
    model, work = pools.instance.system.class_model, np.maximum(pools.work_ms, 1)
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
    shared: np.ndarray = (competing > 1) | (exact > 0)
    return shared


def _routing_rows(entries: Entries, number: dict[str, np.ndarray]) -> None:
    """(route), (gather)"""
    x, inflow = number["x"], number["inflow"]
    route, gather = number["route"], number["gather"]
    entries.add(route[:, :, None, :], x, 1)
    entries.add(gather, inflow, 1)
    entries.add(gather[:, None], x, -1)


def _queue_rows(pools: Pools, entries: Entries, number: dict[str, np.ndarray]) -> None:
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


def _request_sides(pools: Pools, column_bounds: ColumnBounds) -> _Sides:
    """(route), (gather), (queue), (deadline), (aging), (hot_served), (reuse)"""
    arrivals = pools.instance.arrivals
    before = np.zeros(arrivals.shape)
    before[0] = pools.instance.initial.backlog.sum(axis=2)
    return {
        "route": (arrivals, arrivals),
        "gather": (0.0, 0.0),
        "queue": (before, before),
        "deadline": (-INFINITY, column_bounds.fresh_backlog),
        "aging": (-INFINITY, 0.0),
        "hot_served": (-INFINITY, 0.0),
        "reuse": (-INFINITY, 0.0),
    }


def _not_last(slots: int) -> np.ndarray:
    """(slots, 1): 1 but 0 in the last."""
    return (np.arange(slots) < slots - 1).astype(float)[:, None]


def _state_rows(pools: Pools, entries: Entries, number: dict[str, np.ndarray]) -> None:
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


def _state_sides(pools: Pools) -> _Sides:
    """(off_flow), (ready_flow), (switch_flow)"""
    off_before = np.where(pools.up & ~_stayed_up(pools), pools.size, 0)
    off_before[0] = pools.off
    ready_before = np.zeros((*pools.up.shape, pools.ready.shape[1]))
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
    stayed: np.ndarray = before & pools.up
    return stayed


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


def _capacity_rows(pools: Pools, entries: Entries, number: dict[str, np.ndarray]) -> None:
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


def _capacity_sides(pools: Pools) -> _Sides:
    """(capacity), (fit)"""
    model, work = pools.instance.system.class_model, pools.work_ms
    shared = np.zeros((*pools.up.shape, pools.holds.shape[1]))
    alone = np.zeros((*pools.up.shape, len(model)))
    for entry in pools.loading:
        cell = entry.slots - 1, entry.pool
        if entry.slots - 1 < pools.down_from[entry.pool]:
            shared[(*cell, entry.model)] += entry.usable_ms * entry.servers
            most = entry.usable_ms // np.maximum(work[entry.pool], 1) * entry.servers
            alone[cell] += np.where(model == entry.model, most, 0)
    return {"capacity": (-INFINITY, shared), "fit": (-INFINITY, alone)}


def _hot_rows(reuse: np.ndarray, entries: Entries, number: dict[str, np.ndarray]) -> None:
    """(hot_served), (reuse)"""
    hot, z = number["hot"], number["z"]
    most, of = reuse[..., 0], reuse[..., 1]
    entries.add(number["hot_served"], hot, 1)
    entries.add(number["hot_served"], z, -1)
    entries.add(number["reuse"], hot, of)
    entries.add(number["reuse"][1:], z[:-1], -most)


def _change_rows(entries: Entries, number: dict[str, np.ndarray]) -> None:
    """(reroute), (change), all but the shares"""
    change = number["change"][..., None]
    entries.add(number["reroute"], number["moved"], -1)
    entries.add(change, number["rise"], -1)
    entries.add(change, number["fall"], 1)


def change_shares(column_bounds: ColumnBounds) -> np.ndarray:
    """(2, 2, T, R) coefficients of x in (reroute) and (change): of slot t, of the slot before."""
    total, fewer = np.maximum(column_bounds.total, 1), column_bounds.fewer
    shares = np.empty((2, 2, *fewer.shape))
    scales: tuple[np.ndarray | int, ...] = (fewer, 1)
    for n, scale in enumerate(scales):
        np.divide(scale, total[1:], out=shares[n, 0])
        np.divide(scale, total[:-1], out=shares[n, 1])
    np.negative(shares[:, 1], out=shares[:, 1])
    return shares


def lay_shares(shares: np.ndarray, entries: Entries, number: dict[str, np.ndarray]) -> None:
    """(reroute), (change): the coefficients of x, one of ``shares`` each"""
    x = number["x"]
    for name, (now, before) in zip(("reroute", "change"), shares, strict=True):
        row = number[name][..., None]
        entries.add(row, x, now[..., None, None])
        entries.add(row[1:], x[:-1], before[1:, :, None, None])


def _change_sides(instance: Instance, shares: np.ndarray) -> _Sides:
    """(reroute), (change)"""
    known = np.zeros((2, *shares.shape[2:], shares.shape[3]))
    known[:, 0] = -shares[:, 1, 0, :, None] * instance.initial.routing
    return {"reroute": (-INFINITY, known[0]), "change": (known[1], known[1])}


# --- small helpers ------------------------------------------------------------------------------


def families(masks: dict[str, np.ndarray]) -> dict[str, Family]:
    found, first = {}, 0
    for name, mask in masks.items():
        found[name] = Family(name, first, mask)
        first += len(found[name])
    return found


def integer_columns(columns: dict[str, Family], requests: bool) -> np.ndarray:
    """(n,) bool: servers are whole, and requests too if asked for."""
    whole = {*SERVERS, *(REQUESTS if requests else ())}
    return np.concatenate([np.full(len(f), name in whole) for name, f in columns.items()])


def _stacked(families: dict[str, Family], cells: Mapping[str, ArrayLike]) -> np.ndarray:
    """Values of cells (dense, or one for all) in the order of the families."""
    parts = [
        np.broadcast_to(np.asarray(cells[name], float), family.mask.shape)[family.mask]
        for name, family in families.items()
    ]
    return np.concatenate(parts)

"""The allocation program of a window that moves on, its coefficients laid once.

From one slot to the next a window keeps its servers, so nearly all of the program of
``allocation_matrix`` stays: only arrivals, queues, the state of servers and prices move. They
decide which cells have a column or row, bounds, sides and costs; of the coefficients, only the
shares in (reroute) and (change) hang on them.

The *frame* is the matrix of all cells that can ever have a column or row while system, number of
slots and outages are the same. ``advance`` asks the functions of ``allocation_matrix`` for what
moves and cuts the columns and rows that are there out of the frame. As both number cells in the
same order, the answer is ``build_allocation_program`` of the window to the bit. A window of another
system, length or outage gets a new frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.formulations.column_bounds import ColumnBounds
from torta_opt.allocation.formulations.knapsack import Facets
from torta_opt.allocation.formulations.matrix import (
    Entries,
    change_shares,
    costs_by_price,
    families,
    fixed_costs,
    integer_columns,
    lay_fixed,
    lay_shares,
    loading_cost,
    request_bounds,
    request_rows,
    row_sides,
    server_bounds,
    server_rows,
)
from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.program import (
    COLUMNS,
    INFINITY,
    ROWS,
    AllocationProgram,
    Family,
)
from torta_opt.allocation.formulations.segments import TANGENTS, segments
from torta_opt.allocation.instance.data import Instance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class RollingProgram:
    """Programs of windows, one after the other.

        rolling = RollingProgram(knapsack=True)
        for window in windows:
            program = rolling.advance(window)  # build_allocation_program, with_knapsack_rows

    integer, named, tangents    as for ``build_allocation_program``
    knapsack                    with the rows of ``with_knapsack_rows``
    rebuilt                     how many frames were laid, the first one counted
    """

    def __init__(
        self,
        *,
        integer: bool = False,
        named: bool = False,
        tangents: Sequence[float] = TANGENTS,
        knapsack: bool = False,
    ):
        self.integer, self.named, self.tangents = integer, named, tuple(tangents)
        self.knapsack = knapsack
        self.rebuilt = 0
        self._frame: _Frame | None = None

    def advance(self, instance: Instance) -> AllocationProgram:
        """The program of the next window."""
        if self._frame is None or not self._frame.fits(instance):
            pools = Pools.of(instance, named=self.named)
            self._frame = _Frame(pools, self.tangents, self.integer, self.knapsack)
            self.rebuilt += 1
        return self._frame.program(instance)


class _Frame:
    """All cells that can have a column or row, with their coefficients.

    data, column, row    entries of the matrix, row by row
    starts, size         first entry and number of entries of each row
    shares, share        entries that are shares, and the place of each in ``change_shares``
    cost, upper          of columns; what does not move is filled in once
    row_lower, row_upper, has_row    of rows
    price                for which ``cost`` holds
    """

    def __init__(
        self, pools: Pools, tangents: tuple[float, ...], integer: bool, knapsack: bool
    ) -> None:
        self.pools, self.tangents = pools, tangents
        self.column_bounds = ColumnBounds.of(pools)
        columns = families(possible_columns(pools, tangents))
        rows = families(possible_rows(pools, columns))
        matrix = self._lay(columns, rows)
        self.facets = Facets.of(pools) if knapsack else None
        if self.facets is not None and self.facets.by_pool:
            hull = Family("hull", matrix.shape[0], self.facets.rows(columns["z"].mask))
            block = self.facets.block(pools, columns, hull)
            rows, matrix = rows | {"hull": hull}, sparse.vstack([matrix, block], format="csr")
        else:
            self.facets = None
        self.data, self.starts = matrix.data, matrix.indptr
        self.column = matrix.indices.astype(np.intp)
        self.size = np.diff(self.starts)
        self.row = np.repeat(np.arange(len(self.size)), self.size)
        self._there = np.empty(len(self.data), bool)  # room to work in, as is the next
        self._number = np.empty(len(self.data), np.int32)
        self.integer = integer_columns(columns, integer)
        self.cost, self.upper = _Sheet(columns, float), _Sheet(columns, float)
        self.has_row = _Sheet(rows, bool)
        self.row_lower, self.row_upper = _Sheet(rows, float), _Sheet(rows, float)
        self.server_rows = server_rows(pools)
        self.cost.fill(fixed_costs(pools, tangents))
        self.upper.fill(server_bounds(pools))
        self.cost.fill(costs_by_price(pools))
        self.price = pools.instance.price_usd_per_kwh

    def _lay(self, columns: dict[str, Family], rows: dict[str, Family]) -> sparse.csr_array:
        """The matrix, and where its shares are: instead of a share its place, from 1, is laid."""
        number = {name: family.number for name, family in (columns | rows).items()}
        fixed, shares = Entries(), Entries()
        lay_fixed(self.pools, self.column_bounds.reuse, fixed, number)
        shape = change_shares(self.column_bounds).shape
        lay_shares(np.arange(1.0, np.prod(shape) + 1).reshape(shape), shares, number)
        both = Entries()
        both.parts = fixed.parts + shares.parts
        row, column, value = both.joined()
        size = sum(map(len, rows.values())), sum(map(len, columns.values()))
        # Sorted as the builder's; data say which coefficient, in the order they were laid.
        matrix = sparse.csr_array((np.arange(len(value), dtype=float), (row, column)), shape=size)
        if matrix.nnz != len(value):
            raise AssertionError("a coefficient is laid twice")
        laid = matrix.data.astype(np.intp)
        self.shares = np.flatnonzero(laid >= sum(len(part[2]) for part in fixed.parts))
        self.share = value[laid[self.shares]].astype(np.intp) - 1
        matrix.data = value[laid]
        return matrix

    def fits(self, instance: Instance) -> bool:
        """The frame holds for this instance as well."""
        own = self.pools.instance
        return instance.system is own.system and np.array_equal(instance.up, own.up)

    def program(self, instance: Instance) -> AllocationProgram:
        """Cut existing columns and rows out of the frame; read anew only what changes."""
        pools = self.pools.before(instance)
        column_bounds = ColumnBounds.of(pools, self.column_bounds.reuse)
        self.upper.fill(request_bounds(pools, column_bounds, self.tangents))
        if not np.array_equal(self.price, instance.price_usd_per_kwh):
            self.cost.fill(costs_by_price(pools))
            self.price = instance.price_usd_per_kwh
        shares = change_shares(column_bounds)
        sides = row_sides(pools, column_bounds, shares)
        has_column = self.upper.views(self.upper.flat > 0)
        has_row = self.server_rows | request_rows(pools, column_bounds, has_column)
        if self.facets is not None:
            has_row["hull"] = self.facets.rows(has_column["z"])
            sides["hull"] = (-INFINITY, self.facets.sides(pools))
        self.has_row.fill(has_row)
        self.row_lower.fill({name: low for name, (low, _) in sides.items()})
        self.row_upper.fill({name: high for name, (_, high) in sides.items()})
        self.data[self.shares] = shares.ravel().take(self.share)
        column, row = self.upper.positive(), self.has_row.positive()
        column_cell, row_cell = self.upper.held[column], self.has_row.held[row]
        rows = families({name: has_row[name] for name in self.has_row.cells})
        if "hull" in rows and len(rows["hull"]) == 0:
            del rows["hull"]
        return AllocationProgram(
            instance=instance,
            pools=pools,
            column_bounds=column_bounds,
            tangents=self.tangents,
            columns=families(has_column),
            rows=rows,
            cost=self.cost.flat.take(column_cell),
            constant=loading_cost(pools),
            upper=self.upper.flat.take(column_cell),
            integer=self.integer[column],
            matrix=self._cut(row, column),
            row_lower=self.row_lower.flat.take(row_cell),
            row_upper=self.row_upper.flat.take(row_cell),
        )

    def _cut(self, row: np.ndarray, column: np.ndarray) -> sparse.csr_array:
        """Rows and columns of the matrix that are kept (bool), numbered anew."""
        number = column.cumsum(dtype=np.int32)
        number[~column] = 0  # others count from 1
        number.take(self.column, out=self._number, mode="clip")
        self._number[self._entries_of(~row)] = 0
        there = np.greater(self._number, 0, out=self._there)
        lost = np.bincount(self.row.take(np.flatnonzero(~there)), minlength=len(row))
        starts = np.zeros(np.count_nonzero(row) + 1, np.int32)
        (self.size - lost)[row].cumsum(out=starts[1:])
        shape = np.count_nonzero(row), np.count_nonzero(column)
        indices = self._number[there]
        indices -= 1
        matrix = sparse.csr_array((self.data[there], indices, starts), shape=shape)
        matrix.has_canonical_format = True  # as the frame is
        return matrix

    def _entries_of(self, rows: np.ndarray) -> np.ndarray:
        """Places of the entries of some rows (bool)."""
        size, first = self.size[rows], self.starts[:-1][rows]
        return np.repeat(first - size.cumsum() + size, size) + np.arange(size.sum())


class _Sheet:
    """Dense cells of families, one family after the other in one vector.

    flat    the vector
    cells   a view of each family
    held    places of the cells that are in the frame
    """

    def __init__(self, families: dict[str, Family], kind: type) -> None:
        masks = {name: family.mask for name, family in families.items()}
        ends = np.cumsum([mask.size for mask in masks.values()]).tolist()
        self.parts = [
            (name, slice(end - mask.size, end), mask.shape)
            for (name, mask), end in zip(masks.items(), ends, strict=True)
        ]
        self.flat = np.zeros(ends[-1], kind)
        self.cells = self.views(self.flat)
        self.held = np.flatnonzero(np.concatenate([mask.ravel() for mask in masks.values()]))

    def views(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        return {name: vector[part].reshape(shape) for name, part, shape in self.parts}

    def fill(self, values: Mapping[str, ArrayLike]) -> None:
        for name, value in values.items():
            self.cells[name][...] = value

    def positive(self) -> np.ndarray:
        """Which cells of the frame are positive; all that are must be in it."""
        positive = self.flat.take(self.held) > 0
        if np.count_nonzero(positive) != np.count_nonzero(self.flat):
            raise AssertionError("a column or row is not in the frame")
        return positive


# --- the frame ----------------------------------------------------------------------------------


def possible_columns(pools: Pools, tangents: Sequence[float]) -> dict[str, np.ndarray]:
    """Which cells can have a column, whatever arrives, waits or was done before."""
    instance, system, weights = pools.instance, pools.instance.system, pools.instance.system.weights
    everywhere = np.ones(instance.arrivals.shape, bool)
    slots = np.arange(instance.slots)[:, None, None]
    serves = pools.up[:, :, None] & (pools.per_slot > 0)
    shared = system.allowed & (system.allowed.sum(axis=1) > 1)[:, None]
    compared = np.broadcast_to(shared, (instance.slots, *shared.shape))
    pieces = np.array([length > 0 for _, length in segments(tangents)])
    pieces = (compared & (weights.frobenius_usd > 0))[..., None] & pieces
    requests = {
        "x": everywhere[:, :, None, :] & system.allowed[:, :, None],
        "inflow": everywhere,
        "q": everywhere & (slots < instance.slots - 1) & (system.deadline_slots > 0),
        "expired": everywhere,
        "z": serves,
        "hot": serves & (system.hot_service_s < system.service_s)[pools.type],
        "moved": compared & (weights.reroute_usd > 0),
        "rise": pieces,
        "fall": pieces,
    }
    servers = {name: bound > 0 for name, bound in server_bounds(pools).items()}
    return {name: (requests | servers)[name] for name in COLUMNS}


def possible_rows(pools: Pools, columns: dict[str, Family]) -> dict[str, np.ndarray]:
    """Which cells can have a row."""
    instance, system = pools.instance, pools.instance.system
    there = {name: family.mask for name, family in columns.items()}
    slots = np.arange(instance.slots)[:, None, None]
    of_model = system.class_model[:, None] == np.arange(len(system.models))
    requests = {
        "route": there["inflow"],
        "gather": there["inflow"],
        "queue": there["inflow"],
        "deadline": there["q"],
        "aging": there["q"] & (slots < instance.slots - 2),
        "capacity": there["z"].astype(np.int64) @ of_model > 0,
        "fit": there["z"],
        "hot_served": there["hot"],
        "reuse": there["hot"] & (slots > 0),
        "reroute": there["moved"],
        "change": there["rise"].any(axis=3),
    }
    masks = requests | server_rows(pools)
    return {name: masks[name] for name in ROWS}

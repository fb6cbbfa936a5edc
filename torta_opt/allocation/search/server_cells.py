"""Servers of a slot that are alike, taken together, and the way back to each of them.

A *cell* is the servers of one pool that hold the same model with the same usable time; a *group* is
the cells of one server type, model and usable time, wherever they are. A column z is what a cell
processes of one class.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sparse
from scipy.optimize import linear_sum_assignment

from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.server_hull import facets_of, fill_first, shared_out
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.timeline import ServerTimeline


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a slot, and the columns z of the programs over them.

    cell       (cells, 3) pool, model, usable ms
    members    of each cell, its servers
    column     (n, 2) cell and class of every column z
    group      (n,) number of its row (group, class)
    total      (rows,) W, what the group processes of the class
    """

    cell: np.ndarray
    members: tuple[np.ndarray, ...]
    column: np.ndarray
    group: np.ndarray
    total: np.ndarray

    @property
    def pool(self) -> np.ndarray:
        """(n,) pool of every column."""
        return self.cell[self.column[:, 0], 0]

    @property
    def kind(self) -> np.ndarray:
        """(n,) class of every column."""
        return self.column[:, 1]

    def spans(self) -> list[tuple[int, int]]:
        """First column of each cell, and the one after its last."""
        ends = np.searchsorted(self.column[:, 0], np.arange(len(self.cell) + 1))
        return list(pairwise(ends.tolist()))


def cells_of(
    instance: Instance, pools: Pools, servers: ServerTimeline, schedule: Schedule, t: int
) -> Cells:
    """The cells of slot ``t``, with the work that ``schedule`` gives their groups."""
    system = instance.system
    active = np.flatnonzero(servers.usable_ms[t] > 0)
    usable = servers.usable_ms[t, active]
    key = np.stack([pools.of_server[active], servers.model[t, active], usable], axis=1)
    cell, of_cell = np.unique(key, axis=0, return_inverse=True)
    work_ms = system.server_ms[pools.type[cell[:, 0]]]
    able = (cell[:, 1:2] == system.class_model) & (work_ms > 0) & (work_ms <= cell[:, 2:])
    column = np.argwhere(able)
    kinds = np.column_stack([pools.type[cell[:, 0]], cell[:, 1:]])
    group = np.unique(kinds, axis=0, return_inverse=True)[1].ravel()
    done = np.zeros((group.max(initial=-1) + 1, len(system.classes)))
    np.add.at(done, group[of_cell.ravel()], schedule.processing[t, active])
    number = group[column[:, 0]] * len(system.classes) + column[:, 1]
    rows, row = np.unique(number, return_inverse=True)
    order = np.argsort(of_cell.ravel(), kind="stable")
    cuts = np.searchsorted(of_cell.ravel()[order], np.arange(1, len(cell)))
    members = tuple(np.split(active[order], cuts))
    return Cells(cell, members, column, row.ravel(), done.ravel()[rows])


@dataclass(frozen=True, eq=False)
class CellRows:
    """What holds for the columns z of a slot, wherever requests go.

    hull, most    α·z ≤ n·γ, the facets of every cell
    by_group      (rows, n) adds up the columns of each group and class
    upper         (n,) the most that a column may be
    """

    hull: sparse.csr_array
    most: np.ndarray
    by_group: sparse.csr_array
    upper: np.ndarray


def rows_of(instance: Instance, pools: Pools, cells: Cells, barred: np.ndarray) -> CellRows:
    """``barred`` (n,) columns are 0."""
    hull, most = _hull(instance, pools, cells)
    by_group = adding_up(cells.group, len(cells.total))
    return CellRows(hull, most, by_group, np.where(barred, 0.0, by_group.T @ cells.total))


def adding_up(row: np.ndarray, rows: int) -> sparse.csr_array:
    """A matrix of rows × len(row) that adds up the columns of each row."""
    columns = np.arange(len(row))
    return sparse.csr_array((np.ones(len(row)), (row, columns)), shape=(rows, len(row)))


def _hull(instance: Instance, pools: Pools, cells: Cells) -> tuple[sparse.csr_array, np.ndarray]:
    """α·z ≤ n·γ of every cell."""
    work_ms = instance.system.server_ms[pools.type[cells.cell[:, 0]]]
    row: list[np.ndarray] = []
    column: list[np.ndarray] = []
    value: list[np.ndarray] = []
    most: list[float] = []
    for n, (first, after) in enumerate(cells.spans()):
        takes = work_ms[n, cells.column[first:after, 1]]
        if len(takes) > 2:  # capacity alone: what does not fit waits
            facets = np.append(takes, cells.cell[n, 2])[None]
        else:
            facets = facets_of(tuple(takes.tolist()), int(cells.cell[n, 2]))
            facets = np.column_stack([facets[:, : len(takes)], facets[:, -1]])
        rows = len(most) + np.repeat(np.arange(len(facets)), after - first)
        row.append(rows)
        column.append(np.tile(np.arange(first, after), len(facets)))
        value.append(facets[:, :-1].ravel())
        most.extend(facets[:, -1] * len(cells.members[n]))
    entries = [np.concatenate([np.zeros(0, int), *part]) for part in (value, row, column)]
    shape = len(most), len(cells.column)
    matrix = sparse.csr_array((entries[0].astype(float), tuple(entries[1:])), shape=shape)
    return matrix, np.array(most, float)


def processing_by_server(
    instance: Instance, pools: Pools, cells: Cells, z: np.ndarray, hot: np.ndarray
) -> np.ndarray:
    """(S, C) whole ``z`` (n,) shared out to the servers of each cell.

    ``hot`` (S, C) requests would be hot. With three classes of a model, some may not fit and be
    missing.
    """
    now = np.zeros_like(hot)
    for n, (first, after) in enumerate(cells.spans()):
        pool, _, usable_ms = cells.cell[n].tolist()
        classes = cells.column[first:after, 1]
        at = np.ix_(cells.members[n], classes)
        work_ms = instance.system.server_ms[pools.type[pool], classes]
        gain = pools.saved_usd[pool, classes] / work_ms
        now[at] = _shared(z[first:after], work_ms, usable_ms, hot[at], gain)
    return now


def _shared(
    total: np.ndarray, work_ms: np.ndarray, usable_ms: int, hot: np.ndarray, gain: np.ndarray
) -> np.ndarray:
    """(servers, classes) whole requests of servers alike, ``total`` (classes,) in all.

    What can be ``hot`` (servers, classes) comes first, where that gains most for the time it takes,
    then large requests before small ones. If so not all of it fits, servers share evenly; with
    three classes or more, what does not fit is left.
    """
    done, spare = np.zeros(hot.shape, np.int64), np.full(len(hot), usable_ms)
    left = total.astype(np.int64)
    order = [(c, hot[:, c]) for c in np.argsort(-gain, kind="stable") if gain[c] > 0]
    order += [(c, left[c]) for c in np.argsort(-work_ms, kind="stable")]
    for c, most in order:
        room = np.minimum(spare // work_ms[c], most)
        taken = fill_first(left[c], room)
        done[:, c] += taken
        spare -= taken * work_ms[c]
        left[c] -= taken.sum()
    if not left.any() or len(work_ms) > 2:
        return done
    even = shared_out(
        total.astype(np.int64), facets_of(tuple(work_ms.tolist()), usable_ms), len(hot)
    )
    saves = np.minimum(even[:, None], hot[None]) @ (gain * work_ms)
    pattern, server = linear_sum_assignment(-saves)
    done[server] = even[pattern]
    return done

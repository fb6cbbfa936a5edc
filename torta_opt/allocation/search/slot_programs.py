"""The two programs by which ``rebalance`` divides the work of one slot among regions."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.search.server_cells import CellRows, Cells, adding_up
from torta_opt.allocation.search.slot_routing import Router
from torta_opt.solvers import Problem

EXACT = 0.5  # requests by which a region's total may differ for nothing
LOOSE = 3.0  # the same for one class in one pool
CELL = 0.1  # what a difference there costs, in differences of a region's total


def relaxed_program(
    router: Router,
    cells: Cells,
    rows: CellRows,
    *,
    arrivals: np.ndarray,
    done: np.ndarray,
    before: np.ndarray,
    region: np.ndarray,
    hot: np.ndarray,
    busy_usd: np.ndarray,
    saved_usd: np.ndarray,
) -> Problem:
    """Columns x, o, s, z, hot, moved; rows in the order in which ``rebalance`` states them.

    arrivals             (R, C) but those that expire
    done                 (C,) processed in the slot
    before               (R, R) requests of the slot before by origin and region
    region               (n,) of the columns z
    hot                  (n,) the most that can be hot
    busy_usd, saved_usd  (n,) what a request burns, what a hot one saves
    """
    regions, classes, width = router.regions, router.classes, arrivals.size
    flows, z = len(router.cells) * classes, len(cells.column)
    come = arrivals.sum(axis=0)
    at = adding_up(region * classes + cells.kind, width)
    each, mine = sparse.eye_array(width), sparse.eye_array(z)
    of_class = sparse.csr_array(np.tile(np.eye(classes), (1, regions)))
    share, known = router.rerouting(arrivals.sum(axis=1), before)
    moved = sparse.eye_array(len(known))
    blocks = [
        [router.rows[:width, :flows], each, None, None, None, None],
        [router.rows[width:, :flows], None, each, -at, None, None],
        [None, of_class, None, None, None, None],
        [None, None, of_class, None, None, None],
        [None, None, None, rows.by_group, None, None],
        [None, None, None, rows.hull, None, None],
        [None, None, None, -mine, mine, None],
        [share, None, None, None, None, -moved],
    ]
    wait, waited = np.maximum(come - done, 0), np.maximum(done - come, 0)
    fixed = [arrivals.ravel(), np.zeros(width), wait, waited, cells.total]
    free = [rows.most, np.zeros(z), known]
    unbounded = np.full(flows + 2 * width, np.inf)
    no_cost, reroute_usd = np.zeros(2 * width), np.full(len(known), router.reroute_usd)
    return Problem(
        matrix=sparse.csr_array(sparse.block_array(blocks)),
        row_lower=np.concatenate([*fixed, np.full(sum(map(len, free)), -np.inf)]),
        row_upper=np.concatenate([*fixed, *free]),
        col_lower=np.zeros(flows + 2 * width + 2 * z + len(known)),
        col_upper=np.concatenate([unbounded, rows.upper, hot, np.full(len(known), np.inf)]),
        cost=np.concatenate([router.cost[:flows], no_cost, busy_usd, -saved_usd, reroute_usd]),
    )


def nearest_program(
    near: np.ndarray, cells: Cells, rows: CellRows, regions: sparse.csr_array
) -> Problem:
    """The whole z closest to ``near``, with what is above and below it in columns of their own.

    ``regions`` (R, n) adds up the columns of each region.
    """
    z, places = len(near), regions.shape[0]
    each, place = sparse.eye_array(z), sparse.eye_array(places)
    blocks = [
        [rows.hull, None, None, None, None],
        [rows.by_group, None, None, None, None],
        [regions, place, -place, None, None],
        [each, None, None, each, -each],
    ]
    wanted, none, total = regions @ near, np.full(len(rows.most), -np.inf), cells.total
    return Problem(
        matrix=sparse.csr_array(sparse.block_array(blocks)),
        row_lower=np.concatenate([none, total, wanted - EXACT, near - LOOSE]),
        row_upper=np.concatenate([rows.most, total, wanted + EXACT, near + LOOSE]),
        col_lower=np.zeros(3 * z + 2 * places),
        col_upper=np.append(rows.upper, np.full(2 * (z + places), total.sum())),
        cost=np.concatenate([np.zeros(z), np.ones(2 * places), np.full(2 * z, CELL)]),
        integrality=np.append(np.ones(z, bool), np.zeros(2 * (z + places), bool)),
    )

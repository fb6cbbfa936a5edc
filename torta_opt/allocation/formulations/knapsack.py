"""Integer knapsack rows: what whole requests leave of a server's time.

A server that is ready with model m and has L usable ms processes whole requests z[c] of m's classes
with Σ u[c]·z[c] ≤ L. Of the convex hull of these points the rows (capacity) and (fit) know the
inequality itself and the axes; its other facets α·z ≤ β(L), β(L) = max{α·z : u·z ≤ L, z ≥ 0 whole},
cut deeper where few requests fill a slot. Summed over the servers of a pool, each with Δ, a or a′
usable ms as in the allocation program,

    Σ_c α[c]·z[t,p,c] ≤ β(Δ)·ready[t,p,m] + β(a)·start[t−n+1,p,m] + β(a′)·enter[t−n′+1,p,m]   (hull)

holds for every legal schedule. Facets are those of the hull at L = Δ, for every pair of classes of
a model; right-hand sides are exact at every level.

Source: facets of the integer knapsack polytope by enumeration, as in Atamtürk, Cover and pack
inequalities for (mixed) integer programming, Annals of Operations Research 139, 2005.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.formulations.matrix import Entries, later
from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.program import AllocationProgram, Family

MIN_CUT = 1e-3  # share of a slot: facets that cut off less than this are left out


def with_knapsack_rows(program: AllocationProgram) -> AllocationProgram:
    """The program with a family of rows ``hull`` (t, p, m, k) below its own, k the facet."""
    facets = Facets.of(program.pools)
    hull = Family("hull", len(program.row_lower), facets.rows(program.columns["z"].mask))
    if len(hull) == 0:
        return program
    block = facets.block(program.pools, program.columns, hull)
    return program.with_rows(hull, block, facets.sides(program.pools)[hull.mask])


@dataclass(frozen=True)
class Facet:
    """Σ alpha[n]·z[classes[n]] ≤ β(L); ``work_ms`` are the u of the classes."""

    classes: tuple[int, ...]
    work_ms: tuple[int, ...]
    alpha: tuple[int, ...]

    def beta(self, usable_ms: int) -> int:
        """max{α·z : u·z ≤ usable_ms}"""
        return _most_worth(self.work_ms, self.alpha, int(usable_ms))


@dataclass(frozen=True, eq=False)
class Facets:
    """The facets of every pool and model; they depend on system and pools only.

    by_pool   facets of every pool and model that has any
    classes   (P, M, K, 2) the classes of facet k; −1 where there is none
    """

    by_pool: dict[tuple[int, int], list[Facet]]
    classes: np.ndarray

    @classmethod
    def of(cls, pools: Pools) -> Facets:
        by_pool = _facets_by_pool(pools)
        most = max(map(len, by_pool.values()), default=0)
        classes = np.full((*pools.holds.shape, most, 2), -1)
        for cell, each in by_pool.items():
            classes[cell][: len(each)] = [facet.classes for facet in each]
        return cls(by_pool, classes)

    def rows(self, has_z: np.ndarray) -> np.ndarray:
        """(T, P, M, K) bool: both classes of the facet can be processed."""
        pool = np.arange(has_z.shape[1])[:, None, None]
        first, second = self.classes[..., 0], self.classes[..., 1]
        both: np.ndarray = has_z[:, pool, first] & has_z[:, pool, second] & (first >= 0)
        return both

    def sides(self, pools: Pools) -> np.ndarray:
        """(T, P, M, K) right-hand sides: what servers can do that load before slot 0."""
        upper = np.zeros((len(pools.up), *self.classes.shape[:3]))
        for entry in pools.loading:
            if entry.slots - 1 < pools.down_from[entry.pool]:
                cell = entry.pool, entry.model
                for k, facet in enumerate(self.by_pool.get(cell, ())):
                    upper[entry.slots - 1, *cell, k] += facet.beta(entry.usable_ms) * entry.servers
        return upper

    def block(self, pools: Pools, columns: dict[str, Family], hull: Family) -> sparse.csr_array:
        """Coefficients of the rows of ``hull``."""
        entries = Entries()
        for (p, m), each in self.by_pool.items():
            for k, facet in enumerate(each):
                row = hull.number[:, p, m, k] - hull.first
                _add_facet(pools, columns, entries, row, (p, m), facet)
        return entries.matrix(len(hull), sum(map(len, columns.values())))


def _facets_by_pool(pools: Pools) -> dict[tuple[int, int], list[Facet]]:
    system = pools.instance.system
    found: dict[tuple[int, int], list[Facet]] = {}
    for p in range(len(pools)):
        for m in np.flatnonzero(pools.holds[p]).tolist():
            classes = np.flatnonzero((system.class_model == m) & (pools.work_ms[p] > 0)).tolist()
            facets = [
                Facet(pair, work, alpha)
                for pair in combinations(classes, 2)
                for work in [tuple(int(pools.work_ms[p, c]) for c in pair)]
                for alpha in facets_of(work, system.slot_ms)
            ]
            if facets:
                found[p, m] = facets
    return found


def _add_facet(
    pools: Pools,
    columns: dict[str, Family],
    entries: Entries,
    row: np.ndarray,
    cell: tuple[int, int],
    facet: Facet,
) -> None:
    """Coefficients of one facet of one pool and model, in all slots."""
    p, m = cell
    for c, alpha in zip(facet.classes, facet.alpha, strict=True):
        entries.add(row, columns["z"].number[:, p, c], alpha)
    entries.add(row, columns["ready"].number[:, p, m], -facet.beta(pools.instance.system.slot_ms))
    rows = np.full((len(row), len(pools), 1), -1)
    rows[:, p, 0] = row
    for name, slots, usable in (
        ("start", pools.start_slots[p, m], pools.start_usable_ms[p, m]),
        ("enter", pools.switch_slots[p, m], pools.switch_usable_ms[p, m]),
    ):
        number = columns[name].number[:, p, m]
        t = np.flatnonzero(number >= 0)
        begun = np.stack([t, np.full(len(t), p), np.zeros(len(t), np.int64)])
        entries.add(later(pools, rows, begun, slots - 1), number[t], -facet.beta(usable))


# --- the hull of two classes --------------------------------------------------------------------


@lru_cache(maxsize=4096)
def facets_of(work_ms: tuple[int, int], usable_ms: int) -> tuple[tuple[int, int], ...]:
    """Facets α·z ≤ β of the hull of whole points, but those that (capacity) and (fit) are."""
    hull = _upper_hull(maximal_points(work_ms, usable_ms))
    facets = []
    for (x0, y0), (x1, y1) in pairwise(hull):
        alpha = np.array([y0 - y1, x1 - x0])
        alpha = alpha // np.gcd(*alpha)
        if not (alpha > 0).all():
            continue  # parallel to an axis: (fit)
        if _depth(alpha, int(alpha @ (x0, y0)), work_ms, usable_ms) > MIN_CUT:
            facets.append((int(alpha[0]), int(alpha[1])))
    return tuple(facets)


def _depth(alpha: np.ndarray, beta: int, work_ms: tuple[int, int], usable_ms: int) -> float:
    """By how much, relatively, the facet lies below the capacity row where that is weakest."""
    weakest = max(alpha[n] / work_ms[n] for n in range(2)) * usable_ms
    depth: float = (weakest - beta) / weakest
    return depth


@lru_cache(maxsize=4096)
def maximal_points(work_ms: tuple[int, int], usable_ms: int) -> np.ndarray:
    """(n, 2) whole points of u·z ≤ usable_ms, the most of class 1 for each number of class 0."""
    first = np.arange(usable_ms // work_ms[0] + 1)
    return np.stack([first, (usable_ms - first * work_ms[0]) // work_ms[1]], axis=1)


@lru_cache(maxsize=4096)
def _most_worth(work_ms: tuple[int, ...], alpha: tuple[int, ...], usable_ms: int) -> int:
    points = maximal_points(work_ms, usable_ms)
    return int((points @ np.array(alpha)).max(initial=0))


def _upper_hull(points: np.ndarray) -> list[tuple[int, int]]:
    """Corners of the upper hull, from left to right (monotone chain)."""
    hull: list[tuple[int, int]] = []
    for x, y in points.tolist():
        while len(hull) >= 2:
            (x0, y0), (x1, y1) = hull[-2:]
            if (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) < 0:
                break
            hull.pop()
        hull.append((x, y))
    return hull

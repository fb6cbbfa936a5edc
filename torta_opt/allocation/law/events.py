"""Surges and outages drawn anew from a slot on, given those that have begun before it.

Surges begin independently of each other, each in a slot drawn uniformly. So given that a surge has
not begun before slot t, its first slot is uniform over those left, and nothing else is known.

Outages begin likewise, but hit different regions: the k-th to be *drawn* hits region r with
probability size_r / (the sizes of all regions not drawn before), whatever the slots are. Given the
regions of those that have begun, the others are drawn in turn by the same rule, and the draw is
kept with probability  Π_k least_k / left_k  over those that have begun, where left_k is the share
of size not drawn before k, and least_k the least that it could have been: rejection sampling,
exact, and rarely repeated.
"""

from __future__ import annotations

import numpy as np


def redraw_surges(
    found: np.ndarray, start: int, regions: int, latest: int, rng: np.random.Generator
) -> np.ndarray:
    """(n, 2) of (region, first slot): those begun before ``start`` as found, the others anew."""
    centre = rng.integers(regions, size=len(found))
    begin = _later(found[:, 1], start, 0, latest, rng)
    centre = np.where(found[:, 1] < start, found[:, 0], centre)
    return np.stack([centre, begin], axis=1)


def redraw_outages(
    found: np.ndarray,
    start: int,
    begins: tuple[int, int],
    sizes: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """(n, 2) of (region, first slot), as ``redraw_surges``; ``sizes`` (R,) servers of regions."""
    begun = found[:, 1] < start
    begin = _later(found[:, 1], start, *begins, rng)
    while True:
        regions, accept = _draw_regions(found[:, 0], begun, sizes / sizes.sum(), rng)
        if rng.random() < accept:
            return np.stack([regions, begin], axis=1)


def _later(
    begin: np.ndarray, start: int, first: int, end: int, rng: np.random.Generator
) -> np.ndarray:
    """First slots before ``start`` as they are; the others uniform over what is left."""
    first = max(first, start)
    anew = rng.integers(first, max(end, first + 1), size=len(begin))
    return np.where(begin < start, begin, anew)


def _draw_regions(
    found: np.ndarray, begun: np.ndarray, share: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Regions in the order of drawing, and the probability with which the draw is to be kept."""
    regions, accept = found.copy(), 1.0
    left = share.copy()
    heaviest = np.concatenate([[0.0], np.cumsum(np.sort(share)[::-1])])
    for k in range(len(found)):
        if begun[k]:
            if left[found[k]] == 0:  # an earlier one has taken its region
                return regions, 0.0
            accept *= max(1 - heaviest[k], share[found[k]]) / left.sum()
        else:
            regions[k] = rng.choice(share.size, p=left / left.sum())
        left[regions[k]] = 0.0
    return regions, min(accept, 1.0)

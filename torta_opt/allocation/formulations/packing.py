"""Whole requests of two classes on equal servers, close to what the hull of one server allows.

In one slot a server with U ms processes b large requests and a(b) = ⌊(U − b·u_large)/u_small⌋ small
ones at most. What N servers can process together is N times the convex hull of these patterns, but
for whole numbers: its boundary is reached with two neighbouring vertices of the hull, and one
server in between makes up the total. Filling one server after the other with large requests leaves
more: often the time of half a small request on every server.
"""

from __future__ import annotations

import functools

import numpy as np

DROPPED = 2  # large requests that may be left out if more small ones fit instead


def pack(
    usable_ms: int, small_ms: int, large_ms: int, servers: int, wanted: np.ndarray
) -> np.ndarray:
    """(servers, 2) requests (small, large) on each server, at most ``wanted`` (2,) in all.

    As many requests as possible with all large ones, or with up to ``DROPPED`` fewer.
    """
    patterns, vertices = _patterns(usable_ms, small_ms, large_ms)
    most = min(int(wanted[1]), servers * (len(patterns) - 1))
    best: tuple[int, np.ndarray, np.ndarray] | None = None
    for large in range(most, max(most - DROPPED, -1), -1):
        counts = _spread(vertices, servers, large)
        small = patterns[counts]
        total = large + min(int(small.sum()), int(wanted[0]))
        if best is None or total > best[0]:
            best = (total, counts, small)
    assert best is not None  # the range is never empty
    _, counts, small = best
    before = small.cumsum() - small
    return np.stack([np.clip(wanted[0] - before, 0, small), counts], axis=1)


@functools.lru_cache(maxsize=4096)
def _patterns(usable_ms: int, small_ms: int, large_ms: int) -> tuple[np.ndarray, np.ndarray]:
    """Small requests beside b large ones, for every b, and vertices of their concave envelope."""
    large = np.arange(usable_ms // large_ms + 1)
    patterns = (usable_ms - large * large_ms) // small_ms
    return patterns, _upper_hull(patterns)


def _upper_hull(patterns: np.ndarray) -> np.ndarray:
    """Vertices b of the concave envelope of ``patterns``, ascending."""
    hull: list[int] = []
    for b in range(len(patterns)):
        while len(hull) > 1 and _is_below(patterns, hull[-2], hull[-1], b):
            hull.pop()
        hull.append(b)
    return np.array(hull)


def _is_below(patterns: np.ndarray, left: int, middle: int, right: int) -> bool:
    """Whether the point at ``middle`` is on or below the line from ``left`` to ``right``."""
    rise = int(patterns[right] - patterns[left])
    return int(patterns[middle] - patterns[left]) * (right - left) <= rise * (middle - left)


def _spread(vertices: np.ndarray, servers: int, large: int) -> np.ndarray:
    """(servers,) large requests of each, ``large`` in all, on neighbouring vertices but for one."""
    high = int(np.searchsorted(vertices * servers, large))
    if high == 0 or vertices[high] * servers == large:
        return np.full(servers, vertices[high])
    low = int(vertices[high - 1])
    full, rest = divmod(large - low * servers, int(vertices[high]) - low)
    counts = np.full(servers, low)
    counts[:full] = vertices[high]
    counts[full : full + 1] += rest
    return counts

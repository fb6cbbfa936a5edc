"""What whole requests of up to two classes leave of servers alike: facets of the hull, and back.

In one slot a server takes the integer points a, b ≥ 0 with load·(a, b) ≤ slot. Their hull is a
polygon with integer corners, and every integer point of n times such a polygon is a sum of n of its
integer points. So totals within n times the facets are just those that n servers can process.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

Facets = np.ndarray  # (F, 3): α·a + β·b ≤ γ


@lru_cache(maxsize=4096)
def facets_of(load_ms: tuple[int, ...], slot_ms: int) -> Facets:
    """(F, 3) facets of conv{integers a, b ≥ 0 : load·(a, b) ≤ slot}, but a, b ≥ 0.

    Walks along the upper hull: from each vertex to the farthest point in the steepest direction.
    """
    if not load_ms:
        return np.zeros((0, 3), int)
    if len(load_ms) == 1:
        return np.array([(1, 0, slot_ms // load_ms[0])])
    a = np.arange(slot_ms // load_ms[0] + 1)
    b = (slot_ms - load_ms[0] * a) // load_ms[1]
    facets, at = [], 0
    while at < len(a) - 1:
        slope = (b[at + 1 :] - b[at]) / (a[at + 1 :] - a[at])
        to = at + len(slope) - int(np.argmax(slope[::-1]))  # the farthest of the best
        alpha, beta = int(b[at] - b[to]), int(a[to] - a[at])
        facets.append((alpha, beta, alpha * int(a[at]) + beta * int(b[at])))
        at = to
    if b[-1] > 0:
        facets.append((1, 0, int(a[-1])))
    return np.array(facets)


def fill_first(wanted: int | np.ndarray, room: np.ndarray) -> np.ndarray:
    """(S,) units: ``wanted`` goes to the first servers, each up to its room; or (S, C) of (C,)."""
    given: np.ndarray = np.clip(wanted - (room.cumsum(axis=0) - room), 0, room)
    return given


class CannotShare(AssertionError):
    """Totals that servers cannot process; a fault of the caller where ``least`` is 0."""


def shared_out(
    total: np.ndarray, facets: Facets, servers: int, least: np.ndarray | None = None
) -> np.ndarray:
    """(servers, classes) points within the facets that add up to ``total``.

    Server after server takes an integer point such that the rest stays within the facets of those
    that are left; that there is one is the theorem. Where every server is to have a part of its own
    (``least``, of the same shape), there may be none: ``CannotShare``.
    """
    pair = np.zeros(2, int)
    pair[: len(total)] = total
    own = np.zeros((servers, 2), int)
    if least is not None:
        own[:, : len(total)] = least
    later = own[::-1].cumsum(axis=0)[::-1] - own
    shares = np.zeros((servers, 2), int)
    if not len(facets):
        return shares[:, : len(total)]
    for n, left in enumerate(range(servers - 1, -1, -1)):
        shares[n] = _one_share(pair, facets, left, own[n], later[n])
        pair = pair - shares[n]
    if pair.any():
        raise CannotShare(f"{total} cannot be shared out to {servers} servers")
    return shares[:, : len(total)]


def _one_share(
    pair: np.ndarray, facets: Facets, left: int, own: np.ndarray, later: np.ndarray
) -> np.ndarray:
    """An integer point p ≥ own within the facets, with pair − p ≥ later within ``left`` times the
    facets."""
    a = np.arange(pair[0] + 1)
    most = np.minimum(_highest(a, facets, 1), pair[1] - later[1])  # bounds p's second number
    least = np.maximum(pair[1] - _highest(pair[0] - a, facets, left), own[1])
    held = (a >= own[0]) & (a <= pair[0] - later[0])
    fits = np.flatnonzero((least <= most) & (most >= 0) & held)
    if not len(fits):
        raise CannotShare(f"{pair} cannot be shared out to {left + 1} servers")
    best = fits[np.argmin(np.abs(fits * (left + 1) - pair[0]))]  # near the mean: servers alike
    even = pair[1] // (left + 1)
    return np.array([best, np.clip(even, least[best], most[best])])


def _highest(a: np.ndarray, facets: Facets, times: int) -> np.ndarray:
    """Largest b ≥ 0 with (a, b) within ``times`` the facets; −1 where there is none, and 0 at most
    where no facet holds b: then there is no second class.
    """
    highest = np.full(len(a), np.iinfo(np.int64).max)
    for alpha, beta, most in facets.tolist():
        room = times * most - alpha * a
        highest = np.minimum(highest, room // beta if beta else np.where(room < 0, -1, highest))
    held = len(facets) and facets[:, 1].any()
    return np.where(highest < 0, -1, highest) if held else np.minimum(highest, 0)

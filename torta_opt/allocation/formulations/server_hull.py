"""What whole requests of up to two classes leave of servers alike: facets of the hull, and back.

In one slot a server takes the integer points a, b ≥ 0 with load·(a, b) ≤ slot. Their hull is a
polygon with integer corners, and every integer point of n times such a polygon is a sum of n of its
integer points. So totals within n times the facets are just those that n servers can process.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    a, b = (*(int(each) for each in total), 0, 0)[:2]
    own = np.zeros((servers, 2), int)
    if least is not None:
        own[:, : len(total)] = least
    later = (own[::-1].cumsum(axis=0)[::-1] - own).tolist()
    if not len(facets):
        return np.zeros((servers, len(total)), int)
    rows, shares = facets.tolist(), []
    for n, each in enumerate(own.tolist()):
        share = _one_share((a, b), rows, servers - 1 - n, each, later[n])
        shares.append(share)
        a, b = a - share[0], b - share[1]
    if a or b:
        raise CannotShare(f"{total} cannot be shared out to {servers} servers")
    return np.array(shares).reshape(servers, 2)[:, : len(total)]


def _one_share(
    pair: tuple[int, int], facets: list[list[int]], left: int, own: list[int], later: list[int]
) -> tuple[int, int]:
    """An integer point p ≥ own within the facets, with pair − p ≥ later within ``left`` times the
    facets: its first number as near the mean as can be, as servers are alike, its second too."""
    a, b = pair
    least_first, most_first = max(own[0], 0), a - max(later[0], 0)
    even = b // (left + 1)
    for first in _outwards(a, left + 1, least_first, most_first):
        most = min(_highest(first, facets, 1), b - later[1])
        least = max(b - _highest(a - first, facets, left), own[1])
        if most >= 0 and least <= most:
            return first, min(max(even, least), most)
    raise CannotShare(f"{pair} cannot be shared out to {left + 1} servers")


def _outwards(total: int, parts: int, low: int, high: int) -> Iterator[int]:
    """Whole numbers from ``low`` to ``high``, those nearest to total/parts first; of two as near,
    the smaller one."""
    down = min(total // parts, high)
    up = max(down + 1, low)
    while down >= low or up <= high:
        if up > high or (down >= low and total - down * parts <= up * parts - total):
            yield down
            down -= 1
        else:
            yield up
            up += 1


def _highest(a: int, facets: list[list[int]], times: int) -> int:
    """Largest b ≥ 0 with (a, b) within ``times`` the facets; −1 where there is none, and 0 at most
    where no facet holds b: then there is no second class.
    """
    highest, held = 2**63 - 1, False
    for alpha, beta, most in facets:
        room = times * most - alpha * a
        if beta:
            highest, held = min(highest, room // beta), True
        elif room < 0:
            highest = -1
    if highest < 0:
        return -1
    return highest if held else 0

"""Requests of any number of groups handed to servers alike, as many as find room.

Totals of two groups that obey the facets of n servers can always be shared out (``server_hull``).
With three or more the question is one of bin packing: the answer here is a rule, and what it finds
no room for is left out. What was hot stays where it is hot; then the largest requests go first,
each to the servers with most time left. Where that leaves something out, the servers are filled one
after the other instead; then both again without regard to what was hot. The answer that hands out
most requests stands.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from torta_opt.allocation.formulations.server_hull import fill_first

Rule = Callable[[int, np.ndarray], np.ndarray]


def packed(work_ms: np.ndarray, usable_ms: int, wanted: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(S, G) whole requests with Σ_g work·z ≤ usable on every server and Σ_s z ≤ wanted.

    work_ms   (G,) whole server time of one request
    wanted    (G,) requests to hand out
    own       (S, G) requests that are hot on each server, which takes them first
    """
    answers = []
    for first, rule in product((own, np.zeros_like(own)), (_evenly, fill_first)):
        answers.append(_packed(work_ms, usable_ms, wanted, first, rule))
        if (answers[-1].sum(axis=0) == wanted).all():
            break
    return max(answers, key=lambda z: int(z.sum()))


def _packed(
    work_ms: np.ndarray, usable_ms: int, wanted: np.ndarray, own: np.ndarray, rule: Rule
) -> np.ndarray:
    z = np.zeros(own.shape, np.int64)
    left_ms = np.full(len(own), usable_ms)
    largest_first = np.argsort(-work_ms, kind="stable").tolist()
    for g in largest_first:
        kept = np.minimum(own[:, g], left_ms // work_ms[g])
        z[:, g] = fill_first(wanted[g], kept)
        left_ms = left_ms - z[:, g] * work_ms[g]
    for g in largest_first:
        more = rule(int(wanted[g] - z[:, g].sum()), left_ms // work_ms[g])
        z[:, g] += more
        left_ms = left_ms - more * work_ms[g]
    return z


def _evenly(requests: int, room: np.ndarray) -> np.ndarray:
    """(S,) such that the servers are left with room as equal as it can be."""
    if requests >= room.sum():
        return room
    # the greatest level that leaves at least so many requests above it
    level = np.sort(room)[::-1]
    above = level.cumsum() - level * np.arange(1, len(level) + 1)
    servers = int(np.searchsorted(above, requests, side="right"))
    share, rest = divmod(int(level[:servers].sum()) - requests, servers)
    # ``rest`` of the servers keep one more
    taken: np.ndarray = np.maximum(room - share, 0)
    keep = np.flatnonzero(taken > 0)[:rest]
    taken[keep] -= 1
    return taken

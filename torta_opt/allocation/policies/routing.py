"""Whole requests sent to places: cheapest first, evenly, by shares, or by lot.

A *place* is a region, or part of one (its servers of one type). All results are integers (I, P)
whose rows add up to what was to be sent, as far as there is room.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.policies.dispatch import fill_in_order


def send_cheapest(requests: np.ndarray, room: np.ndarray, usd: np.ndarray) -> np.ndarray:
    """Each origin's ``requests`` (I,) to its cheapest place that has room (P,), then the next.

    ``usd`` (I, P), inf where forbidden. Where origins compete for room, the one that pays least
    goes first.
    """
    flow = np.zeros(usd.shape, np.int64)
    left, room = requests.astype(np.int64), room.astype(np.int64)
    usd = np.where(room > 0, usd, np.inf)
    origin = np.flatnonzero(left)
    while origin.size:
        place = usd[origin].argmin(axis=1)
        price = usd[origin, place]
        reached = np.isfinite(price)
        origin, place, price = origin[reached], place[reached], price[reached]
        wanting = left[origin]
        taken = _admit(wanting, place, price, room)
        flow[origin, place] += taken
        left[origin] -= taken
        np.subtract.at(room, place, taken)
        usd[:, place[room[place] <= 0]] = np.inf
        origin = origin[wanting > taken]
    return flow


def _admit(
    wanting: np.ndarray, place: np.ndarray, price: np.ndarray, room: np.ndarray
) -> np.ndarray:
    """How many of each origin's requests get into the place it chose; least price first."""
    if (np.bincount(place, wanting, len(room)) <= room).all():
        return wanting
    return fill_in_order(room, place, wanting, price)


def deal_evenly(
    requests: np.ndarray, room: np.ndarray, open_to: np.ndarray, start: int
) -> np.ndarray:
    """Each origin deals its ``requests`` (I,) in turn to the places open to it (I, P), skipping
    those that are full; the round begins at place ``start``, origins come in the same order."""
    flow = np.zeros(open_to.shape, np.int64)
    left, room = requests.astype(np.int64), room.astype(np.int64)
    origins, places = open_to.shape
    turn = (np.arange(places) - start) % places
    precedence = (np.arange(origins) - start) % origins
    while left.any():
        takes = open_to & (room > 0)
        dealt = _one_round(left, takes, turn)
        if not dealt.any():
            break
        rows, columns = np.nonzero(dealt)
        taken = fill_in_order(room, columns, dealt[rows, columns], precedence[rows])
        flow[rows, columns] += taken
        np.subtract.at(left, rows, taken)
        np.subtract.at(room, columns, taken)
    return flow


def _one_round(left: np.ndarray, takes: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """All that is left, dealt evenly over the places that take any; the odd ones by turn."""
    hands = takes.sum(axis=1)
    share = left // np.maximum(hands, 1)
    odd = left - share * hands
    order = np.where(takes, turn, takes.shape[1])
    position = order.argsort(axis=1).argsort(axis=1)
    return np.where(takes, share[:, None] + (position < odd[:, None]), 0)


def apportion(requests: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Largest remainder: ``requests`` (I,) split by ``share`` (I, P), rows summing to 1."""
    exact = requests[:, None] * share
    flow = np.floor(exact).astype(np.int64)
    odd = requests - flow.sum(axis=1)
    position = (flow - exact).argsort(axis=1, kind="stable").argsort(axis=1)
    return flow + ((position < odd[:, None]) & (share > 0))


def sample(requests: np.ndarray, share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every request by itself: multinomial with probabilities ``share`` (I, P)."""
    return rng.multinomial(requests, share)

"""``micro=learned``: a small network ranks pairs of a server and a class of requests.

It sees one pair at a time and gives it a score. In each region, pairs are taken in descending order
of it: the server gets as many requests of the class as it still has time for. So the network
decides which servers are filled first, and which requests wait if time is short. Requests that
expire otherwise go first. It sees ratios only (``FEATURES``), so one network fits every system:

    score = w·tanh(W₁·f + b₁) + s·f + b₂

The network was fitted to the shares of servers' room that assignment programs fill
(``learning.score_training``). It cannot leave a server idle for requests to come, which these
programs can.

Its answer is used in a slot only where the slot then costs no more than by the policy's own rule:
service and energy, less what hot requests save, and one slot of waiting for each that is left. So
weights that are bad cost little.

    models/server-scores.safetensors   tensors of ``PARTS``, in single precision, with a card
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.policies.dispatch import Tables, sum_by
from torta_opt.allocation.policies.slot_task import Slot
from torta_opt.allocation.policies.weight_files import find_weights, load_tensors, models_folder
from torta_opt.io import InvalidInput

FORMAT, VERSION = "torta-opt/server-scores", 1
NAME = "server-scores"
PARTS = ("first", "first_constant", "last", "straight", "constant")
FEATURES = (
    "service and energy above the cheapest server of the region, in slots of waiting",
    "what a hot request saves, in slots of waiting",
    "share of the room that would be hot",
    "share of the region's room",
    "requests in the region over its room",
    "the same, added over the classes of the model",
    "requests expected in the next slot over the region's room",
    "share of the server that other classes would be hot on",
    "server time of a request, in hundredths of a slot",
    "share of the slot that the server is usable",
)
MOST = 4.0  # a ratio above it says no more


@dataclass(frozen=True, eq=False)
class ServerScores:
    """Weights, as the module says: (N, F), (N,), (N,), (F,), (1,)."""

    first: np.ndarray
    first_constant: np.ndarray
    last: np.ndarray
    straight: np.ndarray
    constant: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(S, C) from (S, C, F)."""
        with np.errstate(all="ignore"):  # a broken network may say anything
            hidden = np.tanh(features @ self.first.T + self.first_constant)
            found: np.ndarray = hidden @ self.last + features @ self.straight + self.constant
        return found


def scored_processing(tables: Tables, slot: Slot, scores: ServerScores) -> np.ndarray:
    """(S, C) requests that each server serves in this slot."""
    score = scores(score_features(tables, slot))
    if not np.isfinite(score).all():
        return slot.greedy
    found = fill_by_score(tables, slot, score)
    is_dearer = slot_usd(tables, slot, found) > slot_usd(tables, slot, slot.greedy)
    return slot.greedy if is_dearer else found


def fill_by_score(tables: Tables, slot: Slot, score: np.ndarray) -> np.ndarray:
    """(S, C) requests given to pairs of server and class in descending order of ``score`` (S, C).

    One pair of each region at a time, so a slot takes as many steps as a region has pairs, twice.
    """
    system = tables.system
    fits = tables.can_serve & (slot.fleet.model[:, None] == system.class_model)
    server, kind = np.nonzero(fits & (slot.fleet.usable_ms[:, None] >= tables.work_ms))
    region = system.server_region[server]
    order = np.lexsort((-score[server, kind], region))
    server, kind, region = server[order], kind[order], region[order]
    rank = np.arange(len(region)) - np.searchsorted(region, region)
    steps = np.split(np.argsort(rank, kind="stable"), np.cumsum(np.bincount(rank))[:-1])
    free, taken = slot.fleet.usable_ms.copy(), np.zeros(score.shape, np.int64)
    due = tables.due(slot.observation.state.waiting)
    for left in (due, _come(slot) - due):
        for pairs in steps:
            s, c, r = server[pairs], kind[pairs], region[pairs]
            units = np.minimum(left[r, c], free[s] // tables.work_ms[s, c])
            left[r, c] -= units
            free[s] -= units * tables.work_ms[s, c]
            taken[s, c] += units
    return taken


def slot_usd(tables: Tables, slot: Slot, processing: np.ndarray) -> float:
    """$ of a slot in which servers process (S, C), as far as it depends on which servers do."""
    system, state = tables.system, slot.observation.state
    used = processing > 0
    usd = np.where(used, tables.serve_usd(slot.observation.price), 0.0)
    hot = np.minimum(processing, system.hot_permille * state.processing // 1000)
    left = _come(slot).sum() - processing.sum()
    wait = system.weights.time_usd_per_s * system.slot_s
    return float((processing * usd).sum() - (hot * tables.saved_usd).sum() + left * wait)


def score_features(tables: Tables, slot: Slot) -> np.ndarray:
    """(S, C, F), see ``FEATURES``; 0 where a server cannot take a class."""
    system, state = tables.system, slot.observation.state
    region, classes = system.server_region, system.class_model
    fits = tables.can_serve & (slot.fleet.model[:, None] == classes)
    work = np.where(fits, tables.work_ms, 1)
    room = np.where(fits, slot.fleet.usable_ms[:, None] // work, 0)
    able = room > 0
    regions = tables.sizes[0]
    rooms = np.stack([sum_by(region, each, regions) for each in room.T], axis=1)
    come, later = _come(slot), _later(slot)
    fill = _ratio(come, rooms)
    same_model = classes[:, None] == classes
    quota = system.hot_permille * state.processing // 1000
    hot = np.where(able, _ratio(quota, room), 0.0)
    serve = tables.serve_usd(slot.observation.price)
    cheapest = np.full(rooms.shape, np.inf)
    np.minimum.at(cheapest, region, np.where(able, serve, np.inf))
    above = np.where(able, serve, 0.0) - np.where(able, cheapest[region], 0.0)
    unit = max(system.weights.time_usd_per_s * system.slot_s, 1e-12)
    usable = slot.fleet.usable_ms[:, None] / system.slot_ms
    columns = (
        above / unit,
        tables.saved_usd / unit,
        hot,
        _ratio(room, rooms[region]),
        fill[region],
        (fill @ same_model)[region],
        _ratio(later, rooms)[region],
        hot.sum(axis=1, keepdims=True) - hot,
        100 * work / system.slot_ms,
        np.broadcast_to(usable, room.shape),
    )
    found = np.stack([np.clip(each, 0.0, MOST) for each in columns], axis=2)
    return np.where(able[:, :, None], found, 0.0)


def _come(slot: Slot) -> np.ndarray:
    """(R, C) requests in each region: routed there in this slot, and waiting."""
    found: np.ndarray = slot.routing.sum(axis=0) + slot.observation.state.waiting.sum(axis=2)
    return found


def _later(slot: Slot) -> np.ndarray:
    """(R, C) requests expected in the next slot, routed as those of this one."""
    sent = np.maximum(slot.routing.sum(axis=1), 1)
    return np.einsum("ijc,ic->jc", slot.routing / sent[:, None, :], slot.expected)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part/whole, 0 where there is no whole."""
    return np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)


def load_server_scores(path: str | os.PathLike[str] | None = None) -> ServerScores:
    """The network of a file, or of ``models/``. Raises InvalidInput."""
    stem = models_folder() / NAME if path is None else find_weights(os.fspath(path))
    tensors, card, file = load_tensors(stem, (FORMAT, VERSION))
    if card.get("features") != list(FEATURES):
        raise InvalidInput("is for other features than those of this version", file=str(file))
    if set(tensors) != set(PARTS):
        raise InvalidInput("does not hold the weights that its card describes", file=str(file))
    scores = ServerScores(*(tensors[name] for name in PARTS))
    width, seen = scores.last.size, len(FEATURES)
    shapes = {
        "last": (width,),
        "first": (width, seen),
        "first_constant": (width,),
        "straight": (seen,),
        "constant": (1,),
    }
    if any(getattr(scores, name).shape != shape for name, shape in shapes.items()):
        raise InvalidInput("does not hold the weights that its card describes", file=str(file))
    return scores


def to_tensors(scores: ServerScores) -> dict[str, np.ndarray]:
    """What a weight file of the network holds."""
    return {name: np.ascontiguousarray(getattr(scores, name), np.float32) for name in PARTS}

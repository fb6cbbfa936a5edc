"""The first moves of a fleet plan in whole servers.

A plan holds fractions of servers. A fraction above a threshold counts as one, any other as none.
Where many servers hold a model, what that loses is small. Where a plan wants 0.4 servers of a
model and none is on, it would lose all of them, slot after slot. So the servers of a model have to
cover its plan: with all of their time they can do the work that the plan does with the share
``load`` of it. Until they do, a stop that rounding added is left out, or one more server is started
of a kind that the plan starts. Where the plan splits a single server between models, no kind that
it starts is off: then a server of the model that would stop stays, one of any kind is started, or
one of another model that would stop switches. Stops that rounding added are left out for all models
first: the server that one model needs is not there for another to take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.formulations.fleet_program import (
    MOVES,
    FleetKinds,
    FleetPlan,
    FleetState,
)

EPSILON = 1e-9


@dataclass(frozen=True, eq=False)
class WholeMoves:
    """(G,) servers of each kind that start, stop, leave their model, and enter another."""

    start: np.ndarray
    stop: np.ndarray
    leave: np.ndarray
    enter: np.ndarray


def whole_moves(
    kinds: FleetKinds,
    state: FleetState,
    plan: FleetPlan,
    threshold: float,
    load: float,
    zone: np.ndarray | None = None,
) -> WholeMoves:
    """The moves of the plan's first epoch; a part of a server above ``threshold`` counts as one.

    load  share of a server's time that the plan counts on
    zone  (K,) of each type; servers of one cannot cover what another needs. None: all are one
    """
    moves = {move: _whole(getattr(plan, move)[0], threshold) for move in MOVES}
    speed = _speed(kinds)
    need = load * speed * _after(state, lambda move: getattr(plan, move)[0])
    zones = np.zeros(len(state.servers), int) if zone is None else zone
    together = np.stack([kinds.model, zones[kinds.type]], axis=1)
    of_models = [
        np.flatnonzero((together == pair).all(axis=1)) for pair in np.unique(together, axis=0)
    ]

    def missing(of_model: np.ndarray) -> float:
        there = speed * _after(state, moves.__getitem__)
        return float(need[of_model].sum() - there[of_model].sum())

    for of_model in of_models:
        while missing(of_model) > EPSILON and _stop_left_out(plan, moves, of_model):
            pass
    for of_model in of_models:
        while (less := missing(of_model)) > EPSILON:
            if not _one_more(kinds, state, plan, moves, of_model, less):
                break
    return WholeMoves(**moves)


def _whole(servers: np.ndarray, threshold: float) -> np.ndarray:
    """Whole numbers; what is no more than ``EPSILON`` from a whole one is that one."""
    servers = np.maximum(servers, 0.0)  # solvers keep bounds within a tolerance
    whole = np.floor(servers + EPSILON)
    part = servers - whole
    counts = (part > EPSILON) & (part >= threshold - EPSILON)
    rounded: np.ndarray = (whole + counts).astype(int)
    return rounded


def _after(state: FleetState, moves: Callable[[str], np.ndarray]) -> np.ndarray:
    """(G,) servers that hold a model or load it, once the moves are made."""
    left = moves("stop") + moves("leave")
    after: np.ndarray = state.ready + state.loading + moves("start") + moves("enter") - left
    return after


def _speed(kinds: FleetKinds) -> np.ndarray:
    """(G,) requests that a server does in a second, mean over the classes of its model."""
    system = kinds.system
    k, c = kinds.serves
    total = np.bincount(kinds.serve_kind, 1000 / system.server_ms[k, c], len(kinds))
    speed: np.ndarray = total / np.maximum(np.bincount(kinds.serve_kind, minlength=len(kinds)), 1)
    return speed


def _stop_left_out(plan: FleetPlan, moves: dict[str, np.ndarray], of_model: np.ndarray) -> bool:
    """One stop less, of the kind of which rounding added the largest part; False: it added none."""
    stops = moves["stop"][of_model]
    added = np.where(stops > 0, stops - plan.stop[0, of_model], 0.0)
    if added.max() <= EPSILON:
        return False
    moves["stop"][of_model[np.argmax(added)]] -= 1
    return True


def _one_more(
    kinds: FleetKinds,
    state: FleetState,
    plan: FleetPlan,
    moves: dict[str, np.ndarray],
    of_model: np.ndarray,
    missing: float,
) -> bool:
    """One server more of a model: one starts of the kind of which rounding took away the largest
    part of the plan's starts and switches. Where no server of such a kind is off, a server of the
    model that would stop stays; or else one of any kind starts; or, where none is off, one of
    another model that would stop switches. Of several kinds it is the slowest that does what is
    ``missing``, requests in a second, or else the fastest. False: there is no such server.
    """
    taken = (plan.start[0] + plan.enter[0] - moves["start"] - moves["enter"])[of_model]
    # a server that stops now cannot start in the same slot
    taken_up = state.ready + state.loading + moves["start"]
    free = state.servers - np.bincount(kinds.type, taken_up, len(state.servers))
    is_free = free[kinds.type[of_model]] >= 1 - EPSILON
    taken = np.where(is_free, taken, 0.0)
    if taken.max() > EPSILON:
        moves["start"][of_model[np.argmax(taken)]] += 1
        return True
    speed = _speed(kinds)[of_model]
    stays = _least_able(speed, moves["stop"][of_model] >= 1, missing)
    if stays is not None:
        moves["stop"][of_model[stays]] -= 1
        return True
    if not is_free.any():
        return _switched(kinds, plan, moves, of_model)
    starts = _least_able(speed, is_free, missing)
    if starts is None:
        return False
    moves["start"][of_model[starts]] += 1
    return True


def _least_able(speed: np.ndarray, there: np.ndarray, missing: float) -> int | None:
    """The slowest of those ``there`` that does what is ``missing``, or else the fastest; None where
    they serve nothing."""
    speed = np.where(there, speed, 0.0)
    if speed.max() <= 0:
        return None
    enough = speed >= missing
    return int(np.where(enough, speed, np.inf).argmin() if enough.any() else speed.argmax())


def _switched(
    kinds: FleetKinds, plan: FleetPlan, moves: dict[str, np.ndarray], of_model: np.ndarray
) -> bool:
    """A server that would stop enters the model instead, of the type that the plan has enter most.

    False: none of a type that can hold the model stops.
    """
    stopping = np.bincount(kinds.type, moves["stop"], kinds.type.max() + 1)
    can = (stopping[kinds.type[of_model]] >= 1) & (_speed(kinds)[of_model] > 0)
    if not can.any():
        return False
    wanted = (plan.start[0] + plan.enter[0])[of_model]
    to = of_model[np.argmax(np.where(can, wanted, -1.0))]
    of_type = np.flatnonzero((kinds.type == kinds.type[to]) & (moves["stop"] >= 1))
    of_other = of_type[~np.isin(of_type, of_model)]
    if not len(of_other):
        return False
    moves["stop"][of_other[0]] -= 1
    moves["leave"][of_other[0]] += 1
    moves["enter"][to] += 1
    return True

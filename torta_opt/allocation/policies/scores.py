"""TORTA's scores (7)-(10) and greedy matching (Alg. 1 of arXiv 2507.10259), for groups of requests.

A request of class c on server s of type k in slot t scores

    (7)   Score = w_hw·Comp_hw + w_load·Comp_load + w_loc·Comp_loc
    (8)   Comp_hw = min(1, GPU_comp/task_comp) · min(1, GPU_mem/task_mem) · Type
    (9)   Comp_load = exp(−(Util + QueueLen) / Capacity)
    (10)  Comp_loc = Σ_{j ∈ Recent(s)} Sim(i,j) / exp(λ(t − ts_j))

The paper reports neither weights nor λ nor units. Here

    GPU_comp/task_comp   min_k' u[k',c] / u[k,c]: how fast the type is beside the fastest
    GPU_mem/task_mem     1 where the type holds the model, else 0
    Type                 1 where the energy of a request at full load is within ``type_tolerance``
                         of the thriftiest type's, else 0.5
    Util + QueueLen      ms of server time handed out in this slot, and ``queue_ms`` for each
                         request handed out: nothing is left over from slots before
    Capacity             ms usable in this slot
    Recent(s)            what s processed in earlier slots, each slot counting as one task split by
                         class; forgotten when s goes off
    Sim(i,j)             w_m·[same model] + w_c·cos, the cosine of one-hot classes: [same class]

Alg. 1 gives every request, the most urgent first, the resource-heavy first among those, to the
server with the highest score that has room, and then raises its load. Requests of a class are alike
and their score on a server falls as it fills, so the servers' scores sink to one line: it is found
by bisection, however many the requests are.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.instance.data import System
from torta_opt.allocation.policies.dispatch import Capacity, Tables, fill_in_order, fill_to_line


def hardware_score(system: System, type_tolerance: float) -> np.ndarray:
    """(K, C) equation (8); 0 where a type cannot serve a class."""
    able = system.usable_by
    work_ms = np.where(able, system.server_ms, np.inf)
    speed = np.where(able, work_ms.min(axis=0) / np.where(able, work_ms, 1.0), 0.0)
    energy = np.where(able, system.peak_kw[:, None] * np.where(able, work_ms, 0.0), np.inf)
    matches = energy <= (1 + type_tolerance) * energy.min(axis=0)
    return np.minimum(1.0, speed) * able * np.where(matches, 1.0, 0.5)


def similarity(system: System, model_weight: float, class_weight: float) -> np.ndarray:
    """(C, C) Sim of (10)."""
    same_model = system.class_model[:, None] == system.class_model
    return model_weight * same_model + class_weight * np.eye(len(system.classes))


def load_score(load: np.ndarray) -> np.ndarray:
    """Equation (9) at ``load`` = (Util + QueueLen)/Capacity."""
    return np.exp(-load)


class Recent:
    """(S, C) what servers did lately: Σ over slots τ < t of (share of class) / exp(λ(t − τ))."""

    def __init__(self, servers: int, classes: int, decay: float):
        self.decay = decay
        self.trace = np.zeros((servers, classes))

    def update(self, processing: np.ndarray, off: np.ndarray) -> None:
        """A slot has gone by in which ``processing`` (S, C) was done; servers ``off`` forget."""
        done = processing.sum(axis=1, keepdims=True)
        share = processing / np.maximum(done, 1)
        self.trace = np.where(off[:, None], 0.0, (self.trace + share) * np.exp(-self.decay))

    def score(self, similar: np.ndarray) -> np.ndarray:
        """(S, C) equation (10)."""
        return self.trace @ similar


def match(
    c: int,
    wanted: np.ndarray,
    desk: Capacity,
    base: np.ndarray,
    load_weight: float,
    queue_ms: float,
) -> np.ndarray:
    """(S,) requests of class c by Alg. 1, at most ``wanted`` (R,) and the room of servers.

    ``base`` (S,) is the part of the score that does not depend on load. Equal scores go to the
    server that stands first.
    """
    tables, room = desk.tables, desk.room(c)
    region = tables.system.server_region
    units = np.zeros(len(room), np.int64)
    open_servers = np.flatnonzero((room > 0) & (wanted[region] > 0))
    if open_servers.size == 0:
        return units
    room, base, region = room[open_servers], base[open_servers], region[open_servers]
    if load_weight == 0:
        units[open_servers] = fill_in_order(wanted, region, room, -base)
        return units
    handed_ms = tables.busy_ms(desk.processing)[open_servers]
    requests = desk.processing[open_servers].sum(axis=1)
    capacity_ms = handed_ms + desk.free_ms[open_servers]
    load = (handed_ms + queue_ms * requests) / capacity_ms
    rise = (tables.work_ms[open_servers, c] + queue_ms) / capacity_ms

    def units_below(line: np.ndarray) -> np.ndarray:
        """Requests until the score has sunk to −line."""
        left = (-line[region] - base) / load_weight
        until = -np.log(np.where(left > 0, left, 1.0))
        taken = np.clip(np.ceil((until - load) / rise), 0, room)
        return np.where(left > 0, taken, room)

    hair = 1e-9 * (load_weight + np.abs(base).max())  # low must be below every level
    low, high = -base.max() - load_weight - hair, -base.min() + hair
    units[open_servers] = fill_to_line(wanted, region, units_below, low, high, room)
    return units


def urgency_order(tables: Tables, left: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Groups of requests, those with the fewest slots ``left`` first, then the heaviest classes.

    ``left`` and ``kind`` (class) are given by group.
    """
    heaviest = np.where(tables.can_serve, tables.work_ms, 0).max(axis=0)
    return np.lexsort((kind, -heaviest[kind], left))

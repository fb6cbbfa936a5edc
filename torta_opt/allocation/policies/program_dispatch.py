"""``micro=program``: requests handed to the servers of a region by the assignment program.

A policy decides commands and routing as ever. Then the program ``formulations.assignment_model`` is
solved over this slot and ``look_ahead`` more: what the servers that are on can do, what waits by
age, what was routed to each region, and in later slots the forecast, routed as this slot's requests
of the same origin and class were. Its first slot is the decision. A request that is left at the end
of the window costs one more slot of waiting and the least service in its region.

The greedy rule's answer is the start: by the program's objective the decision is never worse. Where
time runs out, the best found stands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.formulations.assignment import Assignment
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.schedule.step import Fleet
from torta_opt.solvers import Limits

GAP = 2e-3  # relative, of a slot: far below what the forecast is worth
NODES = 20  # of each integer program
PROGRAMS = 3  # integer programs of a slot, where the rounded relaxation is further from its bound


@dataclass(frozen=True, eq=False)
class Slot:
    """What is known of a slot once commands and routing are decided.

    routing   (R, R, C) requests by origin, region and class
    expected  (R, C) requests by origin and class expected in each slot to come
    greedy    (S, C) requests that the greedy rule hands to servers
    """

    observation: Observation
    fleet: Fleet
    routing: np.ndarray
    expected: np.ndarray
    greedy: np.ndarray


def program_processing(
    tables: Tables,
    slot: Slot,
    look_ahead: int,
    seconds: float = np.inf,
    later: np.ndarray | None = None,
) -> np.ndarray:
    """(S, C) requests that each server serves in this slot; after ``seconds`` the best so far.

    later   (look_ahead, R, C) requests that come to the regions in the slots after this one; left
            out, the forecast is routed as this slot's requests were
    """
    from torta_opt.allocation.assignment.solve import solve_assignment

    arrivals = _arrivals(slot, look_ahead + 1)
    if later is not None:
        arrivals[1:] = later
    task = task_of(tables, slot, arrivals)
    processing = slot.greedy.copy()
    if task is None:
        return processing
    cells = task.servers[:, None], task.kind
    here = tables.system.server_region[task.servers][:, None] == task.region
    start = np.where(here, slot.greedy[cells], 0)
    limits = Limits(seconds=seconds, gap=GAP, work=NODES)
    found = solve_assignment(task.data, limits, start, PROGRAMS)
    if found.found:
        processing[task.servers] = 0
        np.add.at(processing, cells, found.z)
    return processing


@dataclass(frozen=True, eq=False)
class Task:
    """The assignment program of all regions at once.

    servers       (S',) servers that can take any request
    region, kind  (G,) of the groups: requests of one class in one region; servers of other regions
                  cannot take them
    """

    servers: np.ndarray
    region: np.ndarray
    kind: np.ndarray
    data: Assignment


def task_of(tables: Tables, slot: Slot, arrivals: np.ndarray) -> Task | None:
    """The task where ``arrivals`` (H, R, C) come to the regions; None where there is none."""
    system, observation = tables.system, slot.observation
    weights, slots, state = system.weights, len(arrivals), observation.state
    come = arrivals[0] + state.waiting.sum(axis=2)
    region, kind = np.nonzero(come > 0)
    servers = np.flatnonzero(slot.fleet.usable_ms > 0)
    cells = servers[:, None], kind
    at = system.server_region[servers][:, None] == region
    fits = slot.fleet.model[servers][:, None] == system.class_model[kind]
    able = at & fits & tables.can_serve[cells]
    servers, able = servers[able.any(axis=1)], able[able.any(axis=1)]
    served = able.any(axis=0)
    region, kind, able = region[served], kind[served], able[:, served]
    if not able.size:
        return None
    cells = servers[:, None], kind
    ahead = np.minimum(np.arange(slots), len(observation.price_ahead) - 1)
    price = weights.energy_factor * observation.price_ahead[ahead][:, region]
    serve = tables.service_usd[cells] + price[:, None, :] * tables.busy_kwh[cells]
    serve = np.where(able, serve, np.inf)
    wait = weights.time_usd_per_s * system.slot_s
    usable = _usable_ms(tables, slot.fleet, slots)[servers]
    loaded = np.arange(len(system.models)) == slot.fleet.model[servers][:, None]
    data = Assignment(
        group_model=system.class_model[kind],
        arrivals=arrivals[:, region, kind],
        waiting=state.waiting[region, kind],
        deadline_slots=system.deadline_slots[kind],
        work_ms=np.where(able, tables.work_ms[cells], 0),
        serve_usd=serve,
        hot_usd=np.where(able, tables.saved_usd[cells], 0.0),
        hot_permille=system.hot_permille,
        quota=np.where(able, system.hot_permille * state.processing[cells] // 1000, 0),
        count=np.ones(len(servers), np.int64),
        usable_ms=(usable[:, :, None] * loaded[:, None, :])[:, None],
        option_usd=np.zeros((len(servers), 1)),
        wait_usd=wait,
        expiry_usd=weights.expiry_usd[kind],
        left_usd=serve[-1].min(axis=0) + wait,
    )
    return Task(servers, region, kind, data)


def _usable_ms(tables: Tables, fleet: Fleet, slots: int) -> np.ndarray:
    """(S, H) time that each server that is on can give in this slot and those after it."""
    slot_ms = tables.system.slot_ms
    usable = np.zeros((len(fleet.model), slots), np.int64)
    usable[:, 0] = fleet.usable_ms
    for t in range(1, slots):
        left = fleet.loading_ms_after - (t - 1) * slot_ms
        usable[:, t] = slot_ms - np.clip(left, 0, slot_ms)
    return np.where(fleet.on[:, None], usable, 0)


def _arrivals(slot: Slot, slots: int) -> np.ndarray:
    """(H, R, C) requests that come to each region: routed ones, then the forecast likewise."""
    inflow = slot.routing.sum(axis=0)
    sent = slot.routing.sum(axis=1)
    share = slot.routing / np.maximum(sent, 1)[:, None, :]
    expected = np.einsum("ijc,ic->jc", share, slot.expected)
    return np.concatenate([inflow[None], np.repeat(expected[None], slots - 1, axis=0)])

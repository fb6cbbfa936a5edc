"""The assignment program of one slot as a policy sees it, and what of it is kept between slots.

The groups of the program are the pairs of region and class that some server that is on can serve;
its servers are counted by *kind*: region, type, model, and the time that they can give in this slot
and those after it. As long as no new kind comes, columns and rows of the program stay as they are
(``assignment.kept``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from torta_opt.allocation.assignment.kept import Beside, KeptProgram
from torta_opt.allocation.formulations.assignment import (
    Assignment,
    AssignmentProgram,
    build_assignment_program,
)
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.schedule.step import Fleet

SPARE = 1.5  # kinds of servers in a program, those without a server included, by those with one
Kind = tuple[int, ...]  # region, type, model, ms of this slot and those after it
Layout = Callable[[AssignmentProgram, Beside | None, bool], Beside]


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


@dataclass(frozen=True, eq=False)
class Task:
    """The assignment program of all regions at once.

    servers       (S',) servers that can take any request
    region, kind  (G,) of the groups: requests of one class in one region; servers of other regions
                  cannot take them
    served        (G,) bool: some server can take them now
    data          of the servers
    merged, row   of servers alike, counted, and (S',) the row of each server
    """

    servers: np.ndarray
    region: np.ndarray
    kind: np.ndarray
    served: np.ndarray
    data: Assignment
    merged: Assignment
    row: np.ndarray

    def with_arrivals(self, arrivals: np.ndarray) -> Task:
        """The same where ``arrivals`` (H, R, C) come to the regions; a group without requests in
        this slot has none later."""
        come = arrivals[:, self.region, self.kind] * self.served
        come[1:, come[0] + self.data.waiting.sum(axis=1) == 0] = 0
        return replace(
            self,
            data=self.data.with_arrivals(come),
            merged=self.merged.with_arrivals(come),
        )

    @property
    def active(self) -> np.ndarray:
        """(G,) bool: groups with requests."""
        active: np.ndarray = self.data.come[0] > 0
        return active


def task_of(tables: Tables, slot: Slot, arrivals: np.ndarray) -> Task | None:
    """The task where ``arrivals`` (H, R, C) come to the regions; None where there is none."""
    task = SlotPrograms().task(tables, slot, len(arrivals) - 1)
    if task is None or not task.with_arrivals(arrivals).active.any():
        return None
    return task.with_arrivals(arrivals)


class SlotPrograms:
    """The program of a policy's slots: its kinds and groups, and the solver that holds it."""

    def __init__(self) -> None:
        self._numbers: dict[Kind, int] = {}  # of every kind ever seen
        self._kinds: dict[Kind, int] = {}  # of the program, with a server of each
        self._same = True  # as those of ``_program``
        self._program: KeptProgram | None = None

    def task(self, tables: Tables, slot: Slot, look_ahead: int) -> Task | None:
        """The task of a slot, without arrivals yet; None where no server can take anything."""
        system, fleet = tables.system, slot.fleet
        usable = _usable_ms(tables, fleet, look_ahead + 1)
        model_of = fleet.model[:, None] == system.class_model
        servers = np.flatnonzero((fleet.usable_ms > 0) & (tables.can_serve & model_of).any(axis=1))
        if not len(servers):
            return None
        names = np.column_stack([system.server_region, system.server_type, fleet.model, usable])[
            servers
        ]
        kinds = [tuple(name) for name in names.tolist()]
        self._follow(dict(zip(kinds, servers.tolist(), strict=True)))
        place = {kind: n for n, kind in enumerate(self._kinds)}
        row = np.array([place[kind] for kind in kinds])
        groups = self._groups(tables)
        data = _data(tables, slot.observation, servers, names[:, 2], names[:, 3:], *groups)
        served = np.asarray((data.work_ms > 0).any(axis=0))
        told = np.array(list(self._kinds))
        alike = np.array(list(self._kinds.values()))
        merged = _data(tables, slot.observation, alike, told[:, 2], told[:, 3:], *groups)
        quota = np.zeros_like(merged.quota)
        np.add.at(quota, row, np.minimum(data.quota, data.room[0].max(axis=1)))
        merged = replace(
            merged,
            quota=quota,
            count=np.bincount(row, minlength=len(told)),
            waiting=data.waiting,
            left_usd=data.left_usd,
        )
        return Task(servers, *groups, served, data, merged, row)

    def program(self, tables: Tables, task: Task, layout: Layout | None = None) -> KeptProgram:
        """The program with the columns and rows of a task: the one of the slot before, if it has
        them; else a new one, which goes on from its basis.

        layout   what stands beside, given the program, what stood beside the one before, and
                 whether that is this one
        """
        last, same = self._program, self._program is not None and self._same
        if last is None or not same:
            program = build_assignment_program(task.merged, for_any_demand=True)
        else:
            program = last.program
        there = None if last is None else last.beside
        if layout is not None:
            beside = layout(program, there, same)
        else:
            beside = there if there is not None and same else Beside.nothing()
        if last is not None and same and beside is there:
            return last
        kinds = np.array([self._numbers[kind] for kind in self._kinds])
        groups = task.region * tables.sizes[2] + task.kind
        self._program, self._same = KeptProgram(program, kinds, groups, beside, last), True
        return self._program

    def _follow(self, seen: dict[Kind, int]) -> None:
        """Take up new kinds; drop those without a server where they are many."""
        if seen.keys() <= self._kinds.keys():
            self._kinds |= seen
            return
        self._same = False
        joined = self._kinds | seen
        self._kinds = joined if len(joined) <= SPARE * len(seen) else seen
        self._kinds = dict(sorted(self._kinds.items()))
        for kind in self._kinds:
            self._numbers.setdefault(kind, len(self._numbers))

    def _groups(self, tables: Tables) -> tuple[np.ndarray, np.ndarray]:
        """Region and class of the groups."""
        kinds = np.array(list(self._kinds))
        model = kinds[:, 2, None] == tables.system.class_model
        able = np.zeros((tables.sizes[0], tables.sizes[2]), bool)
        fits = model & tables.can_serve[list(self._kinds.values())]
        np.logical_or.at(able, kinds[:, 0], fits)
        region, kind = np.nonzero(able)
        return region, kind


def _data(
    tables: Tables,
    observation: Observation,
    servers: np.ndarray,
    model: np.ndarray,
    usable: np.ndarray,
    region: np.ndarray,
    kind: np.ndarray,
) -> Assignment:
    """The data of servers with these models and times (S', H), without arrivals."""
    system, state, slots = tables.system, observation.state, usable.shape[1]
    weights, cells = system.weights, (servers[:, None], kind)
    able = (system.server_region[servers][:, None] == region) & tables.can_serve[cells]
    able &= model[:, None] == system.class_model[kind]
    ahead = np.minimum(np.arange(slots), len(observation.price_ahead) - 1)
    price = weights.energy_factor * observation.price_ahead[ahead][:, region]
    serve = tables.service_usd[cells] + price[:, None, :] * tables.busy_kwh[cells]
    serve = np.where(able, serve, np.inf)
    least = serve[-1].min(axis=0)
    wait = weights.time_usd_per_s * system.slot_s
    loaded = np.arange(len(system.models)) == model[:, None]
    return Assignment(
        group_model=system.class_model[kind],
        arrivals=np.zeros((slots, len(kind))),
        waiting=state.waiting[region, kind] * able.any(axis=0)[:, None],
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
        left_usd=np.where(np.isfinite(least), least, 0.0) + wait,
    )


def _usable_ms(tables: Tables, fleet: Fleet, slots: int) -> np.ndarray:
    """(S, H) time that each server that is on can give in this slot and those after it."""
    slot_ms = tables.system.slot_ms
    usable = np.zeros((len(fleet.model), slots), np.int64)
    usable[:, 0] = fleet.usable_ms
    for t in range(1, slots):
        left = fleet.loading_ms_after - (t - 1) * slot_ms
        usable[:, t] = slot_ms - np.clip(left, 0, slot_ms)
    return np.where(fleet.on[:, None], usable, 0)

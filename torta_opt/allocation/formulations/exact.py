"""The problem itself as a program: every server named, every request whole, first in first out.

Three things separate the allocation program from schedules (docs/formulations/allocation.md). Two
need only its options: a pool for every server with whole requests, and tangents of squares at every
change of a share that whole requests can make. The third, that a queue serves its oldest first, is
a column and two rows:

    overdue[t,j,c] ∈ {0, 1}    requests of class c may expire in j in slot t < T−1, ℓ[c] > 0

    expired[t,j,c] ≤ upper·overdue[t,j,c]                                               (expire)
    Σ_{τ=t−ℓ+1..t} inflow[τ,j,c] − q[t,j,c] ≤ M·(1 − overdue[t,j,c])                    (oldest)

with M what can have arrived in the window. Where requests expire, all that came in the last ℓ slots
still waits: only what is older has been served or has expired. Proof that nothing else is left
between this program and schedules: docs/formulations/exact.md.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from itertools import pairwise

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.formulations.lift import lift
from torta_opt.allocation.formulations.matrix import Entries, build_allocation_program
from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.program import AllocationProgram, Family
from torta_opt.allocation.formulations.segments import TANGENTS
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import NO_MODEL, Command, Schedule

OVERDUE = "overdue"
MOST_POINTS = 400  # changes of shares: each is a column for every pair of regions and slot


def build_exact_program(instance: Instance) -> AllocationProgram | None:
    """The program whose answers are the schedules; None where squares have too many values."""
    points = tangent_points(instance)
    if points is None:
        return None
    program = build_allocation_program(instance, integer=True, named=True, tangents=points)
    return _with_oldest_first(program)


def tangent_points(instance: Instance) -> tuple[float, ...] | None:
    """Every change of a share that whole requests can make; None if these are too many.

    A tangent at each of them meets the square there: then nothing is lost.
    """
    if instance.system.weights.frobenius_usd == 0:
        return TANGENTS
    first = instance.initial.routing
    totals = np.concatenate([first.sum(axis=1)[None], instance.arrivals.sum(axis=2)])
    pairs = {tuple(sorted(pair)) for row in totals.T.tolist() for pair in pairwise(row)}
    changes: set[Fraction] = set()
    for fewer, more in pairs:
        if fewer:
            changes |= {
                abs(Fraction(a, fewer) - Fraction(b, more))
                for a in range(fewer + 1)
                for b in range(more + 1)
            }
        if len(changes) > MOST_POINTS:
            return None
    return tuple(float(change) for change in sorted(changes) if change > 0) or TANGENTS


def _with_oldest_first(program: AllocationProgram) -> AllocationProgram:
    """(expire), (oldest)"""
    column_bounds, deadlines = program.column_bounds, program.instance.system.deadline_slots
    waits, slots = program.columns["q"].mask, program.instance.slots
    mask = program.columns["expired"].mask & waits
    mask[-1] = False
    overdue = Family(OVERDUE, len(program.cost), mask)
    nothing = sparse.csr_array((len(program.row_lower), len(overdue)))
    program = dataclasses.replace(
        program,
        columns={**program.columns, OVERDUE: overdue},
        cost=np.append(program.cost, np.zeros(len(overdue))),
        upper=np.append(program.upper, np.ones(len(overdue))),
        integer=np.append(program.integer, np.ones(len(overdue), bool)),
        matrix=sparse.csr_array(sparse.hstack([program.matrix, nothing])),
    )
    number = {name: family.number for name, family in program.columns.items()}
    rows = Family("expire", 0, mask)
    entries = Entries()
    entries.add(rows.number, number["expired"], 1)
    entries.add(rows.number, number[OVERDUE], -column_bounds.expired.astype(float))
    program = _below(program, rows, entries, np.zeros(len(rows)))
    rows, entries = Family("oldest", 0, mask), Entries()
    entries.add(rows.number, number["q"], -1)
    entries.add(rows.number, number[OVERDUE], column_bounds.waiting)
    for c, most in enumerate(deadlines.tolist()):
        for age in range(min(most, slots)):
            entries.add(rows.number[age:, :, c], number["inflow"][: slots - age, :, c], 1)
    side = column_bounds.waiting - column_bounds.fresh_backlog
    return _below(program, rows, entries, side[mask])


def _below(
    program: AllocationProgram, rows: Family, entries: Entries, upper: np.ndarray
) -> AllocationProgram:
    block = entries.matrix(len(rows), len(program.cost))
    family = dataclasses.replace(rows, first=len(program.row_lower))
    return program.with_rows(family, block, upper)


def point(program: AllocationProgram, schedule: Schedule) -> np.ndarray:
    """A legal schedule as a vector of an allocation program, exact or not."""
    values = lift(program.instance, schedule, pools=program.pools, tangents=program.tangents)
    if OVERDUE in program.columns:
        values = {**values, OVERDUE: values["expired"] > 0}
    return program.vector(values)


def schedule_of(program: AllocationProgram, x: np.ndarray, method: str) -> Schedule:
    """The schedule that an answer of the exact program is."""
    values = {
        name: np.rint(value).astype(np.int64)
        for name, value in program.values(x).items()
        if name in ("x", "z", "start", "stop", "leave", "enter")
    }
    command, target = _commands(program.pools, values)
    return Schedule(values["x"], command, target, values["z"], method=method)


def _commands(pools: Pools, values: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(T, S) commands and their models; a switch to the model that is loaded already is none."""
    command = np.full(pools.up.shape, int(Command.NONE))
    target = np.full(pools.up.shape, NO_MODEL)
    moves = values["enter"] * (values["leave"] == 0)
    for which, told in ((values["start"], Command.START), (moves, Command.SWITCH)):
        t, p, m = np.nonzero(which)
        command[t, p], target[t, p] = told, m
    command[values["stop"].any(axis=2)] = Command.STOP
    return command, target

"""Solved windows to learn starts from: the best servers with all regions as one.

A window is some slots of an instance that begin in the state in which ``greedy_forecast`` has left
the servers. In every other window demand is scaled, and some servers are off or hold another model.
The relaxation of its program with all regions as one, and all servers of a type as one pool, is
solved: ``wanted`` are its ready servers, ``gain`` what the time of a ready server is worth by its
duals. Whole servers rounded from it are as good as those of branch and bound, which would take
thirty times as long.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.merged import build_merged_program
from torta_opt.allocation.instance.data import OFF, Initial, Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.step import Decision, initial_state, slot_data, step
from torta_opt.allocation.search.rounding import time_price
from torta_opt.allocation.search.server_plan import ServerPlan, pool_types, ready_by_type
from torta_opt.allocation.search.start_network import plan_features, unit_of
from torta_opt.solvers import solve_lp

SLOTS = 128  # of the instances that windows are cut from
WINDOWS = (12, 16, 20, 24, 24, 24, 24, 24, 24, 24, 24, 24)  # slots of the windows of an instance
DISTURBED = 0.5  # of the windows


@dataclass(frozen=True, eq=False)
class Examples:
    """Slots of solved windows: (N, F) features, (N, G) wanted and (N, G) gain in the network's
    units, (N,) the window that a slot belongs to."""

    features: np.ndarray
    wanted: np.ndarray
    gain: np.ndarray
    window: np.ndarray

    def first(self, windows: int) -> Examples:
        """Those of the first ``windows`` windows."""
        kept = self.window < windows
        return Examples(*(array[kept] for array in vars(self).values()))


def window(instance: Instance, schedule: Schedule, first: int, slots: int) -> Instance:
    """Slots ``first`` … of an instance, from the state that a legal schedule leaves there."""
    state = initial_state(instance)
    for t in range(first):
        fields = ("routing", "command", "command_model", "processing")
        decision = Decision(*(getattr(schedule, field)[t] for field in fields))
        state = step(instance.system, state, slot_data(instance, t), decision).state
    kept = Initial(state.model, state.loading_ms, state.waiting, state.processing, state.routing)
    return dataclasses.replace(instance.cut(first, first + slots), initial=kept)


def windows(preset: str, seed: int) -> list[Instance]:
    """The windows that are learned from, of one draw of a preset."""
    instance = generate(preset, seed, slots=SLOTS)
    schedule = run(create("greedy_forecast"), instance).schedule
    rng = np.random.default_rng(seed)
    found = []
    for slots in WINDOWS:
        cut = window(instance, schedule, int(rng.integers(0, SLOTS - slots + 1)), slots)
        found.append(disturbed(cut, rng) if rng.random() < DISTURBED else cut)
    return found


def disturbed(instance: Instance, rng: np.random.Generator) -> Instance:
    """Other demand, and some ready servers off or with another model."""
    system, initial = instance.system, instance.initial
    model = initial.model.copy()
    able = [np.flatnonzero(system.holds[k]) for k in system.server_type]
    share = rng.uniform(0.0, 0.5)
    for s in np.flatnonzero((rng.random(len(model)) < share) & (initial.loading_ms == 0)):
        model[s] = OFF if rng.random() < 0.5 else rng.choice(able[s])
    idle = initial.processing * (model == initial.model)[:, None]
    scale = np.exp(0.3 * rng.standard_normal() + 0.1 * rng.standard_normal(len(system.classes)))
    arrivals = np.rint(instance.arrivals * scale).astype(np.int64)
    changed = dataclasses.replace(initial, model=model, processing=idle)
    return dataclasses.replace(instance, arrivals=arrivals, initial=changed)


def solved_plan(instance: Instance) -> ServerPlan:
    """Best servers and what they are worth, with all regions as one."""
    merged = build_merged_program(instance, tiers=1)
    program, kind = with_knapsack_rows(merged.program), pool_types(merged)
    relaxed = solve_lp(program.problem().relaxed(), crossover=False).raise_if_interrupted()
    assert relaxed.row_dual is not None, "no limit was set"
    assert relaxed.x is not None, "no limit was set"
    worth = program.values(time_price(program, relaxed.row_dual))["ready"]
    ready = program.values(relaxed.x)["ready"]
    types = len(instance.system.types)
    return ServerPlan(ready_by_type(kind, ready, types), ready_by_type(kind, worth, types))


def examples(
    draws: list[tuple[str, int]], known: Examples | None, watch: Callable[[Examples], Any]
) -> Examples:
    """Examples of all windows of the draws, of which ``known`` are the first."""
    done = 0 if known is None else int(known.window.max()) // len(WINDOWS) + 1
    rows = [] if known is None else [known.first(len(draws) * len(WINDOWS))]
    for number, (preset, seed) in enumerate(draws[done:], start=done):
        for which, instance in enumerate(windows(preset, seed)):
            rows.append(_rows(instance, solved_plan(instance), number * len(WINDOWS) + which))
        watch(_joined(rows))
    return _joined(rows)


def _rows(instance: Instance, plan: ServerPlan, number: int) -> Examples:
    holds, unit = instance.system.holds, unit_of(instance.system)
    return Examples(
        plan_features(instance),
        plan.wanted[:, holds] / unit,
        plan.gain[:, holds],
        np.full(instance.slots, number),
    )


def _joined(rows: list[Examples]) -> Examples:
    return Examples(
        *(np.concatenate([getattr(row, name) for row in rows]) for name in vars(rows[0]))
    )

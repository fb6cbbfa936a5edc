"""The program that is kept from slot to slot says what a program built anew says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from support.tiny import random_tiny_instance

from torta_opt.allocation.assignment.counted import counted
from torta_opt.allocation.assignment.kept import KeptProgram
from torta_opt.allocation.assignment.rounding import FreshProgram, rounded
from torta_opt.allocation.formulations.assignment import build_assignment_program
from torta_opt.allocation.policies import layered, program_routing
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.greedy_forecast import GreedyForecast
from torta_opt.allocation.policies.program_dispatch import arrivals_of
from torta_opt.allocation.policies.program_routing import most_arrivals, numbered
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.slot_task import Slot, SlotPrograms, task_of
from torta_opt.solvers import Limits, solve_lp

AHEAD = 2


def seen_slots(seed: int) -> list[tuple[Tables, Slot]]:
    """The slots of a run; with even seeds servers start, stop and load on the way."""
    seen: list[tuple[Tables, Slot]] = []

    def watched(tables: Tables, slot: Slot, *rest: object) -> object:
        seen.append((tables, slot))
        return program_routing.routed(tables, slot, *rest)  # type: ignore[arg-type]

    instance = random_tiny_instance(np.random.default_rng(seed), regions=3, servers=6, slots=7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layered, "routed", watched)
        run(GreedyForecast(micro="routed", rule="all" if seed % 2 else "demand"), instance)
    return seen


def optimum(program: KeptProgram) -> float:
    x = program.solve(Limits())
    assert x is not None
    return float(program.problem.cost @ x[program.program.columns["pick"].numbers.stop :])


def slots() -> Iterator[tuple[SlotPrograms, Tables, Slot]]:
    """Slots of several runs, each with the programs of the slots before it."""
    for seed in range(6):
        programs = SlotPrograms()
        for tables, slot in seen_slots(seed):
            yield programs, tables, slot


def test_routing_costs_what_it_costs_in_a_new_program() -> None:
    kept_on, compared = 0, 0
    for programs, tables, slot in slots():
        objective = []
        for each in (programs, SlotPrograms()):
            task = each.task(tables, slot, AHEAD)
            if task is None:
                continue
            task = task.with_arrivals(most_arrivals(tables, slot, AHEAD + 1))
            if not task.active.any():
                continue
            before = each._program
            program, _ = numbered(tables, slot, task, each)
            kept_on += program is before
            x = program.solve(Limits())
            assert x is not None
            objective.append(optimum(program))
        if objective:
            compared += 1
            assert objective[0] == pytest.approx(objective[1], rel=1e-6, abs=1e-9)
    assert compared > 12
    assert kept_on > 5


def test_assignment_costs_what_it_costs_in_a_new_program() -> None:
    compared = 0
    for programs, tables, slot in slots():
        arrivals = arrivals_of(slot, AHEAD + 1)
        task, anew = programs.task(tables, slot, AHEAD), task_of(tables, slot, arrivals)
        if task is None or anew is None:
            continue
        task = task.with_arrivals(arrivals)
        program = programs.program(tables, task)
        program.change(task.merged, program.sides.closed())
        plain = build_assignment_program(counted(anew.data)[0])
        assert optimum(program) == pytest.approx(solve_lp(plain.problem.relaxed()).objective)
        fresh = FreshProgram(build_assignment_program(task.merged))
        point = fresh.solve(Limits())
        assert point is not None
        total = rounded(fresh.program, point)
        priced, expected = program.priced(total, Limits()), fresh.priced(total, Limits())
        assert priced is not None
        assert expected is not None
        assert program.program.problem.cost @ priced == pytest.approx(
            fresh.program.problem.cost @ expected
        )
        compared += 1
    assert compared > 12


def test_the_program_with_room_for_any_demand_is_the_program() -> None:
    """``for_any_demand``: further columns are bound to 0, so that the optimum is the same."""
    for tables, slot in seen_slots(3)[:4]:
        task = task_of(tables, slot, arrivals_of(slot, AHEAD + 1))
        if task is None:
            continue
        plain = build_assignment_program(task.data).problem.relaxed()
        wide = build_assignment_program(task.data, for_any_demand=True).problem.relaxed()
        assert wide.columns >= plain.columns
        assert solve_lp(wide).objective == pytest.approx(solve_lp(plain).objective)

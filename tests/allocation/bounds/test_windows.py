"""The bound by windows: valid for every split, whatever comes of the windows, and close to LP."""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from support.optima import slack, tiniest
from support.sizes import examples
from support.tiny import random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.bounds import windows
from torta_opt.allocation.bounds.lp import lp_bound, prove
from torta_opt.allocation.bounds.windows import (
    Split,
    assembled,
    bound_by_windows,
    solved,
    windows_bound,
)
from torta_opt.allocation.formulations.lift import lift
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.user_constraint import UserConstraint
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate
from torta_opt.io import InvalidInput
from torta_opt.solvers import Limits, Progress

ONE = Limits(threads=1)


def near(value: float) -> float:
    return 1e-6 * (1 + abs(value))


@pytest.mark.parametrize("window", [1, 2])
def test_no_schedule_beats_the_bound(window: int) -> None:
    for instance, best in tiniest(count=examples(20)):
        values = [
            windows_bound(instance, ONE, window=window, passes=passes, merged=merged).value
            for passes, merged in ((1, False), (0, True), (3, True))
        ]
        assert max(values) <= best + slack(best)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_no_schedule_beats_the_bound_on_thousands(seed: int) -> None:
    for instance, best in tiniest(250, seed=7100 + seed):
        for window, merged in itertools.product((1, 2), (False, True)):
            found = windows_bound(instance, ONE, window=window, passes=2, merged=merged)
            assert found.value <= best + slack(best)


def test_it_lies_below_the_linear_relaxation_and_passes_climb_towards_it() -> None:
    rng = np.random.default_rng(72)
    closed = []
    for _ in range(12):
        instance = random_tiny_instance(rng, slots=5)
        relaxed = lp_bound(instance).value
        values: list[float] = []
        found = windows_bound(
            instance, ONE, window=2, passes=5, on_progress=lambda s, v=values: v.append(s.bound)
        )
        assert values == sorted(values)
        assert found.value == values[-1] <= relaxed + near(relaxed)
        start = windows_bound(instance, ONE, window=2, passes=0, merged=False).value
        closed.append((found.value - start + 1e-9) / (relaxed - start + 1e-9))
    assert np.median(closed) > 0.95


def test_one_window_is_the_linear_relaxation() -> None:
    rng = np.random.default_rng(73)
    for _ in range(examples(20)):
        instance = random_tiny_instance(rng)
        relaxed = lp_bound(instance).value
        found = windows_bound(instance, ONE, window=instance.slots, passes=1, merged=False)
        assert abs(found.value - relaxed) <= near(relaxed)


def test_the_value_is_what_its_dual_vector_proves() -> None:
    instance = generate("small/outage")
    found = windows_bound(instance, ONE, window=2)
    assert found.source == "windows"
    assert found.value == prove(found.program, found.dual)


# --- any prices ---------------------------------------------------------------------------------


def test_windows_prove_a_bound_whatever_the_prices() -> None:
    """Also where they are noise; then the sum over windows is a bound too."""
    rng = np.random.default_rng(74)
    for instance, best in tiniest(count=examples(25)):
        program = build_allocation_program(instance)
        split = Split.of(program)
        dual = rng.normal(0, 0.05, len(program.row_lower))
        for window in (1, 2):
            cuts = windows._cuts(instance.slots, window, shifted=False)
            parts = split.windows(cuts, dual)
            found = solved(parts, ONE, 1)
            whole = assembled(parts, found, dual)
            sums = program.constant + sum(
                own_bound(part.problem, own) for part, own in zip(parts, found, strict=True)
            )
            assert sums + in_no_window(split, parts, dual) <= best + near(best)
            assert prove(program, whole) <= best + slack(best)


def own_bound(problem: Any, dual: np.ndarray) -> float:
    from torta_opt.allocation.bounds.of_pyomo_model import prove as prove_problem

    return prove_problem(problem, dual)


def in_no_window(split: Split, parts: list[Any], dual: np.ndarray) -> float:
    """What columns without any row cost at least."""
    program = split.program
    outside = np.ones(len(program.cost), bool)
    for part in parts:
        outside[part.columns] = False
    return float(np.minimum(program.cost[outside], 0.0) @ program.upper[outside])


def test_windows_prove_no_less_than_the_prices_they_got() -> None:
    rng = np.random.default_rng(75)
    for _ in range(examples(40)):
        instance = random_tiny_instance(rng, slots=4)
        program = build_allocation_program(instance)
        split, dual = Split.of(program), rng.normal(0, 0.05, len(program.row_lower))
        cuts = windows._cuts(4, 2, shifted=bool(rng.integers(2)))
        parts = split.windows(cuts, dual)
        after = prove(program, assembled(parts, solved(parts, ONE, 1), dual))
        assert after >= prove(program, dual) - near(after)


def test_every_schedule_is_inside_every_window() -> None:
    """Implied rows included: legal schedules keep all of them, and costs add up."""
    rng = np.random.default_rng(76)
    for _ in range(examples(40)):
        instance = random_tiny_instance(rng)
        program = build_allocation_program(instance)
        dual = rng.normal(0, 0.05, len(program.row_lower))
        parts = Split.of(program).windows(windows._cuts(instance.slots, 2, shifted=False), dual)
        schedule = random_feasible_schedule(instance, rng)
        vector = program.vector(lift(instance, schedule))
        total, seen = 0.0, np.zeros(len(vector), bool)
        for part in parts:
            own, problem = vector[part.columns], part.problem
            activity = problem.matrix @ own
            assert (activity >= problem.row_lower - 1e-9).all()
            assert (activity <= problem.row_upper + 1e-9).all()
            total += float(problem.cost @ own)
            seen[part.columns] = True
        total += float(program.cost[~seen] @ vector[~seen])
        assert total == pytest.approx(float(program.cost @ vector), abs=1e-9)
        if not instance.system.weights.frobenius_usd:
            cost = evaluate(instance, schedule).cost
            assert total + program.constant == pytest.approx(cost, abs=1e-9)


def test_every_row_is_in_one_window() -> None:
    instance = generate("small/switch")
    program = build_allocation_program(instance)
    for window, shifted in itertools.product((1, 2, 3, 9), (False, True)):
        cuts = windows._cuts(instance.slots, window, shifted=shifted)
        parts = Split.of(program).windows(cuts, np.zeros(len(program.row_lower)))
        rows = np.concatenate([part.rows for part in parts])
        assert sorted(rows.tolist()) == list(range(len(program.row_lower)))


# --- cut short ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.2])
def test_a_time_limit_leaves_a_valid_bound(seconds: float) -> None:
    instance = generate("small/switch")
    relaxed = lp_bound(instance).value
    found = windows_bound(instance, Limits(seconds=seconds), window=2)
    assert found.value <= relaxed + near(relaxed)


def test_windows_that_are_not_solved_keep_their_prices() -> None:
    rng = np.random.default_rng(77)
    for instance, best in tiniest(count=examples(15)):
        start = windows_bound(instance, ONE, window=1, passes=1)
        program, dual = start.program, start.dual
        parts = Split.of(program).windows(windows._cuts(instance.slots, 1, shifted=False), dual)
        found = [own if rng.random() < 0.5 else None for own in solved(parts, ONE, 1)]
        assert prove(program, assembled(parts, found, dual)) <= best + slack(best)


def test_garbage_from_windows_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = generate("small/switch")
    before = windows_bound(instance, ONE, window=2, passes=0)
    rng = np.random.default_rng(78)

    def garbage(parts: Any, *_: Any) -> list[np.ndarray]:
        return [rng.normal(0, 100, part.problem.rows) for part in parts]

    monkeypatch.setattr(windows, "solved", garbage)
    monkeypatch.setattr(windows, "with_shortest_path_duals", lambda program, dual: dual)
    assert windows_bound(instance, ONE, window=2, passes=3).value == before.value


def test_a_work_limit_is_a_number_of_passes() -> None:
    instance = generate("small/switch")
    seen: list[Progress] = []
    windows_bound(instance, Limits(work=2), window=2, passes=5, on_progress=seen.append)
    assert max(sample.nodes for sample in seen) == 2


def test_it_stops_at_its_target() -> None:
    instance = random_tiny_instance(np.random.default_rng(79))
    start = windows_bound(instance, ONE, passes=0).value
    seen: list[Progress] = []
    found = windows_bound(instance, ONE, window=1, target=start, on_progress=seen.append)
    assert found.value == start
    assert [each.nodes for each in seen] == [0]


def test_ctrl_c_leaves_the_best_so_far() -> None:
    instance = generate("small/switch")

    def stop(sample: Progress) -> None:
        if sample.nodes == 1:
            raise KeyboardInterrupt

    found = windows_bound(instance, ONE, window=2, on_progress=stop)
    assert found.interrupted
    assert found.value == windows_bound(instance, Limits(work=1), window=2).value


def test_two_processes_find_what_one_finds() -> None:
    instance = generate("small/switch")
    one, two = (windows_bound(instance, Limits(threads=n), window=2, passes=2) for n in (1, 2))
    assert one.value == pytest.approx(two.value, rel=1e-9)


def test_a_window_has_a_slot() -> None:
    with pytest.raises(InvalidInput, match="window: must be at least 1 slot"):
        windows_bound(generate("small/switch"), window=0)


# --- further rows -------------------------------------------------------------------------------


def test_with_a_users_constraint_the_bound_still_holds() -> None:
    def add(model: pyo.ConcreteModel, instance: Instance) -> None:
        model.few = pyo.Constraint(expr=sum(model.start.values()) <= 0)

    instance = generate("small/switch")
    constraint = UserConstraint("few", add, lambda instance, schedule: 0.0)
    free = windows_bound(instance, ONE, window=2)
    found = windows_bound(instance, ONE, window=2, constraints=[constraint])
    assert found.value == pytest.approx(free.value)
    assert len(found.program.further_rows) == 1
    assert found.value <= lp_bound(instance, constraints=[constraint]).value + near(free.value)


def test_a_program_with_named_servers_is_cut_as_well() -> None:
    rng = np.random.default_rng(79)
    for _ in range(10):
        instance = random_tiny_instance(rng, slots=4)
        program = build_allocation_program(instance, named=True)
        found = bound_by_windows(program, ONE, window=2, merged=False, passes=2)
        relaxed = lp_bound(instance).value
        assert found.value <= prove(program, found.dual) <= relaxed + near(relaxed) + abs(relaxed)
        assert dataclasses.is_dataclass(found)


RUN = """
from torta_opt.allocation.bounds.windows import windows_bound
from torta_opt.allocation.instance.generate import generate
from torta_opt.solvers import Limits

instance = generate("paper/abilene").cut(0, 12)
found = windows_bound(
    instance,
    Limits(threads={threads}),
    passes=50,
    on_progress=lambda sample: print(sample.bound, flush=True),
)
print(found.value, found.interrupted, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_ends_it_with_the_best_so_far(threads: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN.format(threads=threads)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    first = float(process.stdout.readline())
    os.killpg(process.pid, signal.SIGINT)
    *between, last = process.communicate()[0].splitlines()
    value, interrupted = last.split()
    assert (process.returncode, interrupted) == (0, "True")
    assert float(value) >= max([first, *map(float, between)])

"""A program that is advanced is the program built anew, to the bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from support.programs import same_to_the_bit
from support.sizes import examples
from support.tiny import random_neighbour, random_tiny_instance

from torta_opt.allocation.formulations import rolling as text
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.formulations.rolling import RollingProgram
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.greedy_forecast import GreedyForecast
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.window import WindowPolicy, window_instance

MORE_SEEDS = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 20)]


def build(instance: Instance, knapsack: bool, **options: Any) -> AllocationProgram:
    program = build_allocation_program(instance, **options)
    return with_knapsack_rows(program) if knapsack else program


def windows_of(instance: Instance, window: int) -> list[Instance]:
    """The windows that ``rhc`` would solve in the slots of a run of ``greedy_forecast``."""
    seen: list[Instance] = []

    class Onlooker(GreedyForecast):
        def commands(self, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
            args = self.tables.system, observation, self.wanted(), window, "window"
            seen.append(window_instance(*args))
            return super().commands(observation)

    run(Onlooker(), instance)
    return seen


# --- the same to the bit ------------------------------------------------------------------------


@pytest.mark.parametrize("knapsack", [False, True])
@pytest.mark.parametrize("seed", [*range(4), *MORE_SEEDS])
def test_tiny_programs_are_the_same(seed: int, knapsack: bool) -> None:
    """The next instance has the same servers and outages; all else is drawn anew."""
    rng = np.random.default_rng([77, seed])
    for _ in range(examples(15)):
        instance = random_tiny_instance(rng)
        options = {"named": bool(rng.integers(2)), "integer": bool(rng.integers(2))}
        if rng.random() < 0.3:
            options["tangents"] = (0.25, 1.0)
        rolling = RollingProgram(knapsack=knapsack, **options)
        for _ in range(5):
            program = rolling.advance(instance)
            assert same_to_the_bit(program, build(instance, knapsack, **options))
            instance = random_neighbour(instance, rng)
        assert rolling.rebuilt == 1


@pytest.mark.parametrize(
    ("preset", "slots", "window"),
    [
        ("paper/abilene", 10, 4),
        ("paper/abilene+outage", 10, 6),
        ("paper/polska+surge", 8, 12),
        ("small/outage", 12, 3),
        ("small/expiry", 12, 4),
        ("small/residency", 12, 2),
    ],
)
def test_programs_of_a_run_are_the_same(preset: str, slots: int, window: int) -> None:
    """From slot to slot requests wait, arrivals end, servers fail and come back."""
    instance = generate(preset)
    windows = windows_of(instance.cut(0, min(slots, instance.slots)), window)
    plain, full = RollingProgram(), RollingProgram(knapsack=True)
    for each in windows:
        assert same_to_the_bit(plain.advance(each), build(each, False))
        assert same_to_the_bit(full.advance(each), build(each, True))
    outages = sum(not np.array_equal(a.up, b.up) for a, b in pairwise(windows))
    assert plain.rebuilt == full.rebuilt == 1 + outages


def test_the_paper_objective_is_the_same() -> None:
    """Its squares have columns and rows that other weights do not have."""
    instance = generate("paper/abilene", slots=10)
    weights = dataclasses.replace(instance.system.weights, frobenius_usd=0.3)
    rolling = RollingProgram()
    for each in windows_of(instance.with_weights(weights), 4):
        program = rolling.advance(each)
        assert same_to_the_bit(program, build(each, False))
    assert rolling.rebuilt == 1
    assert len(program.rows["change"]) > 0


def test_windows_without_arrivals_and_back() -> None:
    base = generate("paper/abilene", slots=6)
    empty = dataclasses.replace(base, arrivals=np.zeros_like(base.arrivals))
    rolling = RollingProgram(knapsack=True)
    for each in (base, empty, base, empty, empty, base):
        assert same_to_the_bit(rolling.advance(each), build(each, True))
    assert rolling.rebuilt == 1


def test_programs_given_out_before_stay_as_they_were() -> None:
    rng = np.random.default_rng(5)
    first = random_tiny_instance(rng, regions=3, slots=4, servers=4)
    rolling = RollingProgram(knapsack=True)
    kept = rolling.advance(first)
    for _ in range(5):
        rolling.advance(random_neighbour(first, rng))
    assert same_to_the_bit(kept, build(first, True))


# --- when a new frame is laid -------------------------------------------------------------------


def test_another_system_length_or_outage_gets_a_new_frame() -> None:
    base = generate("small/outage")
    down = base.up.copy()
    down[:, 0] = False
    rolling = RollingProgram()
    for n, each in enumerate(
        (
            base,
            dataclasses.replace(base, up=down),
            base.cut(0, base.slots - 1),
            base.with_weights(base.system.weights.scaled(2.0)),
        )
    ):
        for _ in range(2):
            assert same_to_the_bit(rolling.advance(each), build(each, False))
            assert rolling.rebuilt == n + 1


@pytest.mark.parametrize("family", ["x", "hot", "expired"])
def test_a_cell_outside_the_frame_is_refused(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    possible = text.possible_columns

    def too_few(*args: Any) -> dict[str, np.ndarray]:
        masks = possible(*args)
        return masks | {family: np.zeros_like(masks[family])}

    monkeypatch.setattr(text, "possible_columns", too_few)
    with pytest.raises(AssertionError, match="not in the frame"):
        RollingProgram().advance(windows_of(generate("small/hot"), 3)[-1])


# --- a part that is not asked for anew is noticed -----------------------------------------------


def first_answer(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, stuck at what it said first."""
    said: list[Any] = []

    def stuck(*args: Any, **options: Any) -> Any:
        if not said:
            said.append(function(*args, **options))
        return said[0]

    return stuck


def neighbours(count: int) -> Iterator[list[Instance]]:
    rng = np.random.default_rng(91)
    for _ in range(count):
        first = random_tiny_instance(rng, slots=3, models=1, servers=4)
        yield [first, random_neighbour(first, rng), random_neighbour(first, rng)]


def differs(count: int = 60) -> bool:
    for instances in neighbours(count):
        rolling = RollingProgram(knapsack=True)
        for each in instances:
            try:
                if not same_to_the_bit(rolling.advance(each), build(each, True)):
                    return True
            except (AssertionError, ValueError, IndexError):
                return True
    return False


def test_nothing_differs_as_it_is() -> None:
    assert not differs(examples(60))


@pytest.mark.parametrize(
    "part",
    [
        "change_shares",
        "costs_by_price",
        "loading_cost",
        "request_bounds",
        "request_rows",
        "row_sides",
    ],
)
def test_a_part_that_is_stuck_is_noticed(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stuck per rolling program: a fresh one would be right in its first window."""
    advance = RollingProgram.advance

    def with_stuck_part(self: RollingProgram, instance: Instance) -> AllocationProgram:
        if self.rebuilt == 0:
            monkeypatch.setattr(text, part, first_answer(original))
        return advance(self, instance)

    original = getattr(text, part)
    monkeypatch.setattr(RollingProgram, "advance", with_stuck_part)
    assert differs()


@pytest.mark.parametrize("part", ["shares", "share"])
def test_a_share_in_a_wrong_place_is_noticed(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lay = text._Frame._lay

    def shifted(self: Any, *args: Any) -> Any:
        matrix = lay(self, *args)
        setattr(self, part, np.roll(getattr(self, part), 1))
        return matrix

    monkeypatch.setattr(text._Frame, "_lay", shifted)
    assert differs()


def test_facets_that_forget_servers_that_load_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(text.Facets):
        def sides(self, pools: Pools) -> np.ndarray:
            return np.zeros_like(super().sides(pools))

    monkeypatch.setattr(text, "Facets", Forgetful)
    assert differs()


# --- in use -------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["rhc", "afhc"])
def test_schedules_are_those_of_programs_built_anew(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = generate("small/outage")
    advanced = run(create(policy), instance).schedule
    monkeypatch.setattr(
        RollingProgram, "advance", lambda self, each: build_allocation_program(each)
    )
    assert issubclass(type(create(policy)), WindowPolicy)
    built = run(create(policy), instance).schedule
    for name in ("routing", "command", "command_model", "processing"):
        np.testing.assert_array_equal(getattr(advanced, name), getattr(built, name))

"""A cap on CO₂: bounds by carbon prices against optima that keep the cap."""

from __future__ import annotations

import numpy as np
import pytest
from support.optima import slack
from support.sizes import examples
from support.tiny import (
    TINIEST,
    TooLarge,
    brute_force_optimum,
    random_feasible_schedule,
    random_tiny_instance,
)

from torta_opt.allocation.bounds.registry import METHODS
from torta_opt.allocation.formulations.carbon import carbon_kg
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.carbon import with_carbon, with_carbon_price
from torta_opt.allocation.schedule import evaluate
from torta_opt.allocation.search.carbon_cap import FIRST_USD, MOST_USD, capped_bound
from torta_opt.family import BoundMethod, Request
from torta_opt.io import InvalidInput
from torta_opt.results import BoundResult


def clean_and_dirty(instance: Instance) -> Instance:
    regions = len(instance.system.regions)
    return with_carbon(instance, np.where(np.arange(regions) % 2, 40.0, 700.0))


def optima(count: int):
    """Instance, cap, least cost under it: the optimum with a carbon price keeps its own cap.

    It minimises cost + λ·kg over all schedules, so none with as few kg costs less.
    """
    rng = np.random.default_rng(71)
    while count:
        instance = clean_and_dirty(random_tiny_instance(rng, TINIEST))
        usd = float(10 ** rng.uniform(2, 5.5))
        try:
            found = brute_force_optimum(with_carbon_price(instance, usd), max_states=20_000)
        except (TooLarge, InvalidInput):
            continue
        count -= 1
        yield instance, carbon_kg(instance, found.schedule), evaluate(instance, found.schedule).cost


@pytest.mark.parametrize("method", ["merged", "milp"])
def test_no_schedule_within_the_cap_beats_the_bound(method: str) -> None:
    raised = 0
    for instance, kg, best in optima(12):
        found = capped_bound(instance, kg, method, steps=8)
        assert found.value <= best + slack(best)
        free = dict(found.tried)[0.0]
        assert found.value >= free
        raised += found.value > free + 1e-9
    assert raised > 0


def test_random_schedules_within_the_cap_cost_no_less() -> None:
    rng = np.random.default_rng(72)
    for _ in range(examples(15)):
        instance = clean_and_dirty(random_tiny_instance(rng))
        if instance.system.weights.energy_factor <= 0:
            continue
        schedule = random_feasible_schedule(instance, rng)
        found = capped_bound(instance, carbon_kg(instance, schedule), steps=5)
        assert found.value <= evaluate(instance, schedule).cost + slack(found.value)


def test_a_cap_that_is_no_cap_is_the_bound_itself() -> None:
    for instance, _, _ in optima(3):
        found = capped_bound(instance, 1e9, steps=4)
        assert found.usd_per_tonne == 0
        assert found.value == found.bound.value
        assert "no carbon price proves more" in found.line()


def test_what_it_says_can_be_proved_again() -> None:
    """The value is that of the instance with the price in it, less what the cap is worth."""
    for instance, kg, _ in optima(4):
        found = capped_bound(instance, 0.5 * kg, steps=6)
        usd = found.usd_per_tonne
        assert found.certified
        priced = instance if usd == 0 else with_carbon_price(instance, usd)
        assert np.array_equal(priced.price_usd_per_kwh, found.instance.price_usd_per_kwh)
        assert found.value == pytest.approx(found.bound.value - usd * kg * 0.5e-3, rel=1e-9)
        assert {0.0, FIRST_USD} <= set(dict(found.tried))
        assert max(dict(found.tried)) <= MOST_USD


@pytest.mark.parametrize("kg", [-1.0, float("nan"), float("inf")])
def test_caps_that_are_none(kg: float) -> None:
    instance = clean_and_dirty(random_tiny_instance(np.random.default_rng(1)))
    with pytest.raises(InvalidInput, match="cap"):
        capped_bound(instance, kg)


def test_an_instance_without_carbon_is_refused() -> None:
    with pytest.raises(InvalidInput, match="carbon_g_per_kwh"):
        capped_bound(random_tiny_instance(np.random.default_rng(1)), 1.0)


def test_a_mean_over_futures_bounds_no_schedule() -> None:
    instance = clean_and_dirty(random_tiny_instance(np.random.default_rng(1)))
    with pytest.raises(InvalidInput, match="bound: nonanticipative is statistical"):
        capped_bound(instance, 1.0, "nonanticipative")


@pytest.mark.parametrize("first", [True, False])
def test_ctrl_c_ends_the_search_and_is_told(first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first solve the floor stands in; in the second what the first proved is kept."""
    instance = clean_and_dirty(random_tiny_instance(np.random.default_rng(1)))
    free = capped_bound(instance, 1e9, "floor", steps=3)
    calls: list[int] = []

    def interrupted(of: Instance, request: Request) -> BoundResult:
        calls.append(1)
        if first or len(calls) == 2:
            raise KeyboardInterrupt
        return BoundResult(free.value, "merged")

    monkeypatch.setitem(METHODS, "merged", BoundMethod("", interrupted))
    found = capped_bound(instance, 1e9, steps=12)
    assert len(calls) == (1 if first else 2)
    assert (found.interrupted, found.status, found.value) == (True, "interrupted", free.value)
    assert found.to_document()["status"] == "interrupted"
    assert "Ctrl-C" in found.line()
    assert "no carbon price" not in found.line()


def test_a_limit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = clean_and_dirty(random_tiny_instance(np.random.default_rng(1)))
    short = BoundMethod("", lambda of, request: BoundResult(0.0, "merged", limited=True))
    monkeypatch.setitem(METHODS, "merged", short)
    found = capped_bound(instance, 1e9, steps=3)
    assert found.status == "limit"
    assert "a limit" in found.line()
    assert "no carbon price" not in found.line()

"""Numbers at the ends of their ranges: right answers or a plain refusal, and bounds that hold.

Tiny instances with one thing changed, so that the cheapest of all schedules is known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from support.optima import slack
from support.plain import make_instance
from support.tiny import TINIEST, brute_force_optimum, random_tiny_instance

from torta_opt.allocation.bounds.registry import METHODS
from torta_opt.allocation.family import FAMILY
from torta_opt.allocation.instance import Instance, instance_from_document, instance_to_document
from torta_opt.allocation.policies.registry import BUILT_IN, create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.search.optimal import solve_optimal
from torta_opt.family import Request
from torta_opt.io import InvalidInput

POLICIES = ("round_robin", "sdib", "greedy_forecast", "torta_ot", "robd")
ALL_POLICIES = sorted({*BUILT_IN} - {"torta", *POLICIES})  # torta needs weights for the regions
BOUNDS = [name for name, method in METHODS.items() if not method.statistical]
Change = Callable[[Instance], Instance]


def system(**changes: object) -> Change:
    return lambda i: dataclasses.replace(i, system=dataclasses.replace(i.system, **changes))


def latency(seconds: float) -> Change:
    def change(i: Instance) -> Instance:
        forbidden = np.isnan(i.system.latency_s)
        return system(latency_s=np.where(forbidden, np.nan, seconds))(i)

    return change


def weights(**changes: object) -> Change:
    return lambda i: system(weights=dataclasses.replace(i.system.weights, **changes))(i)


def price(of: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda i: dataclasses.replace(i, price_usd_per_kwh=of(i.price_usd_per_kwh))


def spiked(prices: np.ndarray) -> np.ndarray:
    """10⁴ times the median in every other slot."""
    spike = 1e4 * np.median(np.abs(prices))
    return np.where(np.arange(len(prices))[:, None] % 2, spike, prices)


NO_WEIGHTS = dict.fromkeys(
    (
        *("time_usd_per_s", "reroute_usd", "energy_factor", "rent_factor"),
        *("transfer_factor", "loading_factor"),
    ),
    0.0,
)
CHANGES: dict[str, Change] = {
    "prices negative": price(lambda p: -np.abs(p) - 0.01),
    "prices all zero": price(np.zeros_like),
    "prices 10⁴ times the median": price(spiked),
    "prices −10⁴ times the median": price(lambda p: -spiked(p)),
    "no demand": lambda i: dataclasses.replace(i, arrivals=np.zeros_like(i.arrivals)),
    "latency 0": latency(0.0),
    "latency 10 s": latency(10.0),
    "all weights 0": lambda i: weights(**NO_WEIGHTS, expiry_usd=np.zeros(len(i.system.classes)))(i),
    "nothing counts but expiry": weights(**NO_WEIGHTS),
    "expiry is free": lambda i: weights(expiry_usd=np.zeros(len(i.system.classes)))(i),
    "expiry at 10⁶ $": lambda i: weights(expiry_usd=np.full(len(i.system.classes), 1e6))(i),
    "time at 10⁻⁹ $": weights(time_usd_per_s=1e-9),
    "time at 10⁶ $": weights(time_usd_per_s=1e6),
    "re-routing at 10⁶ $": weights(reroute_usd=1e6),
    "energy × 10⁻⁹": weights(energy_factor=1e-9),
    "all hot": system(hot_permille=1000),
    "always down": lambda i: dataclasses.replace(i, up=np.zeros_like(i.up)),
}
SIZES = {
    "one region": {"regions": 1},
    "one server": {"servers": 1},
    "one slot": {"slots": 1},
    "one of everything": dict.fromkeys(
        ("regions", "models", "types", "servers", "classes", "slots"), 1
    ),
}
CASES = [*CHANGES, *SIZES]


@cache
def case(name: str) -> Instance:
    limits = dataclasses.replace(TINIEST, frobenius=0.0)
    sizes = SIZES.get(name, {"regions": 2, "servers": 2, "classes": 2, "slots": 2})
    drawn = random_tiny_instance(np.random.default_rng(CASES.index(name)), limits, **sizes)
    changed = CHANGES.get(name, lambda instance: instance)(drawn)
    return instance_from_document(instance_to_document(changed))  # as a file would be checked


@cache
def optimum(name: str) -> float:
    return float(brute_force_optimum(case(name), max_states=100_000).cost)


@pytest.mark.parametrize("name", CASES)
def test_every_bound_holds(name: str) -> None:
    for method in BOUNDS:
        found = FAMILY.bound(case(name), method, Request())
        assert np.isfinite(found.value), method
        assert found.value <= optimum(name) + slack(optimum(name)), method
        assert found.certified or method in ("floor", "milp", "merged_milp")


@pytest.mark.parametrize("name", CASES)
def test_every_schedule_is_legal_and_the_best_is_found(name: str) -> None:
    best = optimum(name)
    for policy in POLICIES:
        schedule = run(create(policy), case(name)).schedule
        verify(case(name), schedule).raise_if_broken(policy)
        assert evaluate(case(name), schedule).cost >= best - slack(best), policy
    found = solve_optimal(case(name))
    assert found.cost == pytest.approx(best, rel=1e-6, abs=1e-6)
    assert found.bound <= found.cost


@pytest.mark.slow
@pytest.mark.parametrize("policy", ALL_POLICIES)
def test_every_other_policy_is_legal_too(policy: str) -> None:
    for name in CASES:
        schedule = run(create(policy), case(name)).schedule
        verify(case(name), schedule).raise_if_broken(f"{policy} on {name}")
        assert evaluate(case(name), schedule).cost >= optimum(name) - slack(optimum(name)), name


def test_a_hundred_million_requests_in_a_slot() -> None:
    """The most that a cell may hold, on servers that can take almost none of them."""
    busy = make_instance(
        [[[10**8], [0]], [[0], [10**8]], [[0], [0]]],
        weights={"expiry_usd": 1.0, "time_usd_per_s": 1e-3},
    )
    for policy in POLICIES:
        schedule = run(create(policy), busy).schedule
        verify(busy, schedule).raise_if_broken(policy)
        cost = evaluate(busy, schedule).cost
        for method in BOUNDS:
            assert FAMILY.bound(busy, method, Request()).value <= cost


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("arrivals", [[[10**9]]], r"arrivals\[0\]\[0\]\[0\]: must .*100000000"),
        ("price_usd_per_kwh", [[1e10]], r"price_usd_per_kwh\[0\]\[0\]: must lie in"),
        ("latency_s", [[1e10]], r"latency_s\[0\]\[0\]: must lie in"),
        ("servers", [], "servers: must hold at least one entry"),
    ],
)
def test_what_lies_beyond_is_refused_in_one_line(field: str, value: object, said: str) -> None:
    document = instance_to_document(make_instance([[[1]]], weights={"expiry_usd": 1.0}))
    with pytest.raises(InvalidInput, match=said):
        instance_from_document({**document, field: value})

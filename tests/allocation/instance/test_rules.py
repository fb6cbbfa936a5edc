"""Rules met by objects built in Python: what a file cannot express, and where the rules end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from torta_opt.allocation.instance import Initial, Instance, System, Weights
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.instance.rules import MAX_CLASSES, MAX_COUNT, MAX_FLOAT, as_array
from torta_opt.io import InvalidInput

INSTANCE = generate("small/switch")  # 2 regions, models, types, classes and servers; 5 slots
SYSTEM, INITIAL = INSTANCE.system, INSTANCE.initial

Build = Callable[[], object]


def system(**changes: Any) -> Build:
    return lambda: dataclasses.replace(SYSTEM, **changes)


def instance(**changes: Any) -> Build:
    return lambda: dataclasses.replace(INSTANCE, **changes)


def initial(**changes: Any) -> Build:
    return lambda: dataclasses.replace(INSTANCE, initial=dataclasses.replace(INITIAL, **changes))


def weights(**changes: Any) -> Build:
    return lambda: dataclasses.replace(
        SYSTEM, weights=dataclasses.replace(SYSTEM.weights, **changes)
    )


def cell(array: np.ndarray, index: tuple[int, ...], value: float) -> np.ndarray:
    changed = array.copy()
    changed[index] = value
    return changed


NAN, INF = float("nan"), float("inf")

# name: (what is built, field as the message gives it, words of the rule)
BROKEN: dict[str, tuple[Build, str, str]] = {
    "reals for integers": (system(class_model=[0.0, 1.0]), "class_model", "must hold integers"),
    "booleans for integers": (system(class_model=[False, True]), "class_model", "integers"),
    "text for numbers": (system(slo_s=["1", "2"]), "slo_s", "must hold numbers"),
    "None for numbers": (system(slo_s=[None, 2.0]), "slo_s", "must hold numbers"),
    "numbers for booleans": (
        instance(up=np.ones((5, 2), int)),
        "up",
        "must hold true or false",
    ),
    "ragged": (system(slo_s=[[1.0], [1.0, 2.0]]), "slo_s", "same length in every row"),
    "beyond 64 bits": (system(class_model=np.full(2, 2**64 - 1, "u8")), "class_model", "at most"),
    "one class too few": (system(slo_s=[1.0]), "slo_s", "has shape 1, expected 2 (class)"),
    "a number for a table": (system(slo_s=1.0), "slo_s", "has shape scalar, expected 2 (class)"),
    "table transposed": (
        system(transfer_usd=np.zeros((2, 2, 3))),
        "transfer_usd",
        "has shape 2×2×3, expected 2×2×2 (region, region, class)",
    ),
    "rent by type, region, class": (
        system(rent_usd_per_hour=np.zeros((2, 2, 2))),
        "rent_usd_per_hour",
        "has shape 2×2×2, expected 2×2 (region, type)",
    ),
    "expiry of one class": (
        weights(expiry_usd=[1.0]),
        "weights.expiry_usd",
        "has shape 1, expected 2 (class)",
    ),
    "region by number": (system(regions=(1, 2)), "regions[0]", "must have a non-empty name"),
    "empty name": (system(types=("gpu", "")), "types[1]", "must have a non-empty name"),
    "name with a tab": (system(types=("a\tb", "c")), "types[0]", "control characters"),
    "instance without a name": (instance(name=""), "name", "must be a non-empty string"),
    "instance named by a number": (instance(name=5), "name", "must be a non-empty string"),
    "slot of numpy bool": (system(slot_ms=np.True_), "slot_ms", "must be an integer"),
    "slot of 45.0 ms": (system(slot_ms=45_000.0), "slot_ms", "must be an integer"),
    "model out of range": (
        system(class_model=[0, 2]),
        "classes[1].model",
        "must lie in [0, 1], found 2",
    ),
    "region out of range": (system(server_region=[0, -1]), "servers[1].region", "found -1"),
    "type out of range": (system(server_type=[2, 1]), "servers[0].type", "found 2"),
    "infinite target": (system(slo_s=[1.0, INF]), "classes[1].slo_s", "must be a finite number"),
    "NaN target": (system(slo_s=[NAN, 1.0]), "classes[0].slo_s", "must be a finite number"),
    "infinite latency": (
        system(latency_s=cell(SYSTEM.latency_s, (0, 1), INF)),
        "latency_s[0][1]",
        "must be a finite number",
    ),
    "NaN power": (system(idle_kw=[0.1, NAN]), "types[1].idle_kw", "must be a finite number"),
    "real beyond the largest": (
        system(peak_kw=[0.5, 2 * MAX_FLOAT]),
        "types[1].peak_kw",
        "must lie in [0, 1e+09]",
    ),
    "service time missing": (
        system(service_s=cell(SYSTEM.service_s, (0, 1), NAN)),
        "types[0].service.ask-b.service_s",
        "must be given exactly where server_ms is",
    ),
    "service time too many": (
        system(hot_service_s=cell(SYSTEM.hot_service_s, (1, 1), 1.0)),
        "types[1].service.ask-b.hot_service_s",
        "must be given exactly where server_ms is",
    ),
    "switch time missing": (
        system(switch_ms=cell(SYSTEM.switch_ms, (0, 0), -1)),
        "types[0].loading.a.switch_ms",
        "must be given exactly where start_ms is",
    ),
    "loading time of -2": (
        system(start_ms=cell(SYSTEM.start_ms, (0, 0), -2)),
        "types[0].loading.a.start_ms",
        "must lie in [-1,",
    ),
    "arrivals of two axes": (instance(arrivals=np.zeros((5, 2), int)), "arrivals", "at least one"),
    "arrivals without slots": (instance(arrivals=np.zeros((0, 2, 2), int)), "arrivals", "one slot"),
    "arrivals beyond the largest": (
        instance(arrivals=np.full((5, 2, 2), MAX_COUNT + 1)),
        "arrivals[0][0][0]",
        f"must lie in [0, {MAX_COUNT:g}]",
    ),
    "negative arrivals": (
        instance(arrivals=cell(INSTANCE.arrivals, (4, 1, 1), -3)),
        "arrivals[4][1][1]",
        "must not be negative, found -3",
    ),
    "NaN price": (
        instance(price_usd_per_kwh=cell(INSTANCE.price_usd_per_kwh, (2, 1), NAN)),
        "price_usd_per_kwh[2][1]",
        "must be a finite number",
    ),
    "availability of one slot": (
        instance(up=np.ones((1, 2), bool)),
        "up",
        "has shape 1×2, expected 5×2 (slot, server)",
    ),
    "initial model of one server": (initial(model=[0]), "initial.model", "expected 2 (server)"),
    "initial model unknown": (
        initial(model=[2, -1]),
        "initial.servers.server-1.model",
        "must lie in [-1, 1], found 2",
    ),
    "loading while off": (
        initial(loading_ms=[0, 5]),
        "initial.servers.server-2.loading_ms",
        "must be 0 for a server that is off",
    ),
    "negative loading": (
        initial(loading_ms=[-5, 0]),
        "initial.servers.server-1.loading_ms",
        "must not be negative",
    ),
    "processing adds up": (
        lambda: dataclasses.replace(
            generate("small/expiry"),
            initial=dataclasses.replace(
                generate("small/expiry").initial, processing=[[2, 2], [0, 0]]
            ),
        ),
        "initial.servers.server-1.processing.urgent",
        "adds up to more than one slot allows",
    ),
    "backlog of two axes": (
        initial(backlog=np.zeros((2, 2), int)),
        "initial.backlog",
        "must be (region, class, age)",
    ),
    "backlog too old": (
        initial(backlog=cell(np.zeros((2, 2, 2), int), (1, 0, 1), 3)),
        "initial.backlog (region west, class ask-a, age 2)",
        "has expired before slot 0",
    ),
    "negative routing": (
        initial(routing=[[0, -1], [0, 0]]),
        "initial.routing[0][1]",
        "must not be negative",
    ),
    "weight is text": (weights(time_usd_per_s="1"), "weights.time_usd_per_s", "must be a number"),
    "weight is NaN": (weights(reroute_usd=NAN), "weights.reroute_usd", "must lie in [0, 1e+09]"),
    "weight is infinite": (weights(energy_factor=INF), "weights.energy_factor", "must lie in"),
    "weight is negative": (weights(frobenius_usd=-1), "weights.frobenius_usd", "must lie in"),
    "weight is true": (weights(loading_factor=True), "weights.loading_factor", "must be a number"),
    "expiry is NaN": (
        weights(expiry_usd=[1.0, NAN]),
        "weights.expiry_usd.ask-b",
        "must be a finite number",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_refused_naming_the_field(case: str) -> None:
    build, field, words = BROKEN[case]
    with pytest.raises(InvalidInput) as caught:
        build()
    assert caught.value.field == field
    assert words in caught.value.rule


def test_too_many_classes() -> None:
    tiny = generate("small/drain").system
    count = MAX_CLASSES + 1
    with pytest.raises(InvalidInput, match=f"classes: must hold at most {MAX_CLASSES} entries"):
        dataclasses.replace(tiny, classes=tuple(f"c{c}" for c in range(count)))


class TestAccepted:
    """What looks odd but is within the rules."""

    def test_limits_themselves(self) -> None:
        arrivals = cell(INSTANCE.arrivals, (0, 0, 0), MAX_COUNT)
        assert instance(arrivals=arrivals)().arrivals[0, 0, 0] == MAX_COUNT
        price = np.full((5, 2), -MAX_FLOAT)
        assert instance(price_usd_per_kwh=price)().price_usd_per_kwh[0, 0] == -MAX_FLOAT

    def test_hot_as_slow_as_cold(self) -> None:
        assert system(hot_service_s=SYSTEM.service_s)().hot_service_s[0, 0] == 10.0

    def test_numpy_integers_and_lists(self) -> None:
        assert system(slot_ms=np.int64(7), server_ms=[[1, 2], [3, 0]])().slot_ms == 7

    def test_unsigned_and_small_integers(self) -> None:
        changed = instance(arrivals=INSTANCE.arrivals.astype(np.uint8))()
        assert changed.arrivals.dtype == np.int64

    def test_empty_backlog(self) -> None:
        start = Initial.all_off(servers=2, regions=2, classes=2)
        assert instance(initial=start)().requests == INSTANCE.arrivals.sum()

    def test_type_without_servers_and_region_without_servers(self) -> None:
        assert system(server_region=[0, 0], server_type=[0, 0])().server_type.tolist() == [0, 0]

    def test_server_time_beyond_a_slot_where_another_type_serves(self) -> None:
        slow = system(server_ms=[[15_000, 15_000], [90_000, 0]])()
        assert slow.compatible[1, 0]
        assert not slow.usable_by[1, 0]

    def test_zero_weights(self) -> None:
        assert weights(time_usd_per_s=0, expiry_usd=[0.0, 0.0])().weights.time_usd_per_s == 0


class TestArrays:
    def test_are_read_only(self) -> None:
        for owner in (INSTANCE, SYSTEM, INITIAL, SYSTEM.weights):
            for entry in dataclasses.fields(owner):
                value = getattr(owner, entry.name)
                if isinstance(value, np.ndarray):
                    assert not value.flags.writeable, entry.name

    def test_do_not_follow_the_callers_array(self) -> None:
        mine = INSTANCE.arrivals.copy()
        copied = instance(arrivals=mine)()
        mine[:] = 77
        assert (copied.arrivals == INSTANCE.arrivals).all()

    def test_as_array_keeps_what_is_right_already(self) -> None:
        assert as_array(INSTANCE.arrivals, int, "x") is INSTANCE.arrivals


class TestDerived:
    def test_cut(self) -> None:
        part = INSTANCE.cut(1, 3)
        np.testing.assert_array_equal(part.arrivals, INSTANCE.arrivals[1:3])
        assert part.slots == 2
        assert part.name == "small/switch[1:3]"
        assert part.system is SYSTEM

    @pytest.mark.parametrize(("start", "stop"), [(0, 6), (2, 2), (-1, 3), (3, 1)])
    def test_cut_outside(self, start: int, stop: int) -> None:
        with pytest.raises(InvalidInput, match="must satisfy 0 <= A < B <= 5"):
            INSTANCE.cut(start, stop)

    def test_scaled_weights(self) -> None:
        weights = Weights(2.0, 3.0, np.array([5.0]), frobenius_usd=7.0, energy_factor=11.0)
        scaled = weights.scaled(0.25)
        assert (scaled.time_usd_per_s, scaled.reroute_usd, scaled.frobenius_usd) == (
            0.5,
            0.75,
            1.75,
        )
        assert scaled.expiry_usd.tolist() == [1.25]
        assert scaled.energy_factor == 11.0

    def test_with_weights(self) -> None:
        priced = INSTANCE.with_weights(SYSTEM.weights.scaled(4))
        assert isinstance(priced, Instance)
        assert isinstance(priced.system, System)
        assert priced.system.weights.time_usd_per_s == 4 * SYSTEM.weights.time_usd_per_s
        assert priced.arrivals is INSTANCE.arrivals

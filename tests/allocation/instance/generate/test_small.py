"""Each small preset stands or falls with its rule: shown by trying every schedule."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from support.tiny import brute_force_optimum

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.instance.generate.small import BUILDERS, EAST, WEST
from torta_opt.allocation.schedule import Schedule, evaluate, verify


def with_system(**changes: object) -> Callable[[Instance], Instance]:
    def change(instance: Instance) -> Instance:
        return dataclasses.replace(instance, system=dataclasses.replace(instance.system, **changes))

    return change


def never_down(instance: Instance) -> Instance:
    return dataclasses.replace(instance, up=np.ones_like(instance.up))


def never_negative(instance: Instance) -> Instance:
    return dataclasses.replace(
        instance, price_usd_per_kwh=np.maximum(instance.price_usd_per_kwh, 0.0)
    )


def until_last_arrival(instance: Instance) -> Instance:
    return instance.cut(0, int(np.flatnonzero(instance.arrivals.any(axis=(1, 2)))[-1]) + 1)


WITHOUT_THE_RULE: dict[str, Callable[[Instance], Instance]] = {
    "loading": with_system(start_ms=np.zeros((2, 1), int)),
    "outage": never_down,
    "expiry": with_system(deadline_slots=[4, 4]),
    "hot": with_system(hot_permille=0),
    "switch": with_system(switch_ms=[[0, 0], [0, -1]]),
    "residency": with_system(latency_s=[[0.001, 0.05], [0.05, 0.001]]),
    "negative-price": never_negative,
    "drain": until_last_arrival,
}


def padded(schedule: Schedule, slots: int) -> Schedule:
    """The same decisions, then none."""
    missing = slots - schedule.routing.shape[0]

    def pad(array: np.ndarray, value: int) -> np.ndarray:
        filler = np.full((missing, *array.shape[1:]), value, array.dtype)
        return np.concatenate([array, filler])

    return dataclasses.replace(
        schedule,
        routing=pad(schedule.routing, 0),
        command=pad(schedule.command, 0),
        command_model=pad(schedule.command_model, -1),
        processing=pad(schedule.processing, 0),
    )


@pytest.mark.parametrize("name", BUILDERS)
def test_who_ignores_the_rule_misses_the_optimum(name: str) -> None:
    instance = generate(f"small/{name}")
    best = brute_force_optimum(instance)
    blind = padded(brute_force_optimum(WITHOUT_THE_RULE[name](instance)).schedule, instance.slots)
    assert verify(instance, best.schedule).ok
    assert evaluate(instance, best.schedule).cost == pytest.approx(float(best.cost))
    if verify(instance, blind).ok:
        assert evaluate(instance, blind).cost > float(best.cost) + 0.005
    else:
        assert name not in ("hot", "negative-price", "drain")  # there, only dearer


def optimum(name: str) -> tuple[Instance, Schedule]:
    instance = generate(f"small/{name}")
    return instance, brute_force_optimum(instance).schedule


def test_loading_starts_ahead_and_serves_in_the_rest_of_a_slot() -> None:
    instance, best = optimum("loading")
    starts = {(int(t), int(s)) for t, s in np.argwhere(best.command == 1)}
    assert starts == {(0, EAST), (2, WEST)}
    assert best.processing[2, WEST, 0] == 1  # 15 s of the slot are left
    assert best.processing.sum() == instance.requests


def test_outage_moves_everything_before_the_failure() -> None:
    instance, best = optimum("outage")
    assert best.command[1, WEST] == 1
    assert best.processing[2:4, WEST, 0].tolist() == [2, 2]
    assert best.processing.sum() == instance.requests


def test_expiry_lets_patient_requests_expire() -> None:
    instance, best = optimum("expiry")
    served = best.processing.sum(axis=(0, 1))
    asked = instance.arrivals.sum(axis=(0, 1))
    assert served[0] == asked[0]
    assert 0 < served[1] < asked[1]


def test_hot_keeps_requests_together() -> None:
    _, best = optimum("hot")
    assert sorted(best.processing.sum(axis=(0, 2)).tolist()) == [0, 15]


def test_switch_serves_both_models_on_one_server() -> None:
    _, best = optimum("switch")
    assert (best.command[:, 0] == 3).sum() >= 2
    assert best.processing[:, 0].sum(axis=0).min() > 0


def test_residency_serves_the_east_in_the_east() -> None:
    instance, best = optimum("residency")
    east = instance.arrivals[:, EAST].sum()
    assert best.routing[:, EAST, EAST].sum() == east == best.processing[:, EAST].sum()


def test_negative_price_runs_a_server_nobody_needs_and_earns() -> None:
    instance, best = optimum("negative-price")
    evaluation = evaluate(instance, best)
    assert evaluation.cost < 0
    assert evaluation.costs["energy"] < 0
    assert best.processing[:, WEST].sum() == instance.requests


def test_drain_serves_after_the_last_arrival() -> None:
    instance, best = optimum("drain")
    last = int(np.flatnonzero(instance.arrivals.any(axis=(1, 2)))[-1])
    assert best.processing[last + 1 :].sum() > 0
    assert best.processing.sum() == instance.requests
    assert not instance.arrivals[-instance.system.deadline_slots.max() :].any()


@pytest.mark.parametrize("name", BUILDERS)
def test_is_small_and_says_what_it_stresses(name: str) -> None:
    instance = generate(f"small/{name}")
    system = instance.system
    assert instance.name == f"small/{name}"
    assert len(instance.description) > 40
    assert 4 <= instance.slots <= 8
    assert len(system.regions) == len(system.servers) == 2
    assert len(system.classes) <= 3

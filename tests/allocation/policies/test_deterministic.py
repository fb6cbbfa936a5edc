"""What a policy says about its seed is true: the seed changes nothing, or it changes something."""

from __future__ import annotations

import numpy as np
import pytest
from support.tiny import random_tiny_instance

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies.base import is_deterministic
from torta_opt.allocation.policies.registry import BUILT_IN, create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import Schedule

SEEDED = ("torta_ot:split=sample", "torta:plan=target:forecaster=corrupted")
OTHERS = (
    *("skylb:overflow=nearest", "torta_ot:target=capacity", "torta_ot:reach=able"),
    *("torta:plan=smoothed", "torta:plan=target:forecaster=perfect"),
)
TABLES = ("routing", "command", "command_model", "processing")


def instance_for(name: str) -> Instance:
    """Learned weights need the topology that they were trained for."""
    if name == "torta" or name in SEEDED:
        return generate("paper/abilene", slots=6)
    return random_tiny_instance(np.random.default_rng(3), slots=6, regions=3, servers=4)


def schedules(name: str) -> tuple[Schedule, Schedule]:
    instance, policy = instance_for(name), create(name)
    if hasattr(policy, "show"):
        policy.show(instance)
    one, two = (run(policy, instance, seed).schedule for seed in (0, 1))
    return one, two


def same(one: Schedule, two: Schedule) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(two, name)) for name in TABLES)


@pytest.mark.parametrize("name", [*BUILT_IN, *OTHERS, *SEEDED])
def test_what_is_said_of_the_seed_is_true(name: str):
    assert is_deterministic(create(name)) == same(*schedules(name))


def test_both_kinds_are_tried():
    assert not any(is_deterministic(create(name)) for name in SEEDED)
    assert all(is_deterministic(create(name)) for name in (*BUILT_IN, *OTHERS))


def test_who_does_not_say_counts_as_seeded():
    assert not is_deterministic(object())

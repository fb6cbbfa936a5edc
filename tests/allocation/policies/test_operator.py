"""Any fleet rule with any routing: legal, online, and each parameter where it belongs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.tiny import random_tiny_instance

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies.operator import EQ6, FLEETS, ROUTINGS
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import Schedule, evaluate, verify
from torta_opt.io import InvalidInput

FLEET_POLICIES = tuple(FLEETS)
ROUTERS = ("gorgo", "fluid")
VARIANTS = (
    "hpa:metric=utilisation:stabilise_s=0",
    "keda_cron:window_minutes=0.01:day_hours=0.01:reactive=false",
    "wva:period_s=0:stabilise_s=0:minimum=0",
    "sageserve:scaling=deferred:period_minutes=0.01",
    "agh:starts=6:period_s=0.01",
    "fluid:period_slots=1",
)
TABLES = ("routing", "command", "command_model", "processing")


def schedule(spec: str, instance: Instance) -> Schedule:
    made = run(create(spec), instance).schedule
    found = verify(instance, made)
    assert found.ok, found.problems
    return made


def with_another_future(instance: Instance, slot: int) -> Instance:
    """The same up to ``slot``, with other arrivals and outages after it."""
    rng = np.random.default_rng(slot)
    arrivals, up = instance.arrivals.copy(), instance.up.copy()
    later = arrivals[slot + 1 :]
    later[:] = rng.integers(0, 5, later.shape)
    up[slot + 1 :] = rng.random(up[slot + 1 :].shape) < 0.8
    return dataclasses.replace(instance, arrivals=arrivals, up=up)


@pytest.mark.parametrize("spec", [*FLEET_POLICIES, *ROUTERS, *VARIANTS])
def test_the_future_changes_no_decision(spec: str):
    for draw in range(3):
        instance = random_tiny_instance(np.random.default_rng(draw), slots=6, regions=3, servers=6)
        slot = 2 + draw % 2
        one = schedule(spec, instance)
        two = schedule(spec, with_another_future(instance, slot))
        for name in TABLES:
            seen = getattr(one, name)[: slot + 1], getattr(two, name)[: slot + 1]
            assert np.array_equal(*seen), (spec, draw, name)


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize("fleet", [*FLEETS, EQ6])
def test_any_fleet_with_any_routing(fleet: str, routing: str):
    instance = random_tiny_instance(np.random.default_rng(7), slots=4, regions=2, servers=5)
    made = schedule(f"operator:fleet={fleet}:routing={routing}", instance)
    assert made.method == f"operator:fleet={fleet}:routing={routing}"


@pytest.mark.parametrize("spec", [*FLEET_POLICIES, *ROUTERS])
def test_moderate_load_is_served(spec: str):
    instance = generate("paper/abilene", slots=14)
    found = evaluate(instance, schedule(spec, instance))
    assert found.metrics["expired_share"] < 0.02


def test_the_fleet_rule_alone_decides_the_servers():
    """With servers enough, two routings see the same commands from a rule that sees only demand."""
    instance = generate("paper/abilene", slots=10)
    one, two = (schedule(f"agh:routing={name}", instance) for name in ("skylb", "greedy_forecast"))
    assert np.array_equal(one.command[0], two.command[0])
    assert not np.array_equal(one.routing, two.routing)


def test_eq6_is_the_routing_policy_itself():
    instance = generate("paper/abilene", slots=8)
    one = schedule("operator:fleet=eq6:routing=skylb:safety=2", instance)
    two = schedule("skylb:safety=2", instance)
    assert all(np.array_equal(getattr(one, name), getattr(two, name)) for name in TABLES)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("operator:fleet=vpa", "fleet: must be one of hpa, keda_cron, wva, sageserve, agh, eq6"),
        ("operator:routing=rhc", "routing: must be one of skylb, gorgo"),
        ("hpa:safety=2", "safety: has no effect with fleet=hpa"),
        ("hpa:target=0", "target: must be a number in [0.01, 1]"),
        ("hpa:metric=cpu", "metric: must be one of utilisation, inflight"),
        ("keda_cron:reactive=maybe", "reactive: must be true or false"),
        ("sageserve:scaling=later", "scaling: must be one of immediate, deferred"),
        ("gorgo:queue_rate=-1", "queue_rate: must be a number"),
        ("wva:nonsense=1", "nonsense: is not a parameter"),
        ("agh:fleet=hpa", "multiple values"),
    ],
)
def test_wrong_parameters_are_named(spec: str, message: str):
    with pytest.raises(InvalidInput) as caught:
        create(spec)
    assert message in str(caught.value)

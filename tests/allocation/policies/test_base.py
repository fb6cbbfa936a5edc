"""What a policy is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.plain import make_instance

from torta_opt.allocation.policies.base import PRICE_HOURS, Observation, Policy, information_of
from torta_opt.allocation.policies.registry import BUILT_IN, create
from torta_opt.allocation.schedule.step import initial_state
from torta_opt.io import InvalidInput


@pytest.fixture
def observation() -> Observation:
    instance = make_instance([[[3], [1]]])
    return Observation(
        slot=0,
        arrivals=instance.arrivals[0],
        up=instance.up[0],
        past_arrivals=instance.arrivals[:0],
        past_up=instance.up[:0],
        price_ahead=np.array([[0.1, 0.2], [0.3, 0.4]]),
        state=initial_state(instance),
    )


def test_price_is_that_of_this_slot(observation: Observation):
    assert observation.price.tolist() == [0.1, 0.2]


def test_observation_cannot_be_rebound(observation: Observation):
    with pytest.raises(dataclasses.FrozenInstanceError):
        observation.slot = 3


def test_prices_are_known_for_a_day():
    assert PRICE_HOURS == 24


@pytest.mark.parametrize("missing", ["name", "reset", "decide", "forecast"])
def test_a_policy_has_four_members(missing: str):
    members = {
        "name": "mine",
        "reset": lambda self, system, seed: None,
        "decide": lambda self, observation: None,
        "forecast": lambda self: None,
    }
    assert isinstance(type("Whole", (), members)(), Policy)
    del members[missing]
    assert not isinstance(type("Partial", (), members)(), Policy)


class Told:
    """A policy that says what it knows."""

    def __init__(self, information: str):
        self.information = information


def test_a_policy_knows_the_past_alone_unless_it_says_more():
    assert {information_of(create(name)) for name in BUILT_IN} == {"past"}
    assert information_of(create("torta:plan=target:forecaster=perfect")) == "future"
    assert information_of(create("torta:plan=target:forecaster=mean_reverting")) == "past"
    assert information_of(object()) == "past"
    assert information_of(Told("law")) == "law"


def test_what_a_policy_may_know_is_named():
    with pytest.raises(InvalidInput, match="information: must be one of past, law, states, future"):
        information_of(Told("all"))

"""The runner shows a policy no more than it may see, and writes down what it decides."""

from __future__ import annotations

import numpy as np
import pytest
from support.plain import make_instance
from support.tiny import random_tiny_instance

from torta_opt.allocation.instance import instance_sha256
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.policies.base import Decision, Observation, Policy
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.io import VerificationFailed


class Recorder:
    """Keeps requests at home, starts nothing, and remembers what it was shown."""

    name = "recorder"

    def __init__(self, **changes):
        self.changes = changes
        self.seen: list[Observation] = []

    def reset(self, system, seed):
        self.seen = []
        self.seed = seed
        self.regions, self.servers = len(system.regions), len(system.servers)

    def decide(self, observation: Observation) -> Decision:
        self.seen.append(observation)
        classes = observation.arrivals.shape[1]
        routing = np.zeros((self.regions, self.regions, classes), int)
        routing[np.arange(self.regions), np.arange(self.regions)] = observation.arrivals
        none = np.zeros(self.servers, int)
        decision = {
            "routing": routing,
            "command": none,
            "command_model": none - 1,
            "processing": np.zeros((self.servers, classes), int),
        }
        return Decision(**{**decision, **self.changes})

    def forecast(self):
        return self.seen[-1].arrivals.sum(axis=1) + 0.5


INSTANCE = make_instance(
    [[[3], [1]], [[2], [0]], [[4], [5]]],
    price=[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]],
    down=[(1, 0)],
    initial={"model": [0, -1]},
)


def test_recorder_is_a_policy():
    assert isinstance(Recorder(), Policy)


@pytest.fixture(scope="module")
def seen() -> list[Observation]:
    policy = Recorder()
    run(policy, INSTANCE)
    return policy.seen


class TestObservation:
    def test_one_per_slot(self, seen):
        assert [observation.slot for observation in seen] == [0, 1, 2]

    def test_holds_this_slot_and_the_past(self, seen):
        last = seen[2]
        assert last.arrivals.tolist() == [[4], [5]]
        assert last.past_arrivals.tolist() == [[[3], [1]], [[2], [0]]]
        assert last.up.tolist() == [True, True]
        assert last.past_up.tolist() == [[True, True], [False, True]]
        assert seen[0].past_arrivals.shape == (0, 2, 1)

    def test_holds_the_state_left_behind(self, seen):
        assert [observation.state.slot for observation in seen] == [0, 1, 2]
        assert seen[1].state.waiting[:, 0, 0].tolist() == [3, 1]
        assert seen[2].state.model.tolist() == [-1, -1]  # server 0 was down in slot 1

    def test_prices_are_known_to_the_end_of_a_short_horizon(self, seen):
        assert seen[1].price_ahead.tolist() == [[0.3, 0.4], [0.5, 0.6]]
        assert seen[1].price.tolist() == [0.3, 0.4]

    def test_prices_are_known_24_hours_ahead(self):
        hours = 30
        instance = make_instance(
            np.ones((hours, 1, 1), int), price=[[h / 100] for h in range(hours)], slot_ms=3_600_000
        )
        policy = Recorder()
        run(policy, instance)
        assert [len(observation.price_ahead) for observation in policy.seen[:8]] == 7 * [24] + [23]
        assert policy.seen[3].price_ahead[:, 0].tolist() == [h / 100 for h in range(3, 27)]

    def test_slots_longer_than_a_day_show_one_price(self):
        instance = make_instance([[[1]], [[1]]], price=[[0.1], [0.2]], slot_ms=90_000_000)
        policy = Recorder()
        run(policy, instance)
        assert policy.seen[0].price_ahead.tolist() == [[0.1]]

    def test_nothing_can_be_written(self, seen):
        for name in ("arrivals", "up", "past_arrivals", "past_up", "price_ahead"):
            assert not getattr(seen[2], name).flags.writeable
        for name in ("model", "loading_ms", "waiting", "processing", "routing"):
            assert not getattr(seen[2].state, name).flags.writeable


def test_the_future_is_not_in_memory():
    """Not even behind the arrays that a policy is handed."""

    class Peeping(Recorder):
        def decide(self, observation):
            for name in ("past_arrivals", "past_up", "price_ahead"):
                base = getattr(observation, name)
                while base.base is not None:
                    base = base.base
                later = base[observation.slot + 1 :]
                if name == "price_ahead":
                    later = base[observation.slot + 24 :]
                assert not later.any(), name
            return super().decide(observation)

    instance = make_instance(np.full((40, 1, 1), 7), price=0.3, slot_ms=3_600_000)
    policy = Peeping()
    run(policy, instance)
    assert len(policy.seen) == 40


class TestSchedule:
    def test_says_how_it_was_made(self):
        policy = Recorder()
        schedule = run(policy, INSTANCE, seed=7).schedule
        assert (schedule.method, schedule.seed, policy.seed) == ("recorder", 7, 7)
        assert schedule.instance == INSTANCE.name
        assert schedule.instance_sha256 == instance_sha256(INSTANCE)

    def test_forecast_stands_in_the_slot_it_is_for(self):
        schedule = run(Recorder(), INSTANCE).schedule
        assert schedule.forecast.tolist() == [[0, 0], [3.5, 1.5], [2.5, 0.5]]

    def test_without_forecast(self):
        policy = Recorder()
        policy.forecast = lambda: None
        assert run(policy, INSTANCE).schedule.forecast is None

    def test_is_its_own_copy(self):
        """A policy may hand out the same array every slot."""

        class Reusing(Recorder):
            def decide(self, observation):
                decision = super().decide(observation)
                if not hasattr(self, "routing"):
                    self.routing = decision.routing
                self.routing[:] = decision.routing
                return Decision(
                    self.routing, decision.command, decision.command_model, decision.processing
                )

        schedule = run(Reusing(), INSTANCE).schedule
        assert schedule.routing.sum(axis=2).tolist() == INSTANCE.arrivals.tolist()
        assert verify(INSTANCE, schedule).ok

    def test_costs_as_the_evaluator_says(self):
        for seed in range(20):
            rng = np.random.default_rng(seed)
            instance = at_home(random_tiny_instance(rng))
            schedule = run(Recorder(), instance).schedule
            assert verify(instance, schedule).ok
            assert evaluate(instance, schedule).metrics["served"] == 0


def at_home(instance: Instance) -> Instance:
    """The same instance with every region allowed to serve itself."""
    import dataclasses

    latency = instance.system.latency_s.copy()
    np.fill_diagonal(latency, 0.0)
    system = dataclasses.replace(instance.system, latency_s=latency)
    return dataclasses.replace(instance, system=system)


def test_times_every_decision():
    outcome = run(Recorder(), INSTANCE)
    assert outcome.slot_seconds.shape == (3,)
    assert (outcome.slot_seconds > 0).all()
    assert outcome.seconds >= outcome.slot_seconds.sum()


def test_tells_its_progress():
    told = []
    run(Recorder(), INSTANCE, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


BROKEN = {
    "shape": ({"command": np.zeros(3, int)}, r"slot 0: command must be integers of shape \(2,\)"),
    "real": ({"processing": np.zeros((2, 1))}, "slot 0: processing must be integers"),
    "list": ({"command": [0.5, 0.5]}, "slot 0: command must be integers"),
    "rule": ({"processing": np.array([[1], [1]])}, "slot 0: server 'server-1' cannot process"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_decision_names_policy_and_slot(case: str):
    changes, message = BROKEN[case]
    with pytest.raises(VerificationFailed, match="^recorder: " + message):
        run(Recorder(**changes), INSTANCE)


@pytest.mark.parametrize("expected", [[1.0], [1.0, -1.0], [1.0, float("nan")], [1.0, 1e308]])
def test_a_broken_forecast_is_refused(expected: list[float]):
    policy = Recorder()
    policy.forecast = lambda: np.array(expected)
    with pytest.raises(VerificationFailed, match=r"^recorder: slot 0: the forecast must be 2"):
        run(policy, INSTANCE)


def test_control_c_is_not_swallowed():
    class Interrupted(Recorder):
        def decide(self, observation):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(), INSTANCE)

"""Slot by slot: chained steps cost what the evaluator says and refuse what the verifier does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.mutations import random_mutation
from support.plain import make_instance, make_schedule
from support.reference import simulate
from support.sizes import examples
from support.tiny import feasible_cases, random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.step import (
    Decision,
    State,
    StepResult,
    apply_commands,
    initial_state,
    slot_data,
    step,
)
from torta_opt.allocation.schedule.timeline import trace_servers
from torta_opt.allocation.schedule.verify import verify
from torta_opt.io import VerificationFailed


def decision(schedule: Schedule, t: int) -> Decision:
    return Decision(
        routing=schedule.routing[t],
        command=schedule.command[t],
        command_model=schedule.command_model[t],
        processing=schedule.processing[t],
    )


def chain(instance: Instance, schedule: Schedule) -> list[StepResult]:
    state, results = initial_state(instance), []
    for t in range(instance.slots):
        data = slot_data(instance, t)
        results.append(step(instance.system, state, data, decision(schedule, t)))
        state = results[-1].state
    return results


def near(value):
    return pytest.approx(value, rel=1e-12, abs=1e-13)


def check_chain(instance: Instance, schedule: Schedule) -> None:
    found, expected = chain(instance, schedule), evaluate(instance, schedule)
    assert sum(result.cost for result in found) == near(expected.cost)
    for t, result in enumerate(found):
        by_slot = {name: usd[t] for name, usd in expected.costs_by_slot.items()}
        assert list(result.costs) == list(by_slot)
        assert result.costs == near(by_slot)
    check_states(instance, schedule, found)


def check_states(instance: Instance, schedule: Schedule, found: list[StepResult]) -> None:
    outcome, servers = simulate(instance, schedule), trace_servers(instance, schedule)
    for t, result in enumerate(found):
        assert result.state.slot == t + 1
        assert result.served.tolist() == outcome.served[t]
        assert result.expired.tolist() == outcome.expired[t]
        assert result.state.waiting.sum(axis=2).tolist() == outcome.waiting[t]
        assert result.state.model.tolist() == servers.model[t].tolist()
        assert result.state.processing.tolist() == schedule.processing[t].tolist()
        assert result.state.routing.tolist() == schedule.routing[t].sum(axis=2).tolist()


def first_refusal(instance: Instance, schedule: Schedule) -> str | None:
    """What the chain of steps stops with, None if it reaches the end."""
    try:
        chain(instance, schedule)
    except VerificationFailed as error:
        return str(error)
    return None


class TestChain:
    @settings(max_examples=examples(150))
    @given(feasible_cases())
    def test_costs_and_states_are_the_evaluators(self, case):
        check_chain(*case)

    @pytest.mark.slow
    def test_on_many_seeds(self):
        for seed in range(10_000):
            rng = np.random.default_rng(seed)
            instance = random_tiny_instance(rng)
            try:
                check_chain(instance, random_feasible_schedule(instance, rng))
            except (AssertionError, VerificationFailed) as error:
                raise AssertionError(f"seed {seed}") from error

    @settings(max_examples=examples(250))
    @given(feasible_cases(), st.integers(0, 2**32 - 1))
    def test_refuses_in_the_slot_of_the_first_violation(self, case, seed):
        instance, schedule = case
        schedule = random_mutation(instance, schedule, np.random.default_rng(seed))
        found = verify(instance, schedule)
        refusal = first_refusal(instance, schedule)
        assert (refusal is None) == found.ok
        if refusal:
            assert refusal.startswith(f"slot {found.violations[0].slot}: ")
            assert "\n" not in refusal

    def test_steps_leave_their_inputs_alone(self):
        rng = np.random.default_rng(5)
        instance = random_tiny_instance(rng, slots=3, servers=4)
        schedule = random_feasible_schedule(instance, rng)
        state = initial_state(instance)
        before = {name: np.copy(value) for name, value in vars(state).items()}
        step(instance.system, state, slot_data(instance, 0), decision(schedule, 0))
        for name, value in before.items():
            assert np.array_equal(getattr(state, name), value), name


# One region after another: east has two servers, west one. Deadline 1 slot; 45 s slots.
INSTANCE = make_instance(
    [[[2], [1]], [[0], [1]]],
    models=2,
    types=2,
    server_region=[0, 0, 1],
    server_type=[0, 1, 0],
    server_ms=[[15_000], [0]],
    service_s=[[1.0], [np.nan]],
    start_ms=[[60_000, 20_000], [0, -1]],
    switch_ms=[[60_000, 20_000], [0, -1]],
    latency_s=[[0.0, 0.1], [np.nan, 0.0]],
    initial={"model": [0, 0, -1], "backlog": [[[3]], [[0]]]},
)
LEGAL = decision(
    make_schedule(INSTANCE, commands=[(0, 2, "start", 0)], processing=[(0, 0, 0, 3)]), 0
)


class TestFleet:
    @staticmethod
    def apply(command, model, up=(True, True, True), state: State | None = None):
        state = state or initial_state(INSTANCE)
        return apply_commands(
            INSTANCE.system, state, np.array(up), np.array(command), np.array(model)
        )

    def test_start_switch_and_stop(self):
        fleet = self.apply([3, 2, 1], [1, -1, 0])
        assert fleet.model.tolist() == [1, -1, 0]
        assert fleet.on.tolist() == [True, False, True]
        assert fleet.usable_ms.tolist() == [25_000, 0, 0]
        assert fleet.loading_ms_after.tolist() == [0, 0, 15_000]

    def test_outage_comes_first(self):
        state = replace(initial_state(INSTANCE), loading_ms=np.array([50_000, 0, 0]))
        fleet = self.apply([0, 0, 0], [-1, -1, -1], up=(False, True, False), state=state)
        assert fleet.model.tolist() == [-1, 0, -1]
        assert fleet.on.tolist() == [False, True, False]
        assert fleet.usable_ms.tolist() == [0, 45_000, 0]
        assert fleet.loading_ms_after.tolist() == [0, 0, 0]


def test_one_slot_by_hand():
    # 3 requests one slot old and 2 new ones wait in the east; 3 are served: the old ones leave,
    # the new ones stay. The one request of the west waits too; its server loads.
    result = step(INSTANCE.system, initial_state(INSTANCE), slot_data(INSTANCE, 0), LEGAL)
    assert result.served.tolist() == [[3], [0]]
    assert result.expired.tolist() == [[0], [0]]
    assert result.state.waiting.tolist() == [[[2]], [[1]]]
    assert result.state.model.tolist() == [0, 0, 0]
    assert result.state.loading_ms.tolist() == [0, 0, 15_000]


def test_last_slot_expires_everything():
    data = replace(slot_data(INSTANCE, 0), is_last=True)
    result = step(INSTANCE.system, initial_state(INSTANCE), data, LEGAL)
    assert result.expired.tolist() == [[2], [1]]
    assert not result.state.waiting.any()


ILLEGAL = {
    "unknown command": {"command": [7, 0, 1]},
    "down": {"command": [2, 0, 1], "up": [False, True, True]},
    "not off": {"command": [1, 0, 1], "command_model": [1, -1, 0]},
    "stopped but is not ready": {"command": [0, 0, 2], "command_model": [-1, -1, -1]},
    "switched but is not ready": {"command": [0, 0, 3], "command_model": [-1, -1, 1]},
    "the model it has": {"command": [3, 0, 1], "command_model": [0, -1, 0]},
    "names a model": {"command_model": [0, -1, 0]},
    "exactly when it loads": {"command_model": [-1, -1, -1]},
    "cannot hold": {"command": [0, 3, 1], "command_model": [-1, 1, 0]},
    "negative number of requests": {"routing": [[[3], [-1]], [[0], [1]]]},
    "forbidden pair": {"routing": [[[2], [0]], [[1], [0]]]},
    "routes 1 requests": {"routing": [[[1], [0]], [[0], [1]]]},
    "processes a negative": {"processing": [[-1], [0], [0]]},
    "cannot process": {"processing": [[0], [1], [0]]},
    "'server-0' works for more than its 45000 usable ms": {"processing": [[4], [0], [0]]},
    "'server-2' works for more than its 0 usable ms": {"processing": [[0], [0], [1]]},
}


@pytest.mark.parametrize("words", ILLEGAL)
def test_illegal_decisions_raise(words: str):
    changes = {name: np.array(value) for name, value in ILLEGAL[words].items()}
    data = slot_data(INSTANCE, 0)
    if "up" in changes:
        data = replace(data, up=changes.pop("up"))
    with pytest.raises(VerificationFailed, match=words) as caught:
        step(INSTANCE.system, initial_state(INSTANCE), data, replace(LEGAL, **changes))
    assert str(caught.value).startswith("slot 0: ")


def test_serving_more_than_is_there_raises():
    state = replace(initial_state(INSTANCE), model=np.array([0, 0, 0]))
    idle = {"command": np.zeros(3, int), "command_model": np.full(3, -1)}
    served = replace(LEGAL, processing=np.array([[0], [0], [2]]), **idle)
    with pytest.raises(VerificationFailed, match=r"'west' serves 2 .* only 1 wait there"):
        step(INSTANCE.system, state, slot_data(INSTANCE, 0), served)


def test_the_server_at_fault_is_named():
    data = replace(slot_data(INSTANCE, 0), up=np.array([False, True, True]))
    illegal = replace(LEGAL, processing=np.array([[0], [1], [0]]))
    with pytest.raises(VerificationFailed, match="'server-1' cannot process class 'chat'"):
        step(INSTANCE.system, initial_state(INSTANCE), data, illegal)


def test_counts_that_wrap_around_64_bits_raise():
    instance = make_instance(
        [[[4], [0], [0], [0]]],
        slot_ms=10**8,
        server_ms=2**26,
        initial={"model": [0, -1, -1, -1]},
    )
    legal = decision(make_schedule(instance), 0)
    state, data = initial_state(instance), slot_data(instance, 0)
    step(instance.system, state, data, legal)
    routing = np.array(legal.routing)
    routing[0, :, 0] = 2**63 - 1, 2**63 - 1, 4, 2  # 4 modulo 2⁶⁴
    with pytest.raises(VerificationFailed, match="routes"):
        step(instance.system, state, data, replace(legal, routing=routing))
    processing = np.array(legal.processing)
    processing[0, 0] = 2**38  # times 2²⁶ ms is 0 modulo 2⁶⁴
    with pytest.raises(VerificationFailed, match="usable ms"):
        step(instance.system, state, data, replace(legal, processing=processing))

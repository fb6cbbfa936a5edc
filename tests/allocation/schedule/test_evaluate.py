"""The evaluator against sums done by hand, and against the slow reference on random instances."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from support.plain import make_instance, make_schedule
from support.processors import printed_elsewhere
from support.reference import COMPONENTS, simulate
from support.sizes import examples
from support.tiny import feasible_cases, random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.instance.carbon import with_carbon
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.rules import MAX_COUNT
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.timeline import hot_requests, trace_queues
from torta_opt.allocation.schedule.verify import verify
from torta_opt.results import Evaluation

COUNTS = ("starts", "switches", "requests", "served", "expired")
PERCENTILES = ("response_p50_s", "response_p95_s", "response_p99_s")


def agree(found: float | None, exact: Fraction | float | None) -> bool:
    """To 1e-12 of the exact value; the floor only matters where terms of both signs cancel."""
    if found is None or exact is None:
        return found is exact
    difference = abs(Fraction(float(found)) - Fraction(exact))
    return difference <= Fraction(1, 10**12) * abs(Fraction(exact)) + Fraction(1, 10**14)


def check_against_reference(instance: Instance, schedule: Schedule) -> None:
    expected, found = simulate(instance, schedule), evaluate(instance, schedule)
    check_money(expected, found)
    check_counts(instance, schedule, expected)
    check_metrics(expected.metrics, found.metrics)


def check_money(expected, found: Evaluation) -> None:
    assert tuple(found.costs) == tuple(found.costs_by_slot) == COMPONENTS
    assert agree(found.cost, expected.cost)
    for name in COMPONENTS:
        assert agree(found.costs[name], expected.costs[name]), name
        assert len(found.costs_by_slot[name]) == len(expected.costs_by_slot[name])
        for t, exact in enumerate(expected.costs_by_slot[name]):
            assert agree(found.costs_by_slot[name][t], exact), (name, t)


def check_counts(instance: Instance, schedule: Schedule, expected) -> None:
    queues = trace_queues(instance, schedule)
    assert queues.served.tolist() == expected.served
    assert queues.expired.tolist() == expected.expired
    assert queues.queued.tolist() == expected.waiting
    assert hot_requests(instance, schedule.processing).tolist() == expected.hot


def check_metrics(expected: dict, found: dict) -> None:
    assert set(found) == set(expected)
    for name, exact in expected.items():
        if name in COUNTS:
            assert type(found[name]) is int, name
            assert found[name] == exact, name
        elif name in PERCENTILES:  # one of the responses: the same float, not a near one
            assert found[name] == exact, name
        else:
            assert agree(found[name], exact), name


class TestAgainstReference:
    @settings(max_examples=examples(200))
    @given(feasible_cases())
    def test_agrees_on_tiny_instances(self, case):
        check_against_reference(*case)

    def test_agrees_on_carbon(self):
        for seed in range(examples(60)):
            rng = np.random.default_rng(seed)
            instance = random_tiny_instance(rng)
            schedule = random_feasible_schedule(instance, rng)
            grams = rng.integers(0, 900, instance.price_usd_per_kwh.shape).astype(float)
            check_against_reference(with_carbon(instance, grams), schedule)

    @pytest.mark.slow
    def test_agrees_on_many_seeds(self):
        for seed in range(20_000):
            rng = np.random.default_rng(seed)
            instance = random_tiny_instance(rng)
            try:
                check_against_reference(instance, random_feasible_schedule(instance, rng))
            except AssertionError as error:
                raise AssertionError(f"seed {seed}") from error

    def test_random_cases_reach_every_rule(self):
        """The comparison means something only if its cases pay every cost and meet every event."""
        paid, met = dict.fromkeys(COMPONENTS, 0), dict.fromkeys(["hot", "wait", "income", "p99"], 0)
        for seed in range(300):
            rng = np.random.default_rng(seed)
            instance = random_tiny_instance(rng)
            outcome = simulate(instance, random_feasible_schedule(instance, rng))
            for name, usd in outcome.costs.items():
                paid[name] += usd > 0
            met["hot"] += np.any(outcome.hot)
            met["wait"] += (outcome.metrics["wait_mean_s"] or 0) > 0
            met["income"] += outcome.costs["energy"] < 0
            met["p99"] += outcome.metrics["response_p99_s"] != outcome.metrics["response_p50_s"]
            if min(*paid.values(), *met.values()) >= 20:
                break
        assert min(paid.values()) >= 20, paid
        assert min(met.values()) >= 20, met


PRINT_COSTS = """
import json
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate
for preset in ("paper/abilene", "paper/polska", "paper/cost2"):
    instance = generate(preset).cut(100, 108)
    for policy in ("round_robin", "sdib"):
        found = evaluate(instance, run(create(policy), instance).schedule)
        print(json.dumps({"cost": found.cost, **found.costs, **found.metrics}))
"""


def test_another_processor_gives_the_same_costs(capsys: pytest.CaptureFixture[str]) -> None:
    """To 1e-9, as docs/formats.md says: the last digits of exp and sums may differ."""
    exec(PRINT_COSTS, {})
    here, there = capsys.readouterr().out.splitlines(), printed_elsewhere(PRINT_COSTS)
    assert len(here) == len(there) == 6
    for own, other in zip(here, there, strict=True):
        assert json.loads(other) == pytest.approx(json.loads(own), rel=1e-9)


def priced(instance: Instance, schedule: Schedule) -> Evaluation:
    """Evaluate an example that is first checked to be legal and to agree with the reference."""
    assert verify(instance, schedule).violations == ()
    check_against_reference(instance, schedule)
    return evaluate(instance, schedule)


def near(value):
    return pytest.approx(value, rel=1e-12, abs=1e-15)


class TestLoading:
    """A 60 s start with 45 s slots leaves 0 s in slot 0, 30 s in slot 1, 45 s in slot 2."""

    instance = make_instance(
        [[[5]], [[0]], [[0]]],
        price=0.2,
        start_ms=60_000,
        start_usd=0.5,
        server_ms=15_000,
        service_s=3.0,
        latency_s=0.02,
        idle_kw=2.0,
        peak_kw=6.0,
        rent_usd_per_hour=1.6,
        deadline_slots=2,
        weights={"time_usd_per_s": 0.001, "expiry_usd": 9.0},
    )

    def schedule(self, *done: int) -> Schedule:
        processing = [(t, 0, 0, requests) for t, requests in enumerate(done)]
        return make_schedule(self.instance, commands=[(0, 0, "start", 0)], processing=processing)

    def test_every_cost(self):
        found = priced(self.instance, self.schedule(0, 2, 3))
        # 45 s is 1/80 h: idle 3·2/80 = 0.075 kWh; busy 5·15 s = 1/48 h at 4 kW = 1/12 kWh
        kwh = 0.075 + 1 / 12
        assert found.costs == near(
            {
                "network": 5 * 0.02 * 0.001,
                "transfer": 0,
                "service": 5 * 3 * 0.001,
                "waiting": (5 + 3 + 0) * 45 * 0.001,  # 5 wait after slot 0, 3 after slot 1
                "energy": 0.2 * kwh,
                "rent": 1.6 * 3 / 80,
                "starts": 0.5,
                "switches": 0,
                "rerouting": 0,
                "frobenius": 0,
                "expiry": 0,
            }
        )
        # 0.0001 + 0.015 + 0.36 + 0.0316666… + 0.06 + 0.5
        assert found.cost == near(0.9667666666666667)
        assert found.metrics["energy_kwh"] == near(kwh)
        assert found.metrics["loading_s"] == 60
        assert found.metrics["wait_mean_s"] == near((2 * 45 + 3 * 90) / 5)

    @pytest.mark.parametrize("done", [(1, 0, 0), (0, 3, 0), (0, 0, 4)])
    def test_no_slot_gives_more(self, done):
        assert not verify(self.instance, self.schedule(*done)).ok

    def test_zero_loading_time_leaves_the_whole_slot(self):
        instance = make_instance([[[45]]], start_ms=0, server_ms=1000)
        schedule = make_schedule(
            instance, commands=[(0, 0, "start", 0)], processing=[(0, 0, 0, 45)]
        )
        assert priced(instance, schedule).metrics["served"] == 45

    def test_loading_left_from_before_and_a_switch(self):
        # 50 s left before slot 0: 0 s, then 40 s usable; switched in slot 2 for 30 s: 15 s usable
        instance = make_instance(
            [[[0]], [[4]], [[1]]],
            models=2,
            class_model=1,
            switch_ms=30_000,
            switch_usd=0.25,
            server_ms=10_000,
            initial={"model": [1], "loading_ms": [50_000]},
        )
        schedule = make_schedule(instance, processing=[(1, 0, 0, 4)])
        assert priced(instance, schedule).metrics["served"] == 4
        back_and_forth = make_instance(
            [[[0]], [[0]], [[1]]],
            models=2,
            switch_ms=30_000,
            switch_usd=0.25,
            server_ms=15_000,
            initial={"model": [1], "loading_ms": [0]},
        )
        found = priced(
            back_and_forth,
            make_schedule(
                back_and_forth, commands=[(2, 0, "switch", 0)], processing=[(2, 0, 0, 1)]
            ),
        )
        assert found.costs_by_slot["switches"].tolist() == [0, 0, 0.25]
        assert (found.metrics["switches"], found.metrics["loading_s"]) == (1, 30)


def test_outage_ends_loading_and_the_start_is_paid_again():
    # on in slots 0 (loading), 2 (loading), 3 (30 s usable); down in slot 1
    instance = make_instance(
        [[[2]]] + [[[0]]] * 3,
        down=[(1, 0)],
        start_ms=60_000,
        start_usd=0.5,
        rent_usd_per_hour=80.0,  # 1 $ per slot of 1/80 h
        server_ms=15_000,
        deadline_slots=3,
    )
    commands = [(0, 0, "start", 0), (2, 0, "start", 0)]
    found = priced(instance, make_schedule(instance, commands=commands, processing=[(3, 0, 0, 2)]))
    assert found.costs_by_slot["starts"].tolist() == [0.5, 0, 0.5, 0]
    assert found.costs_by_slot["rent"] == near([1, 0, 1, 1])
    assert (found.metrics["starts"], found.metrics["loading_s"]) == (2, 120)
    uninterrupted = make_schedule(instance, commands=commands[:1], processing=[(3, 0, 0, 2)])
    assert "processing-off" in verify(instance, uninterrupted).counts


def test_a_stopped_server_costs_nothing_from_that_slot_on():
    instance = make_instance(
        [[[1]], [[0]], [[0]]],
        price=1.0,
        idle_kw=80.0,
        rent_usd_per_hour=160.0,
        initial={"model": [0]},
    )
    schedule = make_schedule(instance, commands=[(1, 0, "stop", None)], processing=[(0, 0, 0, 1)])
    found = priced(instance, schedule)
    assert found.costs_by_slot["energy"] == near([1, 0, 0])
    assert found.costs_by_slot["rent"] == near([2, 0, 0])


def test_hot_share_is_rounded_down_per_server():
    # h = 0.7: after 3 requests at most ⌊2.1⌋ = 2 are hot, after 4 ⌊2.8⌋ = 2, after 1 none
    instance = make_instance(
        [[[4]], [[1]], [[1]], [[0]], [[2]]],
        hot_permille=700,
        service_s=2.0,
        hot_service_s=0.5,
        initial={"model": [0], "processing": [[3]]},
        weights={"time_usd_per_s": 1.0},
    )
    processing = [(0, 0, 0, 4), (1, 0, 0, 1), (2, 0, 0, 1), (4, 0, 0, 2)]
    found = priced(instance, make_schedule(instance, processing=processing))
    # slot 0: 2 hot, 2 not = 1 + 4; slot 1: min(1, 2) hot = 0.5; slot 2: none hot = 2; slot 4: 4
    assert found.costs_by_slot["service"] == near([5, 0.5, 2, 0, 4])
    assert found.metrics["inference_mean_s"] == near(11.5 / 8)


def test_oldest_requests_leave_first_and_the_rest_expire():
    # deadline 1: slot 0 brings 3, slot 1 brings 2; one request is served in each of slots 0, 1, 2
    instance = make_instance(
        [[[3]], [[2]], [[0]], [[0]]],
        server_ms=45_000,
        initial={"model": [0]},
        weights={"time_usd_per_s": 0.1, "expiry_usd": 7.0},
    )
    found = priced(instance, make_schedule(instance, processing=[(t, 0, 0, 1) for t in range(3)]))
    # end of 0: 2 wait. End of 1: one of slot 0 was served, one expires, 2 of slot 1 wait.
    # End of 2: one of them was served, the other expires.
    assert found.costs_by_slot["waiting"] == near([9, 9, 0, 0])  # 2·45 s·0.1 $/s
    assert found.costs_by_slot["expiry"] == near([0, 7, 7, 0])
    assert found.metrics["wait_mean_s"] == near((0 + 45 + 45) / 3)
    assert found.metrics["expired_share"] == near(2 / 5)
    assert found.metrics["response_p50_s"] == 46
    assert found.metrics["response_p95_s"] == 46


def test_everything_left_expires_with_the_last_slot():
    instance = make_instance(
        [[[3]], [[2]]],
        deadline_slots=10,
        initial={"model": [0]},
        weights={"time_usd_per_s": 0.1, "expiry_usd": 7.0},
    )
    found = priced(instance, make_schedule(instance, processing=[(1, 0, 0, 1)]))
    assert found.costs_by_slot["expiry"] == near([0, 4 * 7])
    assert found.costs_by_slot["waiting"] == near([3 * 45 * 0.1, 0])


def test_backlog_is_served_first_and_its_earlier_wait_is_not_charged():
    # 1 request of age 1 and 2 of age 2, deadline 2: those of age 2 must go in slot 0
    instance = make_instance(
        [[[1]], [[0]], [[0]]],
        deadline_slots=2,
        latency_s=0.5,
        initial={"model": [0], "backlog": [[[1, 2]]]},
        weights={"time_usd_per_s": 1.0, "expiry_usd": 7.0},
        slo_s=100.0,
    )
    found = priced(instance, make_schedule(instance, processing=[(0, 0, 0, 1), (1, 0, 0, 2)]))
    # slot 0 serves one of age 2; the other expires. Slot 1 serves the one of age 1 (by now 2
    # slots old) and the new one (1 slot old). Network is charged once: it was paid for before.
    assert found.costs_by_slot["expiry"] == near([7, 0, 0])
    assert found.costs_by_slot["waiting"] == near([90, 0, 0])
    assert found.costs["network"] == near(0.5)
    assert found.metrics["wait_mean_s"] == near((90 + 90 + 45) / 3)
    assert found.metrics["network_mean_s"] == near(0.5 / 3)
    assert found.metrics["requests"] == 4
    assert found.metrics["slo_share"] == near(3 / 4)  # 91, 91, 46.5 s within 100 s; one expired


REROUTED = make_instance(
    [[[4], [0]], [[6], [0]], [[0], [0]], [[5], [0]]],
    initial={"routing": [[3, 1], [0, 2]]},
    weights={"time_usd_per_s": 0.0, "reroute_usd": 0.3, "frobenius_usd": 9.0},
    transfer_usd=[[[0.0], [0.01]], [[0.0], [0.0]]],
)


def test_rerouting_and_frobenius():
    # shares of origin east before slot 0: (3/4, 1/4); slot 0: (1/2, 1/2); slot 1: (2/3, 1/3);
    # slot 2 has no arrivals, so neither slot 2 nor slot 3 (0, 1) counts. West sends nothing.
    found = priced(
        REROUTED,
        make_schedule(REROUTED, moves=[(0, 0, 1, 0, 2), (1, 0, 1, 0, 2), (3, 0, 1, 0, 5)]),
    )
    # slot 0: min(4, 4)·½(1/4 + 1/4) = 1 request; slot 1: min(6, 4)·½(1/6 + 1/6) = 2/3
    assert found.costs_by_slot["rerouting"] == near([0.3, 0.2, 0, 0])
    # slot 0: 2·(1/4)² = 1/8; slot 1: 2·(1/6)² = 1/18
    assert found.costs_by_slot["frobenius"] == near([9 / 8, 0.5, 0, 0])
    assert found.metrics["rerouted_requests"] == near(5 / 3)
    assert found.metrics["frobenius"] == near(1 / 8 + 1 / 18)
    assert found.costs_by_slot["transfer"] == near([0.02, 0.02, 0, 0.05])


def test_negative_price_pays_for_running():
    # 45 s at 80 kW idle is 1 kWh, and 160 kW peak for the busy 9 s another 1/5 kWh
    instance = make_instance(
        [[[1]], [[0]]],
        price=[[-0.5], [0.1]],
        idle_kw=80.0,
        peak_kw=160.0,
        server_ms=9000,
        initial={"model": [0]},
        weights={"time_usd_per_s": 0.0, "energy_factor": 2.0},
    )
    found = priced(instance, make_schedule(instance, processing=[(0, 0, 0, 1)]))
    assert found.costs_by_slot["energy"] == near([-1.2, 0.2])
    assert found.metrics["energy_usd"] == near(-0.6 + 0.1)


def test_factors_weigh_costs_and_leave_metrics():
    instance = make_instance(
        [[[2], [0]]],
        models=2,
        latency_s=0.0,
        transfer_usd=0.25,
        rent_usd_per_hour=80.0,
        idle_kw=80.0,
        price=0.5,
        start_usd=3.0,
        switch_usd=5.0,
        initial={"model": [-1, 1]},
        weights={
            "energy_factor": 2.0,
            "rent_factor": 3.0,
            "transfer_factor": 4.0,
            "loading_factor": 5.0,
        },
    )
    schedule = make_schedule(instance, commands=[(0, 0, "start", 0), (0, 1, "switch", 0)])
    found = priced(instance, schedule)
    assert found.costs["transfer"] == near(4 * 2 * 0.25)
    assert found.costs["energy"] == near(2 * 2 * 0.5)
    assert found.costs["rent"] == near(3 * 2 * 1)
    assert found.costs["starts"] == near(5 * 3)
    assert found.costs["switches"] == near(5 * 5)
    assert found.metrics["transfer_usd"] == near(0.5)
    assert found.metrics["energy_usd"] == near(1)
    assert found.metrics["rent_usd"] == near(2)
    assert found.metrics["overhead_usd"] == near(8)


def test_load_balance_counts_active_servers_in_slots_with_work():
    # slot 0: utilisations 1 and 0, CV 1, balance 1/2; slot 1: 2/5 and 2/5, balance 1; slot 2: none.
    # The third server is off and does not count.
    instance = make_instance(
        [[[5]], [[4]], [[0]]],
        server_region=[0, 0, 0],
        server_ms=9000,
        initial={"model": [0, 0, -1]},
    )
    processing = [(0, 0, 0, 5), (1, 0, 0, 2), (1, 1, 0, 2)]
    found = priced(instance, make_schedule(instance, processing=processing))
    assert found.metrics["load_balance"] == near((1 / 2 + 1) / 2)


def test_percentiles_and_target_over_servers_of_two_types():
    # 20 requests at once: 19 on a server that takes 1 s, one on a server that takes 3 s
    instance = make_instance(
        [[[20]]],
        types=2,
        server_region=[0, 0],
        server_type=[0, 1],
        service_s=[[1.0], [3.0]],
        hot_service_s=[[1.0], [3.0]],
        latency_s=0.25,
        slo_s=1.25,
        initial={"model": [0, 0]},
    )
    found = priced(instance, make_schedule(instance, processing=[(0, 0, 0, 19), (0, 1, 0, 1)]))
    # 95 % of 20 is the 19th smallest, 99 % the 20th; a response equal to the target is within it
    assert found.metrics["response_p50_s"] == 1.25
    assert found.metrics["response_p95_s"] == 1.25
    assert found.metrics["response_p99_s"] == 3.25
    assert found.metrics["slo_share"] == near(19 / 20)
    assert found.metrics["response_mean_s"] == near((19 * 1.25 + 3.25) / 20)


def test_prediction_accuracy():
    # slot 0 is not predicted; slot 1: |5−4|/5 and |0−0|/1; slot 2: |2−0|/1 and |3−3|/4
    instance = make_instance([[[1], [1]], [[4], [0]], [[0], [3]]])
    forecast = [[99.0, 99.0], [5.0, 0.0], [2.0, 3.0]]
    found = evaluate(instance, make_schedule(instance, forecast=forecast))
    assert found.metrics["prediction_accuracy"] == near(math.exp(-(0.2 + 0 + 2 + 0) / 4))
    assert evaluate(instance, make_schedule(instance)).metrics["prediction_accuracy"] is None


def test_nothing_arrives():
    instance = make_instance([[[0]], [[0]]])
    found = priced(instance, make_schedule(instance))
    assert found.cost == 0
    absent = {name for name, value in found.metrics.items() if value is None}
    assert absent == {
        "response_mean_s",
        "response_p50_s",
        "response_p95_s",
        "response_p99_s",
        "wait_mean_s",
        "inference_mean_s",
        "network_mean_s",
        "slo_share",
        "expired_share",
        "load_balance",
        "prediction_accuracy",
    }


def test_nothing_is_served():
    instance = make_instance([[[3]]], weights={"expiry_usd": 2.0})
    found = priced(instance, make_schedule(instance))
    assert found.cost == 6
    assert (found.metrics["slo_share"], found.metrics["expired_share"]) == (0, 1)
    assert found.metrics["response_mean_s"] is None


def test_large_counts_do_not_lose_requests():
    instance = make_instance(
        [[[MAX_COUNT], [MAX_COUNT]]] * 400,
        latency_s=0.5,
        deadline_slots=0,
        weights={"time_usd_per_s": 1.0, "expiry_usd": 1.0},
    )
    schedule = make_schedule(instance, moves=[(t, 0, 1, 0, MAX_COUNT) for t in range(400)])
    found = evaluate(instance, schedule)
    assert found.costs["expiry"] == 800 * MAX_COUNT
    assert found.costs["network"] == 400 * MAX_COUNT
    assert found.metrics["requests"] == 800 * MAX_COUNT

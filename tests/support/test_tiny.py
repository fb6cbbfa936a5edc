"""The helpers themselves: the brute force against plain enumeration, what generators promise."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from support.plain import make_instance, make_schedule
from support.reference import broken_rules, simulate
from support.sizes import examples
from support.tiny import (
    TINIEST,
    TooLarge,
    brute_force_optimum,
    random_feasible_schedule,
    random_tiny_instance,
)

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.document import instance_from_document, instance_to_document
from torta_opt.allocation.schedule.data import Schedule


def all_schedules(instance: Instance) -> Iterator[Schedule]:
    """Every table of counts and commands that could be legal, and many that are not."""
    t, r, c = instance.arrivals.shape
    s, models = len(instance.system.servers), len(instance.system.models)
    commands = [(0, -1), (2, -1), *((told, m) for told in (1, 3) for m in range(models))]
    waiting = instance.initial.backlog.sum(axis=(0, 2))
    most = waiting + instance.arrivals.sum(axis=(0, 1))
    routes = [
        range(instance.arrivals[slot, i, of] + 1) for slot, i, _, of in np.ndindex(t, r, r, c)
    ]
    work = [range(most[of] + 1) for _, _, of in np.ndindex(t, s, c)]
    for routing in itertools.product(*routes):
        table = np.reshape(routing, (t, r, r, c))
        if not np.array_equal(table.sum(axis=2), instance.arrivals):
            continue
        for told in itertools.product(commands, repeat=t * s):
            command, model = np.array(told).T.reshape(2, t, s)
            for processing in itertools.product(*work):
                yield Schedule(table, command, model, np.reshape(processing, (t, s, c)))


def least_cost(instance: Instance) -> Fraction:
    legal = (one for one in all_schedules(instance) if not broken_rules(instance, one))
    return min(simulate(instance, one).cost for one in legal)


SIZES = [
    # regions, models, servers, classes, slots
    (1, 2, 1, 1, 2),
    (1, 1, 1, 2, 2),
    (2, 2, 1, 1, 1),
    (2, 1, 2, 1, 1),
    pytest.param((1, 1, 1, 1, 3), marks=pytest.mark.slow),
]


class TestBruteForce:
    @pytest.mark.parametrize("sizes", SIZES)
    def test_finds_what_plain_enumeration_finds(self, sizes):
        names = ("regions", "models", "servers", "classes", "slots")
        limits = replace(TINIEST, requests=1, backlog=0.3)
        for seed in range(examples(15)):
            rng = np.random.default_rng(seed)
            instance = random_tiny_instance(rng, limits, **dict(zip(names, sizes, strict=True)))
            assert brute_force_optimum(instance).cost == least_cost(instance), f"seed {seed}"

    def test_its_schedule_is_legal_and_costs_what_it_says(self):
        beaten, count = 0, examples(60)
        for seed in range(count):
            rng = np.random.default_rng(seed)
            instance = random_tiny_instance(rng, TINIEST)
            best = brute_force_optimum(instance)
            assert broken_rules(instance, best.schedule) == set()
            assert simulate(instance, best.schedule).cost == best.cost
            for _ in range(5):
                other = simulate(instance, random_feasible_schedule(instance, rng)).cost
                assert other >= best.cost
                beaten += other > best.cost
        assert beaten > 5 * count // 3

    def test_by_hand(self):
        # A request costs 1 $ if it expires, 0.1 $ if it is served (1 s at 0.1 $/s); the server is
        # off. Two requests, a start of 0.7 $: 0.9 $. One request: 0.8 $. A start of 0.95 $ is too
        # dear for one request: it expires.
        def cheapest(requests: int, start_usd: float) -> Fraction:
            instance = make_instance(
                [[[requests]]],
                start_usd=start_usd,
                weights={"time_usd_per_s": 0.1, "expiry_usd": 1.0},
            )
            return brute_force_optimum(instance).cost

        assert float(cheapest(2, 0.7)) == pytest.approx(0.9, rel=1e-12)
        assert float(cheapest(1, 0.7)) == pytest.approx(0.8, rel=1e-12)
        assert cheapest(1, 0.95) == 1

    def test_waits_for_a_cheap_slot(self):
        # Serving in slot 0 costs 0.5 kWh·3 $; a wait of 45 s costs 0.9 $, and slot 1 is free
        instance = make_instance(
            [[[1]], [[0]]],
            price=[[3.0], [0.0]],
            peak_kw=40.0,
            server_ms=45_000,
            initial={"model": [0]},
            weights={"time_usd_per_s": 0.02, "expiry_usd": 9.0},
        )
        best = brute_force_optimum(instance)
        assert best.schedule.processing[:, 0, 0].tolist() == [0, 1]
        assert float(best.cost) == pytest.approx(0.02 * (45 + 1), rel=1e-12)

    def test_says_so_when_there_is_too_much(self):
        instance = random_tiny_instance(np.random.default_rng(1), regions=3, servers=4, slots=5)
        with pytest.raises(TooLarge):
            brute_force_optimum(instance, max_states=1000)


class TestGenerators:
    def test_same_seed_same_instance_and_schedule(self):
        def made() -> tuple[dict, Schedule]:
            rng = np.random.default_rng(42)
            instance = random_tiny_instance(rng)
            return instance_to_document(instance), random_feasible_schedule(instance, rng)

        (one, first), (two, second) = made(), made()
        assert one == two
        assert np.array_equal(first.processing, second.processing)
        assert np.array_equal(first.command, second.command)

    def test_instances_survive_a_file(self):
        for seed in range(examples(200)):
            instance = random_tiny_instance(np.random.default_rng(seed))
            made = instance_to_document(instance)
            assert instance_to_document(instance_from_document(made)) == made

    def test_schedules_are_legal(self):
        for seed in range(examples(300)):
            rng = np.random.default_rng(seed)
            instance = random_tiny_instance(rng)
            assert broken_rules(instance, random_feasible_schedule(instance, rng)) == set()

    def test_sizes_can_be_fixed(self):
        rng = np.random.default_rng(0)
        instance = random_tiny_instance(rng, regions=3, servers=2, classes=1, slots=4)
        assert instance.arrivals.shape == (4, 3, 1)
        assert len(instance.system.servers) == 2

    def test_hand_made_schedules_keep_requests_at_home(self):
        instance = make_instance([[[2], [5]]])
        schedule = make_schedule(instance, moves=[(0, 1, 0, 0, 3)])
        assert schedule.routing[0, :, :, 0].tolist() == [[2, 0], [3, 2]]
        assert broken_rules(instance, schedule) == set()

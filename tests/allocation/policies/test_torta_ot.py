"""TORTA without learning: equations (6)-(10) and Alg. 1 against plain loops; its macro layer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plain import make_instance
from support.sizes import examples
from support.tiny import random_tiny_instance, tiny_instances

from torta_opt.allocation.instance.data import OFF, Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies.activation import Activation
from torta_opt.allocation.policies.dispatch import SlotCapacity, Tables
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.routing import apportion
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.scores import (
    Recent,
    hardware_score,
    load_score,
    match,
    similarity,
)
from torta_opt.allocation.policies.settings import Settings
from torta_opt.allocation.policies.torta_ot import (
    Parameters,
    TransportTarget,
    fitted,
    restricted,
    spilled,
)
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.io import InvalidInput

VARIANTS = (
    *("torta_ot:split=sample", "torta_ot:target=capacity", "torta_ot:load_weight=0"),
    "torta_ot:reach=able",
)


def system_of(seed: int):
    sizes = {"regions": 2, "servers": 4, "classes": 3, "types": 3, "models": 2}
    return random_tiny_instance(np.random.default_rng(seed), **sizes).system


class Seen:
    """An observation, as far as a test needs it."""

    def __init__(self, instance: Instance, **changes):
        self.up = np.ones(len(instance.system.servers), bool)
        self.price = np.full(len(instance.system.regions), 0.1)
        self.arrivals = instance.arrivals[0]
        vars(self).update(changes)


@pytest.mark.parametrize("variant", VARIANTS)
class TestVariants:
    @settings(max_examples=examples(120))
    @given(instance=tiny_instances(), seed=st.integers(0, 2**32 - 1))
    def test_break_no_rule(self, variant: str, instance: Instance, seed: int):
        found = verify(instance, run(create(variant), instance, seed).schedule)
        assert found.ok, found.violations

    def test_same_seed_same_schedule(self, variant: str):
        instance = random_tiny_instance(np.random.default_rng(5), slots=5, regions=3, servers=4)
        one, two = (run(create(variant), instance, 3).schedule for _ in range(2))
        assert np.array_equal(one.routing, two.routing)
        assert np.array_equal(one.processing, two.processing)


def test_another_seed_samples_otherwise_but_apportions_the_same():
    arrivals = np.full((4, 3, 1), 50)
    rng = np.random.default_rng(0)
    instance = make_instance(
        arrivals, server_region=[0, 1, 1, 2], latency_s=rng.random((3, 3)), start_ms=1000
    )
    for split, same in (("apportion", True), ("sample", False)):
        one, two = (run(create(f"torta_ot:split={split}"), instance, seed) for seed in (1, 2))
        assert np.array_equal(one.schedule.routing, two.schedule.routing) is same


class TestParameters:
    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("torta_ot:split=half", "split: must be one of apportion, sample"),
            ("torta_ot:target=price", "target: must be one of equal, capacity"),
            ("torta_ot:decay=-1", r"decay: must be a number in \[0, 1e\+09\], found -1"),
            ("torta_ot:headroom=0", r"headroom: must be a number in \[1e-06"),
            ("torta_ot:queue_ms=soon", "queue_ms: must be a number"),
            ("torta_ot:colour=red", "colour: is not a parameter"),
        ],
    )
    def test_bad_ones_are_refused(self, spec: str, message: str):
        with pytest.raises(InvalidInput, match=message):
            create(spec)

    def test_own_and_shared_ones_are_set(self):
        policy = create("torta_ot:decay=2:safety=3")
        assert (policy.parameters.decay, policy.settings.safety) == (2, 3)


# --- macro layer --------------------------------------------------------------------------------


class TestTarget:
    def target(self, instance: Instance, seen: Seen, **parameters) -> TransportTarget:
        target = TransportTarget(Tables(instance.system), Parameters(**parameters))
        target.see(seen, instance.arrivals[0].astype(float))
        return target

    def test_shares_move_every_region_to_its_capacity_share(self):
        """Two servers west, six east, all requests in the west: a quarter stays."""
        instance = make_instance([[[40], [0]]], server_region=[0] * 2 + [1] * 6)
        shares = self.target(instance, Seen(instance)).shares(np.array([40, 0]))
        assert shares[0] == pytest.approx([0.25, 0.75])
        assert shares[1] == pytest.approx([0, 1])

    def test_down_servers_are_no_capacity(self):
        instance = make_instance([[[40], [0]]], server_region=[0, 0, 1, 1])
        seen = Seen(instance, up=np.array([True, True, False, True]))
        shares = self.target(instance, seen).shares(np.array([40, 0]))
        assert shares[0] == pytest.approx([2 / 3, 1 / 3])

    def test_capacity_counts_speed(self):
        instance = make_instance(
            [[[40], [0]]], types=2, server_type=[0, 1], server_ms=[[1000], [3000]]
        )
        shares = self.target(instance, Seen(instance)).shares(np.array([40, 0]))
        assert shares[0] == pytest.approx([0.75, 0.25])

    def test_prices_have_no_say_when_equal_but_do_with_capacities(self):
        latency = np.array([[0.0, 0.1], [0.1, 0.0]])
        weights = {"time_usd_per_s": 1e-6}
        instance = make_instance([[[10], [10]]], peak_kw=1.0, latency_s=latency, weights=weights)
        seen = Seen(instance)
        seen.price = np.array([0.5, 0.1])
        for weight in (1.0, 1000.0):
            equal = self.target(instance, seen, power_weight=weight)
            assert equal.shares(np.array([10, 10])) == pytest.approx(np.eye(2))
        aware = self.target(instance, seen, target="capacity", headroom=1.0)
        assert aware.shares(np.array([10, 10]))[:, 1] == pytest.approx([1, 1])
        tight = self.target(instance, seen, target="capacity", headroom=1e-6)
        assert tight.shares(np.array([10, 10])) == pytest.approx(np.eye(2))

    def test_data_residency_goes_before_capacity_shares(self):
        latency = np.array([[0.0, np.nan], [0.1, 0.0]])
        instance = make_instance([[[30], [10]]], latency_s=latency)
        shares = self.target(instance, Seen(instance)).shares(np.array([30, 10]))
        assert shares[0].tolist() == [1, 0]

    def test_nothing_up_or_nothing_to_send(self):
        instance = make_instance([[[3], [5]]])
        seen = Seen(instance, up=np.zeros(2, bool))
        assert self.target(instance, seen).shares(np.array([3, 5])).sum() == pytest.approx(2)
        idle = self.target(instance, Seen(instance)).shares(np.array([0, 0]))
        assert idle == pytest.approx(np.eye(2))

    @settings(max_examples=examples(100))
    @given(instance=tiny_instances())
    def test_rows_are_shares_of_allowed_regions(self, instance: Instance):
        for name in ("equal", "capacity"):
            target = self.target(instance, Seen(instance), target=name)
            shares = target.shares(instance.arrivals[0].sum(axis=1))
            assert shares.sum(axis=1) == pytest.approx(np.ones(len(shares)))
            assert (shares >= 0).all()
            assert not shares[~instance.system.allowed].any()


@st.composite
def plans(draw):
    """A plan, where a class may go, its requests, and room for them."""
    regions = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = rng.dirichlet(np.full(regions, 0.3), regions)
    open_to = (rng.random((regions, regions)) < 0.6) | np.eye(regions, dtype=bool)
    requests = rng.integers(0, 9, regions)
    room = rng.integers(0, 9, regions) * (rng.random(regions) < 0.7)
    return share, open_to, requests, room


class TestFitted:
    @settings(max_examples=examples(200))
    @given(plan=plans(), leak=st.sampled_from([0.0, 0.01, 1.0]))
    def test_rows_are_shares_of_open_regions_with_room(self, plan, leak: float):
        share, open_to, requests, room = plan
        share = restricted(share, np.ones(share.shape), open_to)
        found = fitted(share, open_to, requests, room, leak)
        assert found.sum(axis=1) == pytest.approx(np.ones(len(found)))
        assert not found[~open_to].any()
        reaches = ((share + leak > 0) & open_to & (room > 0)).any(axis=1)
        assert not found[reaches][:, room == 0].any()
        assert np.array_equal(found[~reaches], share[~reaches])

    def test_fills_regions_in_proportion_to_their_room(self):
        rng = np.random.default_rng(3)
        share, requests, room = rng.dirichlet(np.ones(6), 6), rng.integers(1, 50, 6), rng.random(6)
        flow = fitted(share, np.ones((6, 6), bool), requests, room, 0.01) * requests[:, None]
        assert flow.sum(axis=0) == pytest.approx(room / room.sum() * requests.sum(), rel=0.01)

    def test_a_plan_that_fits_already_stays(self):
        share, requests = np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([20, 10])
        found = fitted(share, np.ones((2, 2), bool), requests, np.array([1, 2]), 0.0)
        assert found == pytest.approx(share, abs=1e-6)

    def test_of_all_that_fit_it_is_the_nearest(self):
        """Moving mass around a cycle keeps the marginals and raises the relative entropy."""
        rng = np.random.default_rng(4)
        share, requests, room = (
            rng.dirichlet(np.ones(3), 3),
            np.array([4, 5, 6]),
            np.array([5, 5, 5]),
        )
        flow = fitted(share, np.ones((3, 3), bool), requests, room, 0.0) * requests[:, None]
        prior = share * requests[:, None]

        def entropy(mass: np.ndarray) -> float:
            return float((mass * np.log(mass / prior)).sum())

        for i, k, j, n in ((0, 1, 0, 1), (0, 2, 1, 2), (1, 2, 0, 2)):
            for step in (-0.05, 0.05):
                other = flow.copy()
                other[[i, k], [j, n]] += step
                other[[i, k], [n, j]] -= step
                assert entropy(other) > entropy(flow)

    @settings(max_examples=examples(200))
    @given(plan=plans())
    def test_what_finds_no_room_is_spilled_where_there_is_some(self, plan):
        share, open_to, requests, room = plan
        flow = apportion(requests, restricted(share, np.ones(share.shape), open_to))
        found = spilled(flow, room, open_to, np.ones(share.shape))
        assert (found >= 0).all()
        assert np.array_equal(found.sum(axis=1), requests)
        assert not found[~open_to].any()
        over = np.maximum(flow.sum(axis=0) - room, 0).sum()
        assert np.maximum(found.sum(axis=0) - room, 0).sum() <= over
        if open_to.all() and over:
            left = np.maximum(room - found.sum(axis=0), 0).sum()
            assert left == 0 or np.maximum(found.sum(axis=0) - room, 0).sum() == 0

    def test_regions_with_fewer_servers_than_models_do_not_switch_all_the_time(self):
        instance = generate("paper/gabriel", 0).cut(0, 40)
        switches = {
            reach: evaluate(
                instance, run(create(f"torta_ot:reach={reach}"), instance).schedule
            ).metrics["switches"]
            for reach in ("held", "able")
        }
        assert switches["held"] < switches["able"] / 4


class TestApportion:
    @settings(max_examples=examples(200))
    @given(
        requests=st.lists(st.integers(0, 10**6), min_size=1, max_size=5),
        places=st.integers(1, 6),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_rows_are_exact_and_remainders_largest(self, requests, places, seed):
        requests = np.array(requests)
        share = np.random.default_rng(seed).random((len(requests), places)) ** 3
        share /= share.sum(axis=1, keepdims=True)
        flow = apportion(requests, share)
        exact = requests[:, None] * share
        assert (flow.sum(axis=1) == requests).all()
        assert (np.abs(flow - exact) < 1 + 1e-6).all()
        rest = exact - np.floor(exact)
        for row, fraction in zip(flow - np.floor(exact), rest, strict=True):
            up, down = fraction[row > 0.5], fraction[row < 0.5]
            if up.size and down.size:
                assert up.min() >= down.max() - 1e-6


# --- micro layer --------------------------------------------------------------------------------


class TestEquation6:
    @pytest.mark.parametrize("seed", range(examples(30)))
    def test_equal_servers_are_activated_to_the_letter(self, seed: int):
        rng = np.random.default_rng(seed)
        queue, expected = int(rng.integers(0, 60)), int(rng.integers(1, 200))
        safety, count = float(rng.choice([0.0, 1.0, 2.5])), 12
        work_ms, slot_ms = int(rng.integers(1000, 9000)), 45_000
        instance = make_instance([[[expected]]], server_region=[0] * count, server_ms=work_ms)
        tables, chosen = Tables(instance.system), Settings(safety=safety, gradual=1.0)
        off, none = np.full(count, OFF), np.zeros((count, 1), int)
        state = Seen(instance, model=off, loading_ms=np.zeros(count, int), processing=none)
        seen = Seen(instance, state=state)
        activation = Activation(tables, chosen)
        plan = activation.plan(seen)
        plan.lay(0, np.array([queue]))
        plan.lay(0, np.ceil(np.array([expected + safety * math.sqrt(expected)]) - 1e-9).astype(int))
        command, _ = activation.commands(plan, seen)
        per_server = slot_ms // work_ms
        demand = queue + expected + safety * math.sqrt(expected)
        target = min(count, math.ceil(math.ceil(demand - 1e-9) / per_server))
        assert (command != 0).sum() == target


@pytest.mark.parametrize("seed", range(20))
class TestScoresAgainstPlainLoops:
    def test_hardware(self, seed: int):
        system = system_of(seed)
        score = hardware_score(system, 0.25)
        for k, c in np.ndindex(score.shape):
            able = [n for n in range(len(system.types)) if system.usable_by[n, c]]
            if k not in able:
                assert score[k, c] == 0
                continue
            fastest = min(int(system.server_ms[n, c]) for n in able)
            speed = min(1.0, fastest / int(system.server_ms[k, c]))
            holds = 1.0 if system.start_ms[k, system.class_model[c]] >= 0 else 0.0
            energy = {n: system.peak_kw[n] * system.server_ms[n, c] for n in able}
            kind = 1.0 if energy[k] <= 1.25 * min(energy.values()) else 0.5
            assert score[k, c] == pytest.approx(speed * min(1.0, holds) * kind)

    def test_load(self, seed: int):
        util, queue, capacity = np.random.default_rng(seed).random(3) + 0.1
        score = float(load_score(np.array((util + queue) / capacity)))
        assert score == pytest.approx(math.exp(-(util + queue) / capacity))

    def test_locality(self, seed: int):
        rng, system, decay, w_m, w_c = np.random.default_rng(seed), system_of(seed), 0.4, 0.7, 0.2
        servers, classes, slots = 4, 3, 6
        done = rng.integers(0, 4, (slots, servers, classes)) * (
            rng.random((slots, servers, 1)) < 0.7
        )
        off = rng.random((slots, servers)) < 0.15
        recent = Recent(servers, classes, decay)
        for t in range(slots):
            recent.update(done[t], off[t])
        score = recent.score(similarity(system, w_m, w_c))
        for s, i in np.ndindex(servers, classes):
            plain, since = 0.0, max((t + 1 for t in range(slots) if off[t, s]), default=0)
            for t in range(since, slots):
                tasks = done[t, s].sum()
                for j in range(classes):
                    same = system.class_model[i] == system.class_model[j]
                    sim = w_m * same + w_c * (i == j)
                    if tasks:
                        plain += done[t, s, j] / tasks * sim / math.exp(decay * (slots - t))
            assert score[s, i] == pytest.approx(plain)

    @pytest.mark.parametrize("weight", [0.0, 0.1, 0.3, 2.0])
    def test_matching_is_the_greedy_of_algorithm_1(self, seed: int, weight: float):
        rng = np.random.default_rng(seed)
        servers, work_ms, queue_ms = 6, int(rng.integers(1000, 6000)), float(rng.choice([0, 500]))
        instance = make_instance(
            [[[1], [1]]], server_region=rng.integers(0, 2, servers), server_ms=work_ms
        )
        usable = rng.choice([0, 20_000, 45_000], servers)
        desk = SlotCapacity(
            Tables(instance.system), usable, np.zeros(servers, int), np.zeros((servers, 1))
        )
        first = np.minimum(rng.integers(0, 3, servers), desk.room(0))
        desk.take(0, first)
        base, wanted = rng.random(servers), rng.integers(0, 30, 2)
        units = match(0, wanted, desk, base, weight, queue_ms)
        region = instance.system.server_region
        assert units.tolist() == one_by_one(
            wanted, region, usable, first, base, weight, work_ms, queue_ms
        )


def one_by_one(wanted, region, usable, first, base, weight, work_ms, queue_ms) -> list[int]:
    """Request by request to the highest score among servers with room."""
    taken = [0] * len(usable)
    for r, requests in enumerate(wanted):
        for _ in range(requests):
            best, score_of_best = None, -math.inf
            for s in range(len(usable)):
                util = (first[s] + taken[s]) * work_ms
                if region[s] != r or util + work_ms > usable[s]:
                    continue
                queue = (first[s] + taken[s]) * queue_ms
                score = base[s] + weight * math.exp(-(util + queue) / usable[s])
                if score > score_of_best:
                    best, score_of_best = s, score
            if best is not None:
                taken[best] += 1
    return taken


class TestBuffer:
    def test_what_expires_first_is_served_first(self):
        """One server for four requests a slot: the class that must go now goes before the other."""
        instance = make_instance(
            [[[6, 4]], [[0, 0]], [[0, 0]]],
            deadline_slots=[2, 0],
            server_ms=10_000,
            initial={"model": [0]},
        )
        schedule = run(create("torta_ot"), instance).schedule
        assert schedule.processing[:, 0].tolist() == [[0, 4], [4, 0], [2, 0]]
        assert evaluate(instance, schedule).metrics["expired"] == 0

    def test_what_waits_activates_servers(self):
        instance = make_instance(
            np.concatenate([np.full((1, 1, 1), 16), np.zeros((5, 1, 1), int)]),
            server_region=[0, 0],
            server_ms=10_000,
            start_ms=[[45_000]],
            deadline_slots=3,
            initial={"model": [0, -1]},
        )
        schedule = run(create("torta_ot"), instance).schedule
        assert schedule.processing[:, 1].sum() > 0
        assert evaluate(instance, schedule).metrics["expired"] == 0

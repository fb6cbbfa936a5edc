"""Requests handed to servers in closed form, against handing them out one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plain import make_instance
from support.tiny import random_tiny_instance

from torta_opt.allocation.policies.dispatch import (
    NEVER_MS,
    SlotCapacity,
    Tables,
    fill_evenly,
    fill_in_order,
    fill_to_line,
    sum_by,
)


class Case:
    """Members of groups with room, and what each group wants handed out."""

    def __init__(self, seed: int):
        rng = np.random.default_rng(seed)
        members, self.groups = rng.integers(1, 9), int(rng.integers(1, 4))
        self.group = rng.integers(0, self.groups, members)
        self.room = rng.integers(0, 6, members)
        self.wanted = rng.integers(0, 14, self.groups)
        self.level = rng.integers(0, 5, members).astype(float)
        self.rank = rng.permutation(members)
        self.rng = rng

    def one_by_one(self, level_after: Callable[[int, int], float]) -> np.ndarray:
        """Each unit to the lowest level of its group; ``level_after(member, units)``."""
        units = np.zeros_like(self.room)
        for g, wanted in enumerate(self.wanted):
            for _ in range(wanted):
                free = [s for s in np.flatnonzero(self.group == g) if units[s] < self.room[s]]
                if free:
                    units[min(free, key=lambda s: (level_after(s, units[s]), self.rank[s]))] += 1
        return units


SEEDS = st.integers(0, 2**32 - 1)


class TestFillInOrder:
    @given(SEEDS)
    def test_is_one_by_one_in_order(self, seed: int):
        case = Case(seed)
        units = fill_in_order(case.wanted, case.group, case.room, case.level, case.rank)
        assert units.tolist() == case.one_by_one(lambda s, n: case.level[s]).tolist()

    def test_second_rank_breaks_ties_of_the_first(self):
        first, second = np.array([1, 0, 1]), np.array([1, 5, 0])
        units = fill_in_order(np.array([5]), np.zeros(3, int), np.array([3, 3, 3]), first, second)
        assert units.tolist() == [0, 3, 2]

    def test_reals_stay_reals(self):
        units = fill_in_order(np.array([1.5]), np.zeros(2, int), np.array([1.0, 1.0]), np.arange(2))
        assert units.tolist() == [1.0, 0.5]

    def test_no_members(self):
        none = np.zeros(0, int)
        assert fill_in_order(np.array([3]), none, none, none).size == 0


class TestFillEvenly:
    @given(SEEDS)
    def test_equal_steps_are_one_by_one(self, seed: int):
        case = Case(seed)
        one = np.ones(len(case.room))
        units = fill_evenly(case.wanted, case.group, case.room, case.level, one, case.rank)
        assert units.tolist() == case.one_by_one(lambda s, n: case.level[s] + n).tolist()

    @given(SEEDS)
    def test_unequal_steps_hand_out_all_there_is_room_for(self, seed: int):
        case = Case(seed)
        step = case.rng.uniform(0.1, 3, len(case.room))
        units = fill_evenly(case.wanted, case.group, case.room, case.level, step, case.rank)
        assert (units >= 0).all()
        assert (units <= case.room).all()
        given_out = sum_by(case.group, units, case.groups)
        room = sum_by(case.group, case.room, case.groups)
        assert given_out.tolist() == np.minimum(case.wanted, room).tolist()

    @given(SEEDS)
    def test_no_unit_would_be_better_off_by_more_than_its_step(self, seed: int):
        """Nobody stands above another, who has room, by more than a unit of either."""
        case = Case(seed)
        step = case.rng.uniform(0.1, 3, len(case.room))
        units = fill_evenly(case.wanted, case.group, case.room, case.level, step, case.rank)
        level = case.level + step * units
        for s in np.flatnonzero(units > 0):
            rivals = (case.group == case.group[s]) & (units < case.room)
            assert (level[s] - step[s] <= level[rivals] + step[rivals] + 1e-6).all()

    def test_millions_of_requests_take_no_longer(self):
        units = fill_evenly(
            np.array([10**9]), np.zeros(3, int), np.full(3, 10**10), np.zeros(3), np.ones(3)
        )
        assert sorted(units.tolist()) == [333_333_333, 333_333_333, 333_333_334]


class TestFillToLine:
    @given(SEEDS)
    def test_is_one_by_one_whatever_the_level(self, seed: int):
        """Levels that grow in any way with the units, here quadratically."""
        case = Case(seed)

        def units_below(line: np.ndarray) -> np.ndarray:
            reach = np.sqrt(np.maximum(line[case.group] - case.level, 0))
            return np.clip(np.ceil(reach), 0, case.room)

        units = fill_to_line(case.wanted, case.group, units_below, 0.0, 100.0, case.room, case.rank)
        level = case.one_by_one(lambda s, n: case.level[s] + n**2)
        assert units.tolist() == level.tolist()


class TestTables:
    @pytest.fixture
    def tables(self) -> Tables:
        instance = make_instance(
            np.ones((1, 2, 2), int),
            models=2,
            types=2,
            class_model=[0, 1],
            server_region=[0, 0, 1],
            server_type=[0, 1, 0],
            server_ms=[[1000, 2000], [50_000, 4000]],  # class 0 fits no slot of type 1
            service_s=[[2.0, 3.0], [4.0, 5.0]],
            idle_kw=[1.0, 2.0],
            peak_kw=[4.6, 2.0],
            rent_usd_per_hour=[[8.0, 0.0], [0.0, 0.0]],
            weights={"time_usd_per_s": 0.5, "rent_factor": 2.0, "energy_factor": 3.0},
        )
        return Tables(instance.system)

    def test_servers_first(self, tables: Tables):
        assert tables.sizes == (2, 3, 2)
        assert tables.work_ms.tolist() == [[1000, 2000], [NEVER_MS, 4000], [1000, 2000]]
        assert tables.can_serve.tolist() == [[True, True], [False, True], [True, True]]
        assert tables.region_can_serve.all()

    def test_least_choice_comes_first(self, tables: Tables):
        assert tables.class_order.tolist() == [0, 1]

    def test_dollars(self, tables: Tables):
        price = np.array([0.2, -0.1])
        kwh = 3.6 * 1000 / 3.6e6
        serve = tables.serve_usd(price)
        assert serve[0, 0] == pytest.approx(0.5 * 2 + 3 * 0.2 * kwh)
        assert serve[2, 0] == pytest.approx(0.5 * 2 - 3 * 0.1 * kwh)
        assert serve[1, 0] == np.inf
        slot_hours = 45 / 3600
        on = [(3 * 0.2 + 2 * 8) * slot_hours, 3 * 0.2 * 2 * slot_hours, -0.3 * slot_hours]
        assert tables.on_usd(price) == pytest.approx(on)

    def test_busy_time_is_that_of_the_referee(self):
        for seed in range(20):
            system = random_tiny_instance(np.random.default_rng(seed)).system
            tables = Tables(system)
            one_each = tables.can_serve.astype(int)
            expected = (one_each * system.server_ms[system.server_type]).sum(axis=1)
            assert tables.busy_ms(one_each).tolist() == expected.tolist()


class TestDesk:
    @pytest.fixture
    def desk(self) -> SlotCapacity:
        instance = make_instance(
            np.ones((1, 1, 2), int),
            models=2,
            class_model=[0, 1],
            server_region=[0, 0],
            server_ms=[[1000, 2000]],
            hot_permille=500,
        )
        last = np.array([[5, 0], [0, 2]])
        return SlotCapacity(Tables(instance.system), np.array([4500, 9000]), np.array([0, 1]), last)

    def test_room_only_where_the_model_is_loaded(self, desk: SlotCapacity):
        assert desk.room(0).tolist() == [4, 0]
        assert desk.room(1).tolist() == [0, 4]
        assert desk.region_room(1).tolist() == [4]

    def test_what_is_taken_is_gone(self, desk: SlotCapacity):
        desk.take(0, np.array([3, 0]))
        assert desk.free_ms.tolist() == [1500, 9000]
        assert desk.room(0).tolist() == [1, 0]
        assert desk.processing.tolist() == [[3, 0], [0, 0]]

    def test_hot_quota_rounds_down(self, desk: SlotCapacity):
        assert desk.hot_quota.tolist() == [[2, 0], [0, 1]]

"""Grouping servers into pools, and how long they load."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from support.sizes import examples
from support.tiny import random_neighbour, random_tiny_instance, tiny_instances

from torta_opt.allocation.formulations.pools import Pools, loading_slots
from torta_opt.allocation.instance import OFF, Instance
from torta_opt.allocation.schedule import Command, Schedule
from torta_opt.allocation.schedule.timeline import trace_servers


@given(tiny_instances())
def test_servers_of_a_pool_differ_only_before_slot_0(instance: Instance) -> None:
    pools, system = Pools.of(instance), instance.system
    assert sorted(s for p in range(len(pools)) for s in pools.members(p)) == list(
        range(len(system.servers))
    )
    for p in range(len(pools)):
        members = pools.members(p)
        assert (system.server_region[members] == pools.region[p]).all()
        assert (system.server_type[members] == pools.type[p]).all()
        assert (instance.up[:, members] == pools.up[:, [p]]).all()
        assert pools.size[p] == len(members)
        loading = sum(entry.servers for entry in pools.loading if entry.pool == p)
        assert pools.off[p] + pools.ready[p].sum() + loading == pools.size[p]


@pytest.mark.parametrize("named", [False, True])
def test_pools_before_another_instance_are_grouped_as_if_anew(named: bool) -> None:
    rng = np.random.default_rng(31)
    for _ in range(60):
        instance = random_tiny_instance(rng)
        other = random_neighbour(instance, rng)
        kept, anew = Pools.of(instance, named=named).before(other), Pools.of(other, named=named)
        for field in dataclasses.fields(Pools):
            np.testing.assert_array_equal(getattr(kept, field.name), getattr(anew, field.name))
        for name in ("holds", "switches", "work_ms", "rounds", "on_usd", "up_until"):
            np.testing.assert_array_equal(getattr(kept, name), getattr(anew, name))


@given(tiny_instances())
def test_pools_are_as_few_as_can_be_and_have_names(instance: Instance) -> None:
    pools, system = Pools.of(instance), instance.system
    different = {
        (j, k, row.tobytes())
        for j, k, row in zip(system.server_region, system.server_type, instance.up.T, strict=True)
    }
    assert len(pools) == len(different) == len(set(pools.names))


@given(tiny_instances())
def test_named_pools_are_the_servers(instance: Instance) -> None:
    pools = Pools.of(instance, named=True)
    assert pools.names == instance.system.servers
    assert pools.named
    assert (pools.size == 1).all()


def test_names_stay_unique_when_names_hold_separators() -> None:
    instance = random_tiny_instance(np.random.default_rng(1), regions=2, types=2, servers=4)
    system = dataclasses.replace(
        instance.system,
        regions=("a", "a/b"),
        types=("b/c", "c"),
        server_region=[0, 1, 0, 1],
        server_type=[0, 1, 0, 1],
        # every class is served by every type that holds its model
        server_ms=np.where(instance.system.holds[:, instance.system.class_model], 1, 0),
        service_s=np.where(instance.system.holds[:, instance.system.class_model], 1.0, np.nan),
        hot_service_s=np.where(instance.system.holds[:, instance.system.class_model], 1.0, np.nan),
    )
    up = np.array([[True, True, False, False]] * instance.slots)
    initial = dataclasses.replace(
        instance.initial,
        model=np.full(4, OFF),
        loading_ms=np.zeros(4, int),
        processing=np.zeros((4, len(system.classes)), int),
    )
    named = dataclasses.replace(instance, system=system, up=up, initial=initial)
    pools = Pools.of(named)
    assert len(pools) == 4
    assert len(set(pools.names)) == 4


@pytest.mark.parametrize(
    ("loading_ms", "slots", "usable_ms"),
    [(0, 1, 45), (1, 1, 44), (45, 1, 0), (46, 2, 44), (60, 2, 30), (90, 2, 0), (-1, 0, 0)],
)
def test_a_loading_takes_whole_slots_and_leaves_a_rest(
    loading_ms: int, slots: int, usable_ms: int
) -> None:
    found = loading_slots(np.array([loading_ms]), 45)
    assert (int(found[0][0]), int(found[1][0])) == (slots, usable_ms)


def test_loading_is_that_of_the_timeline() -> None:
    """A started server has usable time and takes commands when the pool says so."""
    rng, checked = np.random.default_rng(4), 0
    for _ in range(examples(200)):
        instance = random_tiny_instance(rng, slots=5)
        pools = Pools.of(instance, named=True)
        for s in np.flatnonzero(instance.up.all(axis=0) & (instance.initial.model == OFF)):
            for m in np.flatnonzero(pools.holds[s]):
                command = np.zeros(instance.up.shape, int)
                target = np.full(instance.up.shape, -1)
                command[0, s], target[0, s] = Command.START, m
                schedule = Schedule(
                    np.zeros((5, len(pools.up[0]), 1, 1), int),
                    command,
                    target,
                    np.zeros((5, 1, 1), int),
                )
                trace = trace_servers(instance, schedule)
                slots, usable = pools.start_slots[s, m], pools.start_usable_ms[s, m]
                expected = np.full(5, instance.system.slot_ms)
                expected[:slots] = 0
                if slots <= 5:
                    expected[slots - 1] = usable
                assert trace.usable_ms[:, s].tolist() == expected.tolist()
                first_free = np.flatnonzero(trace.loading_before[1:, s] == 0)
                assert (first_free[0] + 1 if len(first_free) else 5) == min(slots, 5)
                checked += 1
    assert checked > 100


@given(tiny_instances())
def test_runs_of_slots_without_outage(instance: Instance) -> None:
    pools = Pools.of(instance)
    for t, p in np.argwhere(pools.up):
        since, until = pools.up_since[t, p], pools.up_until[t, p]
        assert pools.up[since:until, p].all()
        assert since == 0 or not pools.up[since - 1, p]
        assert until == instance.slots or not pools.up[until, p]
    assert (
        pools.down_from == np.where(pools.up.all(axis=0), instance.slots, pools.up.argmin(axis=0))
    ).all()

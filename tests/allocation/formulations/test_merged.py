"""Every legal schedule lies in the merged program, at no higher cost."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from support.sizes import examples
from support.tiny import feasible_cases, random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.formulations.merged import build_merged_program, check_merged, lift_merged
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.instance.rules import MAX_COUNT
from torta_opt.allocation.schedule import Schedule, evaluate
from torta_opt.io import LimitReached


@settings(max_examples=examples(120))
@given(feasible_cases())
def test_legal_schedules_satisfy_every_row_at_no_higher_cost(
    case: tuple[Instance, Schedule],
) -> None:
    instance, schedule = case
    found = check_merged(build_merged_program(instance), schedule)
    assert found.ok, found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_thousands_of_legal_schedules_do(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    for _ in range(800):
        instance = random_tiny_instance(rng)
        merged = build_merged_program(instance)
        for _ in range(4):
            found = check_merged(merged, random_feasible_schedule(instance, rng))
            assert found.ok, found


@pytest.mark.parametrize("preset", ["paper/abilene+outage", "paper/polska"])
def test_a_schedule_of_a_paper_instance_does(preset: str) -> None:
    instance = generate(preset, slots=24)
    schedule = random_feasible_schedule(instance, np.random.default_rng(0))
    found = check_merged(build_merged_program(instance), schedule)
    assert found.ok, found


def test_only_what_differs_between_regions_is_lost() -> None:
    """With one region there is nothing to merge: the program is the allocation program itself."""
    rng = np.random.default_rng(5)
    for _ in range(examples(40)):
        instance = random_tiny_instance(rng, regions=1)
        if instance.system.weights.frobenius_usd:
            continue
        schedule = random_feasible_schedule(instance, rng)
        found = check_merged(build_merged_program(instance), schedule)
        assert found.ok
        assert found.objective == pytest.approx(found.cost, rel=1e-9, abs=1e-9)


def test_servers_cost_what_the_cheapest_of_their_type_do() -> None:
    """Nothing has a price but servers that are on: N of a type cost what the N cheapest would."""
    instance = only_servers_cost(generate("paper/polska", slots=10))
    merged = build_merged_program(instance)
    pools, groups = merged.pools, merged.program.pools
    for seed in range(5):
        schedule = random_feasible_schedule(instance, np.random.default_rng(seed))
        values = lift_merged(merged, schedule)
        on = groups.size - values["off"] - values["stop"].sum(axis=2)
        cheapest = 0.0
        for t in range(instance.slots):
            for g in range(len(groups)):
                members = np.flatnonzero(merged.group == g)
                each = np.repeat(pools.on_usd[t, members], pools.size[members])
                cheapest += np.sort(each)[: int(on[t, g])].sum()
        charged = merged.program.objective(merged.program.vector(values))
        assert charged == pytest.approx(cheapest, rel=1e-9)
        assert charged < evaluate(instance, schedule).cost


def only_servers_cost(instance: Instance) -> Instance:
    weights = dataclasses.replace(
        instance.system.weights,
        time_usd_per_s=0.0,
        transfer_factor=0.0,
        loading_factor=0.0,
        reroute_usd=0.0,
        expiry_usd=np.zeros_like(instance.system.weights.expiry_usd),
    )
    system = dataclasses.replace(instance.system, weights=weights, peak_kw=instance.system.idle_kw)
    return dataclasses.replace(instance, system=system)


def test_more_requests_than_a_cell_may_hold_are_not_merged() -> None:
    """Each region's are legal; a last routing that adds up to more is of no account."""
    instance = generate("paper/abilene", slots=6)
    many = np.full_like(instance.arrivals, MAX_COUNT)
    with pytest.raises(LimitReached, match="too many to merge"):
        build_merged_program(dataclasses.replace(instance, arrivals=many))
    routed = np.where(instance.system.allowed, MAX_COUNT, 0)
    initial = dataclasses.replace(instance.initial, routing=routed)
    assert build_merged_program(dataclasses.replace(instance, initial=initial)).group.size

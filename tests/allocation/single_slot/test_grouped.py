"""Grouping is exact: against trying everything, the naive program, and lattice points counted."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from support.sizes import examples
from support.tiny_fig5 import by_trying, random_instance

from torta_opt.allocation.formulations.server_hull import facets_of, shared_out
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.single_slot.by_task import build_fig5_program, tasks_of
from torta_opt.allocation.single_slot.grouped import build_grouped_program, pools_of
from torta_opt.allocation.single_slot.solve import PROVEN, solve_grouped
from torta_opt.io import InvalidInput
from torta_opt.solvers import Limits, Status, solve_lp, solve_milp

EXACT = Limits(gap=PROVEN)


def points_of(load: tuple[int, int], slot: int) -> list[tuple[int, int]]:
    return [
        (a, b)
        for a in range(slot // load[0] + 1)
        for b in range(slot // load[1] + 1)
        if load[0] * a + load[1] * b <= slot
    ]


LOADS = [
    (*map(int, np.random.default_rng(seed).integers(1, 60, 2)), 60 + seed) for seed in range(40)
]


@pytest.mark.parametrize(("u", "w", "slot"), LOADS)
def test_facets_hold_the_integer_points_and_no_others(u: int, w: int, slot: int):
    facets = facets_of((u, w), slot)
    inside = set(points_of((u, w), slot))
    box = itertools.product(range(slot // u + 3), range(slot // w + 3))
    held = {(a, b) for a, b in box if all(p * a + q * b <= most for p, q, most in facets.tolist())}
    assert held == inside
    for p, q, most in facets.tolist():  # two points, or a bound of one class: a facet
        on = [(a, b) for a, b in inside if p * a + q * b == most]
        assert len(on) >= 2 or q == 0 or p == 0


@pytest.mark.parametrize(("u", "w", "slot"), [case for case in LOADS if case[0] > 12 < case[1]])
@pytest.mark.parametrize("servers", [1, 2, 3])
def test_totals_within_the_facets_are_what_servers_can_take(
    u: int, w: int, slot: int, servers: int
):
    """The theorem, on every total: sums of points, and integer points of n times the facets."""
    facets = facets_of((u, w), slot)
    one = set(points_of((u, w), slot))
    sums = {(0, 0)}
    for _ in range(servers):
        sums = {(a + c, b + d) for a, b in sums for c, d in one}
    box = itertools.product(range(servers * (slot // u) + 2), range(servers * (slot // w) + 2))
    within = {
        (a, b)
        for a, b in box
        if all(p * a + q * b <= servers * most for p, q, most in facets.tolist())
    }
    assert within == sums
    for total in within:
        shares = shared_out(np.array(total), facets, servers)
        assert shares.sum(axis=0).tolist() == list(total)
        assert {tuple(share) for share in shares.tolist()} <= one


def test_aggregating_server_time_would_not_be_exact():
    """Two servers of 100 ms, tasks of 60 ms: three fit the sum of times, two fit the servers."""
    facets = facets_of((60, 70), 100)
    assert facets[:, 2].tolist() == [1]
    with pytest.raises(AssertionError, match="cannot be shared out"):
        shared_out(np.array([3, 0]), facets, 2)


def test_no_class_and_one_class():
    assert facets_of((), 100).shape == (0, 3)
    assert shared_out(np.zeros(0, int), facets_of((), 100), 2).shape == (2, 0)
    shares = shared_out(np.array([5]), facets_of((30,), 100), 2)
    assert sorted(shares.ravel().tolist()) == [2, 3]


@pytest.mark.parametrize("share", [0.8, 1.0])
@pytest.mark.parametrize("seed", range(15))
def test_its_optimum_is_that_of_trying_everything(seed: int, share: float):
    instance = random_instance(seed, tasks=5)
    found = solve_grouped(instance, region_share=share)
    least = by_trying(tasks_of(instance)[0], share)
    if math.isinf(least):
        assert found.result.status == Status.INFEASIBLE
        assert found.schedule is None
        return
    assert found.result.objective == pytest.approx(least, rel=1e-8)


@pytest.mark.parametrize("seed", range(examples(40)))
def test_its_optimum_is_that_of_the_naive_program(seed: int):
    rng = np.random.default_rng(seed)
    instance = random_instance(
        seed,
        tasks=int(rng.integers(4, 16)),
        regions=int(rng.integers(1, 4)),
        types=int(rng.integers(1, 4)),
        servers=int(rng.integers(5, 10)),
    )
    share = float(rng.choice([0.6, 0.8, 1.0]))
    naive = solve_milp(build_fig5_program(tasks_of(instance)[0], share), EXACT)
    found = solve_grouped(instance, region_share=share)
    assert found.result.status == naive.status
    if naive.x is None:
        return
    assert found.result.objective == pytest.approx(naive.objective, rel=1e-7)
    assert verify(instance, found.schedule).ok
    cost = evaluate(instance, found.schedule).cost
    assert cost == pytest.approx(found.result.objective, rel=1e-9)


@pytest.mark.parametrize("tasks", [200, 5000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_presets_are_solved_and_their_schedules_pass(tasks: int):
    instance = generate(f"fig5/{tasks}")
    found = solve_grouped(instance)
    assert found.result.status == Status.OPTIMAL
    assert found.result.gap <= PROVEN
    assert verify(instance, found.schedule).ok
    assert evaluate(instance, found.schedule).cost == pytest.approx(found.result.objective)
    system = instance.system
    busy = (found.schedule.processing[0] * system.server_ms[system.server_type]).sum(axis=1)
    used = np.bincount(system.server_region, busy)
    assert (used <= 0.8 * np.bincount(system.server_region) * system.slot_ms).all()


def test_the_naive_relaxation_bounds_the_grouped_optimum_of_the_figure():
    instance = generate("fig5/200")
    bound = solve_lp(build_fig5_program(tasks_of(instance)[0])).bound
    least = solve_grouped(instance).result.objective
    assert bound <= least + 1e-9
    assert least <= 1.002 * bound


@pytest.mark.slow
def test_the_naive_program_finds_nothing_better_at_200_tasks():
    instance = generate("fig5/200")
    naive = solve_milp(build_fig5_program(tasks_of(instance)[0]), Limits(gap=1e-3, seconds=120))
    least = solve_grouped(instance).result.objective
    assert naive.bound <= least + 1e-9
    assert least - 1e-9 <= naive.objective <= 1.002 * least


def test_the_size_does_not_depend_on_the_number_of_tasks():
    small, large = (build_grouped_program(generate(f"fig5/{n}")) for n in (200, 1_000_000))
    assert small.problem.columns == large.problem.columns == 100
    assert large.problem.rows < 200


def test_pools_hold_servers_alike():
    pools = pools_of(generate("fig5/200"))
    assert len(pools) == 25
    assert sorted(np.concatenate([pool.servers for pool in pools]).tolist()) == list(range(50))


def test_three_classes_in_a_pool_are_refused():
    """There grouping would not be exact."""
    instance = random_instance(0, tasks=6)
    system = instance.system
    third = {
        name: np.concatenate([getattr(system, name), getattr(system, name)[..., :1]], axis=-1)
        for name in ("server_ms", "service_s", "hot_service_s", "transfer_usd")
    }
    weights = dataclasses.replace(system.weights, expiry_usd=np.full(3, 1e4))
    wider = dataclasses.replace(
        system,
        classes=("a", "b", "c"),
        class_model=[0, 0, 0],
        deadline_slots=[0, 0, 0],
        slo_s=[1.0, 1.0, 1.0],
        weights=weights,
        **third,
    )
    initial = dataclasses.replace(
        instance.initial,
        backlog=np.zeros((2, 3, 0), int),
        processing=np.zeros((len(system.servers), 3), int),
    )
    arrivals = np.ones((1, 2, 3), int)
    other = dataclasses.replace(instance, system=wider, initial=initial, arrivals=arrivals)
    with pytest.raises(InvalidInput, match="at most 2"):
        pools_of(other)

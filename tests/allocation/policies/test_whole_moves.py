"""Whole moves of a fleet plan: fractions are rounded, few servers cover what is planned."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
from support.plain import make_instance
from support.sizes import examples

import torta_opt
from torta_opt.allocation.formulations.fleet_program import FleetKinds, FleetPlan, FleetState
from torta_opt.allocation.instance.data import INCOMPATIBLE
from torta_opt.allocation.policies.whole_moves import _after, _speed, _whole, whole_moves

LOAD, THRESHOLD = 0.85, 0.6


@dataclass(frozen=True)
class Given:
    kinds: FleetKinds
    state: FleetState
    plan: FleetPlan


def given(rng: np.random.Generator, size: float) -> Given:
    """Random servers and moves that the program allows: no more leave than are ready, no more
    start than are off, as many enter a type as leave it."""
    kinds = FleetKinds(torta_opt.generate("paper/abilene", slots=8).system)
    count, types = len(kinds), len(kinds.system.types)
    ready, loading = (rng.integers(0, size + 1, count).astype(float) for _ in range(2))
    off = rng.integers(0, size + 2, types)
    servers = np.bincount(kinds.type, ready + loading, types) + off
    share = rng.dirichlet(np.ones(3), count)
    stop, leave = ready * share[:, 0] * (rng.random(count) < 0.5), ready * share[:, 1]
    part = rng.random(count)
    of_type = np.bincount(kinds.type, part, types)[kinds.type]
    enter = np.bincount(kinds.type, leave, types)[kinds.type] * part / of_type
    start = off[kinds.type] * part / of_type * rng.random(count)
    nothing = np.zeros((1, count))
    moves = [each[None] for each in (start, stop, leave, enter)]
    plan = FleetPlan(0.0, nothing[0], nothing, *moves, np.zeros(1))
    return Given(kinds, FleetState(ready, loading, servers), plan)


@pytest.mark.parametrize("size", [1, 3, 30])
def test_servers_of_a_model_cover_its_plan_or_none_is_left_to_start(size: int) -> None:
    rng, added = np.random.default_rng(size), 0
    for _ in range(examples(100)):
        case = given(rng, size)
        kinds, state, plan = case.kinds, case.state, case.plan
        moves = whole_moves(kinds, state, plan, THRESHOLD, LOAD)
        after = _after(state, lambda name, moves=moves: getattr(moves, name))
        planned = _after(state, lambda name, plan=plan: getattr(plan, name)[0])
        there = np.bincount(kinds.model, _speed(kinds) * after)
        need = LOAD * np.bincount(kinds.model, _speed(kinds) * planned)
        free = state.servers - np.bincount(kinds.type, state.ready + state.loading + moves.start)
        for m in np.flatnonzero(there < need - 1e-9):
            assert not np.any((kinds.model == m) & (free[kinds.type] >= 1)), (size, m)
            assert not moves.stop[kinds.model == m].any()
            could = kinds.type[kinds.model == m]
            assert not moves.stop[np.isin(kinds.type, could) & (kinds.model != m)].any(), (size, m)
        plain = np.floor(plan.start[0] + 1 - THRESHOLD + 1e-9)
        added += int((moves.start > plain).any())
        assert (moves.start >= plain).all()
    assert size > 3 or added > 0  # with few servers the rule is at work


def test_a_small_part_of_many_servers_is_rounded_away() -> None:
    case = given(np.random.default_rng(0), 1)
    kinds, count = case.kinds, len(case.kinds)
    nothing, part = np.zeros((1, count)), np.full((1, count), 0.4)
    plan = FleetPlan(0.0, nothing[0], nothing, part, nothing, nothing, nothing, np.zeros(1))
    servers = np.full(len(kinds.system.types), 1000.0)
    many = FleetState(np.full(count, 20.0), np.zeros(count), servers)
    few = FleetState(np.zeros(count), np.zeros(count), servers)
    assert not whole_moves(kinds, many, plan, THRESHOLD, LOAD).start.any()
    started = whole_moves(kinds, few, plan, THRESHOLD, LOAD).start
    assert all(started[kinds.model == m].any() for m in np.unique(kinds.model))


def test_a_server_that_is_planned_for_two_models_is_replaced_by_others() -> None:
    """One server of a type holds a model; the plan moves a tenth of it to another, and stops the
    servers of that one. It cannot: others have to do the work."""
    kinds = FleetKinds(torta_opt.generate("paper/abilene", slots=8).system)
    count, types = len(kinds), len(kinds.system.types)
    fast, m = int(np.argmax(_speed(kinds))), int(kinds.model[np.argmax(_speed(kinds))])
    same_type = kinds.type == kinds.type[fast]
    other = int(np.flatnonzero(same_type & (kinds.model != m))[0])
    ready, nothing = np.zeros(count), np.zeros((1, count))
    ready[other] = 1.0
    leave, enter = nothing.copy(), nothing.copy()
    leave[0, other] = enter[0, fast] = 0.1
    servers = np.full(types, 9.0)
    servers[kinds.type[fast]] = 1.0
    plan = FleetPlan(0.0, nothing[0], nothing, nothing, nothing, leave, enter, np.zeros(1))
    state = FleetState(ready, np.zeros(count), servers)
    moves = whole_moves(kinds, state, plan, THRESHOLD, LOAD)
    started = _speed(kinds) * moves.start
    assert started[kinds.model == m].sum() >= LOAD * 0.1 * _speed(kinds)[fast]
    assert moves.start[kinds.model != m].sum() == 0
    assert moves.start.sum() == 1  # of the slowest kind that is fast enough
    able = (kinds.model == m) & ~same_type & (_speed(kinds) >= LOAD * 0.1 * _speed(kinds)[fast])
    assert _speed(kinds)[moves.start > 0].item() == _speed(kinds)[able].min()


def test_a_server_that_would_stop_switches_where_none_is_off() -> None:
    """One server of the only type that is planned; four tenths of it are to enter another model,
    which rounding takes away, and the rest stops."""
    kinds = FleetKinds(torta_opt.generate("paper/abilene", slots=8).system)
    goal = 0
    other = int(np.flatnonzero((kinds.type == kinds.type[goal]) & (kinds.model != 0))[0])
    ready, nothing = np.zeros(len(kinds)), np.zeros((1, len(kinds)))
    ready[other] = 1.0
    stop, leave, enter = nothing.copy(), nothing.copy(), nothing.copy()
    stop[0, other], leave[0, other], enter[0, goal] = 0.6, 0.4, 0.4
    servers = np.zeros(len(kinds.system.types))
    servers[kinds.type[goal]] = 1.0
    plan = FleetPlan(0.0, nothing[0], nothing, nothing, stop, leave, enter, np.zeros(1))
    moves = whole_moves(kinds, FleetState(ready, nothing[0], servers), plan, THRESHOLD, LOAD)
    assert (moves.leave[other], moves.enter[goal]) == (1, 1)
    assert moves.stop.sum() + moves.start.sum() == 0


def test_a_server_that_its_model_needs_is_not_taken_for_another() -> None:
    """The only server of a type holds a model and stops by nine tenths; a tenth of it would start
    with another model, whose ten servers of a second type stop."""
    kinds = FleetKinds(torta_opt.generate("paper/abilene", slots=8).system)
    slow = int(np.argmin(_speed(kinds)))
    same = np.flatnonzero((kinds.type != kinds.type[slow]) & (kinds.model == kinds.model[slow]))
    goal = int(same[0])
    of_type = (kinds.type == kinds.type[goal]) & (kinds.model != kinds.model[goal])
    other = int(np.flatnonzero(of_type)[0])
    ready, nothing = np.zeros(len(kinds)), np.zeros((1, len(kinds)))
    ready[other], ready[slow] = 1.0, 10.0
    start, stop = nothing.copy(), nothing.copy()
    start[0, goal], stop[0, other], stop[0, slow] = 0.1, 0.9, 10.0
    servers = np.bincount(kinds.type, ready, len(kinds.system.types))
    plan = FleetPlan(0.0, nothing[0], nothing, start, stop, nothing, nothing, np.zeros(1))
    state = FleetState(ready, nothing[0], servers)
    moves = whole_moves(kinds, state, plan, THRESHOLD, LOAD)
    assert moves.stop[other] == moves.leave[other] == 0
    stay = int(np.ceil(LOAD * 0.1 * _speed(kinds)[goal] / _speed(kinds)[slow]))
    assert moves.stop[slow] == 10 - stay
    assert moves.start.sum() + moves.enter.sum() == 0
    # nor where servers of the second type are off: none starts beside those that would stop
    servers[kinds.type[slow]] += 5
    again = whole_moves(kinds, dataclasses.replace(state, servers=servers), plan, THRESHOLD, LOAD)
    assert again.stop[slow] == 10 - stay
    assert not again.start.any()


def test_servers_of_one_zone_do_not_cover_what_another_needs() -> None:
    kinds = FleetKinds(torta_opt.generate("paper/abilene", slots=8).system)
    m = kinds.model[0]
    first, second = np.flatnonzero(kinds.model == m)[:2]
    nothing, ready = np.zeros((1, len(kinds))), np.zeros(len(kinds))
    ready[first] = 50.0
    start = nothing.copy()
    start[0, second] = 0.4
    servers = np.full(len(kinds.system.types), 60.0)
    plan = FleetPlan(0.0, nothing[0], nothing, start, nothing, nothing, nothing, np.zeros(1))
    state = FleetState(ready, np.zeros(len(kinds)), servers)
    zone = (np.arange(len(servers)) == kinds.type[second]).astype(int)
    assert not whole_moves(kinds, state, plan, THRESHOLD, LOAD).start.any()
    assert whole_moves(kinds, state, plan, THRESHOLD, LOAD, zone).start[second] == 1


def test_servers_that_hold_a_model_and_serve_nothing_cover_nothing() -> None:
    """Half of the only server that can serve moves to another model; the others cannot serve."""
    system = torta_opt.generate("paper/abilene", slots=8).system
    service = {name: getattr(system, name).copy() for name in ("service_s", "hot_service_s")}
    for table in service.values():
        table[0] = np.nan
    work = system.server_ms.copy()
    work[0] = INCOMPATIBLE
    kinds = FleetKinds(dataclasses.replace(system, server_ms=work, **service))
    nothing, ready = np.zeros((1, len(kinds))), np.zeros(len(kinds))
    here, there = np.flatnonzero(kinds.type == 1)[:2]
    ready[here] = 1.0
    leave, enter = nothing.copy(), nothing.copy()
    leave[0, here] = enter[0, there] = 0.5
    servers = np.zeros(len(system.types))
    servers[:2] = 5.0, 1.0
    plan = FleetPlan(0.0, nothing[0], nothing, nothing, nothing, leave, enter, np.zeros(1))
    state = FleetState(ready, np.zeros(len(kinds)), servers)
    assert not whole_moves(kinds, state, plan, THRESHOLD, LOAD).start.any()


@pytest.mark.parametrize(
    ("threshold", "parts", "counts"),
    [
        (0.0, [0.0, 1e-12, 0.1, 1.0, 1.2, 3.0 - 1e-12], [0, 0, 1, 1, 2, 3]),
        (0.6, [0.0, 0.59, 0.6, 0.7, 1.0, 1.59, 2.6], [0, 0, 1, 1, 1, 1, 3]),
        (1.0, [0.0, 0.99, 1.0, 1.99, -2e-9], [0, 0, 1, 1, 0]),
    ],
)
def test_whole_numbers_stay_and_parts_from_the_threshold_on_count(
    threshold: float, parts: list[float], counts: list[int]
) -> None:
    assert _whole(np.array(parts), threshold).tolist() == counts


def test_parts_count_as_by_the_plain_formula() -> None:
    servers = np.random.default_rng(0).uniform(0, 9, 10_000).round(2)
    assert np.array_equal(_whole(servers, 0.6), np.floor(servers + 1 - 0.6 + 1e-9))


def test_no_stop_is_left_out_where_there_is_none() -> None:
    """Solvers keep bounds within a tolerance: a stop of −2e−9 servers is none."""
    kinds = FleetKinds(torta_opt.generate("paper/abilene", slots=8).system)
    count = len(kinds)
    nothing = np.zeros((1, count))
    start, stop = np.full((1, count), 0.4), np.full((1, count), -2e-9)
    plan = FleetPlan(0.0, nothing[0], nothing, start, stop, nothing, nothing, np.zeros(1))
    servers = np.full(len(kinds.system.types), 50.0)
    state = FleetState(np.zeros(count), np.zeros(count), servers)
    moves = whole_moves(kinds, state, plan, THRESHOLD, LOAD)
    assert not moves.stop.any()
    assert moves.start.any()


def test_a_fleet_of_few_servers_loses_no_request() -> None:
    """0.2 servers of one model and one of another, by the plan: with each rounded alone, all
    requests of the first expired."""
    instance = torta_opt.generate(
        "paper/abilene", slots=24, load=0.1, gpu_counts={"A100": 4, "H100": 4}, seed=3
    )
    result = torta_opt.solve(instance, "open_loop")
    assert result.evaluation.metrics["expired_share"] < 0.01


def test_the_only_server_of_a_model_stays_where_others_serve_the_other_model() -> None:
    """A large server is the only one for the large model and by far the cheapest for the small one:
    the plan gives it a tenth of the large server, and stops the ten small ones that do the work."""
    demand = np.repeat(np.array([[[600, 190]]]), 12, axis=0)
    instance = make_instance(
        demand,
        models=2,
        types=2,
        slot_ms=300_000,
        class_model=[0, 1],
        start_ms=[[139_600, 370_850], [139_600, -1]],
        switch_ms=[[139_600, 370_850], [139_600, -1]],
        server_region=np.zeros(11, int),
        server_type=[0] + 10 * [1],
        latency_s=[[0.0]],
        server_ms=[[9, 157], [527, 0]],
        service_s=[[2.0, 8.0], [20.0, np.nan]],
        rent_usd_per_hour=[[14.0, 0.85]],
        initial={"model": [1] + 10 * [0]},
        weights={"time_usd_per_s": 0.0001, "expiry_usd": [0.05, 0.05]},
    )
    metrics = torta_opt.solve(instance, "open_loop").evaluation.metrics
    assert metrics["expired_share"] == 0

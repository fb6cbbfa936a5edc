"""Exactness: three programs and brute force agree; limits keep what was found."""

from __future__ import annotations

import contextlib
import math
import signal

import numpy as np
import pytest
from hypothesis import given, settings
from support.placement_reference import Reference
from support.sizes import examples
from support.small_placement import build, instances

from torta_opt.io import Infeasible
from torta_opt.placement.bounds import tree
from torta_opt.placement.bounds.combinatorial import lower_bound
from torta_opt.placement.formulations.positions import position_program
from torta_opt.placement.formulations.published import published_program
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.instance.presets import clustered, mix, placement_preset, tiny, worst_case
from torta_opt.placement.policies.cg_bprr import cg_bprr
from torta_opt.placement.schedule.evaluate import evaluate, total_ms
from torta_opt.placement.schedule.performance import prices
from torta_opt.placement.schedule.verify import verify
from torta_opt.placement.search import optimal as exact
from torta_opt.placement.search import start
from torta_opt.placement.search.incumbent import Incumbent
from torta_opt.placement.search.optimal import solve_exact
from torta_opt.placement.search.start import one_chain
from torta_opt.solvers import Limits, Progress, Status, checks, solve_lp, solve_milp


def _tiny(seed):
    shape = {"servers": 2 + seed % 2, "blocks": 2 + seed % 3, "clients": 1 + seed // 3 % 2}
    return tiny(1000 + seed, requests=1 + seed // 2 % 2, **shape)


def _optimum(instance):
    best = Reference(instance_to_document(instance)).optimum()
    return None if best is None else float(best)


@pytest.mark.parametrize("seed", range(examples(120)))
def test_it_is_brute_force(seed):
    instance = _tiny(seed)
    best = _optimum(instance)
    if best is None:
        with pytest.raises(Infeasible):
            solve_exact(instance)
        return
    found = solve_exact(instance)
    assert found.reached
    assert found.cost == pytest.approx(best, rel=1e-6)
    assert found.bound <= best * (1 + 1e-12)
    assert verify(instance, found.schedule).ok
    assert evaluate(instance, found.schedule).cost == pytest.approx(found.cost, rel=1e-12)


@pytest.mark.parametrize("seed", range(examples(30)))
def test_the_position_program_alone_is_brute_force(seed):
    """Without bound, start and the small program, which often end the search before it."""
    instance = _tiny(seed)
    best = _optimum(instance)
    if best is None:
        return
    program = position_program(instance, prices(instance))
    found = solve_milp(program.problem)
    start = instance.delays.start_ms * instance.requests
    assert (found.objective + start) / 1000 == pytest.approx(best, rel=1e-6)
    schedule = program.schedule(found.x)
    assert verify(instance, schedule).ok
    assert total_ms(prices(instance), schedule) == pytest.approx(found.objective, rel=1e-6)


@pytest.mark.parametrize("seed", range(examples(30)))
def test_the_relaxed_program_lies_below(seed):
    instance = _tiny(seed)
    best = _optimum(instance)
    if best is None:
        return
    program = position_program(instance, prices(instance))
    start = instance.delays.start_ms * instance.requests
    assert (solve_lp(program.problem).bound + start) / 1000 <= best * (1 + 1e-6)


@pytest.mark.parametrize("objective", ["decode", "response"])
@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))]
)
def test_it_is_the_published_program(seed, objective):
    """More blocks than brute force can do."""
    instance = tiny(2000 + seed, servers=3, blocks=6, clients=1 + seed % 2)
    published = solve_milp(published_program(instance, objective).problem, Limits(work=500))
    try:
        found = solve_exact(instance, objective=objective)
    except Infeasible:
        assert published.x is None
        return
    assert found.reached
    start = instance.delays.start_ms * instance.requests if objective == "response" else 0.0
    theirs = (published.objective + start) / 1000
    assert found.bound <= theirs * (1 + 1e-6)
    if published.status == Status.OPTIMAL:
        assert found.cost == pytest.approx(theirs, rel=1e-5)


@settings(max_examples=examples(40))
@given(instances(most_servers=5, most_blocks=7))
def test_every_schedule_is_a_point_and_back(instance):
    try:
        schedule = cg_bprr(instance)
    except Infeasible:
        return
    program = position_program(instance, prices(instance))
    x = program.point(schedule)
    assert checks.is_feasible(program.problem, x)
    paid = prices(instance)
    assert checks.objective(program.problem, x) == pytest.approx(total_ms(paid, schedule))
    back = program.schedule(x)
    assert verify(instance, back).ok
    assert total_ms(paid, back) == pytest.approx(total_ms(paid, schedule))


@settings(max_examples=examples(40))
@given(instances(most_servers=5, most_blocks=7))
def test_one_chain_keeps_the_rules(instance):
    try:
        schedule = one_chain(instance, prices(instance))
    except Infeasible:
        return
    assert verify(instance, schedule).ok
    assert len({route.servers for route in schedule.routes}) <= 1


@pytest.mark.parametrize("cluster", range(3))
@pytest.mark.parametrize("memory", ["test", "sweeps"])
def test_the_published_clustered_setting_is_proved(cluster, memory):
    found = solve_exact(clustered(cluster, memory=memory))
    assert found.reached
    assert found.gap <= 1e-6


def test_the_large_setting_is_proved():
    assert solve_exact(placement_preset("large")).reached


def test_the_worst_case_of_cg_bprr_is_solved_by_counting():
    """CG-BPRR pays L(t + τ), the optimum t + τL."""
    instance = worst_case(3, token_ms=100.0, decode_ms=1.0)
    found = solve_exact(instance)
    assert found.reached
    assert found.cost == pytest.approx(9 * (100 + 3 + 0.0) / 1000)
    assert evaluate(instance, cg_bprr(instance)).cost > 2 * found.cost


def test_no_time_keeps_a_schedule_and_a_bound():
    instance = _binding()
    found = solve_exact(instance, Limits(seconds=0.0))
    assert found.schedule is not None
    assert not found.reached
    assert verify(instance, found.schedule).ok
    assert 0 < found.bound < found.cost < math.inf


def test_a_start_is_kept_if_it_is_the_best():
    instance = _binding()
    best = solve_exact(instance)
    assert best.source in ("tree", "positions")
    again = solve_exact(instance, Limits(seconds=0.0), start=best.schedule)
    assert again.cost == pytest.approx(best.cost)
    assert again.schedule is best.schedule


def test_a_start_that_breaks_a_rule_is_not_used():
    instance = _binding()
    other = solve_exact(build(memory=(10_000, 10_000, 10_000))).schedule
    found = solve_exact(instance, Limits(seconds=0.0), start=other)
    assert verify(instance, found.schedule).ok


def test_progress_closes_from_both_sides():
    seen = []
    found = solve_exact(_binding(), on_progress=seen.append)
    assert found.reached
    assert found.trace == tuple(seen)
    costs = [sample.incumbent for sample in seen]
    bounds = [sample.bound for sample in seen]
    assert costs == sorted(costs, reverse=True)
    assert np.all(np.diff(bounds[1:]) >= -1e-9)
    assert bounds[-1] <= found.cost * (1 + 1e-9)


def test_ctrl_c_in_the_tree_keeps_schedule_and_bound(monkeypatch):
    calls = []
    real = tree.solve_lp

    def interrupted(problem, **options):
        calls.append(problem)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(problem, **options)

    monkeypatch.setattr(tree, "solve_lp", interrupted)
    found = solve_exact(_binding())
    assert found.interrupted
    assert not found.reached
    assert 0 < found.bound < 0.192
    assert verify(_binding(), found.schedule).ok


def test_ctrl_c_that_a_small_program_keeps_to_itself(monkeypatch):
    """HiGHS may end before it notices: its result is whole, and the search ends all the same."""
    calls = []
    real = tree.solve_lp

    def swallowing(problem, **options):
        calls.append(problem)
        if len(calls) == 3:
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        return real(problem, **options)

    monkeypatch.setattr(tree, "solve_lp", swallowing)
    before = signal.getsignal(signal.SIGINT)
    found = solve_exact(mix(4))
    assert found.interrupted
    assert len(calls) < 10
    assert signal.getsignal(signal.SIGINT) is before
    assert 0 < found.bound < found.cost


def test_ctrl_c_in_the_program_keeps_schedule_and_bound(monkeypatch):
    monkeypatch.setattr(exact._Steps, "by_tree", lambda self, share: None)
    real = exact.solve_milp

    def interrupted(problem, limits, **options):
        from dataclasses import replace

        found = real(problem, replace(limits, work=0), **options)
        return replace(found, status=Status.INTERRUPTED, bound=-math.inf)

    monkeypatch.setattr(exact, "solve_milp", interrupted)
    found = solve_exact(_binding())
    assert found.interrupted
    assert not found.reached
    assert found.schedule is not None
    assert 0 < found.bound < found.cost


@pytest.mark.parametrize("seed", [1, 3])
def test_mixes_where_memory_binds_are_within_a_percent(seed):
    """No chain of servers has room for all requests at the least cost; a second of work."""
    instance = mix(seed)
    found = solve_exact(instance, Limits(gap=0.01, work=100))
    assert found.gap <= 0.01
    assert found.source == "tree"
    assert verify(instance, found.schedule).ok
    assert found.bound > 1.04 * lower_bound(instance)


def test_work_ends_the_search_alike():
    limits = Limits(work=4, gap=0.0)
    first, again = (solve_exact(mix(1), limits, positions=False) for _ in range(2))
    assert (first.cost, first.bound) == (again.cost, again.bound)
    assert first.seconds < 600


def _binding():
    """Where requests need different chains: the combinatorial bound does not close it."""
    return build(
        blocks=4,
        memory=(46, 46, 70),
        decode=(1.0, 3.0, 9.0),
        token=((10.0, 12.0, 15.0),),
        requests=(4,),
    )


def test_progress_tells_only_costs_of_verified_schedules(monkeypatch):
    """The solver claims an incumbent that no schedule has; nobody is told of it."""
    seen, costs = [], {math.inf}
    honest, solve = Incumbent.offer, exact.solve_milp

    def offer(self, schedule):
        costs.add((total_ms(self.paid, schedule) + self.offset) / 1000)
        honest(self, schedule)

    def claims(problem, limits, *, on_progress, **options):
        on_progress(Progress(0.0, -1.0, -math.inf, 1))
        return solve(problem, limits, on_progress=on_progress, **options)

    monkeypatch.setattr(Incumbent, "offer", offer)
    monkeypatch.setattr(exact._Steps, "by_tree", lambda self, share: None)
    monkeypatch.setattr(exact, "solve_milp", claims)
    found = solve_exact(_binding(), on_progress=seen.append)
    assert "positions" in {sample.phase for sample in seen}
    assert all(sample.incumbent in costs for sample in seen)
    assert all(sample.bound <= found.cost * (1 + 1e-9) for sample in seen)


def test_it_says_why_it_ended():
    ended = solve_exact(_binding())
    assert (ended.reached, ended.limited) == (True, False)
    late = solve_exact(_binding(), Limits(seconds=0.0))
    assert (late.reached, late.stopped) == (False, "the time limit came first")
    cut = solve_exact(mix(1), Limits(work=4, gap=0.0), positions=False)
    assert (cut.reached, cut.limited) == (False, True)
    assert cut.stopped == "the work limit came first"


def test_ctrl_c_in_a_known_method_keeps_the_schedule_before_it(monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "cg_bprr", interrupted)
    found = solve_exact(build(memory=(10_000, 10_000, 10_000)))
    assert found.interrupted
    assert found.schedule is not None

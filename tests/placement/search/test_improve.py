"""Small moves: routes under a placement against all of them, and moves that never harm."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from support.sizes import examples
from support.small_placement import build, hosting

from torta_opt.io import Infeasible
from torta_opt.placement.instance.network import bundled_network
from torta_opt.placement.instance.presets import mix, scattered, tiny
from torta_opt.placement.policies.cg_bprr import cg_bprr
from torta_opt.placement.schedule.chains import chains_of
from torta_opt.placement.schedule.data import PlacementSchedule, Route
from torta_opt.placement.schedule.evaluate import total_ms
from torta_opt.placement.schedule.performance import prices
from torta_opt.placement.schedule.verify import verify
from torta_opt.placement.search import improve as module
from torta_opt.placement.search.improve import Improver, laid_out, layers
from torta_opt.solvers import Limits, Status

LIMITS = Limits()


def _roomy_tiny(seed):
    instance = tiny(seed, servers=4, blocks=4, clients=1 + seed % 2, requests=3)
    memory = instance.servers.memory_bytes * 3 // 2
    return replace(instance, servers=replace(instance.servers, memory_bytes=memory))


def _random_placement(instance, rng):
    count = np.array([rng.integers(0, limit + 1) for limit in instance.use_limit])
    first = np.array([rng.integers(0, instance.llm.blocks - m + 1) for m in count])
    return hosting(*zip(first.tolist(), count.tolist(), strict=True))


def _by_all_routes(instance, placement):
    """The least cost over all choices of a chain for every request."""
    chains = list(chains_of(placement, instance.llm.blocks).all_chains())
    owners = np.repeat(np.arange(len(instance.clients)), instance.clients.requests).tolist()
    best = math.inf
    for choice in itertools.product(chains, repeat=len(owners)):
        routes = tuple(Route(c, chain) for c, chain in zip(owners, choice, strict=True))
        schedule = PlacementSchedule("all", placement, routes)
        if verify(instance, schedule).ok:
            best = min(best, total_ms(prices(instance), schedule))
    return best


def test_routes_are_the_best_ones():
    """Over random placements of tiny instances; most have a way, some have none."""
    served, count = 0, examples(60)
    for seed in range(count):
        instance = _roomy_tiny(seed)
        placement = _random_placement(instance, np.random.default_rng(seed))
        best = _by_all_routes(instance, placement)
        improver = Improver(instance, prices(instance))
        found = improver.schedule(placement, LIMITS)
        if found is None:
            assert best == math.inf
            continue
        served += 1
        assert verify(instance, found).ok
        assert total_ms(prices(instance), found) == pytest.approx(best, rel=1e-9)
        assert improver.score(placement) <= best * (1 + 1e-9)
    assert count // 4 < served < count


def test_a_placement_without_room_is_fined():
    """One server, 3 requests of 3 blocks each and room for 5 caches: 4 are fined."""
    instance = build(memory=(35,), blocks=3, cache=1, requests=(3,), decode=(1.0,), token=((7.0,),))
    improver = Improver(instance, prices(instance))
    placement = hosting((0, 3))
    assert instance.cache_bytes == 2
    room = (35 - 30) // 2
    paid = prices(instance)
    free = 3 * float(paid.visit[0, 0] + 3 * paid.block[0])
    fine = float(paid.visit.max() + paid.block.max())
    assert improver.score(placement) == pytest.approx(free + (9 - room) * fine)
    assert improver.schedule(placement, LIMITS) is None
    assert improver.score(hosting((0, 2))) == math.inf


@pytest.mark.parametrize("seed", range(8))
def test_moves_never_harm(seed):
    instance = _roomy_tiny(seed)
    paid = prices(instance)
    try:
        known = cg_bprr(instance)
    except Infeasible:
        return
    improver = Improver(instance, paid)
    better = improver.improve(known.placement, 400)
    assert improver.score(better) <= total_ms(paid, known) * (1 + 1e-9)
    found = improver.schedule(better, LIMITS)
    if found is not None:
        assert verify(instance, found).ok


def test_moves_find_what_cg_bprr_does_not():
    """140 requests on AboveNet, from a chain that does not fit: some skip the third server."""
    network = bundled_network("abovenet")
    instance = scattered(network, servers=9, requests=140, output_tokens=128)
    paid = prices(instance)
    known = total_ms(paid, cg_bprr(instance))
    fast = np.flatnonzero(paid.block == paid.block.min()).tolist()
    improver = Improver(instance, paid)
    start = laid_out(instance, fast, np.full(9, 35))
    assert improver.score(start) > known
    better = improver.improve(start, 400)
    found = improver.schedule(better, Limits(gap=1e-3, work=100))
    assert verify(instance, found).ok
    assert total_ms(paid, found) < 0.99 * known


def test_scores_and_stop_end_it():
    instance = mix(1)
    paid = prices(instance)
    placement = cg_bprr(instance).placement
    improver = Improver(instance, paid)
    improver.improve(placement, 10)
    assert improver.scores == 10
    assert improver.improve(placement, 100, stop=lambda: True) is placement


def test_ctrl_c_gets_out(monkeypatch):
    real = module.solve_lp

    def interrupted(*arguments, **options):
        return replace(real(*arguments, **options), status=Status.INTERRUPTED)

    monkeypatch.setattr(module, "solve_lp", interrupted)
    instance = mix(1)
    with pytest.raises(KeyboardInterrupt):
        Improver(instance, prices(instance)).score(cg_bprr(instance).placement)


def test_a_chain_is_laid_out_to_end_with_the_last_block():
    instance = build(memory=(40, 40, 60), blocks=7)
    placement = laid_out(instance, [2, 0, 1], np.array([3, 2, 4]))
    assert placement.first.tolist() == [4, 5, 0]
    assert placement.end.tolist() == [7, 7, 4]


def test_layers_begin_again_with_the_first_block():
    instance = build(memory=(40, 40, 60), blocks=7)
    placement = layers(instance, [2, 0, 1], np.array([3, 0, 5]))
    assert placement.first.tolist() == [4, 0, 0]
    assert placement.count.tolist() == [3, 0, 5]
    again = layers(instance, [0, 1, 2], np.array([7, 3, 4]))
    assert again.first.tolist() == [0, 0, 3]

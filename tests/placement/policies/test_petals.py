"""PETALS: how many blocks, where, when servers move, and the way requests take."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_placement import build, hosting, instances

from torta_opt.io import Infeasible
from torta_opt.placement.instance.presets import placement_preset
from torta_opt.placement.policies.cg_bp import block_counts, cg_bp
from torta_opt.placement.policies.petals import (
    HOP_MS,
    join,
    latency_costs,
    opt_number_placement,
    opt_number_schedule,
    opt_order_placement,
    opt_order_schedule,
    petals_counts,
    petals_placement,
    petals_schedule,
    pool_bytes_per_block,
    random_by_span,
    rebalance,
    throughputs,
)
from torta_opt.placement.schedule.chains import chains_of
from torta_opt.placement.schedule.verify import verify

COUNTS = st.lists(st.integers(1, 6), min_size=2, max_size=7)


def test_published_counts_and_pool():
    """53 blocks on an A100, 4 on a MIG; a pool of 0.2349 GB per block."""
    instance = placement_preset("clustered")
    assert petals_counts(instance).tolist() == [4] * 7 + [53] * 2
    assert pool_bytes_per_block(instance) / 1e9 == pytest.approx(0.2349, abs=5e-5)


def test_shared_heads_get_a_longer_cache():
    instance = placement_preset("helix-measured")
    assert pool_bytes_per_block(instance) == 16384 * instance.llm.cache_bytes_per_token


def test_a_server_too_small_for_the_reserve_hosts_nothing():
    assert petals_counts(build(memory=(40, 1, 0))).tolist() == [0, 0, 0]


def test_throughput_is_the_slower_of_computing_and_sending():
    instance = build(rps=(100.0, 5000.0, 100.0))
    assert throughputs(instance, np.array([1, 1, 3])).tolist() == [100.0, 1000.0, 50.0]


def test_servers_join_where_the_swarm_is_weakest():
    instance = build(blocks=4, rps=(100.0, 300.0, 100.0))
    counts = np.array([2, 2, 2])
    assert join(instance, counts, [0, 1, 2]).first.tolist() == [0, 2, 0]
    assert join(instance, counts, [2, 1, 0]).first.tolist() == [0, 2, 0]
    assert join(instance, counts, [1, 0, 2]).first.tolist() == [2, 0, 2]


@given(COUNTS, st.integers(0, 100))
def test_joining_covers_all_blocks_if_there_are_enough(counts, seed):
    blocks = 8
    servers = len(counts)
    instance = build(
        blocks=blocks, memory=(1,) * servers, decode=(1.0,) * servers, token=((1.0,) * servers,)
    )
    order = np.random.default_rng(seed).permutation(servers)
    if sum(counts) < blocks:
        with pytest.raises(Infeasible, match="PETALS places"):
            join(instance, np.array(counts), order)
        return
    placement = join(instance, np.array(counts), order)
    covered = np.zeros(blocks, bool)
    for first, end in zip(placement.first, placement.end, strict=True):
        covered[first:end] = True
    assert covered.all()
    assert (placement.end <= blocks).all()


def test_a_lopsided_swarm_is_rebalanced():
    """Three servers on the first half, one slow one on the second: one of the three moves."""
    instance = build(
        blocks=4, memory=(1,) * 4, decode=(1.0,) * 4, token=((1.0,) * 4,), rps=(90.0,) * 4
    )
    before = hosting((0, 2), (0, 2), (0, 2), (2, 2))
    after = rebalance(instance, before, np.random.default_rng(0))
    assert sorted(after.first.tolist()) == [0, 0, 2, 2]


def test_a_balanced_swarm_stays():
    instance = build(
        blocks=4, memory=(1,) * 4, decode=(1.0,) * 4, token=((1.0,) * 4,), rps=(90.0,) * 4
    )
    before = hosting((0, 2), (0, 2), (2, 2), (2, 2))
    after = rebalance(instance, before, np.random.default_rng(0))
    assert after.first.tolist() == before.first.tolist()


def test_a_small_improvement_is_not_worth_a_move():
    """From 100 to 120 requests a second at the weakest block: less than a third more."""
    speeds = (100.0, 20.0, 20.0, 100.0)
    instance = build(blocks=2, memory=(1,) * 4, decode=(1.0,) * 4, token=((1.0,) * 4,), rps=speeds)
    before = hosting((0, 1), (0, 1), (0, 1), (1, 1))
    after = rebalance(instance, before, np.random.default_rng(0))
    assert after.first.tolist() == [0, 0, 0, 1]
    eager = rebalance(instance, before, np.random.default_rng(0), quality=0.9)
    assert sorted(eager.first.tolist()[1:3]) == [0, 1]


@given(COUNTS, st.integers(0, 50))
def test_rebalancing_never_weakens_the_swarm(counts, seed):
    blocks, servers = 6, len(counts)
    instance = build(
        blocks=blocks,
        memory=(1,) * servers,
        decode=(1.0,) * servers,
        token=((1.0,) * servers,),
        rps=tuple(float(10 + 7 * j) for j in range(servers)),
    )
    if sum(counts) < blocks:
        return
    rng = np.random.default_rng(seed)
    before = join(instance, np.array(counts), rng.permutation(servers))
    after = rebalance(instance, before, rng)
    credit = throughputs(instance, before.count)

    def least(placement):
        swarm = np.zeros(blocks)
        for j in range(servers):
            swarm[placement.first[j] : placement.end[j]] += credit[j]
        return swarm.min()

    assert least(after) >= least(before) - 1e-9
    assert (after.count == before.count).all()


def test_latency_by_hand():
    """Half a round trip and 18 ms to each server, τ per block, half a round trip back."""
    between = np.full((3, 3), 40.0)
    instance = build(rtt=((8.0, 18.0, 28.0),), between=between)
    chains = chains_of(hosting((0, 2), (2, 2), (0, 4)), 4)
    cost, finish = latency_costs(instance, chains, 0)
    by_link = dict(zip([link[:2] for link in chains.links], cost, strict=True))
    assert by_link[(-1, 0)] == 4 + HOP_MS + 2 * 1
    assert by_link[(0, 1)] == 20 + HOP_MS + 2 * 2
    assert by_link[(-1, 2)] == 14 + HOP_MS + 4 * 3
    assert finish.tolist() == [4, 9, 14]


def test_random_chains_hold_all_blocks_and_favour_long_spans():
    placement = hosting((0, 4), (0, 1), (1, 3))
    chains = chains_of(placement, 4)
    rng = np.random.default_rng(1)
    found = [random_by_span(chains, rng) for _ in range(2000)]
    assert set(found) <= {(0,), (1, 2), (1, 0)}
    assert found.count((0,)) / len(found) == pytest.approx(4 / 5, abs=0.04)
    assert random_by_span(chains_of(hosting((0, 2)), 4), rng) == ()


@given(instances(roomy=True), st.integers(0, 3), st.booleans())
def test_schedules_keep_every_rule_and_repeat(instance, seed, rebalanced):
    try:
        schedule = petals_schedule(instance, seed, rebalanced)
    except Infeasible:
        return
    assert verify(instance, schedule).ok
    assert schedule.routes == petals_schedule(instance, seed, rebalanced).routes
    assert schedule.method == ("petals_rebalanced" if rebalanced else "petals")


def test_opt_order_joins_in_the_order_of_cg_bp():
    instance = placement_preset("bellcanada", 2)
    order = cg_bp(instance, instance.requests).order
    expected = join(instance, petals_counts(instance), order)
    assert (opt_order_placement(instance, instance.requests).first == expected.first).all()
    assert verify(instance, opt_order_schedule(instance)).ok


def test_opt_number_takes_the_counts_of_cg_bp_and_nothing_else():
    """The authors' script overwrites them with PETALS's own before it uses them."""
    instance = placement_preset("bellcanada", 2)
    placement = opt_number_placement(instance, 8, seed=4)
    assert (placement.count == block_counts(instance, 8)).all()
    assert (placement.count != petals_counts(instance)).any()
    order = np.random.default_rng(4).permutation(len(instance.servers))
    assert (placement.first == join(instance, placement.count, order).first).all()
    assert verify(instance, opt_number_schedule(instance, 4)).ok


def test_the_seed_decides_the_order():
    instance = placement_preset("bellcanada")
    starts = [tuple(petals_placement(instance, seed).first) for seed in (0, 0, 1)]
    assert starts[0] == starts[1] != starts[2]


def test_joining_order_is_all_that_differs():
    instance = placement_preset("abovenet")
    for one, two in itertools.pairwise(range(3)):
        assert (
            petals_placement(instance, one).count == petals_placement(instance, two).count
        ).all()

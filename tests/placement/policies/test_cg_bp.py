"""CG-BP against a plain transcription of its steps, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_placement import build, instances

from torta_opt.io import Infeasible
from torta_opt.placement.instance.presets import placement_preset
from torta_opt.placement.policies.cg_bp import block_counts, cg_bp, first_largest, least_window


def _plain(instance, requests):
    """The steps of the docstring, loop by loop; None if infeasible."""
    blocks, servers = instance.llm.blocks, instance.servers
    s_m, s_c = instance.llm.block_bytes, instance.cache_bytes
    m, f, per_block = {}, {}, {}
    for j in range(len(servers)):
        count = int(servers.memory_bytes[j]) // (s_m + s_c * requests)
        count = min(count, blocks, int(servers.most_blocks[j]))
        if count:
            m[j] = count
            f[j] = (int(servers.memory_bytes[j]) - s_m * count) // (s_c * count)
            far = max(instance.links.token_ms[c, j] for c in range(len(instance.clients)))
            per_block[j] = servers.decode_ms[j] + far / count
    if sum(m.values()) < blocks:
        return None
    order = sorted(m, key=lambda j: (per_block[j], j))
    virtual = max(per_block.values()) + 1
    capacity, time, first = [0] * blocks, [requests * virtual] * blocks, {}
    for j in order:
        starts = range(blocks - m[j] + 1)
        if min(capacity) < requests:
            best = -1.0
            for a in starts:
                window = range(a, a + m[j])
                total = math.fsum(time[b] for b in window)
                if any(capacity[b] < requests for b in window) and total > best + 1e-9 * abs(best):
                    first[j], best = a, total
        else:
            first[j] = min(starts, key=lambda a: (sorted(capacity[a : a + m[j]]), a))
        for b in range(first[j], first[j] + m[j]):
            short = min(max(requests - capacity[b], 0), f[j])
            time[b] -= (virtual - per_block[j]) * short
            capacity[b] += f[j]
    return {j: (first[j], m[j]) for j in order} if min(capacity) >= requests else None


@given(instances(), st.integers(1, 5))
def test_it_is_the_plain_transcription(instance, requests):
    expected = _plain(instance, requests)
    if expected is None:
        with pytest.raises(Infeasible):
            cg_bp(instance, requests)
        return
    found = cg_bp(instance, requests)
    assert list(found.order) == list(expected)
    for j, (first, count) in expected.items():
        assert (found.placement.first[j], found.placement.count[j]) == (first, count)


@pytest.mark.parametrize("name", ["abovenet", "bellcanada", "large"])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_plain_transcription_at_size(name, seed):
    instance = placement_preset(name, seed)
    found = cg_bp(instance, 8)
    expected = _plain(instance, 8)
    hosts = {j: (int(found.placement.first[j]), int(found.placement.count[j])) for j in expected}
    assert hosts == expected


@given(instances(), st.integers(1, 5))
def test_every_block_has_room_for_all_requests(instance, requests):
    try:
        found = cg_bp(instance, requests)
    except Infeasible:
        return
    room = np.zeros(instance.llm.blocks)
    for j in found.order:
        count = int(found.placement.count[j])
        left = int(instance.servers.memory_bytes[j]) - instance.llm.block_bytes * count
        span = slice(found.placement.first[j], found.placement.end[j])
        room[span] += left // (instance.cache_bytes * count)
    assert (room >= requests).all()
    assert 1 <= found.needed <= len(found.order)


def test_equal_servers_do_not_overlap_while_blocks_are_left():
    """A virtual server takes longer than any: blocks without a server come first."""
    instance = build(
        blocks=6, memory=(24,) * 4, decode=(1.0,) * 4, token=((10.0,) * 4,), tokens=(1, 1)
    )
    assert cg_bp(instance, 1).placement.first.tolist() == [0, 2, 4, 0]


def test_published_block_counts():
    """86.13 and 9.1 GB, blocks of 1.3234 GB, caches of 0.00791 GB, at most 4 blocks on a MIG."""
    instance = placement_preset("clustered")
    for requests in (1, 8, 50):
        fast = int(86.13 / (1.3233669 + requests * 0.0079135))
        assert block_counts(instance, requests).tolist() == [4] * 7 + [fast] * 2


def test_more_requests_never_mean_more_blocks():
    instance = placement_preset("bellcanada")
    counts = [block_counts(instance, requests).sum() for requests in range(1, 60)]
    assert counts == sorted(counts, reverse=True)


def test_huge_demands_do_not_overflow():
    assert block_counts(build(cache=1 << 40), 1 << 60).tolist() == [0, 0, 0]


def test_infeasible_says_how_many_blocks_are_placed():
    with pytest.raises(Infeasible, match="places 3 of 4 blocks"):
        cg_bp(build(memory=(12, 12, 12)), 1)


def test_the_first_of_equals_wins():
    assert first_largest(np.array([1.0, 3.0, 3.0 + 1e-12])) == 1
    assert least_window(np.array([2, 1, 2, 1]), 2) == 0
    assert least_window(np.array([3, 1, 2, 0]), 2) == 2
    assert least_window(np.array([0, 9, 1, 1]), 2) == 0

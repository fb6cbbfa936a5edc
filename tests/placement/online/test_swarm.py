"""Cache in use, when it comes free, and what links cost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_placement import build, hosting

from torta_opt.placement.instance.presets import placement_preset
from torta_opt.placement.online.swarm import Swarm, own_pool, petals_pool
from torta_opt.placement.schedule.performance import path_ms, prices

INSTANCE = build(memory=(48, 40, 60), tokens=(1, 4))
PLACEMENT = hosting((0, 2), (2, 2), (0, 0))


def _swarm(pool=(10, 10, 0)):
    return Swarm(INSTANCE, PLACEMENT, np.array(pool))


def test_pools():
    assert own_pool(INSTANCE, PLACEMENT).tolist() == [28, 20, 0]
    assert petals_pool(INSTANCE, PLACEMENT).tolist() == [28, 20, 0]  # never more than there is
    instance = placement_preset("clustered")
    placement = hosting(*[(0, 4)] * 7, (0, 53), (0, 53))
    per_block = 4096 * instance.llm.cache_bytes_per_token
    assert petals_pool(instance, placement).tolist() == [4 * per_block] * 7 + [53 * per_block] * 2


def test_holding_waiting_and_releasing():
    swarm = _swarm()
    swarm.hold((0, 1), [2, 2], 3, 100.0)
    assert swarm.free == [4, 4, 0]
    assert swarm.wait(0, 4, 0.0) == 0
    assert swarm.wait(0, 5, 0.0) == 100
    swarm.hold((0,), [2], 2, 50.0)
    assert swarm.wait(0, 4, 10.0) == 40
    assert swarm.wait(0, 5, 10.0) == 90
    assert swarm.wait(0, 11, 10.0) == math.inf
    swarm.release(50.0)
    assert swarm.free == [4, 4, 0]
    swarm.release(100.0)
    assert swarm.free == [10, 10, 0]
    assert not any(swarm.sessions)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5)), max_size=12), st.integers(0, 20))
def test_waits_are_those_of_a_plain_count(held, size):
    swarm = _swarm((40, 40, 0))
    for end, blocks in held:
        swarm.hold((0,), [blocks], 1, float(end))
    swarm.release(0.0)
    free = 40 - sum(blocks for end, blocks in held if end > 0)
    assert swarm.free[0] == free
    instants = [0.0, *sorted(float(end) for end, _ in held if end > 0)]
    room = [40 - sum(blocks for end, blocks in held if end > now) for now in instants]
    expected = next((now for now, left in zip(instants, room, strict=True) if left >= size), None)
    assert swarm.wait(0, size, 0.0) == (math.inf if expected is None else expected)


def test_link_costs_add_up_to_the_path():
    swarm = _swarm()
    links = swarm.links_along((0, 1))
    assert swarm.blocks_along((0, 1)) == [2, 2]
    total = sum(swarm.response_ms(0, 4)[e] for e in links)
    assert total == pytest.approx(sum(path_ms(prices(INSTANCE), 0, (0, 1), (2, 2))))


def test_petals_estimates_are_at_hand_for_every_client():
    costs, finish = _swarm().latency_ms[0]
    assert len(costs) == len(_swarm().chains.links)
    assert len(finish) == 3

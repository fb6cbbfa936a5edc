"""Derived numbers of an instance, and that data cannot be changed."""

from __future__ import annotations

import numpy as np
import pytest
from support.small_placement import build, hosting

from torta_opt.placement.instance.data import Delays
from torta_opt.placement.schedule.data import PlacementSchedule, Route


def test_cache_bytes_counts_prompt_and_output():
    assert build(cache=3, tokens=(4, 6)).cache_bytes == 30


def test_limits_count_the_cache_only_where_a_request_is_processed():
    instance = build(blocks=4, memory=(40, 47, 5), block_bytes=10, cache=1, tokens=(1, 1))
    assert instance.host_limit.tolist() == [4, 4, 0]
    assert instance.use_limit.tolist() == [3, 3, 0]


def test_most_blocks_limits_hosting():
    instance = build(memory=(99, 99, 99), most_blocks=(1, 0, 4))
    assert instance.host_limit.tolist() == [1, 0, 4]


def test_requests_go_to_clients_in_turn():
    instance = build(token=((1.0, 1, 1), (1, 1, 1)), requests=(0, 0), rates=(1.0, 1.0))
    assert instance.with_requests(5).clients.requests.tolist() == [3, 2]
    assert instance.with_requests(np.array([0, 4])).requests == 4


def test_a_rate_is_shared_evenly():
    instance = build(token=((1.0, 1, 1), (1, 1, 1)), requests=(0, 0), rates=(1.0, 5.0))
    assert instance.with_rate(3).clients.rate_per_s.tolist() == [1.5, 1.5]


def test_fixed_delay_of_each_setting():
    delays = Delays(1.0, 60.0, 250.0)
    assert delays.fixed_ms("zero", like_petals=True) == 0
    assert delays.fixed_ms("published", like_petals=True) == 250
    assert delays.fixed_ms("published", like_petals=False) == 60


def test_arrays_cannot_be_changed():
    instance = build()
    with pytest.raises(ValueError, match="read-only"):
        instance.servers.memory_bytes[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        hosting((0, 1)).first[0] = 2


def test_a_server_is_run_to_its_end():
    schedule = PlacementSchedule("own", hosting((0, 3), (1, 3), (2, 2)), ())
    assert schedule.blocks_on(Route(0, (0, 1))) == (3, 1)
    assert schedule.placement.end.tolist() == [3, 4, 4]

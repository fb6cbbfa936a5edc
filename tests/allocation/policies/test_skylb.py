"""SkyLB: local first, overflow only when full, affinity to servers that hold the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.plain import make_instance

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import Schedule, verify
from torta_opt.io import InvalidInput

FAR = [[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]]


def three_regions(requests: list[list[int]], **changes: Any) -> Instance:
    """One server with ten requests a slot in each region, all ready."""
    values = {
        "server_ms": 4500,
        "latency_s": FAR,
        "initial": {"model": [0, 0, 0]},
        "weights": {"time_usd_per_s": 0.01, "expiry_usd": 5.0},
    }
    return make_instance(np.array(requests)[:, :, None], **{**values, **changes})


def schedule(instance: Instance, settings: str = "") -> Schedule:
    made = run(create("skylb:rule=none" + settings), instance).schedule
    assert verify(instance, made).ok
    return made


class TestRegions:
    def test_local_first_even_where_another_is_cheaper(self):
        instance = three_regions([[9, 0, 0]], peak_kw=500.0, price=[[9.0, 0.1, 0.1]])
        assert schedule(instance).routing[0, 0, :, 0].tolist() == [9, 0, 0]

    def test_overflow_only_when_full_to_the_least_loaded(self):
        instance = three_regions([[10, 4, 0], [13, 6, 0]])
        made = schedule(instance)
        assert made.routing[0, 0, :, 0].tolist() == [10, 0, 0]
        assert made.routing[1, 0, :, 0].tolist() == [10, 0, 3]

    def test_overflow_to_the_nearest(self):
        made = schedule(three_regions([[16, 5, 0]]), ":overflow=nearest")
        assert made.routing[0, 0, :, 0].tolist() == [10, 5, 1]

    def test_overflow_levels_the_load_of_the_others(self):
        made = schedule(three_regions([[20, 0, 0]]))
        assert made.routing[0, 0, :, 0].tolist() == [10, 5, 5]

    def test_waits_at_home_when_all_are_full(self):
        made = schedule(three_regions([[50, 0, 0]]))
        assert made.routing[0, 0, :, 0].tolist() == [30, 10, 10]

    def test_overflow_keeps_to_data_residency(self):
        latency = np.array(FAR)
        latency[0, 2] = np.nan
        made = schedule(three_regions([[16, 0, 0]], latency_s=latency))
        assert made.routing[0, 0, :, 0].tolist() == [10, 6, 0]

    def test_without_servers_at_home_requests_go_to_the_nearest(self):
        instance = three_regions([[3, 0, 0]], server_region=[1, 2], initial={"model": [-1, -1]})
        assert schedule(instance).routing[0, 0, :, 0].tolist() == [0, 3, 0]


class TestServers:
    def one_region(self, last: list[list[int]], hot_permille: int = 1000) -> Instance:
        return make_instance(
            [[[12]]],
            server_region=[0, 0, 0],
            server_ms=1500,
            hot_permille=hot_permille,
            initial={"model": [0, 0, 0], "processing": last},
        )

    def test_requests_stay_where_their_cache_is(self):
        made = schedule(self.one_region([[2], [8], [2]]))
        assert made.processing[0, :, 0].tolist() == [2, 8, 2]

    def test_without_affinity_the_least_busy_take_them(self):
        made = schedule(self.one_region([[2], [8], [2]]), ":affinity=0")
        assert made.processing[0, :, 0].tolist() == [4, 4, 4]

    def test_only_the_hot_share_sticks(self):
        made = schedule(self.one_region([[0], [20], [0]], hot_permille=300))
        assert made.processing[0, :, 0].tolist() == [3, 6, 3]

    def test_other_requests_go_to_the_least_busy(self):
        made = schedule(self.one_region([[0], [10], [0]], hot_permille=700))
        assert sorted(made.processing[0, :, 0].tolist()) == [2, 3, 7]

    def test_imbalance_breaks_affinity(self):
        """Waiting requests, served first, have one server busier than the others."""
        instance = make_instance(
            [[[9, 0]]],
            server_region=[0, 0],
            server_ms=1500,
            hot_permille=1000,
            deadline_slots=[1, 1],
            initial={"model": [0, 0], "processing": [[5, 6], [0, 0]], "backlog": [[[0], [6]]]},
        )
        stuck = schedule(instance).processing[0, :, 0].tolist()
        freed = schedule(instance, ":imbalance=0.1").processing[0, :, 0].tolist()
        assert (stuck, freed) == ([5, 4], [1, 8])

    def test_more_hot_requests_than_without_affinity(self):
        def hot(settings: str) -> int:
            instance = make_instance(
                np.random.default_rng(1).integers(5, 20, (30, 1, 2)),
                server_region=[0] * 4,
                server_ms=1500,
                hot_permille=900,
                initial={"model": [0] * 4},
            )
            done = schedule(instance, settings).processing
            return int(np.minimum(done[1:], 900 * done[:-1] // 1000).sum())

        assert hot("") > hot(":affinity=0")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("skylb:overflow=far", "overflow: must be one of least_load, nearest"),
        ("skylb:affinity=2", r"affinity: must be a number in \[0, 1\], found 2"),
        ("skylb:imbalance=-1", r"imbalance: must be a number in \[0, 1\], found -1"),
        ("skylb:rule=some", "rule: must be one of demand, all, none"),
    ],
)
def test_bad_parameters_are_one_plain_line(spec: str, message: str):
    with pytest.raises(InvalidInput, match=message):
        create(spec)

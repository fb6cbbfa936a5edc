"""Upper bounds of requests: never below what a legal schedule does, and reached."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import feasible_cases

from torta_opt.allocation.formulations.column_bounds import ColumnBounds, reuse_ratio
from torta_opt.allocation.formulations.lift import lift
from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.schedule import Schedule

NAMES = {"inflow": "inflow", "q": "waiting", "expired": "expired", "z": "processing"}


@given(feasible_cases(), st.booleans())
def test_no_schedule_exceeds_the_bounds(case: tuple[Instance, Schedule], named: bool) -> None:
    instance, schedule = case
    pools = Pools.of(instance, named=named)
    limits, values = ColumnBounds.of(pools), lift(instance, schedule, pools=pools)
    for column, bound in NAMES.items():
        assert (values[column] <= getattr(limits, bound)).all(), column
    faster = (instance.system.hot_service_s < instance.system.service_s)[pools.type]
    assert (values["hot"] * faster <= limits.hot).all()


@pytest.mark.parametrize("hot_permille", [0, 1, 333, 334, 500, 999, 1000])
@pytest.mark.parametrize("most", [1, 2, 3, 7, 83, 1000, 2500])
def test_the_reuse_ratio_is_the_least_that_holds(hot_permille: int, most: int) -> None:
    above, below = (int(n) for n in reuse_ratio(hot_permille, np.array([most]))[0])
    counts = range(1, most + 1)
    assert all(hot_permille * n // 1000 * below <= above * n for n in counts)
    assert any(hot_permille * n // 1000 * below == above * n for n in counts)


def test_a_server_that_can_process_nothing_makes_nothing_hot() -> None:
    assert reuse_ratio(1000, np.array([[0, 1]])).tolist() == [[[0, 1], [1, 1]]]
